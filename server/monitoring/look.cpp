#include "monitoring/look.h"

#include <algorithm>
#include <utility>

#include "bus/cluster_presence.h"
#include "caching/cache_manager.h"
#include "events/event_bus.h"
#include "events/event_stats.h"
#include "realtime/clock.h"
#include "realtime/connection_manager.h"
#include "realtime/hub.h"
#include "tasks/task_registry.h"

namespace ringfence {
namespace {

// What the size of an account may follow.
enum class Load : std::uint8_t { none, sockets, connections, subscriptions, tokens, members };

struct AccountRow {
  std::string_view name;
  WhenFull when_full;
  Load load;  // none: what it holds is kept for its time, or is itself what others follow
  std::string_view look_at;
};

constexpr AccountRow kAccounts[] = {
    {"record memory", WhenFull::evicts, Load::none,
     "readers hold all of it: closed.stalled and waits_for_memory in /v1/health, --history-memory"},
    {"inbound messages", WhenFull::refuses, Load::sockets,
     "messages and answers that are large or slow: --inbound-memory, --message-bytes, --http-publish-bytes"},
    {"connections", WhenFull::refuses, Load::none, "GET /v1/connections/stats, --connections"},
    {"channels", WhenFull::refuses, Load::none,
     "GET /v1/channels: names that are used once; --channels, --history-age-s, --channel-idle-ms"},
    {"subscriptions", WhenFull::refuses, Load::connections,
     "GET /v1/connections/stats: subscriptions of connections that have ended; --subscriptions-total"},
    {"feeds", WhenFull::refuses, Load::subscriptions, "a channel's subscribers on each thread: Shard::detach"},
    {"shard inboxes", WhenFull::refuses, Load::none, "it is fixed"},
    {"users", WhenFull::refuses, Load::connections, "GET /v1/connections/stats: users_in_grace; --users, --grace-ms"},
    {"presence", WhenFull::refuses, Load::members, "GET /v1/presence; --presence-members-total, --presence-watches"},
    {"closed ids", WhenFull::evicts, Load::none, "it is fixed"},
    {"attempt windows", WhenFull::evicts, Load::none, "it is fixed"},
    {"identities", WhenFull::refuses, Load::tokens, "tokens kept until they expire: --token-cache, --identity-memory"},
    {"events", WhenFull::refuses, Load::none, "it is fixed"},
    {"event data", WhenFull::refuses, Load::none,
     "GET /v1/monitoring/eventbus: a handler that is slow; --event-memory"},
    {"tasks", WhenFull::refuses, Load::none, "it is fixed"},
    {"caches", WhenFull::evicts, Load::none, "GET /v1/monitoring/caches"},
    {"log lines", WhenFull::evicts, Load::none, "it is fixed"},
    {"alerts", WhenFull::evicts, Load::none, "it is fixed"},
    {"monitor", WhenFull::evicts, Load::none, "it is fixed"},
    {"cluster nodes", WhenFull::refuses, Load::none, "GET /v1/info: nodes; --nats-nodes"},
    {"cluster presence", WhenFull::refuses, Load::none,
     "/metrics, ringfence_cluster_presence_…; --presence-members-total, --nats-nodes"},
    {"nats pending", WhenFull::refuses, Load::none, "the broker takes nothing: /metrics, ringfence_broker_…"},
    {"nats incoming", WhenFull::refuses, Load::none, "it is fixed"},
    {"nats connection", WhenFull::refuses, Load::none, "it is fixed"},
    {"nats requests", WhenFull::refuses, Load::none,
     "the broker does not answer: /metrics, ringfence_broker_requests…"},
    {"nats subscriptions", WhenFull::refuses, Load::none, "/metrics, ringfence_broker_subscriptions"},
    {"nats dead letters", WhenFull::evicts, Load::none, "/metrics, ringfence_broker_dead_letters…"},
};

const AccountRow* row_of(std::string_view name) noexcept {
  const auto* const row =
      std::find_if(std::begin(kAccounts), std::end(kAccounts), [&](const AccountRow& one) { return one.name == name; });
  return row == std::end(kAccounts) ? nullptr : row;
}

struct Loads {
  std::uint64_t sockets, connections, subscriptions, tokens, members_elsewhere;
};

void set_load(Structure& structure, Load load, const Loads& loads) {
  switch (load) {
    case Load::none: return;
    case Load::sockets: structure.load = loads.sockets, structure.load_name = "open sockets"; return;
    case Load::connections: structure.load = loads.connections, structure.load_name = "connections"; return;
    case Load::subscriptions: structure.load = loads.subscriptions, structure.load_name = "subscriptions"; return;
    case Load::tokens:
      structure.load = loads.connections + loads.tokens, structure.load_name = "connections and tokens";
      return;
    case Load::members:
      structure.load = loads.connections + loads.members_elsewhere;
      structure.load_name = "connections, and members at other servers";
  }
}

Structure account(const LedgerRow& row, const Loads& loads) {
  Structure structure;
  structure.name = row.name;
  structure.unit = "bytes";
  structure.size = row.used_bytes;
  structure.bound = row.capacity_bytes;
  structure.refused = row.refused;
  structure.look_at = "GET /v1/monitoring/ledger";
  if (const AccountRow* const known = row_of(row.name)) {
    structure.when_full = known->when_full;
    structure.look_at = known->look_at;
    set_load(structure, known->load, loads);
  }
  return structure;
}

// The owner with the most live subscriptions.
std::string most_subscribed(const EventBusStats& stats) {
  const auto most = std::max_element(stats.owners.begin(), stats.owners.end(),
                                     [](const auto& a, const auto& b) { return a.live() < b.live(); });
  return most == stats.owners.end() ? std::string() : most->name + " has " + std::to_string(most->live());
}

std::string most_tasks(const TaskStats& stats) {
  const auto most = std::max_element(stats.owners.begin(), stats.owners.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == stats.owners.end() ? std::string() : most->first + " has " + std::to_string(most->second);
}

Structure counted(std::string name, std::string_view unit, std::uint64_t size, std::uint64_t bound,
                  std::string_view look_at) {
  Structure structure;
  structure.name = std::move(name);
  structure.unit = unit;
  structure.size = size;
  structure.bound = bound;
  structure.look_at = look_at;
  return structure;
}

}  // namespace

bool known_account(std::string_view name) noexcept { return row_of(name) != nullptr; }

const Structure* Look::find(std::string_view name) const {
  const auto found = std::find_if(structures.begin(), structures.end(),
                                  [&](const Structure& structure) { return structure.name == name; });
  return found == structures.end() ? nullptr : &*found;
}

Look ServerLook::look() const {
  Look look;
  look.time_us = wall_us();
  const HubStats hub = services_.hub->stats();
  const ConnectionStats connected = services_.connections->stats();
  const EventBusStats events = services_.events->stats();
  const TaskStats tasks = services_.tasks->stats();
  std::vector<std::pair<std::string, CacheStats>> caches;
  for (const auto& cache : services_.caches->list()) caches.emplace_back(cache->name(), cache->shown_stats());
  look.process = read_process();

  Loads loads{hub.connections, connected.connections, hub.subscriptions, 0, 0};
  if (services_.cluster_presence) loads.members_elsewhere = services_.cluster_presence->stats().members;
  for (const auto& [name, stats] : caches)
    if (name == "tokens") loads.tokens = stats.size;
  for (const LedgerRow& row : ledger_.rows()) {
    look.structures.push_back(account(row, loads));
    look.accounted_bytes += row.used_bytes;
  }

  Structure entries =
      counted("connection entries", "connections", connected.connections, 0,
              "GET /v1/connections/stats: an entry without a session should have been removed at its end");
  entries.orphans = connected.orphans;
  set_load(entries, Load::sockets, loads);
  look.structures.push_back(std::move(entries));

  Structure subscriptions =
      counted("event subscriptions", "subscriptions", events.subscriptions, events.subscriptions_capacity,
              "GET /v1/monitoring/eventbus: the owner whose `live` rises does not end what it subscribes to");
  subscriptions.refused = events.subscriptions_refused;
  subscriptions.orphans = events.orphans;
  subscriptions.most = most_subscribed(events);
  set_load(subscriptions, Load::connections, loads);
  look.structures.push_back(std::move(subscriptions));

  look.structures.push_back(counted("event queue", "events", events.queue_size, events.queue_capacity,
                                    "GET /v1/monitoring/eventbus: a handler that is slow; --event-queue"));

  Structure running = counted("running tasks", "tasks", tasks.tasks.size(), tasks.capacity,
                              "GET /v1/monitoring/tasks: by owner and age; --tasks");
  running.refused = tasks.refused;
  running.most = most_tasks(tasks);
  set_load(running, Load::connections, loads);
  look.structures.push_back(std::move(running));

  Structure closed = counted("remembered closed ids", "ids", connected.closed_recently,
                             services_.hub->limits().closed_ids_max, "--closed-ids; POST /v1/monitoring/cleanup");
  closed.when_full = WhenFull::evicts;
  look.structures.push_back(std::move(closed));

  if (look.process.descriptors > 0) {
    Structure descriptors = counted("descriptors", "descriptors", look.process.descriptors,
                                    look.process.descriptors_max, "ls -l /proc/<pid>/fd, ulimit -n");
    set_load(descriptors, Load::sockets, loads);
    look.structures.push_back(std::move(descriptors));
  }

  for (const auto& [name, stats] : caches) {
    if (look.structures.size() >= kStructuresMax) break;
    Structure cache = counted("cache " + name, "entries", stats.size, stats.max_size, "GET /v1/monitoring/caches");
    cache.when_full = WhenFull::evicts;
    look.structures.push_back(std::move(cache));
  }
  return look;
}

}  // namespace ringfence
