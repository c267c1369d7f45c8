#include "net/http_service.h"

#include <nlohmann/json.hpp>

#include "auth/authenticator.h"
#include "events/event_bus.h"
#include "realtime/connection_manager.h"
#include "tasks/task_registry.h"

namespace ringfence {

namespace http = boost::beast::http;
using Json = nlohmann::ordered_json;

HttpService::HttpService(const Options& options, const Ledger& ledger, const Services& services, const ChannelLog* log)
    : options_(options),
      ledger_(ledger),
      services_(services),
      hub_(*services.hub),
      log_(log),
      files_(options.static_dir) {}

http::message_generator HttpService::answer(const Request& request, const ReplyTo& to) {
  const std::string_view target(request.target().data(), request.target().size());
  if (request.method() != http::verb::get && request.method() != http::verb::head) {
    counters_.errors.fetch_add(1, std::memory_order_relaxed);
    return error_reply(to, HttpError::method_not_allowed, "only GET and HEAD are answered here");
  }
  const std::string_view path = target.substr(0, target.find('?'));
  if (path == "/v1/health")
    return json_reply(to,
                      stopping_.load(std::memory_order_relaxed) ? http::status::service_unavailable : http::status::ok,
                      health_json());
  if (path.starts_with("/v1/monitoring/")) {
    if (const auto known = services_.auth->require(credentials_of(request), Role::admin); !known) {
      hub_.count_refused(known.error());
      counters_.errors.fetch_add(1, std::memory_order_relaxed);
      return auth_error_reply(to, known.error());
    }
  }
  if (path == "/v1/monitoring/ledger") return json_reply(to, http::status::ok, ledger_json());
  if (path == "/v1/monitoring/eventbus")
    return json_reply(to, http::status::ok, event_bus_json(services_.events->stats()));
  if (path == "/v1/monitoring/tasks") return json_reply(to, http::status::ok, tasks_json(services_.tasks->stats()));
  if (path == "/v1" || path.starts_with("/v1/")) {
    counters_.errors.fetch_add(1, std::memory_order_relaxed);
    if (path == "/v1/ws") return error_reply(to, HttpError::bad_request, "a WebSocket upgrade is expected here");
    return error_reply(to, HttpError::not_found, "there is nothing at this path");
  }
  const auto etag = request[http::field::if_none_match];
  return files_.open(to, target, {etag.data(), etag.size()});
}

std::string HttpService::health_json() const {
  const HubStats stats = hub_.stats();
  const ConnectionStats connected = services_.connections->stats();
  const auto up = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started_);
  const auto get = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  Json refused = Json::object();
  for (std::size_t i = 0; i < kErrorCount; ++i)
    if (stats.refused[i] > 0) refused[std::string(error_code(static_cast<Error>(i)))] = stats.refused[i];
  return Json{
      {"status", stopping_.load(std::memory_order_relaxed) ? "stopping" : "ok"},
      {"version", RINGFENCE_VERSION},
      {"uptime_s", static_cast<double>(up.count()) / 1000},
      {"threads", hub_.shards()},
      {"connections", stats.connections},
      {"connections_total", stats.connections_total},
      {"channels", stats.channels},
      {"subscriptions", stats.subscriptions},
      {"published", stats.published},
      {"delivered", stats.delivered},
      {"delivered_bytes", stats.delivered_bytes},
      {"messages", stats.messages},
      {"flushes", stats.flushes},
      {"gaps", stats.gaps},
      {"missed", stats.missed},
      {"waits_for_memory", stats.waits_for_memory},
      {"closed",
       {{"stalled", stats.stalled_closed},
        {"dead", stats.dead_closed},
        {"errors", stats.errors_closed},
        {"auth", stats.auth_closed},
        {"idle", stats.idle_closed},
        {"invalid_utf8", stats.invalid_utf8}}},
      {"closed_recently", connected.closed_recently},
      {"log_lines_dropped", log_ ? log_->dropped() : 0},
      {"refused", refused},
      {"http",
       {{"requests", get(counters_.requests)},
        {"errors", get(counters_.errors)},
        {"timeouts", get(counters_.timeouts)},
        {"connections_refused", get(counters_.refused)},
        {"accept_errors", get(counters_.accept_errors)}}},
  }
      .dump();
}

std::string HttpService::ledger_json() const {
  Json rows = Json::array();
  for (const LedgerRow& row : ledger_.rows()) {
    Json evicted = Json::object();
    for (std::size_t i = 0; i < kEvictionCount; ++i)
      evicted[std::string(eviction_name(static_cast<Eviction>(i)))] = row.evicted[i];
    rows.push_back({{"name", row.name},
                    {"used_bytes", row.used_bytes},
                    {"capacity_bytes", row.capacity_bytes},
                    {"high_water_mark_bytes", row.high_water_mark_bytes},
                    {"refused", row.refused},
                    {"evicted", evicted}});
  }
  return Json{{"budget_bytes", options_.memory_budget_bytes},
              {"worst_case_bytes", ledger_.worst_case_bytes()},
              {"used_bytes", ledger_.used_bytes()},
              {"accounts", rows}}
      .dump();
}

}  // namespace ringfence
