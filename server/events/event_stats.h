// EventBusStats: what an EventBus counts, and its JSON: `GET /v1/monitoring/eventbus`.
//
//   {"running": true,
//    "queue": {"size", "reserved", "capacity", "high_water_mark"},
//    "data": {"used_bytes", "capacity_bytes", "high_water_mark_bytes"},
//    "subscriptions": {"live", "subscribed", "ended", "capacity", "refused", "orphans"},
//    "types": {name: {"subscriptions", "published", "refused", "delivered", "failures", "dropped"}},
//    "owners": [{"owner", "live", "subscribed", "ended", "failures"}],   // in the order in which they came
//    "former_owners": {"subscribed", "ended", "failures"},
//    "published", "refused", "delivered", "failures", "dropped"}
//
// live = subscribed - ended, for each owner: an owner that leaks is the one whose `live` rises. `delivered` counts calls,
// `published` what the queue accepted (an event that nobody wants is never in it). Counters are since the bus was made.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "events/subscription_table.h"

namespace ringfence {

struct EventTypeStats {
  std::string_view name;
  std::uint64_t subscriptions = 0;
  std::uint64_t published = 0;
  std::uint64_t refused = 0;
  std::uint64_t delivered = 0;
  std::uint64_t failures = 0;
  std::uint64_t dropped = 0;
};

struct EventBusLoad {
  bool running = false;
  std::uint64_t waiting = 0;
  std::uint64_t capacity = 0;
};

struct EventBusStats {
  bool running = false;
  std::uint64_t queue_size = 0;
  std::uint64_t queue_reserved = 0;
  std::uint64_t queue_capacity = 0;
  std::uint64_t queue_high_water_mark = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t data_capacity_bytes = 0;
  std::uint64_t data_high_water_mark_bytes = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t subscriptions_capacity = 0;
  std::uint64_t subscriptions_refused = 0;  // and owners
  std::uint64_t orphans = 0;                // whose owner is gone: a leak of ours
  std::vector<EventTypeStats> types;        // with a subscription or a count
  std::vector<EventOwnerCounts> owners;
  EventOwnerCounts former_owners;

  EventTypeStats total() const;
  EventOwnerCounts lifecycle() const;  // of all owners together
};

// What a shutdown left.
struct EventBusLeft {
  std::uint64_t events = 0;              // dropped; 0: all were handled
  std::string running;                   // "type of owner": the handler that did not return in time; else empty
  std::vector<EventOwnerCounts> owners;  // with live subscriptions: not wrong, but worth a line in the log
  bool all_done() const noexcept { return events == 0 && running.empty(); }
};

std::string event_bus_json(const EventBusStats& stats);

}  // namespace ringfence
