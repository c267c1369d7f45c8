// What a server says of itself (protocol.md, "Monitoring"):
//
//   GET /v1/health                status, version, uptime, counts; 503 while it stops
//   GET /metrics                  all counts in Prometheus' text format (metrics.h)
//   GET /v1/monitoring/ledger     every bound: used, capacity, refused, evicted; the worst case against the budget
//   GET /v1/monitoring/eventbus   subscriptions and events by type and owner
//   GET /v1/monitoring/tasks      tasks by kind and owner
//   GET /v1/monitoring/caches     every cache and its statistics
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

class MonitoringApi {
 public:
  // `log` is null without --log-channel. All must outlive it.
  MonitoringApi(const Options& options, const Ledger& ledger, const Services& services, const HttpService& http,
                const ChannelLog* log)
      : options_(options), ledger_(ledger), services_(services), http_(http), log_(log) {}

  void add_routes(Router& router);

  std::string health_json() const;
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
