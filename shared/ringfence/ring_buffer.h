// RingBuffer<T>: the last capacity() values pushed. push() into a full buffer evicts the oldest and hands it
// back; try_push() refuses instead.
//
// Owns     its values, in one block allocated by create(). Move-only.
// Threads  no locking: one thread at a time, reads included.
// Bounds   0 < capacity() <= kCapacityMax; size() <= capacity().
// Cost     push, try_push, pop, []: O(1), no allocation beyond what moving a T does.
// Refs     from [] and iterators are valid until the next push, pop or clear.
// Errors   create() refuses capacity 0 or above kCapacityMax with bad_capacity; an index at or past size() is a
//          broken precondition (INVARIANT).
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

#include <ringfence/result.h>

namespace ringfence {

template <typename T>
class RingBuffer {
 public:
  static constexpr std::size_t kCapacityMax = std::size_t{1} << 28;

  static Result<RingBuffer> create(std::size_t capacity) {
    if (capacity == 0 || capacity > kCapacityMax) return Error::bad_capacity;
    return RingBuffer(capacity);
  }

  RingBuffer(RingBuffer&& other) noexcept
      : values_(std::move(other.values_)),
        capacity_(std::exchange(other.capacity_, 0)),
        first_(std::exchange(other.first_, 0)),
        size_(std::exchange(other.size_, 0)),
        evicted_(other.evicted_),
        refused_(other.refused_) {}
  RingBuffer& operator=(RingBuffer&& other) noexcept {
    values_ = std::move(other.values_);
    capacity_ = std::exchange(other.capacity_, 0);
    first_ = std::exchange(other.first_, 0);
    size_ = std::exchange(other.size_, 0);
    evicted_ = other.evicted_;
    refused_ = other.refused_;
    return *this;
  }

  std::size_t capacity() const noexcept { return capacity_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  bool full() const noexcept { return size_ == capacity_; }
  std::uint64_t evicted() const noexcept { return evicted_; }  // by push(), since creation
  std::uint64_t refused() const noexcept { return refused_; }  // by try_push(), since creation

  // The evicted value, if the buffer was full.
  std::optional<T> push(T value) {
    INVARIANT(capacity_ != 0);
    std::optional<T> oldest;
    if (full()) {
      oldest.emplace(std::move(values_[first_]));
      values_[first_] = std::move(value);
      first_ = wrap(first_ + 1);
      ++evicted_;
    } else {
      values_[wrap(first_ + size_)] = std::move(value);
      ++size_;
    }
    return oldest;
  }

  // False, with `value` untouched, if the buffer is full.
  [[nodiscard]] bool try_push(T&& value) {
    if (full()) {
      ++refused_;
      return false;
    }
    values_[wrap(first_ + size_)] = std::move(value);
    ++size_;
    return true;
  }
  [[nodiscard]] bool try_push(const T& value) { return try_push(T(value)); }

  // The oldest value, taken out; none if empty.
  std::optional<T> pop() {
    if (empty()) return std::nullopt;
    std::optional<T> oldest(std::move(values_[first_]));
    values_[first_] = T();  // let go of what the value held
    first_ = wrap(first_ + 1);
    --size_;
    return oldest;
  }

  // 0 is the oldest value.
  const T& operator[](std::size_t index) const {
    INVARIANT(index < size_);
    return values_[wrap(first_ + index)];
  }
  T& operator[](std::size_t index) {
    INVARIANT(index < size_);
    return values_[wrap(first_ + index)];
  }
  const T& front() const { return (*this)[0]; }
  T& front() { return (*this)[0]; }
  const T& back() const { return (*this)[size_ - 1]; }

  // Destroys every value; the counters stay.
  void clear() {
    while (!empty()) pop();
    first_ = 0;
  }

  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    const_iterator() = default;
    const_iterator(const RingBuffer* ring, std::size_t index) : ring_(ring), index_(index) {}
    reference operator*() const { return (*ring_)[index_]; }
    pointer operator->() const { return &(*ring_)[index_]; }
    const_iterator& operator++() {
      ++index_;
      return *this;
    }
    const_iterator operator++(int) {
      const_iterator old = *this;
      ++index_;
      return old;
    }
    bool operator==(const const_iterator& other) const { return index_ == other.index_; }
    bool operator!=(const const_iterator& other) const { return index_ != other.index_; }

   private:
    const RingBuffer* ring_ = nullptr;
    std::size_t index_ = 0;
  };
  const_iterator begin() const { return {this, 0}; }
  const_iterator end() const { return {this, size_}; }

 private:
  explicit RingBuffer(std::size_t capacity) : values_(new T[capacity]()), capacity_(capacity) {}

  std::size_t wrap(std::size_t index) const noexcept { return index >= capacity_ ? index - capacity_ : index; }

  std::unique_ptr<T[]> values_;
  std::size_t capacity_ = 0;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  std::uint64_t evicted_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace ringfence
