#include "events/event_bus.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "log.h"
#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace std::chrono_literals;

namespace {

struct Tick {
  static constexpr std::string_view kName = "test_tick";
  int n = 0;
};
struct Word {
  static constexpr std::string_view kName = "test_word";
  std::string text;
  std::size_t data_bytes() const noexcept { return text.size(); }
};

std::string tag(std::string stem, int number) {
  stem += std::to_string(number);
  return stem;
}

auto soon() { return std::chrono::steady_clock::now() + 30s; }

struct Bench {
  explicit Bench(const EventBus::Bounds& bounds = {64, 4096, 32})
      : bus(ledger, bounds), owner(bus.owner("test").value()) {
    set_up_logs("off");
    bus.start();
  }
  void settle() { REQUIRE(bus.drain(soon())); }
  EventTypeStats type(std::string_view name) const {
    for (const EventTypeStats& row : bus.stats().types)
      if (row.name == name) return row;
    return {};
  }
  Ledger ledger;
  EventBus bus;
  EventOwner owner;
};

// A handler that can be held: it says when it is in, and stays until it is let go.
struct Gate {
  void pass() {
    std::unique_lock lock(mutex);
    ++entered;
    changed.notify_all();
    changed.wait(lock, [this] { return open; });
  }
  void wait_entered(int count = 1) {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, 30s, [&] { return entered >= count; }));
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  ~Gate() { let_go(); }
  std::mutex mutex;
  std::condition_variable changed;
  int entered = 0;
  bool open = false;
};

// Made after the subscriptions, so that a test that fails does not wait for a handler that nobody lets go.
struct Opener {
  Gate& gate;
  ~Opener() { gate.let_go(); }
};

}  // namespace

TEST_CASE("EventBus calls handlers in their order, with the events in theirs", "[event_bus]") {
  Bench bench;
  std::vector<std::string> calls;
  const auto a = bench.bus.subscribe<Tick>([&](const Tick& e) { calls.push_back(tag("a", e.n)); }, bench.owner);
  const auto b = bench.bus.subscribe<Tick>([&](const Tick& e) { calls.push_back(tag("b", e.n)); }, bench.owner);
  const auto c = bench.bus.subscribe<Word>([&](const Word& e) { calls.push_back(e.text); }, bench.owner);
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  REQUIRE(bench.bus.publish(Word{"w"}).ok());
  REQUIRE(bench.bus.publish(Tick{2}).ok());
  bench.settle();
  CHECK(calls == std::vector<std::string>{"a1", "b1", "w", "a2", "b2"});
}

TEST_CASE("EventBus builds no event that nobody wants", "[event_bus]") {
  Bench bench;
  int built = 0;
  const auto make = [&] { return Tick{++built}; };
  CHECK(bench.bus.emit<Tick>(make).ok());
  CHECK(built == 0);
  CHECK_FALSE(bench.bus.wanted<Tick>());
  {
    const auto held = bench.bus.subscribe<Tick>([](const Tick&) {}, bench.owner);
    CHECK(bench.bus.wanted<Tick>());
    CHECK(bench.bus.emit<Tick>(make).ok());
    CHECK(built == 1);
  }
  CHECK(bench.bus.emit<Tick>(make).ok());
  CHECK(built == 1);
  CHECK(bench.bus.publish(Tick{1}).ok());  // accepted and forgotten
  bench.settle();
  CHECK(bench.type("test_tick").published == 1);
}

TEST_CASE("EventBus gives a handler only what was published after it was subscribed", "[event_bus]") {
  Bench bench;
  Gate gate;
  std::vector<int> late;
  const auto first = bench.bus.subscribe<Tick>(
      [&](const Tick& e) {
        if (e.n == 1) gate.pass();
      },
      bench.owner);
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  const Opener opener{gate};
  gate.wait_entered();
  REQUIRE(bench.bus.publish(Tick{2}).ok());
  const auto second = bench.bus.subscribe<Tick>([&](const Tick& e) { late.push_back(e.n); }, bench.owner);
  REQUIRE(bench.bus.publish(Tick{3}).ok());
  gate.let_go();
  bench.settle();
  CHECK(late == std::vector<int>{3});
}

TEST_CASE("EventBus refuses at its capacity, tells the publisher, and counts it by type", "[event_bus]") {
  Bench bench({4, 4096, 32});
  Gate gate;
  std::atomic<int> calls{0};
  const auto held = bench.bus.subscribe<Tick>(
      [&](const Tick&) {
        ++calls;
        gate.pass();
      },
      bench.owner);
  REQUIRE(bench.bus.publish(Tick{0}).ok());
  const Opener opener{gate};
  gate.wait_entered();
  for (int i = 1; i < 4; ++i) CHECK(bench.bus.publish(Tick{i}).ok());
  CHECK(bench.bus.publish(Tick{4}).error() == Error::overloaded);
  CHECK(bench.bus.reserve<Tick>(0).error() == Error::overloaded);
  CHECK(bench.type("test_tick").refused == 2);
  CHECK(bench.bus.stats().queue_high_water_mark == 4);
  gate.let_go();
  bench.settle();
  CHECK(calls == 4);
  CHECK(bench.bus.publish(Tick{5}).ok());
  bench.settle();
  CHECK(calls == 5);
}

TEST_CASE("EventBus bounds what its events hold, and gives it back", "[event_bus]") {
  Bench bench({64, 1000, 32});
  Gate gate;
  const auto held = bench.bus.subscribe<Word>([&](const Word&) { gate.pass(); }, bench.owner);
  REQUIRE(bench.bus.publish(Word{std::string(600, 'x')}).ok());
  const Opener opener{gate};
  gate.wait_entered();
  CHECK(bench.bus.publish(Word{std::string(401, 'x')}).error() == Error::overloaded);
  CHECK(bench.bus.publish(Word{std::string(400, 'x')}).ok());
  CHECK(bench.bus.stats().data_bytes == 1000);
  gate.let_go();
  bench.settle();
  CHECK(bench.bus.stats().data_bytes == 0);
  CHECK(bench.bus.stats().data_high_water_mark_bytes == 1000);
}

TEST_CASE("EventBus keeps a place for who has reserved it, also while it closes", "[event_bus]") {
  Bench bench({2, 4096, 32});
  std::vector<std::string> got;
  const auto held = bench.bus.subscribe<Word>([&](const Word& e) { got.push_back(e.text); }, bench.owner);
  auto one = bench.bus.reserve<Word>(10);
  auto two = bench.bus.reserve<Word>(10);
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  CHECK(bench.bus.publish(Word{"none"}).error() == Error::overloaded);
  CHECK(bench.bus.stats().queue_reserved == 2);
  {
    const EventPlace<Word> given_back = std::move(two).value();
  }
  CHECK(bench.bus.stats().queue_reserved == 1);
  CHECK(bench.bus.stats().data_bytes == 10);
  bench.bus.close<Word>();
  CHECK(bench.bus.publish(Word{"closed"}).error() == Error::shutting_down);
  CHECK(bench.bus.reserve<Word>(1).error() == Error::shutting_down);
  one->publish(Word{"kept"});
  bench.settle();
  CHECK(got == std::vector<std::string>{"kept"});
  CHECK(bench.bus.stats().data_bytes == 0);
}

TEST_CASE("EventBus goes on after a handler that throws: the others are called, and it is counted", "[event_bus]") {
  Bench bench;
  int after = 0;
  const EventOwner rough = bench.bus.owner("rough").value();
  const auto a = bench.bus.subscribe<Tick>([](const Tick&) { throw std::runtime_error("no"); }, rough);
  const auto b = bench.bus.subscribe<Tick>([](const Tick&) { throw 7; }, rough);
  const auto c = bench.bus.subscribe<Tick>([&](const Tick&) { ++after; }, bench.owner);
  for (int i = 0; i < 3; ++i) REQUIRE(bench.bus.publish(Tick{i}).ok());
  bench.settle();
  CHECK(after == 3);
  CHECK(bench.type("test_tick").failures == 6);
  CHECK(bench.type("test_tick").delivered == 3);
  for (const EventOwnerCounts& owner : bench.bus.stats().owners)
    CHECK(owner.failures == (owner.name == "rough" ? 6 : 0));
}

TEST_CASE("EventBus: an ended subscription is never called again, and its handler is destroyed", "[event_bus]") {
  Bench bench;
  int calls = 0;
  auto captured = std::make_shared<int>(1);
  auto held = bench.bus.subscribe<Tick>([&calls, captured](const Tick&) { ++calls; }, bench.owner).value();
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  bench.settle();
  CHECK(captured.use_count() == 2);
  CHECK(held.active());
  held.end();
  CHECK(captured.use_count() == 1);
  CHECK_FALSE(held.active());
  held.end();
  REQUIRE(bench.bus.publish(Tick{2}).ok());
  bench.settle();
  CHECK(calls == 1);
  CHECK(bench.bus.stats().lifecycle().ended == 1);  // ending twice counts once
}

TEST_CASE("EventBus: moving onto a live subscription ends it", "[event_bus]") {
  Bench bench;
  int a = 0, b = 0;
  auto held = bench.bus.subscribe<Tick>([&](const Tick&) { ++a; }, bench.owner).value();
  held = bench.bus.subscribe<Tick>([&](const Tick&) { ++b; }, bench.owner).value();
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  bench.settle();
  CHECK(a == 0);
  CHECK(b == 1);
  CHECK(bench.bus.stats().subscriptions == 1);
}

TEST_CASE("EventBus: who ends a subscription waits for the call under way, and for no other", "[event_bus]") {
  Bench bench;
  Gate gate;
  std::atomic<bool> in_call{false};
  auto slow = bench.bus
                  .subscribe<Tick>(
                      [&](const Tick&) {
                        in_call = true;
                        gate.pass();
                        in_call = false;
                      },
                      bench.owner)
                  .value();
  auto other = bench.bus.subscribe<Tick>([](const Tick&) {}, bench.owner).value();
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  const Opener opener{gate};
  gate.wait_entered();
  other.end();  // returns although the handler before it is running
  CHECK(in_call);
  std::atomic<bool> ending{false}, ended{false}, still_in_call{false};
  std::thread ender([&] {
    ending = true;
    slow.end();
    still_in_call = in_call.load();
    ended = true;
  });
  while (!ending) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // time to go wrong in
  CHECK_FALSE(ended);
  gate.let_go();
  ender.join();
  CHECK_FALSE(still_in_call);
}

TEST_CASE("EventBus: a handler may end itself and others, and subscribe", "[event_bus]") {
  Bench bench;
  std::vector<std::string> calls;
  auto captured = std::make_shared<int>(0);
  EventSubscription self, next, added;
  self = bench.bus
             .subscribe<Tick>(
                 [&, captured](const Tick&) {
                   calls.push_back("self");
                   self.end();
                   ++*captured;  // what was captured lives until the call is over
                   next.end();
                   added = bench.bus
                               .subscribe<Tick>([&](const Tick& e) { calls.push_back(tag("added", e.n)); }, bench.owner)
                               .value();
                   (void)bench.bus.publish(Tick{2});
                 },
                 bench.owner)
             .value();
  next = bench.bus.subscribe<Tick>([&](const Tick&) { calls.push_back("next"); }, bench.owner).value();
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  bench.settle();
  CHECK(calls == std::vector<std::string>{"self", "added2"});
  CHECK(captured.use_count() == 1);
  CHECK(bench.bus.stats().subscriptions == 1);
}

TEST_CASE("EventBus: unsubscribe_all ends those of an owner and of nobody else", "[event_bus]") {
  Bench bench;
  const EventOwner other = bench.bus.owner("other").value();
  int mine = 0, theirs = 0;
  const auto handler = [&](const Tick&) { ++mine; };
  // The same handler under two owners: each subscription is its own.
  const auto a = bench.bus.subscribe<Tick>(handler, bench.owner).value();
  const auto b = bench.bus.subscribe<Word>([&](const Word&) { ++mine; }, bench.owner).value();
  const auto c = bench.bus.subscribe<Tick>([&](const Tick&) { ++theirs; }, other).value();
  CHECK(bench.bus.unsubscribe_all(bench.owner) == 2);
  CHECK(bench.bus.unsubscribe_all(bench.owner) == 0);
  CHECK_FALSE(a.active());
  CHECK(c.active());
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  bench.settle();
  CHECK(mine == 0);
  CHECK(theirs == 1);
  CHECK(bench.bus.subscribe<Tick>(handler, bench.owner).ok());  // the owner stays
}

TEST_CASE("EventBus: with an owner its subscriptions are gone, whoever holds their handles", "[event_bus]") {
  Bench bench;
  int calls = 0;
  EventSubscription held;
  {
    const EventOwner passing = bench.bus.owner("passing").value();
    held = bench.bus.subscribe<Tick>([&](const Tick&) { ++calls; }, passing).value();
    CHECK(held.active());
  }
  CHECK_FALSE(held.active());
  CHECK_FALSE(bench.bus.wanted<Tick>());
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  bench.settle();
  CHECK(calls == 0);
  const EventBusStats stats = bench.bus.stats();
  CHECK(stats.orphans == 0);
  CHECK(stats.owners.size() == 1);  // "test"; no row of "passing" stays
  CHECK(stats.former_owners.subscribed == 1);
  CHECK(stats.former_owners.ended == 1);
}

TEST_CASE("EventBus: an owner that leaks is the one whose live count rises", "[event_bus]") {
  Bench bench({64, 4096, 1000});
  const EventOwner leaky = bench.bus.owner("leaky").value();
  std::vector<EventSubscription> leaked;
  for (int i = 0; i < 500; ++i) {
    auto good = bench.bus.subscribe<Tick>([](const Tick&) {}, bench.owner).value();
    auto bad = bench.bus.subscribe<Tick>([](const Tick&) {}, leaky).value();
    if (i % 100 == 0) leaked.push_back(std::move(bad));
  }
  for (const EventOwnerCounts& owner : bench.bus.stats().owners) {
    CHECK(owner.subscribed == 500);
    CHECK(owner.live() == (owner.name == "leaky" ? 5 : 0));
  }
}

TEST_CASE("EventBus refuses the subscription and the owner past its bounds, counted", "[event_bus]") {
  Bench bench({64, 4096, 2});
  auto a = bench.bus.subscribe<Tick>([](const Tick&) {}, bench.owner).value();
  auto b = bench.bus.subscribe<Tick>([](const Tick&) {}, bench.owner).value();
  CHECK(bench.bus.subscribe<Tick>([](const Tick&) {}, bench.owner).error() == Error::too_many_subscriptions);
  b.end();
  CHECK(bench.bus.subscribe<Tick>([](const Tick&) {}, bench.owner).ok());
  CHECK(bench.bus.owner("").error() == Error::bad_field);
  CHECK(bench.bus.owner(std::string(65, 'x')).error() == Error::bad_field);
  std::vector<EventOwner> owners;
  for (std::size_t i = 1; i < detail::SubscriptionTable::kOwnersMax; ++i)
    owners.push_back(bench.bus.owner(std::string(64, 'x')).value());
  CHECK(bench.bus.owner("one more").error() == Error::too_many_owners);
  CHECK(bench.bus.stats().subscriptions_refused == 2);
  owners.pop_back();
  CHECK(bench.bus.owner("one more").ok());
}

TEST_CASE("EventBus::shutdown gives what was accepted to its handlers, refuses the rest, and starts again",
          "[event_bus]") {
  Bench bench;
  int calls = 0;
  const auto held = bench.bus.subscribe<Tick>([&](const Tick&) { ++calls; }, bench.owner).value();
  for (int i = 0; i < 50; ++i) REQUIRE(bench.bus.publish(Tick{i}).ok());
  const EventBusLeft left = bench.bus.shutdown(soon());
  CHECK(left.all_done());
  CHECK(calls == 50);
  REQUIRE(left.owners.size() == 1);
  CHECK(left.owners[0].name == "test");
  CHECK(left.owners[0].live() == 1);
  // Nothing queues for ever after the end.
  for (int i = 0; i < 1000; ++i) CHECK(bench.bus.publish(Tick{i}).error() == Error::shutting_down);
  CHECK(bench.type("test_tick").refused == 1000);
  CHECK(bench.bus.stats().queue_size == 0);
  CHECK_FALSE(bench.bus.stats().running);
  CHECK(bench.bus.shutdown(soon()).events == 0);
  for (int round = 0; round < 3; ++round) {
    bench.bus.start();
    bench.bus.start();
    CHECK(bench.bus.publish(Tick{1}).ok());
    CHECK(bench.bus.shutdown(soon()).all_done());
  }
  CHECK(calls == 53);
}

TEST_CASE("EventBus::shutdown that is out of time says what it dropped and which handler still runs", "[event_bus]") {
  Bench bench;
  Gate gate;
  int calls = 0;
  const EventOwner stuck = bench.bus.owner("stuck").value();
  auto held = bench.bus
                  .subscribe<Tick>(
                      [&](const Tick&) {
                        ++calls;
                        gate.pass();
                      },
                      stuck)
                  .value();
  for (int i = 0; i < 5; ++i) REQUIRE(bench.bus.publish(Tick{i}).ok());
  const Opener opener{gate};
  gate.wait_entered();
  const EventBusLeft left = bench.bus.shutdown(std::chrono::steady_clock::now());
  CHECK(left.events == 5);  // the one that is being handled is not done either
  CHECK(left.running == "test_tick of stuck");
  CHECK_FALSE(left.all_done());
  gate.let_go();
  bench.bus.start();  // waits for it
  CHECK(calls == 1);
  CHECK(bench.type("test_tick").dropped == 4);
  REQUIRE(bench.bus.publish(Tick{9}).ok());
  bench.settle();
  CHECK(calls == 2);
}

TEST_CASE("EventBus::shutdown ends at once when it is hastened", "[event_bus]") {
  Bench bench;
  Gate gate;
  auto held = bench.bus.subscribe<Tick>([&](const Tick&) { gate.pass(); }, bench.owner).value();
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  const Opener opener{gate};
  gate.wait_entered();
  const auto before = std::chrono::steady_clock::now();
  CHECK(bench.bus.shutdown(before + 600s, [] { return true; }).running == "test_tick of test");
  CHECK(std::chrono::steady_clock::now() - before < 60s);
}

TEST_CASE("EventBus: handles and owners may outlive their bus", "[event_bus]") {
  auto ledger = std::make_unique<Ledger>();
  auto bus = std::make_unique<EventBus>(*ledger, EventBus::Bounds{8, 4096, 8});
  bus->start();
  auto captured = std::make_shared<int>(0);
  EventOwner owner = bus->owner("long").value();
  EventSubscription held = bus->subscribe<Tick>([captured](const Tick&) {}, owner).value();
  bus.reset();
  ledger.reset();
  CHECK_FALSE(held.active());
  CHECK(captured.use_count() == 1);
  held.end();
  owner.end();
  owner.end();
}

TEST_CASE("EventBus is in the ledger with all that it can hold", "[event_bus]") {
  Bench bench({100, 5000, 10});
  std::uint64_t fixed = 0, data = 0;
  for (const LedgerRow& row : bench.ledger.rows()) {
    if (row.name == "events") fixed = row.capacity_bytes;
    if (row.name == "event data") data = row.capacity_bytes;
  }
  CHECK(fixed >= 100 * sizeof(detail::EventSlot) + 10 * EventBus::kSubscriptionBytes);
  CHECK(data == 5000);
}

TEST_CASE("EventBus loses nothing and calls nobody late while many threads publish, subscribe and end", "[event_bus]") {
  Bench bench({256, 1 << 20, 64});
  std::atomic<std::uint64_t> seen{0}, accepted{0}, late{0}, refused{0};
  const auto counting = bench.bus.subscribe<Word>([&](const Word& e) { seen += e.text.size(); }, bench.owner).value();
  std::atomic<bool> done{false};
  std::vector<std::thread> churners;
  for (int i = 0; i < 2; ++i)
    churners.emplace_back([&] {
      const EventOwner mine = bench.bus.owner("churner").value();
      while (!done) {
        auto ended = std::make_shared<std::atomic<bool>>(false);
        auto held = bench.bus
                        .subscribe<Word>(
                            [&late, ended](const Word&) {
                              if (*ended) ++late;
                            },
                            mine)
                        .value();
        std::this_thread::yield();
        if (bench.bus.stats().subscriptions % 2 == 0) bench.bus.unsubscribe_all(mine);
        held.end();
        *ended = true;
      }
    });
  std::vector<std::thread> publishers;
  for (int i = 0; i < 3; ++i)
    publishers.emplace_back([&] {
      for (int n = 0; n < 3000; ++n) {
        if (bench.bus.publish(Word{std::string(1 + n % 40, 'x')}).ok())
          accepted += 1 + n % 40;
        else {
          ++refused;
          std::this_thread::yield();
        }
      }
    });
  for (auto& thread : publishers) thread.join();
  done = true;
  for (auto& thread : churners) thread.join();
  bench.settle();
  CHECK(seen == accepted);
  CHECK(late == 0);
  CHECK(bench.type("test_word").refused == refused);
  CHECK(bench.type("test_word").published + refused == 9000);
  CHECK(bench.bus.stats().data_bytes == 0);
  CHECK(bench.bus.stats().subscriptions == 1);
}

TEST_CASE("EventBus stats as JSON have the documented keys, and numbers that are JSON", "[event_bus]") {
  Bench bench;
  const auto held = bench.bus.subscribe<Tick>([](const Tick&) {}, bench.owner).value();
  const EventOwner odd = bench.bus.owner("\xff").value();
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  bench.settle();
  const auto json = nlohmann::json::parse(event_bus_json(bench.bus.stats()));
  CHECK(json["running"] == true);
  CHECK(json["queue"]["capacity"] == 64);
  CHECK(json["queue"]["size"] == 0);
  CHECK(json["subscriptions"]["live"] == 1);
  CHECK(json["subscriptions"]["capacity"] == 32);
  CHECK(json["subscriptions"]["orphans"] == 0);
  CHECK(json["types"]["test_tick"]["delivered"] == 1);
  CHECK(json["types"]["test_tick"]["subscriptions"] == 1);
  CHECK(json["types"].size() == 1);  // no row for what nobody uses
  CHECK(json["owners"][0] ==
        nlohmann::json{{"owner", "test"}, {"live", 1}, {"subscribed", 1}, {"ended", 0}, {"failures", 0}});
  CHECK(json["former_owners"]["subscribed"] == 0);
  CHECK(json["published"] == 1);
  CHECK(json["dropped"] == 0);
}
