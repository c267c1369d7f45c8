// Shard: its flush, step by step on the test's thread, with sessions that only note what they would send.
#include "realtime/shard.h"

#include <time.h>

#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "caching/cache_manager.h"
#include "events/event_bus.h"
#include "realtime/clock.h"
#include "realtime/connection_manager.h"
#include "realtime/last_values.h"
#include "realtime/presence.h"
#include "support/catch.h"

using namespace ringfence;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kSessions = 100;

struct Sent {
  std::size_t session;
  std::uint64_t seq;  // of the last record
  std::uint32_t count;
  Clock::time_point at;
};

class Noting final : public ShardSession {
 public:
  Noting(Shard& shard, std::size_t number, std::vector<Sent>& sent, std::vector<std::size_t>& told)
      : shard_(shard), number_(number), sent_(sent), told_(told) {
    const auto started = shard.start("room", std::nullopt, std::nullopt).value();
    subscriber_.emplace(*started.feed, *this, started.at.after, started.at.position);
    shard.attach(*started.feed, *subscriber_);
    shard.add(*this);
  }
  ~Noting() { shard_.detach(*subscriber_); }

  std::function<void()> work;  // what a write costs

  void pump() override {
    if (ready.empty()) return;
    ready.clear();
    const CutPtr cut = shard_.cut(*subscriber_);
    if (work) work();
    if (cut->slice.count == 0) return;
    subscriber_->cursor = cut->slice.last_seq;
    sent_.push_back({number_, cut->slice.last_seq, cut->slice.count, Clock::now()});
  }
  void sweep(std::int64_t) override {}
  void shut_down(std::uint32_t, std::int64_t) override { told_.push_back(sent_.size()); }
  void close(const CloseReason&) override {}
  void abandon() override {}

 private:
  Shard& shard_;
  const std::size_t number_;
  std::vector<Sent>& sent_;
  std::vector<std::size_t>& told_;
  std::optional<Subscriber> subscriber_;
};

struct Flushing {
  explicit Flushing(const std::function<void()>& work = {}, const std::function<void(Hub&)>& set_up = {}) {
    if (set_up) set_up(hub);
    services.events = &events;
    services.hub = &hub;
    services.presence = &presence;
    services.connections = &connections;
    shard.emplace(services, 0);
    for (std::size_t i = 0; i < kSessions; ++i) {
      sessions.push_back(std::make_unique<Noting>(*shard, i, sent, told));
      sessions.back()->work = work;
    }
  }
  static Limits its_limits() {
    Limits limits;
    limits.channels_max = 100;
    limits.flush_ms = 1;
    limits.sweep_ms = 60'000;
    return limits;
  }
  std::uint64_t publish() { return hub.publish("room", "message", "1").value(); }
  // One handler after another.
  void run_until(const std::function<bool()>& done) {
    for (const auto until = Clock::now() + std::chrono::seconds(20); !done();) {
      REQUIRE(Clock::now() < until);
      shard->io().run_one_for(milliseconds(100));
    }
  }

  const Limits limits = its_limits();
  Ledger ledger;
  EventBus events{ledger,
                  EventBus::Bounds{limits.events_max, limits.event_memory_bytes, limits.event_subscriptions_max}};
  Hub hub{limits, ledger, 1, &events};
  Presence presence{limits, ledger, 1, &events};
  ConnectionManager connections{limits, ledger};
  Services services;
  std::optional<Shard> shard;
  std::vector<Sent> sent;
  std::vector<std::size_t> told;  // how many were sent when a session was told of the end
  std::vector<std::unique_ptr<Noting>> sessions;
};

std::chrono::nanoseconds thread_cpu() {
  timespec used{};
  REQUIRE(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace

TEST_CASE("Shard: in a flush the thread does other work too, and who is later gets what is new by then", "[shard]") {
  Flushing it;
  const std::uint64_t first = it.publish();
  bool read = false;
  boost::asio::post(it.shard->io(), [&] { read = true; });
  it.run_until([&] { return !it.sent.empty(); });
  const std::size_t begun = it.sent.size();
  REQUIRE(begun < kSessions);
  CHECK(it.hub.stats().flushes == 0);
  it.run_until([&] { return read; });
  CHECK(it.sent.size() < kSessions);
  const std::uint64_t second = it.publish();
  const auto old = Clock::now() + milliseconds(it.limits.flush_ms);
  while (Clock::now() < old) continue;
  const std::size_t before = it.sent.size();
  it.run_until([&] { return it.sent.size() >= kSessions; });
  for (std::size_t i = 0; i < kSessions; ++i) {
    REQUIRE(it.sent[i].session == i);
    REQUIRE(it.sent[i].seq == (i < before ? first : second));
  }
  // Those who had their turn before it get it by the next flush, and the others nothing twice.
  it.run_until([&] { return it.sent.size() >= kSessions + before; });
  it.run_until([&] { return it.hub.stats().flushes == 2; });
  REQUIRE(it.sent.size() == kSessions + before);
  for (std::size_t i = 0; i < before; ++i) {
    REQUIRE(it.sent[kSessions + i].session == i);
    REQUIRE(it.sent[kSessions + i].seq == second);
  }
}

TEST_CASE("Shard: what was published before a flush is sent to each by one write", "[shard]") {
  Flushing it;
  for (int i = 1; i < 10; ++i) it.publish();
  const std::uint64_t last = it.publish();
  it.run_until([&] { return it.hub.stats().flushes == 1; });
  REQUIRE(it.sent.size() == kSessions);
  for (const Sent& sent : it.sent) {
    REQUIRE(sent.seq == last);
    REQUIRE(sent.count == 10);
  }
}

TEST_CASE("Shard: a stop in the middle of a flush sends to all before anybody is told", "[shard]") {
  Flushing it;
  it.publish();
  it.run_until([&] { return !it.sent.empty(); });
  REQUIRE(it.sent.size() < kSessions);
  it.shard->stop(Clock::now());
  it.shard->run();
  REQUIRE(it.told.size() == kSessions);
  CHECK(it.told.front() == kSessions);
  CHECK(it.shard->left() == kSessions);  // these never close themselves
}

TEST_CASE("Shard: the next flush waits as long as the writes of the last one have used the thread", "[shard]") {
  std::chrono::nanoseconds used{};
  Flushing it([&] {
    const auto began = thread_cpu();
    while (thread_cpu() - began < std::chrono::microseconds(200)) continue;
    used += thread_cpu() - began;
  });
  it.publish();
  it.run_until([&] { return it.hub.stats().flushes == 1; });
  const auto cost = used;
  it.publish();
  it.run_until([&] { return it.sent.size() > kSessions; });
  CHECK(it.sent[kSessions].at - it.sent[kSessions - 1].at >= cost);
}

TEST_CASE("Shard: the next flush does not wait for what others took of the core", "[shard]") {
  Flushing it([] { std::this_thread::sleep_for(milliseconds(10)); });  // as one who has to wait for it
  const auto began = Clock::now();
  it.publish();
  it.run_until([&] { return it.hub.stats().flushes == 1; });
  const auto took = Clock::now() - began;
  it.publish();
  it.run_until([&] { return it.sent.size() > kSessions; });
  CHECK(it.sent[kSessions].at - it.sent[kSessions - 1].at < took);
}

TEST_CASE("Shard: who begins with the latest that is kept beside the history counts on from there", "[shard]") {
  Ledger ledger;
  CacheManager caches(ledger, 32 << 20, steady_ms);
  const auto last_values = LastValues::create(caches, 1 << 20).value();
  Flushing it({}, [&](Hub& hub) { hub.set_policies(ChannelPolicies::parse({"*=conflate"}), last_values.get()); });
  it.publish();
  const std::uint64_t seq = it.publish();
  Channel& room = *it.hub.find("room");
  {
    const std::lock_guard lock(room.mutex);
    while (room.history.evict_segment() > 0) continue;
  }
  const auto started = it.shard->start("room", std::nullopt, 1).value();
  CHECK(started.at.after == seq - 1);
  CHECK(started.at.position == room.history.end_position() - 1);
}
