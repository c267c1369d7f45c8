#include <ringfence/recent_id_set.h>

#include <algorithm>
#include <deque>

#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE("RecentIdSet refuses capacity zero", "[recent_id_set]") {
  CHECK(RecentIdSet::create(0).error() == Error::bad_capacity);
  CHECK(RecentIdSet::create(RecentIdSet::kCapacityMax + 1).error() == Error::bad_capacity);
}

TEST_CASE("RecentIdSet gives a duplicate no second place", "[recent_id_set]") {
  auto ids = RecentIdSet::create(2).value();
  CHECK(ids.insert(7));
  CHECK_FALSE(ids.insert(7));
  CHECK(ids.insert(8));
  CHECK(ids.contains(7));
  CHECK(ids.size() == 2);
  CHECK(ids.evicted() == 0);
}

TEST_CASE("RecentIdSet stays at its capacity over 100,000 ids", "[recent_id_set]") {
  auto ids = RecentIdSet::create(1000).value();
  const std::size_t memory_bytes = ids.memory_bytes();
  for (std::uint64_t id = 1; id <= 100'000; ++id) ids.insert(id);
  CHECK(ids.size() == 1000);
  CHECK(ids.evicted() == 99'000);
  CHECK(ids.memory_bytes() == memory_bytes);
  CHECK(ids.contains(99'001));
  CHECK_FALSE(ids.contains(99'000));
  CHECK_FALSE(ids.contains(0));
}

TEST_CASE("RecentIdSet does what a bounded deque of distinct ids does", "[recent_id_set]") {
  auto random = seeded_random();
  for (int round = 0; round < 30; ++round) {
    const std::size_t capacity = pick(random, 1, 40);
    auto ids = RecentIdSet::create(capacity).value();
    std::deque<std::uint64_t> model;
    for (int step = 0; step < 1000; ++step) {
      const std::uint64_t id = pick(random, 1, 100);
      const bool held = std::find(model.begin(), model.end(), id) != model.end();
      if (!held) {
        if (model.size() == capacity) model.pop_front();
        model.push_back(id);
      }
      REQUIRE(ids.insert(id) == !held);
      REQUIRE(ids.size() == model.size());
      for (std::uint64_t other = 1; other <= 100; ++other)
        REQUIRE(ids.contains(other) == (std::find(model.begin(), model.end(), other) != model.end()));
    }
  }
}
