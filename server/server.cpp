#include "server.h"

#include <algorithm>
#include <csignal>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>

#include "auth/authenticator.h"
#include "caching/cache_manager.h"
#include "log.h"
#include "net/http_service.h"
#include "net/listener.h"
#include "protocol/json.h"
#include "realtime/clock.h"
#include "realtime/shard.h"

namespace ringfence {
namespace {

using Clock = std::chrono::steady_clock;

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
  caches_ = std::make_unique<CacheManager>(ledger_, options_.cache_memory_bytes, steady_ms);
  services_.caches = caches_.get();
  const auto cached = caches_->create_defaults();
  INVARIANT(cached.ok());  // the least --cache-memory holds them
  hub_ = std::make_unique<Hub>(options_.limits, ledger_, options_.threads);
  services_.hub = hub_.get();
  connections_ = std::make_unique<ConnectionManager>(options_.limits, ledger_);
  services_.connections = connections_.get();
  auth_ = std::make_unique<Authenticator>(options_.auth, ledger_, *caches_);
  services_.auth = auth_.get();
  if (!options_.log_channel.empty()) channel_log_ = std::make_unique<ChannelLog>();
  http_ = std::make_unique<HttpService>(options_, ledger_, services_, channel_log_.get());
  if (channel_log_) accounts_.push_back(open_account(ledger_, "log lines", ChannelLog::kBytesMax));
  if (!ledger_.check(options_.memory_budget_bytes))
    throw UsageError("the worst case of these limits is above --memory-budget " +
                     size_text(options_.memory_budget_bytes) + "; lower a limit or raise the budget\n" +
                     ledger_.table(options_.memory_budget_bytes));
}

Server::~Server() {
  if (threads_.empty()) return;
  begin_stop(Clock::now());
  wait();
}

void Server::start() {
  INVARIANT(shards_.empty());
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
  log_lines("bounds of memory, each enforced:\n" + ledger_.table(options_.memory_budget_bytes));
  running_ = options_.threads;
  for (auto& shard : shards_)
    threads_.emplace_back([this, &shard = *shard] {
      shard.run();
      if (running_.fetch_sub(1) == 1 && on_ended_) on_ended_();
    });
  const bool v6 = options_.host.find(':') != std::string::npos;
  logger("server")->info("ringfence {} on http://{}{}{}:{}, {} threads", RINGFENCE_VERSION, v6 ? "[" : "",
                         options_.host, v6 ? "]" : "", port(), options_.threads);
}

std::uint16_t Server::port() const noexcept { return port_.load(); }

void Server::begin_stop(Clock::time_point deadline) {
  http_->set_stopping();
  stopping_ = true;
  listener_->stop([this, deadline] {
    for (auto& shard : shards_) shard->stop(deadline);
  });
}

void Server::hasten() {
  const std::lock_guard lock(shards_mutex_);
  if (!stopping_) return;
  for (auto& shard : shards_) shard->stop(Clock::now());
}

std::size_t Server::wait() {
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  std::size_t left = 0;
  for (const auto& shard : shards_) left += shard->left();
  if (channel_log_) channel_log_->detach();
  const HubStats stats = hub_->stats();
  logger("server")->info("stopped: {} connections had to be reset; {} channels, {} records published, {} delivered",
                         left, stats.channels, stats.published, stats.delivered);
  listener_.reset();
  std::vector<std::unique_ptr<Shard>> ended;
  {
    const std::lock_guard lock(shards_mutex_);
    ended.swap(shards_);
  }
  return left;
}

std::size_t Server::stop() {
  if (threads_.empty()) return 0;
  const HubStats stats = hub_->stats();
  logger("server")->info("stopping: {} connections, {} subscriptions", stats.connections, stats.subscriptions);
  begin_stop(Clock::now() + std::chrono::milliseconds(options_.limits.shutdown_timeout_ms));
  return wait();
}

int Server::run(const std::function<void()>& started) {
  signals_io_ = std::make_unique<boost::asio::io_context>();  // outlives the threads, also when this throws
  boost::asio::io_context& io = *signals_io_;
  boost::asio::signal_set signals(io, SIGINT, SIGTERM);
  // The last thread to end also ends this loop.
  on_ended_ = [&io] { io.stop(); };
  bool stopping = false;
  std::function<void()> next_signal = [&] {
    signals.async_wait([&](const boost::system::error_code& error, int number) {
      if (error) return;
      if (!std::exchange(stopping, true)) {
        const HubStats stats = hub_->stats();
        logger("server")->info("signal {}: stopping; {} connections, {} subscriptions", number, stats.connections,
                               stats.subscriptions);
        begin_stop(Clock::now() + std::chrono::milliseconds(options_.limits.shutdown_timeout_ms));
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
  return wait() == 0 ? kExitOk : kExitRuntime;
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
