// Server: the whole of ringfence-server, for a program that embeds it.
//
//   ringfence::Server server(options);
//   server.run();                       // until SIGTERM or SIGINT
//
// Owns     ledger, event bus, tasks, caches, hub, shards and their threads, listener. They end in the order of
//          ARCHITECTURE.md, "Shutdown".
// Threads  one thread calls start, stop, run and the destructor. publish, port, hub, caches, ledger, hasten, stopping, on,
//          events, tasks: any thread. Handlers run on the event bus's thread, one at a time.
// Bounds   those of Options::limits; start() refuses a configuration whose worst case is above memory_budget_bytes.
// Errors   the constructor and start() throw: UsageError (check_options, the memory budget, with a table), or
//          std::runtime_error with one line (the port is in use, the broker refuses the credentials).
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <ringfence/ledger.h>

#include "options.h"
#include "events/event_bus.h"
#include "events/server_events.h"
#include "realtime/connection_manager.h"
#include "realtime/hub.h"
#include "realtime/presence.h"
#include "services.h"
#include "shutdown_plan.h"
#include "tasks/task_registry.h"

namespace boost::asio {
class io_context;
}

namespace ringfence {

class Authenticator;
class BackEnds;
class CacheManager;
class ChannelLog;
class ClusterPresence;
class ClusterView;
class HealthChecks;
class HttpService;
class LastValues;
class Listener;
class MemoryLeakMonitor;
class NatsService;
class ServerBus;
class Shard;

class Server {
 public:
  explicit Server(Options options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Stops at once if it runs.
  ~Server();

  // Listens, and serves on threads of its own. Once.
  void start();
  // Stops accepting, tells every client `closing`, sends what is pending, closes; then ends tasks, event bus and caches,
  // and waits for each: for connections shutdown_timeout_ms at the latest. Returns how much was left, all together:
  // connections that had to be reset, tasks that did not end, events that no handler got.
  std::size_t stop();
  // Makes a stop under way end at once; without one it does nothing.
  void hasten();
  bool stopping() const noexcept { return stopping_.load(); }

  // start(), then stop() at the first SIGTERM or SIGINT; a second one hastens it. `started` is called between the two.
  // Returns kExitOk, or kExitRuntime if anything was left.
  int run(const std::function<void()>& started = {});

  // The port listened on, also after the end; 0 before start().
  std::uint16_t port() const noexcept;
  // Publishes as a client's `publish` does; `data_json` is one JSON value. bad_json, and the errors of Hub::publish.
  Result<std::uint64_t> publish(std::string_view channel, std::string_view type, std::string_view data_json);

  using MessageHandler = std::function<void(const ClientMessage&)>;
  // Calls `handler` with what clients publish under this type, on any channel, after it is in the channel's history:
  // who sent it, from which connection, where, its seq and its data. The end of the handle is the end of it. While
  // there are handlers, a client whose message they have no room for is answered `overloaded` and nothing is published.
  // bad_type, too_many_subscriptions.
  Result<EventSubscription> on(std::string type, MessageHandler handler);

  EventBus& events() noexcept { return *events_; }
  TaskRegistry& tasks() noexcept { return *tasks_; }
  Hub& hub() noexcept { return *hub_; }
  Authenticator& auth() noexcept { return *auth_; }
  CacheManager& caches() noexcept { return *caches_; }
  ConnectionManager& connections() noexcept { return *connections_; }
  Presence& presence() noexcept { return *presence_; }
  NatsService* nats() noexcept { return nats_.get(); }                              // null without --nats
  ClusterPresence* cluster_presence() noexcept { return cluster_presence_.get(); }  // the same
  MemoryLeakMonitor& monitor() noexcept { return *monitor_; }
  HealthChecks& health() noexcept { return *health_; }
  const Ledger& ledger() const noexcept { return ledger_; }
  const Options& options() const noexcept { return options_; }

 private:
  void begin_stop(std::chrono::steady_clock::time_point deadline);
  std::size_t wait();
  void join_broker();
  void close_for_new_epoch();
  void plan_shutdown();
  ShutdownLeft stop_handlers(const ShutdownDeadline& by);
  ShutdownLeft stop_connections(const ShutdownDeadline& by);
  ShutdownLeft stop_periodic(const ShutdownDeadline& by);
  ShutdownLeft stop_tasks(const ShutdownDeadline& by);
  ShutdownLeft stop_nats(const ShutdownDeadline& by);
  ShutdownLeft stop_events(const ShutdownDeadline& by);
  ShutdownLeft stop_caches(const ShutdownDeadline& by);

  const Options options_;
  Ledger ledger_;
  ShutdownPlan plan_;
  std::unique_ptr<EventBus> events_;
  std::unique_ptr<EventOwner> handlers_owner_;  // of on()
  std::unique_ptr<boost::asio::io_context> tasks_io_;
  std::unique_ptr<TaskRegistry> tasks_;
  std::thread tasks_thread_;
  std::vector<Account> accounts_;  // of what is bounded outside of the hub
  std::unique_ptr<CacheManager> caches_;
  std::unique_ptr<LastValues> last_values_;
  std::unique_ptr<Hub> hub_;
  std::unique_ptr<Authenticator> auth_;
  Services services_;
  std::unique_ptr<ConnectionManager> connections_;
  std::unique_ptr<Presence> presence_;
  std::unique_ptr<NatsService> nats_;
  std::unique_ptr<ServerBus> bus_;  // with --nats
  std::unique_ptr<BackEnds> back_ends_;
  std::unique_ptr<ClusterView> cluster_;
  std::unique_ptr<ClusterPresence> cluster_presence_;
  std::unique_ptr<HealthChecks> health_;
  std::unique_ptr<MemoryLeakMonitor> monitor_;
  std::unique_ptr<HttpService> http_;
  std::mutex shards_mutex_;  // for hasten() against start() and wait()
  std::vector<std::unique_ptr<Shard>> shards_;
  std::shared_ptr<Listener> listener_;
  std::unique_ptr<ChannelLog> channel_log_;
  std::vector<std::thread> threads_;
  std::atomic<std::uint16_t> port_{0};
  std::atomic<bool> stopping_{false};
};

}  // namespace ringfence
