// The hub's part of what makes many servers one (bus/bus.h).
#include <chrono>
#include <condition_variable>
#include <memory>
#include <utility>

#include <ringfence/record.h>

#include "bus/bus.h"
#include "realtime/hub.h"

namespace ringfence {
namespace {

// The answer to a call that does not wait, for one who must.
template <typename T>
class Answer {
 public:
  void set(Result<T> result) {
    const std::lock_guard lock(mutex_);
    result_.emplace(std::move(result));
    set_.notify_all();
  }
  Result<T> wait(std::int64_t limit_ms) {
    std::unique_lock lock(mutex_);
    set_.wait_for(lock, std::chrono::milliseconds(limit_ms), [this] { return result_.has_value(); });
    return result_ ? *result_ : Result<T>(Error::broker_timeout);
  }

 private:
  std::mutex mutex_;
  std::condition_variable set_;
  std::optional<Result<T>> result_;
};

}  // namespace

void Hub::attach_bus(Bus& bus) {
  INVARIANT(!bus_ && channels_.used_bytes() == 0);
  bus_ = &bus;
  numbers_ = bus.numbers();
}

Result<void> Hub::publish_later(std::string_view name, std::string_view type, std::string_view payload_json,
                                PublishDone done) {
  if (numbers_ == Numbers::own) {
    const auto seq = publish(name, type, payload_json);
    if (!seq) return seq.error();
    done(*seq);
    return {};
  }
  const Result<void> taken = [&]() -> Result<void> {
    if (!valid_channel_name(name)) return Error::bad_channel;
    if (!valid_type(type)) return Error::bad_type;
    if (record_stride_bytes(type.size(), payload_json.size()) > History::record_bytes_max(limits_.history_bytes_max))
      return Error::record_too_large;
    return bus_->publish(name, type, payload_json, [this, done = std::move(done)](Result<std::uint64_t> seq) {
      if (seq.ok())
        published_.fetch_add(1, std::memory_order_relaxed);
      else
        count_refused(seq.error());
      done(seq);
    });
  }();
  if (!taken) count_refused(taken.error());
  return taken;
}

Result<std::uint64_t> Hub::publish_and_wait(std::string_view name, std::string_view type,
                                            std::string_view payload_json) {
  const auto answer = std::make_shared<Answer<std::uint64_t>>();
  const auto taken = publish_later(name, type, payload_json, [answer](Result<std::uint64_t> seq) { answer->set(seq); });
  return taken ? answer->wait(kEngineWaitMs) : Result<std::uint64_t>(taken.error());
}

void Hub::publish_all(const std::vector<Event>& events, AllDone done) {
  struct All {
    std::mutex mutex;
    std::vector<Result<std::uint64_t>> results;
    std::size_t waiting;
    AllDone done;
  };
  if (events.empty()) return done({});
  const auto all = std::make_shared<All>();
  all->results.assign(events.size(), Error::broker_timeout);
  all->waiting = events.size();
  all->done = std::move(done);
  for (std::size_t i = 0; i < events.size(); ++i) {
    const auto set = [all, i](Result<std::uint64_t> seq) {
      {
        const std::lock_guard lock(all->mutex);
        all->results[i] = seq;
        if (--all->waiting > 0) return;
      }
      all->done(std::move(all->results));
    };
    const auto taken = publish_later(events[i].channel, events[i].type, events[i].payload_json, set);
    if (!taken) set(taken.error());
  }
}

void Hub::wanted(const ChannelPtr& channel) {
  if (bus_) bus_->wanted(channel);
}

void Hub::when_ready(const ChannelPtr& channel, std::uint64_t seq, std::function<void(Result<void>)> ready) {
  if (numbers_ == Numbers::own) return ready({});
  bus_->when_ready(channel, seq, std::move(ready));
}

void Hub::when_readable(std::string_view name, std::function<void(Result<void>)> ready) {
  if (numbers_ == Numbers::own) return ready({});
  const auto channel = find_or_create(name);
  if (!channel) return ready(channel.error());
  const bool behind = [&] {
    const std::lock_guard lock((*channel)->mutex);
    return (*channel)->behind;
  }();
  if (!behind) return ready({});
  when_ready(*channel, 0, std::move(ready));
}

void Hub::lose_to(Channel& channel, std::uint64_t seq) {
  std::uint64_t interested = 0;
  {
    const std::lock_guard lock(channel.mutex);
    if (seq <= channel.history.last_seq()) return;
    channel.history.lose_to(seq);
    interested = channel.interested_shards;
  }
  mark(channel, interested);
}

void Hub::lose(Channel& channel, std::uint64_t count) {
  std::uint64_t interested = 0;
  {
    const std::lock_guard lock(channel.mutex);
    channel.history.lose_to(channel.history.last_seq() + count);
    interested = channel.interested_shards;
  }
  mark(channel, interested);
}

void Hub::begin_at(Channel& channel, std::uint64_t seq) {
  const std::lock_guard lock(channel.mutex);
  INVARIANT(channel.history.empty());
  channel.history.lose_to(seq);
}

void Hub::set_stream_epoch(std::uint64_t epoch) {
  stream_epoch_ = epoch;
  for (Stripe& stripe : stripes_) {
    const std::shared_lock lock(stripe.mutex);
    for (const ChannelPtr& channel : stripe.channels) {
      const std::lock_guard channel_lock(channel->mutex);
      channel->set_epoch(epoch);
    }
  }
}

void Hub::begin_stream_epoch(std::uint64_t epoch) {
  stream_epoch_ = epoch;
  for (Stripe& stripe : stripes_) {
    const std::shared_lock lock(stripe.mutex);
    for (const ChannelPtr& channel : stripe.channels) {
      const std::lock_guard channel_lock(channel->mutex);
      channel->history.reset();
      channel->set_epoch(epoch);
      channel->behind = true;
    }
  }
  // Whose places are in the histories that have ended. Not before: who began to read meanwhile would be missed. Until then
  // they find nothing, as it is this thread that fills them.
  if (on_epoch_) on_epoch_();
}

}  // namespace ringfence
