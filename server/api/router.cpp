#include "api/router.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <ringfence/invariant.h>

#include "log.h"
#include "net/http_reply.h"
#include "protocol/meaning.h"

namespace ringfence {

namespace http = boost::beast::http;

namespace {

// The parameter's place in the pattern; npos if it has none.
std::size_t parameter_at(std::string_view pattern) noexcept { return pattern.find('{'); }

bool matches(std::string_view pattern, std::string_view path, std::string_view* parameter) {
  const std::size_t at = parameter_at(pattern);
  if (at == std::string_view::npos) return pattern == path;
  if (!path.starts_with(pattern.substr(0, at))) return false;
  const std::string_view rest = path.substr(at);
  if (rest.empty() || rest.find('/') != std::string_view::npos) return false;
  if (parameter) *parameter = rest;
  return true;
}

http::status status_of(Error error) noexcept {
  switch (error) {
    case Error::overloaded:
    case Error::broker_unavailable: return http::status::service_unavailable;
    case Error::broker_timeout: return http::status::gateway_timeout;
    case Error::broker_refused: return http::status::bad_gateway;
    case Error::forbidden: return http::status::forbidden;
    case Error::no_such_channel: return http::status::not_found;
    case Error::too_many_channels: return http::status::insufficient_storage;
    case Error::record_too_large: return http::status::payload_too_large;
    default: return http::status::bad_request;
  }
}

constexpr std::uint32_t kOverloadedRetryMs = 1'000;

}  // namespace

ApiResponse ApiResponse::fail(http::status status, std::string_view code, std::string_view message,
                              std::uint32_t retry_after_ms) {
  ApiResponse response;
  response.status = status;
  response.body = error_body(code, message, retry_after_ms);
  response.retry_after_ms = retry_after_ms;
  return response;
}

ApiResponse ApiResponse::fail(Error error, std::string_view message) {
  return fail(status_of(error), error_code(error), message.empty() ? error_meaning(error) : message,
              error == Error::overloaded || error == Error::broker_unavailable ? kOverloadedRetryMs : 0);
}

void Router::add(Route route) {
  INVARIANT((route.handle != nullptr) != (route.handle_later != nullptr));
  for (const Route& held : routes_) {
    const bool same_shape =
        held.path.substr(0, parameter_at(held.path)) == route.path.substr(0, parameter_at(route.path)) &&
        (parameter_at(held.path) == std::string::npos) == (parameter_at(route.path) == std::string::npos);
    INVARIANT(!(same_shape && held.method == route.method));
  }
  routes_.push_back(std::move(route));
  // Exact paths first.
  std::stable_partition(routes_.begin(), routes_.end(),
                        [](const Route& held) { return parameter_at(held.path) == std::string::npos; });
}

const Route* Router::find(http::verb method, std::string_view path, std::string_view* parameter) const {
  if (method == http::verb::head) method = http::verb::get;
  for (const Route& route : routes_)
    if (matches(route.path, path, parameter)) {
      // The first pattern that fits decides; its other methods stand beside it.
      for (const Route& other : routes_)
        if (other.path == route.path && other.method == method) return &other;
      return nullptr;
    }
  return nullptr;
}

ApiResponse Router::answer_unknown(std::string_view path) const {
  std::string allow;
  std::string_view fits;
  for (const Route& route : routes_) {
    if (!matches(route.path, path, nullptr) || (!fits.empty() && fits != route.path)) continue;
    fits = route.path;
    if (!allow.empty()) allow += ", ";
    allow += route.method == http::verb::get ? "GET, HEAD" : std::string(http::to_string(route.method));
  }
  if (allow.empty()) return ApiResponse::fail(http::status::not_found, "not_found", "there is nothing at this path");
  ApiResponse response = ApiResponse::fail(http::status::method_not_allowed, "method_not_allowed",
                                           "this path answers " + allow + " alone");
  response.allow = std::move(allow);
  return response;
}

namespace {

template <typename Call>
std::optional<ApiResponse> guarded(std::string_view what, Call call) {
  try {
    return call();
  } catch (const std::exception& error) {
    logger("api")->error("{}: {}", what, error.what());
  } catch (...) {
    logger("api")->error("{}: an exception of an unknown kind", what);
  }
  return ApiResponse::fail(http::status::internal_server_error, "internal_error",
                           "the server made a mistake; it is logged");
}

}  // namespace

std::optional<ApiResponse> Router::call(const Route& route, ApiRequest& request, const ApiDone& done) {
  return guarded(route.path, [&]() -> std::optional<ApiResponse> {
    if (route.handle) return route.handle(request);
    route.handle_later(request, done);
    return std::nullopt;
  });
}

ApiResponse Router::call(const ApiMake& make) {
  return *guarded("an answer", [&]() -> std::optional<ApiResponse> { return make(); });
}

}  // namespace ringfence
