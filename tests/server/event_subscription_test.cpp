#include "events/event_bus.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.h"
#include "support/event_bench.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE("EventBus: an ended subscription is never called again, and its handler is destroyed", "[event_bus]") {
  EventBench bench;
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
  EventBench bench;
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
  EventBench bench;
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
  EventBench bench;
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
  EventBench bench;
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
  EventBench bench;
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
  EventBench bench({64, 4096, 1000});
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
  EventBench bench({64, 4096, 2});
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
