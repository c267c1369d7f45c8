// FakeEngine: a stream in memory that a test may lose, delay, evict and purge from. Nothing happens until run().
//
// Threads  one. What would be the engine's thread is run().
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bus/bus.h"

namespace ringfence::test {

class FakeEngine final : public BusEngine {
 public:
  struct Stored {
    std::uint64_t seq;
    std::string channel, type, payload;
    std::int64_t time_us;
  };

  explicit FakeEngine(std::uint64_t channel_max = 1000) : channel_max_(channel_max) {}

  // --- what a test does
  void connect(Sink& sink) {
    sink_ = &sink;
    connected_ = true;
    post([this] { sink_->on_connected(view()); });
  }
  void disconnect() {
    connected_ = false;
    deliveries_.clear();
    auto waiting = std::move(answers_);
    answers_.clear();
    post([this] { sink_->on_disconnected(); });
  }
  // As another server would publish: the seq.
  std::uint64_t store(const std::string& channel, std::string payload) {
    std::uint64_t prev = 0;
    std::size_t held = 0;
    for (const Stored& one : stream_)
      if (one.channel == channel) prev = one.seq, ++held;
    stream_.push_back({++last_seq_, channel, "t", std::move(payload), static_cast<std::int64_t>(last_seq_)});
    if (held + 1 > channel_max_) {
      const auto oldest =
          std::find_if(stream_.begin(), stream_.end(), [&](const Stored& one) { return one.channel == channel; });
      stream_.erase(oldest);
    }
    if (connected_ && followed_.count(channel) > 0) deliveries_.push_back({stream_.back(), prev});
    return last_seq_;
  }
  void lose_deliveries() { deliveries_.clear(); }
  // The first one is overtaken by all others, until deliver_late().
  void delay_delivery() {
    late_.push_back(deliveries_.front());
    deliveries_.pop_front();
  }
  void deliver_late() {
    for (const auto& one : late_) deliveries_.push_back(one);
    late_.clear();
  }
  void swap_deliveries() { std::reverse(deliveries_.begin(), deliveries_.end()); }
  void repeat_deliveries() {
    const auto copy = deliveries_;
    deliveries_.insert(deliveries_.end(), copy.begin(), copy.end());
  }
  void evict_through(std::uint64_t seq) {
    std::erase_if(stream_, [seq](const Stored& one) { return one.seq <= seq; });
    gone_through_ = std::max(gone_through_, seq);
  }
  // By hand: of one channel, through this seq.
  void remove(const std::string& channel, std::uint64_t seq) {
    std::erase_if(stream_, [&](const Stored& one) { return one.channel == channel && one.seq <= seq; });
  }
  // As an update of its configuration would.
  void set_channel_max(std::uint64_t channel_max) {
    channel_max_ = channel_max;
    std::map<std::string, std::uint64_t> held;
    for (const Stored& one : stream_) ++held[one.channel];
    std::erase_if(stream_, [&](const Stored& one) { return held[one.channel]-- > channel_max_; });
  }
  void make_anew() {
    stream_.clear();
    last_seq_ = gone_through_ = 0;
    ++epoch_;
  }
  void cut_to(std::uint64_t seq) {
    std::erase_if(stream_, [seq](const Stored& one) { return one.seq > seq; });
    last_seq_ = seq;
  }
  bool fail_answers = false;
  bool refuse_questions = false;
  // How far the stack went from one that was refused to another.
  std::size_t refused_stack_bytes() const {
    return refused_at_.empty() ? 0 : *refused_at_.rbegin() - *refused_at_.begin();
  }
  // All work, deliveries and answers, until there is none; answers may be held back to let deliveries overtake them.
  void run(bool answers = true) {
    for (;;) {
      if (!work_.empty()) {
        auto work = std::move(work_.front());
        work_.pop_front();
        work();
      } else if (!deliveries_.empty()) {
        const auto [one, prev] = deliveries_.front();
        deliveries_.pop_front();
        if (followed_.count(one.channel) > 0)
          sink_->on_record(one.channel, {one.seq, prev, one.time_us, one.type, one.payload});
      } else if (answers && !answers_.empty()) {
        auto answer = std::move(answers_.front());
        answers_.pop_front();
        answer();
      } else {
        return;
      }
    }
  }
  void answer_one() {
    if (answers_.empty()) return;
    auto answer = std::move(answers_.front());
    answers_.pop_front();
    answer();
  }
  std::size_t waiting() const { return answers_.size(); }
  const std::set<std::string>& followed() const { return followed_; }

  // --- BusEngine
  void post(std::function<void()> work) override { work_.push_back(std::move(work)); }
  Result<void> publish(std::string_view channel, std::int64_t, std::string_view, std::string_view payload,
                       PublishDone done) override {
    if (!connected_) return Error::broker_unavailable;
    const std::uint64_t seq = store(std::string(channel), std::string(payload));
    answers_.push_back([seq, done = std::move(done)] { done(seq); });
    return {};
  }
  Result<void> follow(std::string_view channel) override {
    followed_.insert(std::string(channel));
    return {};
  }
  void unfollow(std::string_view channel) override { followed_.erase(std::string(channel)); }
  Result<void> next(std::string_view channel, std::uint64_t from, Next answered) override {
    if (!connected_) return Error::broker_unavailable;
    if (refuse_questions) {
      refused_at_.insert(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
      return Error::overloaded;
    }
    answers_.push_back([this, name = std::string(channel), from, answered = std::move(answered)] {
      if (fail_answers) return answered(Error::broker_timeout);
      for (const Stored& one : stream_)
        if (one.seq >= from && one.channel == name) {
          const BusRecord record{one.seq, 0, one.time_us, one.type, one.payload};
          return answered(&record);
        }
      answered(static_cast<const BusRecord*>(nullptr));
    });
    return {};
  }
  Result<void> look(std::string_view channel, Looked answered) override {
    if (!connected_) return Error::broker_unavailable;
    answers_.push_back([this, name = std::string(channel), answered = std::move(answered)] {
      if (fail_answers) return answered(Error::broker_timeout);
      StreamView seen = view();
      for (const Stored& one : stream_) seen.records += one.channel == name ? 1 : 0;
      answered(seen);
    });
    return {};
  }

 private:
  StreamView view() const {
    StreamView seen;
    seen.epoch = epoch_;
    seen.records_max = channel_max_;
    seen.last_seq = last_seq_;
    seen.first_seq = stream_.empty() ? last_seq_ + 1 : stream_.front().seq;
    return seen;
  }

  std::uint64_t channel_max_;
  Sink* sink_ = nullptr;
  bool connected_ = false;
  std::uint64_t epoch_ = 77;
  std::uint64_t last_seq_ = 0;
  std::uint64_t gone_through_ = 0;
  std::vector<Stored> stream_;
  std::set<std::string> followed_;
  std::set<std::uintptr_t> refused_at_;
  std::deque<std::function<void()>> work_, answers_;
  std::deque<std::pair<Stored, std::uint64_t>> deliveries_, late_;
};

}  // namespace ringfence::test
