// SegmentPool and Segment: the memory of records. A Segment is an append-only block, shared by reference count; a
// SegmentPool is the hard limit on the bytes of all of its segments that are alive, whoever holds them.
//
// A history holds its segments, and so does every write in flight that sends from one: bytes that were written
// never move and never change, so both read the same memory, and evicted bytes stay counted until the last
// reader lets go.
// Owns     a pool owns its Account; segments are freed with their last SegmentRef, on any thread.
// Threads  acquire() and the counts of references: any thread. What a segment holds: one writer at a time, under the
//          lock of its history; others read only bytes that they were given under that lock.
// Bounds   used_bytes() <= capacity_bytes(), headers included. Full: acquire() returns nothing, counted as refused.
// Cost     acquire, release: one malloc or free.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <ringfence/ledger.h>

namespace ringfence {

class SegmentPool;

// What lies in a segment; kept by the History that fills it.
class Segment {
 public:
  std::byte* data() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  const std::byte* data() const noexcept { return reinterpret_cast<const std::byte*>(this + 1); }
  std::uint32_t capacity_bytes() const noexcept { return capacity_bytes_; }
  std::uint64_t allocated_bytes() const noexcept { return sizeof(Segment) + capacity_bytes_; }

  std::uint64_t first_position = 0;  // of its first record, counted from the history's creation
  std::uint64_t prev_seq = 0;        // of the record before its first one
  std::uint64_t last_seq = 0;
  std::uint32_t used_bytes = 0;
  std::uint32_t count = 0;

 private:
  friend class SegmentPool;
  friend class SegmentRef;
  Segment(SegmentPool& pool, std::uint32_t capacity_bytes) : pool_(&pool), capacity_bytes_(capacity_bytes) {}

  SegmentPool* pool_;
  std::uint32_t capacity_bytes_;
  std::atomic<std::uint32_t> references_{1};
};

class SegmentRef {
 public:
  SegmentRef() noexcept = default;
  SegmentRef(const SegmentRef& other) noexcept;
  SegmentRef(SegmentRef&& other) noexcept : segment_(std::exchange(other.segment_, nullptr)) {}
  SegmentRef& operator=(SegmentRef other) noexcept {
    std::swap(segment_, other.segment_);
    return *this;
  }
  ~SegmentRef() { reset(); }

  void reset() noexcept;
  Segment* get() const noexcept { return segment_; }
  Segment* operator->() const noexcept { return segment_; }
  Segment& operator*() const noexcept { return *segment_; }
  explicit operator bool() const noexcept { return segment_ != nullptr; }

 private:
  friend class SegmentPool;
  explicit SegmentRef(Segment* segment) noexcept : segment_(segment) {}

  Segment* segment_ = nullptr;
};

// Must outlive its segments (INVARIANT in the destructor).
class SegmentPool {
 public:
  static constexpr std::uint32_t kSegmentBytesMin = 512;        // in all, header included
  static constexpr std::uint32_t kSegmentBytesMax = 64 * 1024;  // usual; one large record may have a larger one
  static constexpr std::uint32_t kHeaderBytes = sizeof(Segment);

  explicit SegmentPool(Account account) noexcept : account_(std::move(account)) {}
  SegmentPool(const SegmentPool&) = delete;
  SegmentPool& operator=(const SegmentPool&) = delete;
  ~SegmentPool();

  // A segment of `allocated_bytes` in all, header included; empty if the pool is full or malloc has no memory.
  SegmentRef acquire(std::uint64_t allocated_bytes) noexcept;

  std::uint64_t used_bytes() const noexcept { return account_.used_bytes(); }
  std::uint64_t capacity_bytes() const noexcept { return account_.capacity_bytes(); }
  std::uint64_t refused() const noexcept { return account_.refused(); }
  Account& account() noexcept { return account_; }

 private:
  friend class SegmentRef;
  void release(Segment* segment) noexcept;

  Account account_;
};

}  // namespace ringfence
