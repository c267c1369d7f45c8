#include "api/connections_api.h"

#include <charconv>

#include <nlohmann/json.hpp>

#include "bus/cluster_view.h"
#include "net/query.h"
#include "protocol/json.h"

namespace ringfence {

namespace http = boost::beast::http;
using Json = nlohmann::ordered_json;

namespace {

std::string time_text(std::int64_t time_us) {
  const auto bytes = rfc3339(time_us);
  return {bytes.data(), bytes.size()};
}

Json told(const ConnectionInfo& info) {
  return {{"connection", std::to_string(info.id)},
          {"session", info.session},
          {"session_id", info.session_id},
          {"address", info.address},
          {"established", time_text(info.established_us)},
          {"last_seen", time_text(info.last_seen_us)},
          {"healthy", info.healthy},
          {"back_end", info.back_end},
          {"subscriptions", info.subscriptions},
          {"messages", info.messages},
          {"rate_limited", info.rate_limited}};
}

// A text of at most `bytes_max` bytes of UTF-8 without control characters; empty if the field is not there.
bool read_text(const Json& body, const char* field, std::size_t bytes_max, std::string& out) {
  if (!body.contains(field)) return true;
  if (!body[field].is_string()) return false;
  out = body[field].get<std::string>();
  return !out.empty() && out.size() <= bytes_max &&
         out.find_first_of(std::string_view("\0\r\n\t\x7f", 5)) == std::string::npos;
}

}  // namespace

void ConnectionsApi::add_routes(Router& router) {
  router.add({http::verb::get, "/v1/connections/stats", Access::admin, 0, [this](ApiRequest&) { return stats(); }});
  router.add({http::verb::get, "/v1/connections/{user}", Access::admin, 0,
              [this](ApiRequest& request) { return of_user(request); }});
  router.add({http::verb::post, "/v1/disconnect", Access::back_end, kBodyBytesMax,
              [this](ApiRequest& request) { return disconnect(request); }});
}

ApiResponse ConnectionsApi::stats() const {
  const ConnectionStats stats = connections_.stats();
  ApiResponse response;
  response.body = Json{{"connections", stats.connections},
                       {"users", stats.users},
                       {"users_in_grace", stats.users_in_grace},
                       {"anonymous", stats.anonymous},
                       {"unhealthy", stats.unhealthy},
                       {"orphans", stats.orphans},
                       {"closed_recently", stats.closed_recently},
                       {"attempt_windows", stats.attempt_windows},
                       {"admitted_total", stats.admitted},
                       {"replaced_total", stats.replaced},
                       {"disconnected_total", stats.disconnected},
                       {"graces_ended_total", stats.graces_ended},
                       {"graces_cut_total", stats.graces_cut},
                       {"attempts_refused_total", stats.attempts_refused},
                       {"attempt_windows_evicted_total", stats.attempt_windows_evicted}}
                      .dump();
  return response;
}

ApiResponse ConnectionsApi::of_user(const ApiRequest& request) const {
  // Percent-escapes as in a query.
  const std::string user = query_value("?user=" + std::string(request.parameter), "user");
  bool known = false;
  const auto connections = connections_.connections_of(user, &known);
  if (!known) return ApiResponse::fail(http::status::not_found, "not_found", "this user is not connected");
  Json list = Json::array();
  for (const ConnectionInfo& info : connections) list.push_back(told(info));
  ApiResponse response;
  response.body = Json{{"user", user}, {"in_grace", connections.empty()}, {"connections", std::move(list)}}.dump();
  return response;
}

// {"user", "session"?} or {"connection"}, and "code"?, "reason"?, "reconnect"?
ApiResponse ConnectionsApi::disconnect(const ApiRequest& request) {
  if (!valid_utf8(request.body)) return ApiResponse::fail(Error::bad_json, "not UTF-8");
  if (const auto fault = check_json(request.body, json_depth_max_))
    return ApiResponse::fail(Error::bad_json,
                             "at byte " + std::to_string(fault->position) + ": " + std::string(fault->what));
  const Json body = Json::parse(request.body, nullptr, false);
  if (!body.is_object()) return ApiResponse::fail(Error::bad_json, "not a JSON object");
  if (body.contains("user") == body.contains("connection"))
    return ApiResponse::fail(Error::missing_field, "one of `user` and `connection` is needed");
  CloseReason why{1000, "disconnected", false};
  std::string user, session, connection;
  if (!read_text(body, "user", Identity::kNameBytesMax, user) ||
      !read_text(body, "session", Identity::kNameBytesMax, session) || !read_text(body, "connection", 20, connection) ||
      !read_text(body, "reason", kReasonBytesMax, why.reason))
    return ApiResponse::fail(
        Error::bad_field,
        "`user`, `session`, `connection` and `reason` are short texts, `reason` of 100 bytes at most");
  if (body.contains("code")) {
    // Those that an application may send (RFC 6455, section 7.4.2), and normal closure.
    const auto& code = body["code"];
    const auto value = code.is_number_integer() ? code.get<std::int64_t>() : 0;
    if (value != 1000 && value != 1008 && (value < 3000 || value > 4999))
      return ApiResponse::fail(Error::bad_field, "`code` is not 1000, 1008 or 3000 to 4999");
    why.code = static_cast<std::uint16_t>(value);
  }
  if (body.contains("reconnect")) {
    if (!body["reconnect"].is_boolean()) return ApiResponse::fail(Error::bad_field, "`reconnect` is not a boolean");
    why.reconnect = body["reconnect"].get<bool>();
  }
  std::size_t count = 0, asked = 0;
  if (connection.empty()) {
    count = connections_.disconnect_user(user, session, why);
    if (cluster_) asked = cluster_->disconnect_user(user, session, why);
  } else {
    std::uint64_t id = 0;
    const auto [stop, error] = std::from_chars(connection.data(), connection.data() + connection.size(), id);
    if (error != std::errc() || stop != connection.data() + connection.size())
      return ApiResponse::fail(Error::bad_field, "`connection` is not the id that `welcome` told");
    count = connections_.disconnect(id, why) ? 1 : 0;
  }
  ApiResponse response;
  Json answer{{"disconnected", count}};
  if (cluster_ && connection.empty()) answer["asked"] = asked;
  response.body = answer.dump();
  return response;
}

}  // namespace ringfence
