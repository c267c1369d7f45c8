#include "monitoring/monitoring_api.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "bus/bus.h"
#include "bus/nats_service.h"
#include "caching/cache_manager.h"
#include "events/event_bus.h"
#include "events/event_stats.h"
#include "log.h"
#include "monitoring/cleanup.h"
#include "monitoring/health.h"
#include "monitoring/memory_leak_monitor.h"
#include "monitoring/metrics.h"
#include "monitoring/monitor_json.h"
#include "net/http_service.h"
#include "realtime/clock.h"
#include "realtime/connection_manager.h"
#include "realtime/hub.h"
#include "tasks/task_registry.h"

namespace ringfence {

namespace http = boost::beast::http;
using Json = nlohmann::ordered_json;

namespace {

ApiResponse with(std::string body) {
  ApiResponse response;
  response.body = std::move(body);
  return response;
}

}  // namespace

void MonitoringApi::add_routes(Router& router) {
  const auto get = [&router](std::string path, Access access, std::function<ApiResponse()> answer) {
    router.add(
        {http::verb::get, std::move(path), access, 0, [answer = std::move(answer)](ApiRequest&) { return answer(); }});
  };
  get("/v1/health", Access::open, [this] {
    const HealthReport report = services_.health->report();
    ApiResponse response = with(health_json(report));
    if (report.health == Health::unhealthy) response.status = http::status::service_unavailable;
    return response;
  });
  get("/metrics", Access::admin, [this] {
    ApiResponse response =
        with(metrics_text({ledger_, services_, http_.counters(), log_, options_.memory_budget_bytes}));
    response.content_type = kMetricsContentType;
    return response;
  });
  get("/v1/monitoring/ledger", Access::admin, [this] { return with(ledger_json()); });
  get("/v1/monitoring/eventbus", Access::admin, [this] { return with(event_bus_json(services_.events->stats())); });
  get("/v1/monitoring/tasks", Access::admin, [this] { return with(tasks_json(services_.tasks->stats())); });
  get("/v1/monitoring/caches", Access::admin, [this] { return with(services_.caches->stats_json()); });
  get("/v1/monitoring/memory-leaks", Access::admin,
      [this] { return with(memory_leaks_json(*services_.monitor, options_.monitor)); });
  get("/v1/monitoring/memory", Access::admin,
      [this] { return with(memory_json(*services_.monitor, options_.memory_budget_bytes)); });
  get("/v1/monitoring/alerts", Access::admin, [this] { return with(alerts_json(services_.monitor->alerts())); });
  router.add({http::verb::post, "/v1/monitoring/cleanup", Access::admin, options_.limits.http_body_bytes,
              [this](ApiRequest&) { return with(cleaned_up_json(clean_up(services_, ledger_))); }});
}

std::string MonitoringApi::health_json(const HealthReport& report) const {
  const HubStats stats = services_.hub->stats();
  const ConnectionStats connected = services_.connections->stats();
  const auto up = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started_);
  const auto get = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  Json refused = Json::object();
  for (std::size_t i = 0; i < kErrorCount; ++i)
    if (stats.refused[i] > 0) refused[std::string(error_code(static_cast<Error>(i)))] = stats.refused[i];
  Json reasons = Json::array();
  for (const auto& [check, finding] : report.reasons)
    reasons.push_back({{"check", check}, {"status", health_name(finding.health)}, {"reason", finding.reason}});
  return Json{
      {"status", health_name(report.health)},
      {"reasons", reasons},
      {"version", RINGFENCE_VERSION},
      {"uptime_s", static_cast<double>(up.count()) / 1000},
      {"threads", services_.hub->shards()},
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
      {"conflated", stats.conflated},
      {"resumes",
       {{"exact", stats.resumes_exact}, {"missed", stats.resumes_missed}, {"unknown", stats.resumes_unknown}}},
      {"waits_for_memory", stats.waits_for_memory},
      {"closed",
       {{"stalled", stats.stalled_closed},
        {"dead", stats.dead_closed},
        {"errors", stats.errors_closed},
        {"slow", stats.slow_closed},
        {"auth", stats.auth_closed},
        {"idle", stats.idle_closed},
        {"unfinished", stats.unfinished_closed},
        {"invalid_utf8", stats.invalid_utf8}}},
      {"closed_recently", connected.closed_recently},
      {"log_lines_dropped", log_ ? log_->dropped() : 0},
      {"refused", refused},
      {"http",
       {{"requests", get(http_.counters().requests)},
        {"errors", get(http_.counters().errors)},
        {"timeouts", get(http_.counters().timeouts)},
        {"connections_refused", get(http_.counters().refused)},
        {"accept_errors", get(http_.counters().accept_errors)}}},
  }
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string MonitoringApi::ledger_json() const {
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
  Json ledger{{"budget_bytes", options_.memory_budget_bytes},
              {"worst_case_bytes", ledger_.worst_case_bytes()},
              {"used_bytes", ledger_.used_bytes()},
              {"accounts", rows}};
  const Bus* const bus = services_.hub->bus();
  if (const auto use = bus ? bus->engine_use() : std::nullopt; use && use->at_ms > 0) {
    const auto bound = [](std::uint64_t value) { return value > 0 ? Json(value) : Json(); };
    ledger["stream"] = {{"name", use->name},
                        {"storage", use->storage},
                        {"replicas", use->replicas},
                        {"used_bytes", use->bytes},
                        {"capacity_bytes", bound(use->bytes_max)},
                        {"records", use->records},
                        {"records_max", bound(use->records_max)},
                        {"channel_records_max", bound(use->channel_records_max)},
                        {"age_s_max", bound(use->age_max_s)},
                        {"looked_ms_ago", std::max<std::int64_t>(0, steady_ms() - use->at_ms)}};
  }
  return ledger.dump();
}

}  // namespace ringfence
