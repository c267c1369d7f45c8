// metrics_text(): every count of the server in Prometheus' text format 0.0.4, for GET /metrics.
//
// Names follow the conventions of prometheus.io/docs/practices/naming: the prefix ringfence_, base units, _total for
// counters, which never go down while the server runs.
// Threads  any. Reads atomics and takes a copy under short locks of the connection manager, the bus, the tasks and the
//          caches; none of them is taken by a publish.
// Bounds   a line for each account, error code, event type, event owner's kind, task kind and cache; never one for a
//          channel, a user or a connection, whose number has no small bound.
// Cost     O(lines), and O(connections) for the two counts of their health.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <ringfence/ledger.h>

#include "services.h"

namespace ringfence {

struct HttpCounters;
class ChannelLog;

inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

struct MetricsSources {
  const Ledger& ledger;
  const Services& services;
  const HttpCounters& http;
  const ChannelLog* log;  // null without --log-channel
  std::uint64_t memory_budget_bytes;
};

std::string metrics_text(const MetricsSources& sources);

}  // namespace ringfence
