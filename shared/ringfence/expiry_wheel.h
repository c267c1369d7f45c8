// ExpiryWheel: which of a fixed set of slots are due, by the time each was set for. Exact: no rounding.
//
// A hierarchical timing wheel (Varghese and Lauck, SOSP 1987): a slot lies in the bucket of the highest digit, in base 64,
// in which its time differs from now, and moves down when that digit comes. A bucket whose whole span has passed joins
// the list of what is due in one step, however many it holds.
// Owns     the links of its slots (16 B each) and the heads of its buckets (5.6 KiB).
// Threads  no locking: one thread at a time, reads included.
// Bounds   slots are 0..capacity()-1, each set at most once at a time. Times are any int64.
// Cost     set, cancel, pop_due: O(1). advance: amortised O(1), as a slot moves down at most once for each of its 11
//          digits, and O(1) while nothing is due. No allocation after construction.
// Errors   an index at or past capacity(), setting a slot that is set: broken preconditions (INVARIANT).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace ringfence {

class ExpiryWheel {
 public:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  explicit ExpiryWheel(std::size_t capacity);

  // Due once advance() was given `at` or later. A time already reached is due at once.
  void set(std::uint32_t slot, std::int64_t at);
  // Takes it out, due or not. Nothing if it is not set.
  void cancel(std::uint32_t slot) noexcept;
  bool is_set(std::uint32_t slot) const noexcept { return timers_[slot].next != kNone; }

  // Time goes to `now`; an earlier one than before changes nothing. Returns how many became due.
  std::uint64_t advance(std::int64_t now) noexcept;
  // A slot that is due, no longer set; kNone if there is none.
  std::uint32_t pop_due() noexcept;

  std::size_t due() const noexcept { return buckets_[kDue].size; }
  std::size_t waiting() const noexcept { return waiting_; }
  std::size_t capacity() const noexcept { return timers_.size(); }
  std::int64_t now() const noexcept { return static_cast<std::int64_t>(now_ ^ kSign); }

  static constexpr std::size_t memory_bytes(std::size_t capacity) noexcept {
    return capacity * sizeof(Timer) + sizeof(ExpiryWheel);
  }

 private:
  static constexpr unsigned kDigitBits = 6;
  static constexpr std::size_t kDigits = 11;  // 66 bits
  static constexpr std::size_t kDue = kDigits << kDigitBits;
  static constexpr std::uint64_t kSign = std::uint64_t{1} << 63;  // flipped: the order of int64 as that of uint64

  struct Timer {
    std::uint64_t at = 0;
    std::uint32_t prev = kNone;  // in a ring, so that two of them join in one step
    std::uint32_t next = kNone;  // kNone: not set
  };
  struct Bucket {
    std::uint32_t first = kNone;
    std::uint32_t size = 0;
  };

  // Where a time belongs follows from it and from now alone, so no slot has to remember it.
  std::size_t bucket_of(std::uint64_t at) const noexcept;
  void link(std::uint32_t slot) noexcept;
  void unlink(std::uint32_t slot, std::size_t bucket) noexcept;
  void make_due(std::size_t bucket) noexcept;
  void move_down(std::size_t bucket) noexcept;

  std::vector<Timer> timers_;
  std::array<Bucket, kDue + 1> buckets_{};
  std::array<std::uint64_t, kDigits> occupied_{};  // of each digit, a bit for each bucket
  std::size_t waiting_ = 0;
  std::uint64_t now_ = 0;  // with kSign flipped
};

}  // namespace ringfence
