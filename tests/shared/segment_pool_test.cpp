#include <ringfence/segment_pool.h>

#include <vector>

#include "support/catch.h"
#include "support/pools.h"

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
