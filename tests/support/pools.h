// TestPool: a SegmentPool with a ledger of its own.
#pragma once

#include <ringfence/segment_pool.h>

namespace ringfence::test {

struct TestPool {
  explicit TestPool(std::uint64_t bytes = 64 * 1024 * 1024) : pool(ledger.open("records", bytes).value()) {}

  Ledger ledger;
  SegmentPool pool;
};

}  // namespace ringfence::test
