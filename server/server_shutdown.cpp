// Server: its end. The owners and their order, as in ARCHITECTURE.md, "Shutdown".
#include <algorithm>
#include <string>

#include <boost/asio/io_context.hpp>

#include "auth/authenticator.h"
#include "bus/back_ends.h"
#include "bus/cluster_presence.h"
#include "bus/cluster_view.h"
#include "bus/nats_service.h"
#include "bus/server_bus.h"
#include "caching/cache_manager.h"
#include "events/event_bus.h"
#include "events/server_events.h"
#include "log.h"
#include "monitoring/health.h"
#include "monitoring/memory_leak_monitor.h"
#include "net/http_service.h"
#include "net/listener.h"
#include "realtime/shard.h"
#include "server.h"
#include "tasks/task_registry.h"

namespace ringfence {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kHandlersLimit{1'000};
constexpr milliseconds kPeriodicLimit{2'000};
constexpr milliseconds kBrokerLimit{2'000};
constexpr milliseconds kEventsLimit{1'000};
constexpr milliseconds kCachesLimit{100};

milliseconds left_until(const ShutdownDeadline& by) {
  return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(by.until - Clock::now()));
}

ShutdownLeft tasks_left(const TaskRegistry& tasks) {
  ShutdownLeft left;
  for (const TaskInfo& task : tasks.stats().tasks) {
    if (!task.cancelling) continue;
    ++left.count;
    left.what += (left.what.empty() ? "" : ", ") + task.name + " of " + task.owner;
  }
  return left;
}

}  // namespace

// A new owner is one line here and one in the table of ARCHITECTURE.md.
void Server::plan_shutdown() {
  const auto clients_limit = milliseconds(options_.limits.shutdown_timeout_ms);
  plan_.add("message handlers", kHandlersLimit, [this](const auto& by) { return stop_handlers(by); });
  plan_.add("connections", clients_limit, [this](const auto& by) { return stop_connections(by); });
  plan_.add("periodic tasks", kPeriodicLimit, [this](const auto& by) { return stop_periodic(by); });
  plan_.add("tasks", TaskRegistry::kShutdownLimit, [this](const auto& by) { return stop_tasks(by); });
  if (nats_) plan_.add("broker", kBrokerLimit, [this](const auto& by) { return stop_nats(by); });
  plan_.add("event bus", kEventsLimit, [this](const auto& by) { return stop_events(by); });
  plan_.add("caches", kCachesLimit, [this](const auto& by) { return stop_caches(by); });
}

// From here a client's publish that a handler would hear is answered `shutting_down`; what was accepted is handled.
ShutdownLeft Server::stop_handlers(const ShutdownDeadline& by) {
  events_->close<ClientMessage>();
  if (events_->drain(by.until, by.hastened)) return {};
  return {0, std::to_string(events_->stats().queue_size) + " events still wait; the event bus has time for them yet"};
}

ShutdownLeft Server::stop_connections(const ShutdownDeadline& by) {
  begin_stop(by.until);
  const std::size_t reset = wait();
  const HubStats stats = hub_->stats();
  return {reset, std::to_string(reset) + " connections had to be reset; " + std::to_string(stats.channels) +
                     " channels, " + std::to_string(stats.published) + " records published, " +
                     std::to_string(stats.delivered) + " delivered"};
}

ShutdownLeft Server::stop_periodic(const ShutdownDeadline& by) {
  const bool ended =
      tasks_->cancel_kind(TaskKind::periodic, std::max(TaskRegistry::kHasteLimit, left_until(by)), by.hastened);
  monitor_->log_difference();  // now that the clients are gone
  if (ended) return {};
  return {0, tasks_left(*tasks_).what + " still run; they count with the tasks"};
}

ShutdownLeft Server::stop_tasks(const ShutdownDeadline& by) {
  const bool all = tasks_->shutdown_all(std::max(TaskRegistry::kHasteLimit, left_until(by)), by.hastened);
  ShutdownLeft left = all ? ShutdownLeft{} : tasks_left(*tasks_);
  tasks_io_->stop();
  tasks_thread_.join();
  return left;
}

ShutdownLeft Server::stop_nats(const ShutdownDeadline& by) {
  back_ends_->stop();
  cluster_presence_->stop();
  cluster_->stop();
  const NatsLeft left = nats_->disconnect(by.until, by.hastened);
  if (left.sum() == 0) return {};
  return {left.sum(), std::to_string(left.subscriptions) + " subscriptions, " + std::to_string(left.pending) +
                          " messages not sent, " + std::to_string(left.requests) + " requests without an answer"};
}

ShutdownLeft Server::stop_events(const ShutdownDeadline& by) {
  const EventBusLeft left = events_->shutdown(by.until, by.hastened);
  ShutdownLeft told{static_cast<std::size_t>(left.events) + (left.running.empty() ? 0 : 1), {}};
  if (left.events > 0) told.what += std::to_string(left.events) + " events dropped; ";
  if (!left.running.empty()) told.what += "a handler still runs: " + left.running + "; ";
  // Not wrong: an embedding program may hold its handles for longer than the server runs.
  for (const EventOwnerCounts& owner : left.owners)
    told.what += std::to_string(owner.live()) + " subscriptions of " + owner.name + " are held; ";
  if (told.what.size() >= 2) told.what.resize(told.what.size() - 2);
  return told;
}

ShutdownLeft Server::stop_caches(const ShutdownDeadline&) {
  std::uint64_t computing = 0;
  for (const auto& cache : caches_->list()) {
    computing += cache->stats().computing;
    cache->clear();
  }
  if (computing == 0) return {};
  return {computing, std::to_string(computing) + " values are still being computed"};
}

void Server::begin_stop(Clock::time_point deadline) {
  http_->set_stopping();
  listener_->stop([this, deadline] {
    for (auto& shard : shards_) shard->stop(deadline);
  });
  if (plan_.hastened()) hasten();  // it may have come before the shards were told
}

std::size_t Server::wait() {
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  if (bus_) bus_->stop();  // it answers on the shards, which end here
  std::size_t left = 0;
  for (const auto& shard : shards_) left += shard->left();
  if (channel_log_) channel_log_->detach();
  listener_.reset();
  std::vector<std::unique_ptr<Shard>> ended;
  {
    const std::lock_guard lock(shards_mutex_);
    ended.swap(shards_);
  }
  return left;
}

void Server::hasten() {
  if (!stopping_) return;
  plan_.hasten();
  const std::lock_guard lock(shards_mutex_);
  for (auto& shard : shards_) shard->stop(Clock::now());
}

std::size_t Server::stop() {
  if (threads_.empty()) return 0;
  stopping_ = true;
  const HubStats stats = hub_->stats();
  logger("server")->info("stopping: {} connections, {} subscriptions, {} tasks", stats.connections, stats.subscriptions,
                         tasks_->live());
  const std::size_t left = plan_.run();
  logger("server")->info("stopped: {} left", left);
  return left;
}

Server::~Server() {
  if (threads_.empty()) return;
  plan_.hasten();
  stop();
}

}  // namespace ringfence
