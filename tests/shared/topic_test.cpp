#include <ringfence/topic.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE("Topic calls its subscriptions in the order of their coming", "[topic]") {
  Topic<int> topic(8);
  std::vector<int> seen;
  auto first = topic.subscribe([&](int value) { seen.push_back(value); }).value();
  auto second = topic.subscribe([&](int value) { seen.push_back(10 * value); }).value();
  CHECK(topic.emit(3) == 2);
  CHECK(seen == std::vector<int>{3, 30});
}

TEST_CASE("Subscription ends with its handle, and ending twice is harmless", "[topic]") {
  Topic<> topic(8);
  int calls = 0;
  {
    auto subscription = topic.subscribe([&] { ++calls; }).value();
    topic.emit();
    subscription.end();
    subscription.end();
    CHECK_FALSE(subscription.active());
    topic.emit();
  }
  {
    auto subscription = topic.subscribe([&] { ++calls; }).value();
    auto moved = std::move(subscription);
    topic.emit();
  }
  topic.emit();
  CHECK(calls == 2);
  CHECK(topic.size() == 0);
  CHECK(topic.subscribed() == 2);
  CHECK(topic.ended() == 2);
}

TEST_CASE("Subscription assigned over ends the old one", "[topic]") {
  Topic<> topic(8);
  int old_calls = 0;
  auto subscription = topic.subscribe([&] { ++old_calls; }).value();
  subscription = topic.subscribe([] {}).value();
  CHECK(topic.emit() == 1);
  CHECK(old_calls == 0);
}

TEST_CASE("Subscription may outlive its topic", "[topic]") {
  std::optional<Topic<>> topic(std::in_place, 8);
  auto subscription = topic->subscribe([] {}).value();
  topic.reset();
  CHECK_FALSE(subscription.active());
  subscription.end();
}

TEST_CASE("Topic refuses a subscription past its capacity and counts it", "[topic]") {
  Topic<> topic(1);
  auto first = topic.subscribe([] {}).value();
  CHECK(topic.subscribe([] {}).error() == Error::too_many_subscriptions);
  CHECK(topic.refused() == 1);
  first.end();
  CHECK(topic.subscribe([] {}).ok());
}

TEST_CASE("Topic lets a callback end itself and others, which are then not called", "[topic]") {
  Topic<> topic(8);
  std::vector<Subscription> handles(3);
  std::vector<int> called;
  handles[0] = topic
                   .subscribe([&] {
                     called.push_back(0);
                     handles[0].end();
                     handles[1].end();
                   })
                   .value();
  handles[1] = topic.subscribe([&] { called.push_back(1); }).value();
  handles[2] = topic.subscribe([&] { called.push_back(2); }).value();
  topic.emit();
  CHECK(called == std::vector<int>{0, 2});
  CHECK(topic.size() == 1);
}

TEST_CASE("Topic first calls what a callback added in the next emit", "[topic]") {
  Topic<> topic(8);
  int late = 0;
  Subscription added;
  auto subscription = topic
                          .subscribe([&] {
                            if (!added.active()) added = topic.subscribe([&] { ++late; }).value();
                          })
                          .value();
  topic.emit();
  CHECK(late == 0);
  topic.emit();
  CHECK(late == 1);
}

TEST_CASE("Topic may be destroyed by its own callback", "[topic]") {
  auto topic = std::make_unique<Topic<>>(8);
  int later = 0;
  auto first = topic->subscribe([&] { topic.reset(); }).value();
  auto second = topic->subscribe([&] { ++later; }).value();
  CHECK(topic->emit() == 1);
  CHECK(later == 0);
  CHECK_FALSE(second.active());
}

TEST_CASE("Topic ends all subscriptions of an owner and counts by owner", "[topic]") {
  Topic<> topic(8);
  auto a = topic.subscribe([] {}, 1).value();
  auto b = topic.subscribe([] {}, 2).value();
  auto c = topic.subscribe([] {}, 1).value();
  CHECK(topic.size(1) == 2);
  CHECK(topic.end_all(1) == 2);
  CHECK(topic.end_all(1) == 0);
  CHECK(topic.size() == 1);
  CHECK(b.active());
  CHECK_FALSE(a.active());
}

TEST_CASE("Topic survives an end_all in which a destroyed callback ends another subscription", "[topic]") {
  Topic<> topic(8);
  auto inner = std::make_shared<Subscription>();
  auto outer = topic.subscribe([inner] {}, 1).value();
  *inner = topic.subscribe([] {}, 1).value();
  outer = Subscription();  // the node is destroyed, and with it the last handle but ours
  CHECK(topic.size() == 1);
  auto holder = topic.subscribe([inner] {}, 1).value();
  inner.reset();
  holder = Subscription();  // destroys the callback, and with it the inner handle
  CHECK(topic.size() == 0);
}

TEST_CASE("Topic does what a list of live callbacks does, with callbacks that add and end at random", "[topic]") {
  auto random = seeded_random();
  for (int round = 0; round < 40; ++round) {
    Topic<> topic(64);
    struct Item {
      int id;
      Subscription handle;
    };
    std::vector<std::unique_ptr<Item>> live;
    std::vector<int> called;
    int next_id = 0;
    const auto add = [&](auto&& self) -> void {
      if (live.size() >= 32) return;
      const int id = next_id++;
      auto item = std::make_unique<Item>();
      item->id = id;
      item->handle = topic
                         .subscribe([&, id, self] {
                           called.push_back(id);
                           const auto dice = pick(random, 0, 9);
                           if (dice == 0) self(self);
                           if (dice == 1 && !live.empty())
                             live.erase(live.begin() + static_cast<std::ptrdiff_t>(pick(random, 0, live.size() - 1)));
                         })
                         .value();
      live.push_back(std::move(item));
    };
    for (int step = 0; step < 100; ++step) {
      if (pick(random, 0, 1) == 0) add(add);
      std::vector<int> before;
      for (const auto& item : live) before.push_back(item->id);
      called.clear();
      topic.emit();
      // Called: some of those that were there, in order, and all of those that are still there.
      REQUIRE(std::is_sorted(called.begin(), called.end()));
      REQUIRE(std::includes(before.begin(), before.end(), called.begin(), called.end()));
      for (const auto& item : live) {
        if (std::binary_search(before.begin(), before.end(), item->id)) {
          REQUIRE(std::binary_search(called.begin(), called.end(), item->id));
        }
      }
      REQUIRE(topic.size() == live.size());
    }
  }
}
