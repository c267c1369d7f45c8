#include "monitoring/server_health.h"

#include <string>
#include <utility>

#include "bus/nats_service.h"
#include "events/event_bus.h"
#include "monitoring/health.h"
#include "monitoring/memory_leak_monitor.h"
#include "realtime/hub.h"

namespace ringfence {

void add_server_checks(const Services& services, std::function<bool()> stopping) {
  HealthChecks& health = *services.health;
  health.add("server", [stopping = std::move(stopping)]() -> HealthFinding {
    if (!stopping()) return {};
    return {Health::unhealthy, "it is stopping"};
  });
  health.add("event bus", [&events = *services.events]() -> HealthFinding {
    const EventBusLoad load = events.load();
    if (!load.running) return {Health::unhealthy, "it is not running: no handler hears anything"};
    if (load.waiting * 10 < load.capacity * 9) return {};
    return {Health::degraded,
            std::to_string(load.waiting) + " of " + std::to_string(load.capacity) +
                " events wait for their handlers; when it is full, clients are answered `overloaded`"};
  });
  health.add("record memory", [&hub = *services.hub]() -> HealthFinding {
    if (!hub.under_pressure()) return {};
    return {Health::degraded, "slow readers hold all of it: publishers are answered `overloaded`"};
  });
  health.add("connections", [&hub = *services.hub]() -> HealthFinding {
    if (hub.stats().connections < hub.limits().connections_max) return {};
    return {Health::degraded, "all of --connections are taken: further ones are refused"};
  });
  // Without its broker a server serves whom it has, but knows nothing of the others.
  if (const NatsService* const nats = services.nats)
    health.add("broker", [nats]() -> HealthFinding {
      const NatsState state = nats->state();
      if (state != NatsState::connected)
        return {Health::degraded, std::string(nats_state_name(state)) + ": " + nats->reason()};
      const NatsStats stats = nats->stats();
      const NatsOptions& bounds = nats->options();
      const auto nearly = [](std::uint64_t used, std::uint64_t bound) { return used * 10 >= bound * 9; };
      if (!nearly(stats.pending, bounds.pending_max) && !nearly(stats.pending_bytes, bounds.pending_bytes) &&
          !nearly(stats.requests_waiting, bounds.requests_max))
        return {};
      return {Health::degraded, "it is slow: " + std::to_string(stats.pending) + " messages wait to be sent, " +
                                    std::to_string(stats.requests_waiting) +
                                    " for its answer; when it is full, publishers are answered `overloaded`"};
    });
  health.add("monitor", [&monitor = *services.monitor] { return monitor.health(); });
}

}  // namespace ringfence
