#include "net/http_service.h"

#include "api/channels_api.h"
#include "api/connections_api.h"
#include "api/publish_api.h"
#include "auth/authenticator.h"
#include "monitoring/monitoring_api.h"
#include "net/origin.h"

namespace ringfence {

namespace http = boost::beast::http;

namespace {

Role role_of(Access access) noexcept { return access == Access::admin ? Role::admin : Role::back_end; }

// A body is JSON; without a Content-Type it is taken for that.
bool is_json(std::string_view content_type) noexcept {
  const std::string_view media = content_type.substr(0, content_type.find(';'));
  return media.empty() || boost::beast::iequals({media.data(), media.size()}, "application/json") ||
         boost::beast::iequals({media.data(), media.size()}, "application/json ");
}

std::string_view view(boost::beast::string_view text) noexcept { return {text.data(), text.size()}; }

}  // namespace

HttpService::HttpService(const Options& options, const Ledger& ledger, const Services& services, const ChannelLog* log)
    : options_(options),
      hosts_checked_(!options.auth.enabled() && is_loopback_address(options.host)),
      services_(services),
      hub_(*services.hub),
      files_(options.static_dir),
      monitoring_(std::make_unique<MonitoringApi>(options, ledger, services, *this, log)),
      publishing_(std::make_unique<PublishApi>(hub_, *services.caches, options.limits.idempotency_keys_max,
                                               options.limits.json_depth_max)),
      channels_(std::make_unique<ChannelsApi>(hub_, *services.presence, services.events, services.cluster, options)),
      connections_api_(
          std::make_unique<ConnectionsApi>(*services.connections, services.cluster, options.limits.json_depth_max)) {
  monitoring_->add_routes(router_);
  publishing_->add_routes(router_, options.limits.http_publish_bytes);
  channels_->add_routes(router_);
  connections_api_->add_routes(router_);
}

HttpService::~HttpService() = default;

bool HttpService::routed(std::string_view path) noexcept {
  return path == "/metrics" || path == "/v1" || path.starts_with("/v1/");
}

std::uint64_t HttpService::body_bytes_max(http::verb method, std::string_view target) const {
  const Route* const route = router_.find(method, target.substr(0, target.find('?')), nullptr);
  return route && route->body_bytes_max > 0 ? route->body_bytes_max : options_.limits.http_body_bytes;
}

std::optional<ApiResponse> HttpService::answer_api(Request& request, const Route* route, std::string_view parameter,
                                                   const ApiDone& later) {
  const std::string_view target = view(request.target());
  ApiRequest asked;
  asked.target = target;
  asked.parameter = parameter;
  if (route->access != Access::open) {
    auto known = services_.auth->require(credentials_of(request), role_of(route->access));
    if (!known) {
      hub_.count_refused(known.error());
      return auth_refusal(known.error());
    }
    asked.identity = std::move(known).value();
  }
  if (route->body_bytes_max > 0 && !is_json(view(request[http::field::content_type])))
    return ApiResponse::fail(http::status::unsupported_media_type, "unsupported_media_type",
                             "the body of this request is application/json");
  asked.idempotency_key = view(request["Idempotency-Key"]);
  asked.body = std::move(request.body());
  return Router::call(*route, asked, later);
}

// Which admin routes there are is told to admins alone.
ApiResponse HttpService::answer_unknown(const Request& request, std::string_view path) {
  if (path.starts_with("/v1/monitoring/")) {
    if (const auto known = services_.auth->require(credentials_of(request), Role::admin); !known) {
      hub_.count_refused(known.error());
      return auth_refusal(known.error());
    }
  }
  return router_.answer_unknown(path);
}

std::optional<HttpService::Answer> HttpService::answer(Request& request, const ReplyTo& to, const ApiDone& later) {
  const std::string_view target = view(request.target());
  const std::string_view path = target.substr(0, target.find('?'));
  if (!routed(path)) {
    if (request.method() == http::verb::get || request.method() == http::verb::head)
      return Answer{files_.open(to, target, view(request[http::field::if_none_match])), 0};
    counters_.errors.fetch_add(1, std::memory_order_relaxed);
    return Answer{error_reply(to, HttpError::method_not_allowed, "only GET and HEAD are answered here"), 0};
  }
  std::string_view parameter;
  const Route* const route = router_.find(request.method(), path, &parameter);
  std::optional<ApiResponse> response;
  if (route)
    response = answer_api(request, route, parameter, later);
  else if (path == "/v1/ws")
    response = ApiResponse::fail(http::status::bad_request, "bad_request", "a WebSocket upgrade is expected here");
  else
    response = answer_unknown(request, path);
  return response ? std::optional<Answer>(finish(std::move(*response), to)) : std::nullopt;
}

HttpService::Answer HttpService::finish(ApiResponse response, const ReplyTo& to) {
  // Large answers are counted until they are sent, as large bodies are until they are read.
  std::uint64_t counted_bytes = response.body.size() > kAnswerBytesFree ? response.body.size() : 0;
  if (counted_bytes > 0 && !hub_.inbound().try_add(counted_bytes)) {
    counted_bytes = 0;
    hub_.count_refused(Error::overloaded);
    response = ApiResponse::fail(Error::overloaded, "there is no memory for so large an answer now");
  }
  if (response.status >= http::status::bad_request) counters_.errors.fetch_add(1, std::memory_order_relaxed);
  return {api_reply(to, std::move(response)), counted_bytes};
}

}  // namespace ringfence
