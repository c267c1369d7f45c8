// What a server says of itself (protocol.md, "Monitoring"):
//
//   GET /v1/health                healthy, degraded or unhealthy (503) with the reasons (health.h); counts
//   GET /metrics                  all counts in Prometheus' text format (metrics.h)
//   GET /v1/monitoring/ledger     every bound: used, capacity, refused, evicted; the worst case against the budget
//   GET /v1/monitoring/eventbus   subscriptions and events by type and owner
//   GET /v1/monitoring/tasks      tasks by kind and owner
//   GET /v1/monitoring/caches     every cache and its statistics
//   GET /v1/monitoring/memory-leaks, /memory, /alerts     of the leak monitor's last look (memory_leak_monitor.h)
//   POST /v1/monitoring/cleanup   does now what time would do (cleanup.h), answers how much that was
//
// Threads  any. Nothing here takes a lock that a publish waits for.
// Bounds   an answer: a line for each account, event type, owner, task, cache.
#pragma once

#include <chrono>
#include <string>

#include <ringfence/ledger.h>

#include "api/router.h"
#include "options.h"
#include "services.h"

namespace ringfence {

class ChannelLog;
class HttpService;
struct HealthReport;

class MonitoringApi {
 public:
  // `log` is null without --log-channel. All must outlive it.
  MonitoringApi(const Options& options, const Ledger& ledger, const Services& services, const HttpService& http,
                const ChannelLog* log)
      : options_(options), ledger_(ledger), services_(services), http_(http), log_(log) {}

  void add_routes(Router& router);

  std::string health_json(const HealthReport& report) const;
  std::string ledger_json() const;

 private:
  const Options& options_;
  const Ledger& ledger_;
  const Services& services_;
  const HttpService& http_;
  const ChannelLog* const log_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace ringfence
