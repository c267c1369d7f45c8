// LruStats: what a cache counts, with the rates that are read from it. Every number is finite, and so is JSON.
//
// Bounds   plain values, a copy; counters are since the creation of the cache and never reset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace ringfence {

struct LruStats {
  std::size_t size = 0;  // of those that live
  std::size_t max_size = 0;
  std::uint64_t cost = 0;  // of all that is held
  std::uint64_t cost_max = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evictions = 0;  // entries that lived, for want of room
  std::uint64_t expired = 0;
  std::uint64_t refused = 0;  // puts above the cost that fits

  // Share of the lookups; 0 before the first one.
  double hit_rate() const noexcept { return share(hits, hits + misses); }
  // Share of what left by itself; 0 while nothing has.
  double expiration_rate() const noexcept { return share(expired, expired + evictions); }
  // Expired for each one evicted; none while nothing was evicted, as there is no such number then.
  std::optional<double> expired_vs_lru_ratio() const noexcept {
    if (evictions == 0) return std::nullopt;
    return share(expired, evictions);
  }
  double capacity_utilization() const noexcept { return share(size, max_size); }

 private:
  static double share(std::uint64_t part, std::uint64_t whole) noexcept {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
  }
};

}  // namespace ringfence
