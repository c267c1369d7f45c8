#include <ringfence/ring_buffer.h>

#include <deque>
#include <memory>

#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE("RingBuffer refuses capacity zero and an absurd one", "[ring_buffer]") {
  CHECK(RingBuffer<int>::create(0).error() == Error::bad_capacity);
  CHECK(RingBuffer<int>::create(RingBuffer<int>::kCapacityMax + 1).error() == Error::bad_capacity);
}

TEST_CASE("RingBuffer evicts the oldest value once full and hands it back", "[ring_buffer]") {
  auto ring = RingBuffer<int>::create(2).value();
  CHECK_FALSE(ring.push(1).has_value());
  CHECK_FALSE(ring.push(2).has_value());
  CHECK(ring.push(3) == 1);
  CHECK(ring[0] == 2);
  CHECK(ring[1] == 3);
  CHECK(ring.evicted() == 1);
}

TEST_CASE("RingBuffer refuses a try_push when full and leaves the value with the caller", "[ring_buffer]") {
  auto ring = RingBuffer<std::unique_ptr<int>>::create(1).value();
  CHECK(ring.try_push(std::make_unique<int>(1)));
  auto kept = std::make_unique<int>(2);
  CHECK_FALSE(ring.try_push(std::move(kept)));
  REQUIRE(kept);
  CHECK(*kept == 2);
  CHECK(ring.refused() == 1);
  CHECK(*ring.front() == 1);
}

TEST_CASE("RingBuffer lets go of what a popped or evicted value held", "[ring_buffer]") {
  auto ring = RingBuffer<std::shared_ptr<int>>::create(2).value();
  const auto first = std::make_shared<int>(1);
  const auto second = std::make_shared<int>(2);
  ring.push(first);
  ring.push(second);
  ring.push(nullptr);
  CHECK(first.use_count() == 1);
  ring.pop();
  CHECK(second.use_count() == 1);
  ring.push(first);
  ring.clear();
  CHECK(first.use_count() == 1);
}

TEST_CASE("RingBuffer does what a bounded deque does", "[ring_buffer]") {
  auto random = seeded_random();
  for (int round = 0; round < 50; ++round) {
    const std::size_t capacity = pick(random, 1, 9);
    auto ring = RingBuffer<std::uint64_t>::create(capacity).value();
    std::deque<std::uint64_t> model;
    std::uint64_t evicted = 0;
    std::uint64_t refused = 0;
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t value = random();
      switch (pick(random, 0, 3)) {
        case 0:
        case 1: {
          std::optional<std::uint64_t> oldest;
          if (model.size() == capacity) {
            oldest = model.front();
            model.pop_front();
            ++evicted;
          }
          model.push_back(value);
          REQUIRE(ring.push(value) == oldest);
          break;
        }
        case 2:
          if (model.size() < capacity) {
            model.push_back(value);
            REQUIRE(ring.try_push(value));
          } else {
            ++refused;
            REQUIRE_FALSE(ring.try_push(value));
          }
          break;
        default: {
          std::optional<std::uint64_t> oldest;
          if (!model.empty()) {
            oldest = model.front();
            model.pop_front();
          }
          REQUIRE(ring.pop() == oldest);
          if (pick(random, 0, 50) == 0) {
            ring.clear();
            model.clear();
          }
        }
      }
      REQUIRE(ring.size() == model.size());
      REQUIRE(std::equal(ring.begin(), ring.end(), model.begin(), model.end()));
      REQUIRE(ring.evicted() == evicted);
      REQUIRE(ring.refused() == refused);
    }
  }
}
