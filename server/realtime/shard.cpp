#include "realtime/shard.h"

#include <time.h>

#include <algorithm>
#include <limits>
#include <utility>

#include <boost/asio/post.hpp>

#include "realtime/clock.h"
#include "realtime/connection_manager.h"
#include "realtime/hub_evictions.h"
#include "realtime/last_values.h"

namespace ringfence {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kSweptChannels = 4096;  // of all shards together, a sweep
constexpr auto kRetryPause = std::chrono::milliseconds(20);
constexpr std::uint32_t kRetryAfterSpreadMs = 5'000;
constexpr std::size_t kPumpedAtOnce = 32;  // some 0.3 ms

// What this thread has had of a core so far.
std::chrono::nanoseconds thread_cpu() noexcept {
  timespec used{};
  (void)::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace

Shard::Shard(const Services& services, unsigned index)
    : services_(services),
      hub_(*services.hub),
      index_(index),
      io_(1),
      work_(io_.get_executor()),
      flush_timer_(io_),
      retry_timer_(io_),
      sweep_timer_(io_),
      watches_(*services.presence, hub_, index),
      random_(std::random_device{}()) {
  taken_.reserve(hub_.limits().channels_max);
  const auto wake = [this] { boost::asio::post(io_, [this] { on_wake(); }); };
  hub_.inbox(index_).attach(wake);
  watches_.inbox().attach(wake);
  arm_sweep();
}

Shard::~Shard() {
  hub_.inbox(index_).detach();
  watches_.inbox().detach();
  // Before io_ destroys the operations that hold them: an ended session no longer needs its shard.
  abandon_all();
}

void Shard::run() { io_.run(); }

std::int64_t Shard::now_ms() noexcept { return steady_ms(); }

void Shard::add(ShardSession& session) { sessions_.push_back(session); }

// --- Flush

void Shard::on_wake() {
  if (flushing_) {
    woken_ = true;
    return;
  }
  if (Clock::now() >= next_flush_) return flush();
  flush_timer_.expires_at(next_flush_);
  flush_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) on_wake();  // which looks again: the last flush may have cost more than was known
  });
}

void Shard::flush() {
  flushing_ = true;
  woken_ = false;
  flush_began_ = cuts_at_ = Clock::now();
  flush_cost_ = {};
  drop_cuts();
  hub_.inbox(index_).take(taken_);
  for (const ChannelPtr& channel : taken_) {
    channel->take_mark(index_);
    const auto found = feeds_.find(channel.get());
    if (found == feeds_.end()) continue;
    for (Subscriber& subscriber : found->second->subscribers) {
      ShardSession& session = *subscriber.session;
      if (!subscriber.ready_hook.is_linked()) session.ready.push_back(subscriber);
      subscriber.lagging = subscriber.lagging || session.writing();
      if (!session.writing() && !session.pump_hook.is_linked()) to_pump_.push_back(session);
    }
  }
  taken_.clear();
  watches_.flush(to_pump_);
  go_on();
}

void Shard::pump(std::size_t sessions_max) {
  const auto began = thread_cpu();
  for (; sessions_max > 0 && !to_pump_.empty(); --sessions_max) {
    ShardSession& session = to_pump_.front();
    to_pump_.pop_front();
    session.pump();
  }
  flush_cost_ += thread_cpu() - began;
}

// A few sessions at a time: in between the thread reads what has come, and those that follow get what is new by then.
void Shard::go_on() {
  const auto now = Clock::now();
  if (now - cuts_at_ >= std::chrono::milliseconds(hub_.limits().flush_ms)) {
    drop_cuts();
    cuts_at_ = now;
  }
  pump(kPumpedAtOnce);
  if (!to_pump_.empty()) return boost::asio::post(io_, [this] { go_on(); });
  counters().flushes.add(1);
  flushing_ = false;
  // By the thread's own time: what others took of the core meanwhile is no cost of a flush, and two that share one would
  // wait for each other twice.
  next_flush_ = std::max(flush_began_ + std::chrono::milliseconds(hub_.limits().flush_ms), Clock::now() + flush_cost_);
  if (std::exchange(woken_, false)) on_wake();
}

const CutPtr& Shard::cut(const Subscriber& subscriber) {
  Feed& feed = *subscriber.feed;
  if (!feed.cuts_hook.is_linked()) {
    if (with_cuts_count_ == kFeedsWithCutsMax) drop_cuts();
    with_cuts_.push_back(feed);
    ++with_cuts_count_;
  }
  return feed.cut(hub_, subscriber.cursor, subscriber.position, subscriber.lagging);
}

void Shard::drop_cuts() {
  while (!with_cuts_.empty()) with_cuts_.front().drop_cuts();
  with_cuts_count_ = 0;
}

void Shard::retry_later(ShardSession& session) {
  counters().waits_for_memory.add(1);
  if (!session.pump_hook.is_linked()) waiting_.push_back(session);
  if (std::exchange(retry_armed_, true)) return;
  retry_timer_.expires_after(kRetryPause);
  retry_timer_.async_wait([this](const boost::system::error_code& error) {
    retry_armed_ = false;
    if (!error) pump_waiting();
  });
}

void Shard::pump_waiting() {
  drop_cuts();
  PumpList again;
  again.swap(waiting_);
  while (!again.empty()) {
    ShardSession& session = again.front();
    again.pop_front();
    session.pump();
  }
}

std::unique_ptr<Outgoing> Shard::take_outgoing() {
  if (spare_.empty()) return std::make_unique<Outgoing>();
  auto outgoing = std::move(spare_.back());
  spare_.pop_back();
  return outgoing;
}

void Shard::give_outgoing(std::unique_ptr<Outgoing> outgoing) {
  outgoing->clear();
  if (spare_.size() < kSpareOutgoingMax) spare_.push_back(std::move(outgoing));
}

// --- Subscriptions

Result<Shard::Started> Shard::start(std::string_view name, const std::optional<ResumePoint>& after,
                                    std::optional<std::uint32_t> last, bool waited) {
  for (;;) {
    const auto channel = hub_.find_or_create(name);
    if (!channel) return channel.error();
    Channel& its = **channel;
    std::string epoch;
    auto found = feeds_.find(&its);
    if (found == feeds_.end() && !hub_.feeds().try_add(Hub::kFeedBytes)) return Error::too_many_channels;
    Hub::Evictions evictions(services_.events);
    bool first = false;
    const Result<StartPoint> at = [&]() -> Result<StartPoint> {
      const std::lock_guard lock(its.mutex);
      {
        const Hub::Evictions::Look look(evictions, its);
        its.history.expire(wall_us());
      }
      its.used_at_ms = now_ms();
      if (its.forgotten) return Error::no_such_channel;
      if (its.behind) return Error::held;
      auto begin = its.start(after, last);
      if (!begin && begin.error() == Error::seq_in_future && !waited && its.numbers() == Numbers::stream)
        return Error::held;  // another server may have been ahead of this one
      if (!begin) return begin;
      if (!after && last.value_or(0) > 0) start_at_kept(its, *begin);
      first = its.interested_shards == 0;
      its.interested_shards |= std::uint64_t{1} << index_;
      epoch = its.epoch();
      return begin;
    }();
    if (at) {
      if (found == feeds_.end()) found = feeds_.emplace(&its, std::make_unique<Feed>(*channel)).first;
      if (first) hub_.wanted(*channel);
      return Started{found->second.get(), *at, std::move(epoch), *channel};
    }
    if (found == feeds_.end()) hub_.feeds().sub(Hub::kFeedBytes);
    if (at.error() == Error::held) return Started{nullptr, {}, {}, *channel};
    if (at.error() != Error::no_such_channel) return at.error();
    // Forgotten between the look-up and the lock: the name is free again.
  }
}

// `last` of a `conflate` channel whose history has let go of everything: the latest is kept beside it.
void Shard::start_at_kept(Channel& channel, StartPoint& at) {
  LastValues* const kept = hub_.last_values();
  if (!kept || channel.policy() != SlowPolicy::conflate || !channel.history.empty() || at.after == 0) return;
  if (const auto record = kept->find(channel.id()); record && record->seq == at.after) {
    --at.after;
    --at.position;
  }
}

void Shard::attach(Feed& feed, Subscriber& subscriber) { feed.subscribers.push_back(subscriber); }

void Shard::detach(Subscriber& subscriber) {
  Feed& feed = *subscriber.feed;
  subscriber.feed_hook.unlink();
  if (subscriber.ready_hook.is_linked()) subscriber.ready_hook.unlink();
  release_if_unused(feed);
}

void Shard::release_if_unused(Feed& feed) {
  if (!feed.subscribers.empty()) return;
  const ChannelPtr channel(&feed.channel());
  if (feed.cuts_hook.is_linked()) --with_cuts_count_;
  feeds_.erase(channel.get());
  hub_.feeds().sub(Hub::kFeedBytes);
  const std::lock_guard lock(channel->mutex);
  channel->interested_shards &= ~(std::uint64_t{1} << index_);
  channel->used_at_ms = now_ms();
}

void Shard::close_all(const CloseReason& why) {
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    ShardSession& session = *it++;  // it may end itself
    session.close(why);
  }
}

// --- Sweep

void Shard::arm_sweep() {
  sweep_timer_.expires_after(std::chrono::milliseconds(hub_.limits().sweep_ms));
  sweep_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) sweep();
  });
}

void Shard::sweep() {
  drop_cuts();
  watches_.drop_texts();
  const std::int64_t now = now_ms();
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    ShardSession& session = *it++;  // it may end itself
    session.sweep(now);
  }
  hub_.sweep_channels(index_, kSweptChannels);
  if (index_ == 0) {
    services_.connections->sweep(now);
    services_.presence->sweep(now);
  }
  spare_.resize(spare_.size() / 2);
  arm_sweep();
}

// --- Stop

void Shard::stop(Clock::time_point deadline) {
  boost::asio::post(io_, [this, deadline] {
    const bool first = !std::exchange(stopping_, true);
    deadline_ = first ? deadline : std::min(deadline_, deadline);
    if (first)
      begin_stop();
    else
      check_stopped();
  });
}

void Shard::begin_stop() {
  flush();
  pump(std::numeric_limits<std::size_t>::max());
  // The later half of the time is for `closing` and the close handshakes.
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
  const std::int64_t drain_until_ms = now_ms() + std::max<std::int64_t>(0, left / 2);
  for (auto it = sessions_.begin(); it != sessions_.end();) {
    ShardSession& session = *it++;
    session.shut_down(static_cast<std::uint32_t>(random_() % kRetryAfterSpreadMs), drain_until_ms);
  }
  check_stopped();
}

// Looked at a few times a second: a session ends in its own time.
void Shard::check_stopped() {
  if (!sessions_.empty() && Clock::now() < deadline_) {
    sweep_timer_.expires_at(std::min(deadline_, Clock::now() + kRetryPause));
    sweep_timer_.async_wait([this](const boost::system::error_code&) {
      const std::int64_t now = now_ms();
      for (auto it = sessions_.begin(); it != sessions_.end();) {
        ShardSession& session = *it++;
        session.sweep(now);
      }
      check_stopped();
    });
    return;
  }
  left_ = abandon_all();
  drop_cuts();
  io_.stop();
}

// Each out of the list first: an end need not do that.
std::size_t Shard::abandon_all() {
  std::size_t count = 0;
  for (; !sessions_.empty(); ++count) {
    ShardSession& session = sessions_.front();
    sessions_.pop_front();
    session.abandon();
  }
  return count;
}

}  // namespace ringfence
