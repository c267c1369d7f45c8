#include "monitoring/metrics.h"

#include <sstream>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "auth/authenticator.h"
#include "bus/back_ends.h"
#include "bus/bus.h"
#include "bus/cluster_presence.h"
#include "bus/nats_service.h"
#include "caching/cache_manager.h"
#include "events/event_bus.h"
#include "events/event_stats.h"
#include "log.h"
#include "monitoring/health.h"
#include "monitoring/memory_leak_monitor.h"
#include "net/http_service.h"
#include "realtime/connection_manager.h"
#include "realtime/hub.h"
#include "realtime/presence.h"
#include "tasks/task_registry.h"

namespace ringfence {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Page {
 public:
  // Begins a metric; what follows belongs to it.
  Page& counter(std::string name, std::string help) { return begin(MetricType::Counter, "_total", name, help); }
  Page& gauge(std::string name, std::string help) { return begin(MetricType::Gauge, "", name, help); }

  Page& add(std::uint64_t value, Labels labels = {}) {
    ClientMetric metric;
    metric.label = std::move(labels);
    const auto number = static_cast<double>(value);
    MetricFamily& family = families_.back();
    if (family.type == MetricType::Counter)
      metric.counter.value = number;
    else
      metric.gauge.value = number;
    family.metric.push_back(std::move(metric));
    return *this;
  }

  std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return std::move(out).str();
  }

 private:
  Page& begin(MetricType type, const char* suffix, const std::string& name, std::string& help) {
    MetricFamily family;
    family.name = "ringfence_" + name + suffix;
    family.help = std::move(help);
    family.type = type;
    families_.push_back(std::move(family));
    return *this;
  }

  std::vector<MetricFamily> families_;
};

Labels label(std::string name, std::string_view value) { return {{std::move(name), std::string(value)}}; }

std::uint64_t read(const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); }

void add_bounds(Page& page, const MetricsSources& from) {
  const auto rows = from.ledger.rows();
  page.gauge("memory_budget_bytes", "The most that the sum of all bounds may be (--memory-budget).")
      .add(from.memory_budget_bytes);
  page.gauge("memory_worst_case_bytes", "The sum of the capacities of all bounds.").add(from.ledger.worst_case_bytes());
  const auto each = [&](std::uint64_t LedgerRow::* field) {
    for (const LedgerRow& row : rows) page.add(row.*field, label("account", row.name));
  };
  page.gauge("bound_used_bytes", "What a bounded structure holds now.");
  each(&LedgerRow::used_bytes);
  page.gauge("bound_capacity_bytes", "What it may hold at most.");
  each(&LedgerRow::capacity_bytes);
  page.gauge("bound_high_water_mark_bytes", "The most that it has held.");
  each(&LedgerRow::high_water_mark_bytes);
  page.counter("bound_refused", "Requests for memory that the bound refused.");
  each(&LedgerRow::refused);
  page.counter("evicted", "What left a bounded structure by itself, by reason.");
  for (const LedgerRow& row : rows)
    for (std::size_t i = 0; i < kEvictionCount; ++i)
      if (row.evicted[i] > 0)
        page.add(row.evicted[i],
                 {{"account", row.name}, {"reason", std::string(eviction_name(static_cast<Eviction>(i)))}});
}

void add_hub(Page& page, const HubStats& stats) {
  page.gauge("sockets", "Open connections, of HTTP and WebSocket.").add(stats.connections);
  page.counter("sockets_accepted", "Connections accepted.").add(stats.connections_total);
  page.gauge("channels", "Channels with a history.").add(stats.channels);
  page.gauge("subscriptions", "Subscriptions of WebSockets.").add(stats.subscriptions);
  page.counter("published_records", "Records taken into a history.").add(stats.published);
  page.counter("delivered_records", "Records handed to sockets, all subscribers together.").add(stats.delivered);
  page.counter("delivered_bytes", "Bytes of the messages that carried them.").add(stats.delivered_bytes);
  page.counter("delivered_messages", "Messages that carried them.").add(stats.messages);
  page.counter("flushes", "Flushes of all threads.").add(stats.flushes);
  page.counter("gaps", "Gaps told to subscribers that had fallen behind.").add(stats.gaps);
  page.counter("missed_records", "Records that those gaps were.").add(stats.missed);
  page.counter("conflated_records", "Records that slow subscribers of conflate channels were spared.")
      .add(stats.conflated);
  page.counter("resumes", "Subscriptions that went on behind a record, by what was missed until then.")
      .add(stats.resumes_exact, label("missed", "nothing"))
      .add(stats.resumes_missed, label("missed", "counted"))
      .add(stats.resumes_unknown, label("missed", "unknown"));
  page.counter("waits_for_memory", "Texts that had to wait for record memory.").add(stats.waits_for_memory);
  page.counter("closed", "WebSockets that the server ended, by reason.")
      .add(stats.stalled_closed, label("reason", "stalled"))
      .add(stats.dead_closed, label("reason", "dead"))
      .add(stats.errors_closed, label("reason", "errors"))
      .add(stats.slow_closed, label("reason", "slow"))
      .add(stats.auth_closed, label("reason", "auth"))
      .add(stats.idle_closed, label("reason", "idle"))
      .add(stats.unfinished_closed, label("reason", "unfinished"))
      .add(stats.invalid_utf8, label("reason", "invalid_utf8"));
  page.counter("refused", "What clients and back ends were refused, by error code.");
  for (std::size_t i = 0; i < kErrorCount; ++i)
    if (stats.refused[i] > 0) page.add(stats.refused[i], label("code", error_code(static_cast<Error>(i))));
}

void add_connections(Page& page, const ConnectionStats& stats) {
  page.gauge("connections", "WebSockets that were let in and have not ended.").add(stats.connections);
  page.gauge("connections_unhealthy", "Those that answer no ping, or take nothing.").add(stats.unhealthy);
  page.gauge("connections_orphaned", "Entries that no session stands behind: a leak.").add(stats.orphans);
  page.gauge("connections_anonymous", "Connections without a user.").add(stats.anonymous);
  page.gauge("users", "Users with a connection.").add(stats.users);
  page.gauge("users_in_grace", "Users whose last connection has just ended.").add(stats.users_in_grace);
  page.gauge("closed_ids", "Ids of closed connections that are remembered.").add(stats.closed_recently);
  page.gauge("attempt_windows", "Users and addresses whose handshakes are counted.").add(stats.attempt_windows);
  page.counter("connections_admitted", "WebSockets let in.").add(stats.admitted);
  page.counter("connections_replaced", "Closed for another session of their user.").add(stats.replaced);
  page.counter("connections_disconnected", "Closed because a back end asked for it.").add(stats.disconnected);
  page.counter("graces_ended", "Users that left for good.").add(stats.graces_ended);
  page.counter("graces_cut", "Users let go early, for want of room.").add(stats.graces_cut);
  page.counter("attempts_refused", "Handshakes refused by rate.").add(stats.attempts_refused);
  page.counter("attempt_windows_evicted", "Users and addresses whose count of handshakes had to go, for want of room.")
      .add(stats.attempt_windows_evicted);
}

void add_presence(Page& page, const PresenceStats& stats) {
  page.gauge("presence_channels", "Channels with a member, or somebody who is told of them.").add(stats.channels);
  page.gauge("presence_members", "Members of all channels.").add(stats.members);
  page.gauge("presence_members_in_grace", "Those without a connection that may come back.").add(stats.in_grace);
  page.gauge("presence_joins", "Connections that have joined, other servers for each of theirs, members in grace.")
      .add(stats.joins);
  page.gauge("presence_watches", "Connections that are told of a channel's members.").add(stats.watches);
  page.counter("presence_joined", "Members that came.").add(stats.joined);
  page.counter("presence_left", "Members that went.").add(stats.left);
  page.counter("presence_updated", "Times that one said something else of itself.").add(stats.updated);
  page.counter("presence_graces_cut", "Members let go early, for want of room.").add(stats.graces_cut);
  page.counter("presence_fell_behind", "Times that a slow one had to be told all members anew.").add(stats.fell_behind);
}

void add_cluster_presence(Page& page, const ClusterPresenceStats& stats) {
  page.gauge("cluster_presence_servers", "Other servers whose members are known.").add(stats.servers);
  page.gauge("cluster_presence_members", "Their members, of each server by itself.").add(stats.members);
  page.counter("cluster_presence_sent", "Changes of members told to other servers.").add(stats.sent);
  page.counter("cluster_presence_not_sent", "Those that could not be; the others ask for them.").add(stats.not_sent);
  page.counter("cluster_presence_received", "Changes told by other servers.").add(stats.received);
  page.counter("cluster_presence_lost", "Those that did not come, by their numbers.").add(stats.lost);
  page.counter("cluster_presence_asked", "Times that a part of a server's members was asked for anew.")
      .add(stats.asked);
  page.counter("cluster_presence_pages", "Pages of members given to other servers.").add(stats.pages);
  page.counter("cluster_presence_refused", "Members elsewhere for whom there was no place.").add(stats.refused);
  page.counter("cluster_presence_bad", "Messages of other servers that are none.").add(stats.bad);
  page.counter("cluster_presence_servers_ended", "Servers that fell silent, or began anew.").add(stats.servers_ended);
  page.counter("cluster_presence_servers_refused", "Heartbeats of servers above --nats-nodes.")
      .add(stats.servers_refused);
}

void add_http(Page& page, const HttpCounters& http) {
  page.counter("http_requests", "Requests read.").add(read(http.requests));
  page.counter("http_errors", "Requests answered with 4xx or 5xx.").add(read(http.errors));
  page.counter("http_timeouts", "Connections ended for want of a request, or of progress.").add(read(http.timeouts));
  page.counter("http_connections_refused", "Connections refused at --connections.").add(read(http.refused));
  page.counter("http_accept_errors", "Failures of accept.").add(read(http.accept_errors));
}

void add_events(Page& page, const EventBusStats& stats) {
  page.gauge("event_queue_size", "Events that wait for their handlers.").add(stats.queue_size);
  page.gauge("event_queue_capacity", "How many may wait.").add(stats.queue_capacity);
  page.gauge("event_subscriptions", "Handlers of events.").add(stats.subscriptions);
  page.gauge("event_subscriptions_orphaned", "Those whose owner is gone: a leak.").add(stats.orphans);
  const auto each = [&](std::uint64_t EventTypeStats::* field) {
    for (const EventTypeStats& type : stats.types) page.add(type.*field, label("type", type.name));
  };
  page.counter("events_published", "Events that the queue took.");
  each(&EventTypeStats::published);
  page.counter("events_refused", "Events that it did not.");
  each(&EventTypeStats::refused);
  page.counter("event_deliveries", "Calls of handlers.");
  each(&EventTypeStats::delivered);
  page.counter("event_failures", "Handlers that threw.");
  each(&EventTypeStats::failures);
}

void add_tasks(Page& page, const TaskStats& stats) {
  page.gauge("tasks", "Tasks that run.").add(stats.tasks.size());
  page.gauge("tasks_capacity", "How many may run.").add(stats.capacity);
  page.counter("tasks_started", "Tasks started.").add(stats.total().started);
  page.counter("tasks_failed", "Tasks that threw.").add(stats.total().failed);
  page.counter("tasks_refused", "Tasks refused.").add(stats.refused);
}

void add_caches(Page& page, const CacheManager& caches) {
  std::vector<std::pair<std::string, CacheStats>> all;
  for (const auto& cache : caches.list()) all.emplace_back(cache->name(), cache->shown_stats());
  const auto each = [&](auto field) {
    for (const auto& [name, stats] : all) page.add(field(stats), label("cache", name));
  };
  page.gauge("cache_entries", "Entries that live.");
  each([](const CacheStats& stats) { return std::uint64_t{stats.size}; });
  page.gauge("cache_capacity_entries", "Entries that fit.");
  each([](const CacheStats& stats) { return std::uint64_t{stats.max_size}; });
  page.counter("cache_hits", "Lookups that found a value.");
  each([](const CacheStats& stats) { return stats.hits; });
  page.counter("cache_misses", "Lookups that did not.");
  each([](const CacheStats& stats) { return stats.misses; });
  page.counter("cache_evictions", "Entries that lived and left for want of room.");
  each([](const CacheStats& stats) { return stats.evictions; });
  page.counter("cache_expired", "Entries whose time was over.");
  each([](const CacheStats& stats) { return stats.expired; });
}

void add_broker(Page& page, const NatsStats& stats) {
  page.gauge("broker_state", "1 for the state of the connection to the broker, 0 for the others.");
  for (std::size_t i = 0; i < kNatsStateCount; ++i) {
    const auto state = static_cast<NatsState>(i);
    page.add(stats.state == state ? 1 : 0, label("state", nats_state_name(state)));
  }
  page.counter("broker_connects", "Connections made to the broker.").add(stats.connects);
  page.counter("broker_connect_failures", "Tries that failed.").add(stats.connect_failures);
  page.counter("broker_disconnects", "Connections lost.").add(stats.disconnects);
  page.counter("broker_circuit_opened", "How often the stream did not answer so many publishes in a row.")
      .add(stats.circuit_opened);
  page.counter("broker_published", "Messages handed to the connection.").add(stats.published);
  page.counter("broker_published_bytes", "Bytes of their data.").add(stats.published_bytes);
  page.counter("broker_received", "Messages from the broker.").add(stats.received);
  page.counter("broker_received_bytes", "Bytes of their data.").add(stats.received_bytes);
  page.counter("broker_refused", "Messages that were not taken to be sent, by reason.")
      .add(stats.refused_overloaded, label("reason", "overloaded"))
      .add(stats.refused_too_large, label("reason", "message_too_large"))
      .add(stats.refused_unavailable, label("reason", "broker_unavailable"));
  page.counter("broker_requests", "Requests to the broker, and to back ends behind it.").add(stats.requests);
  page.counter("broker_request_timeouts", "Those without an answer.").add(stats.request_timeouts);
  page.counter("broker_request_failures", "Those that could not be sent, or that nobody took.")
      .add(stats.request_failures);
  page.gauge("broker_requests_waiting", "Requests that wait for an answer.").add(stats.requests_waiting);
  page.gauge("broker_pending", "Messages that wait to be sent.").add(stats.pending);
  page.gauge("broker_failed_batch", "Those of them that the connection did not take.").add(stats.failed_batch);
  page.counter("broker_retries", "Tries again after that.").add(stats.retries);
  page.gauge("broker_dead_letters_kept", "Messages that could not be sent and are kept.").add(stats.dead_letters);
  page.counter("broker_dead_letters", "Messages that could not be sent.").add(stats.dead_letters_total);
  page.counter("broker_reads_paused", "How often the broker was not read from, as handlers were behind.")
      .add(stats.reads_paused);
  page.gauge("broker_subscriptions", "Subscriptions at the broker.").add(stats.subscriptions);
  page.counter("broker_subscribed", "Subscriptions made.").add(stats.subscribed_total);
  page.counter("broker_unsubscribed", "Subscriptions ended.").add(stats.unsubscribed_total);
  page.counter("broker_handler_failures", "Handlers of messages that threw.").add(stats.handler_failures);
}

void add_back_ends(Page& page, const BackEnds::Stats& stats) {
  page.counter("back_end_published", "Records published by back ends through the broker.").add(stats.published);
  page.counter("back_end_refused", "Those refused.").add(stats.refused);
  page.counter("back_end_forwarded", "Messages of clients given to back ends through the broker.").add(stats.forwarded);
  page.counter("back_end_dropped", "Those for which there was no room, or no broker.").add(stats.dropped);
}

void add_monitor(Page& page, const MemoryLeakMonitor& monitor, Health health) {
  const MemoryLeakMonitor::Report report = monitor.report();
  const ProcessStats& process = report.last.process;
  page.gauge("health", "0 healthy, 1 degraded, 2 unhealthy.").add(static_cast<std::uint64_t>(health));
  page.gauge("alerts", "Alerts that are raised, by kind and structure; none: there is none of that.");
  for (const RaisedAlert& alert : monitor.alerts().raised())
    page.add(1, {{"kind", alert.kind}, {"structure", alert.structure}});
  const AlertBook::Counts counts = monitor.alerts().counts();
  page.counter("alerts_raised", "Alerts raised.").add(counts.raised);
  page.counter("alerts_cleared", "Alerts that were over.").add(counts.cleared);
  page.counter("monitor_looks", "Looks of the leak monitor.").add(report.looks);
  page.gauge("unexplained_memory_bytes", "What the process has grown by beyond all that is accounted for.")
      .add(report.unexplained_bytes);
  page.gauge("resident_memory_bytes", "RSS at the monitor's last look, as are the next three.").add(process.rss_bytes);
  page.gauge("heap_used_bytes", "What the allocator has handed out.").add(process.heap_used_bytes);
  page.gauge("heap_free_bytes", "What it keeps for later.").add(process.heap_free_bytes);
  page.gauge("open_descriptors", "Open descriptors.").add(process.descriptors);
}

}  // namespace

std::string metrics_text(const MetricsSources& from) {
  Page page;
  page.gauge("build_info", "Constant 1; the version is a label.").add(1, label("version", RINGFENCE_VERSION));
  add_bounds(page, from);
  add_hub(page, from.services.hub->stats());
  add_connections(page, from.services.connections->stats());
  add_presence(page, from.services.presence->stats());
  if (from.services.cluster_presence) add_cluster_presence(page, from.services.cluster_presence->stats());
  add_http(page, from.http);
  page.counter("log_lines_dropped", "Lines that --log-channel could not take.").add(from.log ? from.log->dropped() : 0);
  page.counter("key_reloads", "Times that changed key files were read, by how it went.")
      .add(from.services.auth->reloads(), label("result", "ok"))
      .add(from.services.auth->reloads_failed(), label("result", "failed"));
  add_events(page, from.services.events->stats());
  add_tasks(page, from.services.tasks->stats());
  add_caches(page, *from.services.caches);
  if (from.services.nats) add_broker(page, from.services.nats->stats());
  if (from.services.back_ends) add_back_ends(page, from.services.back_ends->stats());
  add_monitor(page, *from.services.monitor, from.services.health->report().health);
  if (const Bus* const bus = from.services.hub->bus()) {
    page.gauge("bus_followed", "Channels whose records come from other servers.").add(bus->followed());
    for (const BusCount& count : bus->counts()) page.counter(count.name, count.help).add(count.value);
    if (const auto use = bus->engine_use(); use && use->at_ms > 0) {
      page.gauge("stream_bytes", "Bytes of the stream, at the broker.").add(use->bytes);
      page.gauge("stream_bytes_max", "Their bound; 0 is none.").add(use->bytes_max);
      page.gauge("stream_records", "Records of all channels in the stream.").add(use->records);
    }
  }
  return page.text();
}

}  // namespace ringfence
