// Counter and ShardCounters: what one shard counts. One thread writes, any thread reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace ringfence {

// Against atomic fetch_add: no bus lock, as only one thread adds.
class Counter {
 public:
  void add(std::uint64_t count) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct ShardCounters {
  Counter delivered;
  Counter delivered_bytes;
  Counter messages;
  Counter flushes;
  Counter gaps;
  Counter missed;
  Counter resumes_exact;    // of them nothing is missed
  Counter resumes_missed;   // told how many
  Counter resumes_unknown;  // of another epoch, or where that cannot be counted
  Counter waits_for_memory;
  Counter stalled_closed;
  Counter dead_closed;
  Counter errors_closed;
  Counter auth_closed;
  Counter idle_closed;
  Counter unfinished_closed;
  Counter slow_closed;  // by the policy `close`
  Counter conflated;    // records spared to slow subscribers
  Counter invalid_utf8;
};

}  // namespace ringfence
