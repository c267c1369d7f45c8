// Backoff: how long to wait before try n: min * 2^n, +-25 % by chance, at most max.
//
// Threads  any: a function of its arguments. `random` is in [0, 1).
#pragma once

#include <algorithm>
#include <cstdint>

namespace ringfence {

inline std::uint32_t backoff_ms(std::uint32_t tries, std::uint32_t min_ms, std::uint32_t max_ms, double random) {
  const double doubled = static_cast<double>(min_ms) * static_cast<double>(std::uint64_t{1} << std::min(tries, 40u));
  const double wait = std::min(doubled, static_cast<double>(max_ms)) * (0.75 + random / 2);
  return std::max<std::uint32_t>(1, static_cast<std::uint32_t>(std::min(wait, static_cast<double>(max_ms))));
}

}  // namespace ringfence
