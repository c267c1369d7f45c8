// EventQueue: the events that were accepted and not yet given to every handler, in order, in a ring of fixed slots.
//
// Owns     its slots, in one block; the events in them.
// Threads  take, release, run_out: the dispatcher's thread. All else: any thread.
// Bounds   accepted and not released, plus places reserved <= capacity; what events hold outside of their slot is counted
//          in `data` before they are accepted. Full: refused, counted by type.
// Cost     push: a mutex and a move; wakes the dispatcher only if it sleeps. take: one mutex for up to kTakeMax events.
// Errors   push, reserve: overloaded (no slot, or no memory for the data), shutting_down (closed).
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include <ringfence/ledger.h>

#include "events/event_type.h"

namespace ringfence::detail {

struct EventOps {
  void (*destroy)(void* event) noexcept;
};

struct EventSlot {
  const EventOps* ops = nullptr;
  unsigned type = 0;
  std::uint64_t data_bytes = 0;
  alignas(std::max_align_t) std::byte event[kEventBytesMax];
};

// A number that is changed under a lock and read without it.
template <typename T>
class Shown {
 public:
  Shown(T value = T()) noexcept : value_(value) {}
  operator T() const noexcept { return value_.load(std::memory_order_relaxed); }
  Shown& operator=(T value) noexcept {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  Shown& operator++() noexcept { return *this = static_cast<T>(*this + 1); }
  Shown& operator--() noexcept { return *this = static_cast<T>(*this - 1); }

 private:
  std::atomic<T> value_;
};

struct EventTypeCounts {
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;
  std::uint64_t dropped = 0;  // accepted, and left when the bus was shut down
};

class EventQueue {
 public:
  static constexpr std::size_t kTakeMax = 64;
  using Construct = void (*)(void* slot, void* event);

  EventQueue(std::size_t capacity, Account& data);
  ~EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // `event` is moved into its slot by `construct`. `reserved`: it has a place, and its data is counted.
  Result<void> push(unsigned type, std::uint64_t data_bytes, const EventOps& ops, Construct construct, void* event,
                    bool reserved);
  Result<void> reserve(unsigned type, std::uint64_t data_bytes);
  void unreserve(std::uint64_t data_bytes) noexcept;

  void open();                     // for all types
  void close();                    // all refused, but those that have a place
  void close_type(unsigned type);  // the same for one type, until the next open()

  // The position of the next event to be accepted.
  std::uint64_t end() const;

  // Waits for events, returns [first, last); empty once stop() was called and nothing must be waited for.
  struct Range {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
  };
  Range take();
  EventSlot& at(std::uint64_t position) noexcept { return slots_[position % capacity_]; }
  // Every handler has had it: it no longer counts, though its slot is given back later.
  void note_handled(std::uint64_t position) noexcept { handled_.store(position + 1, std::memory_order_relaxed); }
  // Destroys the events up to `last` and gives their slots back.
  void release(std::uint64_t last) noexcept;
  // Drops what is left, counted. Returns how many.
  std::size_t run_out();
  // take() returns nothing from now on.
  void stop();
  bool stopped() const noexcept { return stopped_.load(std::memory_order_relaxed); }

  // Waits until nothing is accepted and unreleased, or reserved; false if `until` comes first or `hastened` is true.
  bool wait_drained(std::chrono::steady_clock::time_point until, const std::function<bool()>& hastened);

  // These take no lock: each number is right, a set of them may be mid-change.
  std::size_t capacity() const noexcept { return capacity_; }
  std::size_t size() const noexcept;  // accepted and not yet handled
  std::uint64_t reserved() const noexcept { return reserved_; }
  std::size_t high_water_mark() const noexcept { return high_water_mark_; }
  bool is_open() const noexcept { return open_; }
  EventTypeCounts counts(unsigned type) const noexcept;

 private:
  Result<void> admit(unsigned type, std::uint64_t data_bytes);
  void destroy(EventSlot& slot) noexcept;

  const std::size_t capacity_;
  const std::unique_ptr<EventSlot[]> slots_;
  Account& data_;
  mutable std::mutex mutex_;  // of changes to all below
  std::condition_variable wake_;
  std::condition_variable drained_;
  Shown<std::uint64_t> head_;
  Shown<std::uint64_t> tail_;
  Shown<std::uint64_t> reserved_;
  Shown<std::size_t> high_water_mark_;
  Shown<bool> open_;
  bool sleeping_ = false;
  std::array<bool, kEventTypesMax> closed_types_{};
  std::atomic<bool> stopped_{true};
  std::atomic<std::uint64_t> handled_{0};
  struct Counts {
    Shown<std::uint64_t> accepted, refused, dropped;
  };
  std::array<Counts, kEventTypesMax> counts_;
};

}  // namespace ringfence::detail
