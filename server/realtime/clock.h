// The clocks of the server: the core takes time as an argument.
#pragma once

#include <chrono>
#include <cstdint>

namespace ringfence {

// For timeouts: never jumps.
inline std::int64_t steady_ms() noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// For records: microseconds since 1970-01-01T00:00:00Z.
inline std::int64_t wall_us() noexcept {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace ringfence
