#include <ringfence/segment_pool.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "support/catch.h"
#include "support/pools.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE("SegmentPool never passes its limit, and counts what it refuses", "[segment_pool]") {
  TestPool test(2048);
  auto first = test.pool.acquire(1024);
  auto second = test.pool.acquire(1024);
  REQUIRE(first);
  REQUIRE(second);
  CHECK_FALSE(test.pool.acquire(512));
  CHECK(test.pool.refused() == 1);
  CHECK(test.pool.used_bytes() == 2048);
  first.reset();
  CHECK(test.pool.used_bytes() == 1024);
  CHECK(test.pool.acquire(512));
}

TEST_CASE("SegmentPool counts a segment until its last reference is gone", "[segment_pool]") {
  TestPool test;
  auto first = test.pool.acquire(512);
  SegmentRef second = first;
  SegmentRef moved = std::move(first);
  CHECK_FALSE(first);
  moved.reset();
  CHECK(test.pool.used_bytes() == 512);
  CHECK(second->capacity_bytes() == 512 - SegmentPool::kHeaderBytes);
  second = SegmentRef();
  CHECK(test.pool.used_bytes() == 0);
}

TEST_CASE("SegmentPool does what a sum over the segments that somebody holds does", "[segment_pool]") {
  constexpr std::uint64_t kCapacity = 64 * 1024;
  auto random = seeded_random();
  for (int round = 0; round < 20; ++round) {
    TestPool test(kCapacity);
    struct Held {
      SegmentRef reference;
      std::size_t segment;  // in `bytes` and `references`
    };
    std::vector<Held> held;
    std::vector<std::uint64_t> bytes;
    std::vector<int> references;
    std::uint64_t used = 0;
    std::uint64_t refused = 0;
    const auto let_go = [&](std::size_t segment) {
      if (--references[segment] == 0) used -= bytes[segment];
    };
    for (int step = 0; step < 2000; ++step) {
      const auto dice = pick(random, 0, 9);
      if (dice < 4) {
        const std::uint64_t wanted = pick(random, SegmentPool::kSegmentBytesMin, 8 * 1024);
        SegmentRef segment = test.pool.acquire(wanted);
        REQUIRE(static_cast<bool>(segment) == (used + wanted <= kCapacity));
        if (!segment) {
          ++refused;
        } else {
          REQUIRE(segment->allocated_bytes() == wanted);
          segment->used_bytes = static_cast<std::uint32_t>(bytes.size());  // whose it is
          bytes.push_back(wanted);
          references.push_back(1);
          used += wanted;
          held.push_back({std::move(segment), bytes.size() - 1});
        }
      } else if (!held.empty()) {
        const std::size_t one = pick(random, 0, held.size() - 1);
        const std::size_t other = pick(random, 0, held.size() - 1);
        if (dice < 6) {
          ++references[held[one].segment];
          held.push_back({held[one].reference, held[one].segment});
        } else if (dice < 7) {
          ++references[held[one].segment];
          let_go(held[other].segment);
          held[other] = Held{held[one].reference, held[one].segment};
        } else {
          let_go(held[one].segment);
          held[one].reference.reset();
          std::swap(held[one], held.back());
          held.pop_back();
        }
      }
      REQUIRE(test.pool.used_bytes() == used);
      REQUIRE(test.pool.used_bytes() <= kCapacity);
      REQUIRE(test.pool.refused() == refused);
      for (const Held& one : held) REQUIRE(one.reference->used_bytes == one.segment);
    }
    held.clear();
    REQUIRE(test.pool.used_bytes() == 0);
    REQUIRE(test.pool.account().high_water_mark_bytes() <= kCapacity);
  }
}
