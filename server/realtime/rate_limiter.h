// RateLimiter: how often something may happen: `count` times at once, then evenly `count` times a window.
//
// The generic cell rate algorithm (ITU-T I.371, "virtual scheduling"): the state is one time, however large the count.
// Against a list of the last times, as sliding windows keep: 8 bytes instead of 8 for each event.
// Owns     one number; a copy is another limiter.
// Threads  none: one at a time. Time is an argument.
// Bounds   0 < count, 0 < window_ms (INVARIANT).
// Cost     O(1).
#pragma once

#include <algorithm>
#include <cstdint>

#include <ringfence/invariant.h>

namespace ringfence {

struct Rate {
  std::uint32_t count = 1;
  std::uint32_t window_ms = 1;
};

class RateLimiter {
 public:
  // 0: it may happen now, and is counted. Else not, and it may in so many milliseconds (at least 1).
  std::uint32_t take(std::int64_t now_ms, const Rate& rate) noexcept {
    INVARIANT(rate.count > 0 && rate.window_ms > 0);
    const std::int64_t now_us = now_ms * 1000;
    const std::int64_t window_us = std::int64_t{rate.window_ms} * 1000;
    const std::int64_t interval_us = std::max<std::int64_t>(1, window_us / rate.count);
    const std::int64_t arrival_us = std::max(free_at_us_, now_us);
    const std::int64_t early_us = arrival_us - now_us - (interval_us * (rate.count - 1));
    if (early_us > 0) return static_cast<std::uint32_t>((early_us + 999) / 1000);
    free_at_us_ = arrival_us + interval_us;
    return 0;
  }
  // True once it is as if it had never been used.
  bool idle(std::int64_t now_ms) const noexcept { return free_at_us_ <= now_ms * 1000; }

 private:
  std::int64_t free_at_us_ = 0;  // when the last of what was taken would be due at an even pace
};

}  // namespace ringfence
