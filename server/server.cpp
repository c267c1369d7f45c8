#include "server.h"

#include <algorithm>
#include <csignal>
#include <string>
#include <thread>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>

#include <ringfence/record.h>

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
#include "monitoring/server_health.h"
#include "net/http_service.h"
#include "net/listener.h"
#include "protocol/json.h"
#include "realtime/clock.h"
#include "realtime/last_values.h"
#include "realtime/shard.h"
#include "tasks/task_registry.h"

namespace ringfence {
namespace {

void log_lines(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    logger("server")->info("{}", std::string(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

Account open_account(Ledger& ledger, std::string_view name, std::uint64_t bytes) {
  auto account = ledger.open(name, bytes);
  INVARIANT(account.ok());
  const bool added = account->try_add(bytes);  // taken whole, for good
  INVARIANT(added);
  return std::move(account).value();
}

}  // namespace

Server::Server(Options options) : options_(std::move(options)) {
  check_options(options_);
  const Limits& limits = options_.limits;
  events_ = std::make_unique<EventBus>(
      ledger_, EventBus::Bounds{limits.events_max, limits.event_memory_bytes, limits.event_subscriptions_max});
  services_.events = events_.get();
  handlers_owner_ = std::make_unique<EventOwner>(events_->owner("server.on").value());
  tasks_io_ = std::make_unique<boost::asio::io_context>(1);
  tasks_ = std::make_unique<TaskRegistry>(tasks_io_->get_executor(), ledger_, limits.tasks_max);
  services_.tasks = tasks_.get();
  caches_ = std::make_unique<CacheManager>(ledger_, options_.cache_memory_bytes, steady_ms);
  services_.caches = caches_.get();
  const auto cached = caches_->create_defaults();
  INVARIANT(cached.ok());  // the least --cache-memory holds them
  hub_ = std::make_unique<Hub>(options_.limits, ledger_, options_.threads, events_.get());
  services_.hub = hub_.get();
  connections_ = std::make_unique<ConnectionManager>(options_.limits, ledger_);
  services_.connections = connections_.get();
  presence_ = std::make_unique<Presence>(options_.limits, ledger_, options_.threads, events_.get());
  services_.presence = presence_.get();
  auth_ = std::make_unique<Authenticator>(options_.auth, ledger_, *caches_);
  services_.auth = auth_.get();
  auto policies = ChannelPolicies::parse(options_.channel_policies);
  if (policies.has(SlowPolicy::conflate)) {
    auto last_values = LastValues::create(*caches_, options_.last_value_memory_bytes);
    if (!last_values.ok())
      throw UsageError("--last-value-memory " + size_text(options_.last_value_memory_bytes) +
                       ": with its table it does not fit in what the other caches leave of --cache-memory " +
                       size_text(options_.cache_memory_bytes));
    last_values_ = std::move(last_values).value();
  }
  hub_->set_policies(std::move(policies), last_values_.get());
  if (options_.nats.enabled()) join_broker();
  if (!options_.log_channel.empty()) channel_log_ = std::make_unique<ChannelLog>();
  health_ = std::make_unique<HealthChecks>();
  services_.health = health_.get();
  monitor_ = std::make_unique<MemoryLeakMonitor>(options_.monitor, limits.grace_ms, ledger_, events_.get(),
                                                 [this] { return ServerLook(ledger_, services_).look(); });
  services_.monitor = monitor_.get();
  http_ = std::make_unique<HttpService>(options_, ledger_, services_, channel_log_.get());
  if (channel_log_) accounts_.push_back(open_account(ledger_, "log lines", ChannelLog::kBytesMax));
  if (!ledger_.check(options_.memory_budget_bytes))
    throw UsageError("the worst case of these limits is above --memory-budget " +
                     size_text(options_.memory_budget_bytes) + "; lower a limit or raise the budget\n" +
                     ledger_.table(options_.memory_budget_bytes));
  add_server_checks(services_, [this] { return http_->stopping(); });
  plan_shutdown();
}

void Server::join_broker() {
  nats_ = std::make_unique<NatsService>(options_.nats, ledger_, events_.get());
  back_ends_ = std::make_unique<BackEnds>(
      *nats_, *events_,
      [this](std::string_view channel, std::string_view type, std::string_view data, BackEnds::Done done) {
        return hub_->publish_later(channel, type, data, std::move(done));
      },
      options_.limits.json_depth_max);
  cluster_ = std::make_unique<ClusterView>(*nats_, *events_, *hub_, *connections_, ledger_);
  cluster_presence_ = std::make_unique<ClusterPresence>(*nats_, *presence_, ledger_, options_.limits);
  services_.nats = nats_.get();
  services_.cluster = cluster_.get();
  services_.cluster_presence = cluster_presence_.get();
  services_.back_ends = back_ends_.get();
  bus_ = std::make_unique<ServerBus>(*hub_, ledger_, *nats_, options_.limits);
  hub_->on_stream_epoch([this] { close_for_new_epoch(); });
}

void Server::start() {
  INVARIANT(shards_.empty());
  if (nats_) {
    // Without a broker it starts all the same, and says so; but wrong credentials are a wrong option.
    nats_->start();
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(options_.nats.connect_timeout_ms);
    const bool connected = nats_->wait_connected(until);
    if (nats_->refused_credentials()) throw std::runtime_error(nats_->reason());
    if (connected) bus_->wait_looked(until);
    cluster_->start();
    cluster_presence_->start();
  }
  std::vector<Shard*> shards;
  {
    const std::lock_guard lock(shards_mutex_);
    for (unsigned i = 0; i < options_.threads; ++i)
      shards.push_back(shards_.emplace_back(std::make_unique<Shard>(services_, i)).get());
  }
  listener_ = std::make_shared<Listener>(shards, *http_);
  listener_->start(options_.host, options_.port);
  port_ = listener_->port();
  if (channel_log_) {
    channel_log_->attach(*hub_, options_.log_channel, [&io = shards.front()->io()](std::function<void()> publish) {
      boost::asio::post(io, std::move(publish));
    });
  }
  events_->start();
  tasks_thread_ = std::thread([this] {
    const auto work = boost::asio::make_work_guard(*tasks_io_);
    tasks_io_->run();
  });
  log_lines("bounds of memory, each enforced:\n" + ledger_.table(options_.memory_budget_bytes));
  for (auto& shard : shards_) threads_.emplace_back([&shard = *shard] { shard.run(); });
  const bool v6 = options_.host.find(':') != std::string::npos;
  logger("server")->info("ringfence {} on http://{}{}{}:{}, {} threads", RINGFENCE_VERSION, v6 ? "[" : "",
                         options_.host, v6 ? "]" : "", port(), options_.threads);
  monitor_->start(*tasks_);
}

// Their places are in a stream that is no more. They come back at their own pace, and are told so.
void Server::close_for_new_epoch() {
  const std::lock_guard lock(shards_mutex_);
  for (auto& shard : shards_)
    boost::asio::post(shard->io(), [&its = *shard] { its.close_all({1012, "stream_replaced", true}); });
}

std::uint16_t Server::port() const noexcept { return port_.load(); }

int Server::run(const std::function<void()>& started) {
  boost::asio::io_context io(1);
  boost::asio::signal_set signals(io, SIGINT, SIGTERM);
  std::size_t left = 0;
  std::thread stopper;  // so that this thread hears the second signal
  std::function<void()> next_signal = [&] {
    signals.async_wait([&](const boost::system::error_code& error, int number) {
      if (error) return;
      if (!stopper.joinable()) {
        logger("server")->info("signal {}: stopping", number);
        stopper = std::thread([&] {
          left = stop();
          io.stop();
        });
      } else {
        logger("server")->warn("signal {} again: stopping at once", number);
        hasten();
      }
      next_signal();
    });
  };
  next_signal();
  start();
  if (started) started();
  io.run();
  stopper.join();
  return left == 0 ? kExitOk : kExitRuntime;
}

Result<EventSubscription> Server::on(std::string type, MessageHandler handler) {
  if (!valid_type(type)) return Error::bad_type;
  return events_->subscribe<ClientMessage>(
      [type = std::move(type), handler = std::move(handler)](const ClientMessage& message) {
        if (message.type == type) handler(message);
      },
      *handlers_owner_);
}

Result<std::uint64_t> Server::publish(std::string_view channel, std::string_view type, std::string_view data_json) {
  if (!valid_utf8(data_json) || check_json(data_json, options_.limits.json_depth_max)) return Error::bad_json;
  if (data_json.find_first_of("\r\n") == std::string_view::npos) return hub_->publish(channel, type, data_json);
  std::string one_line(data_json);  // breaks can only be between tokens
  for (char& c : one_line)
    if (c == '\r' || c == '\n') c = ' ';
  return hub_->publish(channel, type, one_line);
}

}  // namespace ringfence
