// Router: which request under /v1 gets which answer: by path and method, after who asks was checked.
//
// A path's last part may be a parameter: "/v1/connections/{user}" takes any one part there. An exact path goes before
// it; a second route for the same method and path is our mistake and stops the program (INVARIANT), so none can be
// shadowed.
// A handler answers when it returns (`handle`), or later (`handle_later`): no thread waits for what takes time.
// Owns     its routes. Handlers are called on the shards' threads, several at once.
// Threads  add: before the first request. The rest: any thread.
// Bounds   the body of a request: Route::body_bytes_max; of an answer: what its handler says.
// Errors   not_found (404), method_not_allowed (405, with Allow), body_too_large (413), unsupported_media_type (415),
//          those of Authenticator (401, 403); what a handler throws is logged and becomes internal_error (500).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>

#include <ringfence/error.h>

#include "auth/identity.h"

namespace ringfence {

// Who may use a route. While authentication is off, everybody may.
enum class Access : std::uint8_t { open, back_end, admin };

struct ApiRequest {
  std::string_view target;     // with its query: query_value() of net/query.h
  std::string_view parameter;  // what stood for {…}, as sent
  std::string body;            // the handler's own: publishing rewrites line breaks in it
  std::string_view idempotency_key;
  IdentityPtr identity;  // null on an open route
};

struct ApiResponse {
  boost::beast::http::status status = boost::beast::http::status::ok;
  std::string body = "{}";
  std::string_view content_type = "application/json";
  std::uint32_t retry_after_ms = 0;
  bool replayed = false;  // the answer that was given to the same Idempotency-Key before
  std::string allow;      // of 405

  static ApiResponse fail(boost::beast::http::status status, std::string_view code, std::string_view message,
                          std::uint32_t retry_after_ms = 0);
  // The status that goes with an error of the hub or of a request.
  static ApiResponse fail(Error error, std::string_view message);
};

// Makes an answer; called once.
using ApiMake = std::function<ApiResponse()>;
// How a handler answers later: once, on any thread, also before it returns. `make` is then called on the connection's
// thread, whether or not anybody is still there to get the answer; only the end of the server may come between.
using ApiDone = std::function<void(ApiMake make)>;

struct Route {
  boost::beast::http::verb method;
  std::string path;
  Access access;
  std::uint64_t body_bytes_max;  // 0: a GET
  // One of the two. What the request views is gone when `handle_later` returns; its body may be kept by moving it.
  std::function<ApiResponse(ApiRequest&)> handle;
  std::function<void(ApiRequest&, const ApiDone&)> handle_later = {};
};

class Router {
 public:
  void add(Route route);

  // Null if the path is unknown or has not this method: then answer_unknown() says which. HEAD is GET.
  const Route* find(boost::beast::http::verb method, std::string_view path, std::string_view* parameter) const;
  ApiResponse answer_unknown(std::string_view path) const;
  // Calls the handler; what it throws is logged. None: `done` is called, or was.
  static std::optional<ApiResponse> call(const Route& route, ApiRequest& request, const ApiDone& done);
  static ApiResponse call(const ApiMake& make);

  const std::vector<Route>& routes() const noexcept { return routes_; }

 private:
  std::vector<Route> routes_;
};

}  // namespace ringfence
