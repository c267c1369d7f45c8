// ShardMarks: for what several shards look at, whether each of them has to look again.
//
// Threads  any.
// Bounds   64 shards.
#pragma once

#include <atomic>
#include <cstdint>

namespace ringfence {

class ShardMarks {
 public:
  // True if the mark of that shard rose.
  bool rise(unsigned shard) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << shard;
    return (bits_.fetch_or(bit, std::memory_order_acq_rel) & bit) == 0;
  }
  // Before the shard looks: what changes later marks again.
  void take(unsigned shard) noexcept { bits_.fetch_and(~(std::uint64_t{1} << shard), std::memory_order_acq_rel); }

 private:
  std::atomic<std::uint64_t> bits_{0};
};

}  // namespace ringfence
