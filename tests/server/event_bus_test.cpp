#include "events/event_bus.h"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "support/event_bench.h"

using namespace ringfence;
using namespace ringfence::test;
using namespace std::chrono_literals;

TEST_CASE("EventBus calls handlers in their order, with the events in theirs", "[event_bus]") {
  EventBench bench;
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
  EventBench bench;
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
  EventBench bench;
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
  EventBench bench({4, 4096, 32});
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
  EventBench bench({64, 1000, 32});
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
  EventBench bench({2, 4096, 32});
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
  EventBench bench;
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

TEST_CASE("EventBus::shutdown gives what was accepted to its handlers, refuses the rest, and starts again",
          "[event_bus]") {
  EventBench bench;
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
  EventBench bench;
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
  EventBench bench;
  Gate gate;
  auto held = bench.bus.subscribe<Tick>([&](const Tick&) { gate.pass(); }, bench.owner).value();
  REQUIRE(bench.bus.publish(Tick{1}).ok());
  const Opener opener{gate};
  gate.wait_entered();
  const auto before = std::chrono::steady_clock::now();
  CHECK(bench.bus.shutdown(before + 600s, [] { return true; }).running == "test_tick of test");
  CHECK(std::chrono::steady_clock::now() - before < 60s);
}

TEST_CASE("EventBus is in the ledger with all that it can hold", "[event_bus]") {
  EventBench bench({100, 5000, 10});
  std::uint64_t fixed = 0, data = 0;
  for (const LedgerRow& row : bench.ledger.rows()) {
    if (row.name == "events") fixed = row.capacity_bytes;
    if (row.name == "event data") data = row.capacity_bytes;
  }
  CHECK(fixed >= 100 * sizeof(detail::EventSlot) + 10 * EventBus::kSubscriptionBytes);
  CHECK(data == 5000);
}

TEST_CASE("EventBus loses nothing and calls nobody late while many threads publish, subscribe and end", "[event_bus]") {
  EventBench bench({256, 1 << 20, 64});
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
  EventBench bench;
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
