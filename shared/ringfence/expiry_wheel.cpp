#include <ringfence/expiry_wheel.h>
#include <ringfence/invariant.h>

#include <bit>
#include <utility>

namespace ringfence {
namespace {

constexpr std::uint64_t kDigitMask = 63;

// The bits below `digit`'s bucket `position`.
constexpr std::uint64_t below(std::uint64_t position) noexcept { return (std::uint64_t{1} << position) - 1; }

}  // namespace

ExpiryWheel::ExpiryWheel(std::size_t capacity) : timers_(capacity) { INVARIANT(capacity < kNone); }

std::size_t ExpiryWheel::bucket_of(std::uint64_t at) const noexcept {
  if (at <= now_) return kDue;
  const auto highest_bit = static_cast<unsigned>(63 - std::countl_zero(at ^ now_));
  const unsigned digit = highest_bit / kDigitBits;
  return (digit << kDigitBits) | static_cast<std::size_t>((at >> (digit * kDigitBits)) & kDigitMask);
}

void ExpiryWheel::link(std::uint32_t slot) noexcept {
  Timer& timer = timers_[slot];
  const std::size_t index = bucket_of(timer.at);
  Bucket& bucket = buckets_[index];
  if (bucket.first == kNone) {
    timer.prev = timer.next = bucket.first = slot;
  } else {
    Timer& first = timers_[bucket.first];
    timer.next = bucket.first;
    timer.prev = first.prev;
    timers_[first.prev].next = slot;
    first.prev = slot;
  }
  ++bucket.size;
  if (index == kDue) return;
  occupied_[index >> kDigitBits] |= std::uint64_t{1} << (index & kDigitMask);
  ++waiting_;
}

void ExpiryWheel::unlink(std::uint32_t slot, std::size_t index) noexcept {
  Timer& timer = timers_[slot];
  Bucket& bucket = buckets_[index];
  timers_[timer.prev].next = timer.next;
  timers_[timer.next].prev = timer.prev;
  if (bucket.first == slot) bucket.first = timer.next == slot ? kNone : timer.next;
  --bucket.size;
  timer.prev = timer.next = kNone;
  if (index == kDue) return;
  if (bucket.size == 0) occupied_[index >> kDigitBits] &= ~(std::uint64_t{1} << (index & kDigitMask));
  --waiting_;
}

void ExpiryWheel::set(std::uint32_t slot, std::int64_t at) {
  INVARIANT(slot < timers_.size() && !is_set(slot));
  timers_[slot].at = static_cast<std::uint64_t>(at) ^ kSign;
  link(slot);
}

void ExpiryWheel::cancel(std::uint32_t slot) noexcept {
  INVARIANT(slot < timers_.size());
  if (is_set(slot)) unlink(slot, bucket_of(timers_[slot].at));
}

std::uint32_t ExpiryWheel::pop_due() noexcept {
  const std::uint32_t slot = buckets_[kDue].first;
  if (slot != kNone) unlink(slot, kDue);
  return slot;
}

void ExpiryWheel::make_due(std::size_t index) noexcept {
  Bucket& from = buckets_[index];
  Bucket& due = buckets_[kDue];
  if (due.first == kNone) {
    due.first = from.first;
  } else {
    const std::uint32_t due_last = timers_[due.first].prev;
    const std::uint32_t from_last = std::exchange(timers_[from.first].prev, due_last);
    timers_[due_last].next = from.first;
    timers_[from_last].next = due.first;
    timers_[due.first].prev = from_last;
  }
  due.size += from.size;
  waiting_ -= from.size;
  from = {};
}

// `now_` has come to this bucket: each of its slots is due or belongs to a lower digit.
void ExpiryWheel::move_down(std::size_t index) noexcept {
  const Bucket from = std::exchange(buckets_[index], {});
  waiting_ -= from.size;
  std::uint32_t slot = from.first;
  for (std::uint32_t left = from.size; left > 0; --left) {
    const std::uint32_t next = timers_[slot].next;
    link(slot);
    slot = next;
  }
}

std::uint64_t ExpiryWheel::advance(std::int64_t to) noexcept {
  const std::uint64_t target = static_cast<std::uint64_t>(to) ^ kSign;
  if (target <= now_) return 0;
  const std::uint64_t changed = std::exchange(now_, target) ^ target;
  if (waiting_ == 0) return 0;
  const std::size_t due_before = due();
  // Digits above the highest one that changed hold nothing at or below now. Upwards: what moves down comes to digits
  // that are done.
  const auto digits = static_cast<std::size_t>(63 - std::countl_zero(changed)) / kDigitBits + 1;
  for (std::size_t digit = 0; digit < digits; ++digit) {
    const std::uint64_t position = (target >> (digit * kDigitBits)) & kDigitMask;
    const bool last = digit + 1 == digits;
    // Below the highest digit that changed, every bucket lies in the past; in it, those up to now's.
    std::uint64_t passed = last ? occupied_[digit] & below(position) : occupied_[digit];
    occupied_[digit] &= ~passed;
    for (; passed != 0; passed &= passed - 1)
      make_due((digit << kDigitBits) | static_cast<std::size_t>(std::countr_zero(passed)));
    const std::uint64_t here = std::uint64_t{1} << position;
    if (!last || (occupied_[digit] & here) == 0) continue;
    occupied_[digit] &= ~here;
    move_down((digit << kDigitBits) | static_cast<std::size_t>(position));
  }
  return due() - due_before;
}

}  // namespace ringfence
