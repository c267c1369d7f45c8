// RecentIdSet: the last capacity() distinct ids inserted. Full: inserting evicts the oldest id.
//
// For ids that are never reused (a counter), such as closed connections. Inserting a held id changes nothing, so
// duplicates take no places.
// Owns     two fixed blocks: the ids in order (8 B each) and an open-addressing table (16 to 32 B an id).
// Threads  no locking: one thread at a time, reads included.
// Bounds   0 < capacity(); size() <= capacity().
// Cost     insert, contains: O(1) expected, no allocation after create().
// Errors   create() refuses capacity 0 or above kCapacityMax with bad_capacity. Id 0 is never held (INVARIANT).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ringfence/ring_buffer.h>

namespace ringfence {

class RecentIdSet {
 public:
  static constexpr std::size_t kCapacityMax = std::size_t{1} << 24;

  static Result<RecentIdSet> create(std::size_t capacity);

  // False if the id is held already.
  bool insert(std::uint64_t id);
  bool contains(std::uint64_t id) const noexcept;

  std::size_t size() const noexcept { return order_.size(); }
  std::size_t capacity() const noexcept { return order_.capacity(); }
  std::uint64_t evicted() const noexcept { return order_.evicted(); }
  std::size_t memory_bytes() const noexcept;

 private:
  RecentIdSet(RingBuffer<std::uint64_t> order, std::size_t slots);

  std::size_t slot_of(std::uint64_t id) const noexcept;  // where it is, or the empty slot where it would be
  void erase(std::uint64_t id) noexcept;

  RingBuffer<std::uint64_t> order_;
  std::vector<std::uint64_t> slots_;  // 0 = empty; linear probing, at most half full
};

}  // namespace ringfence
