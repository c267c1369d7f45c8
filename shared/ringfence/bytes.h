// load / store: little-endian integers at any address. The wire is little-endian, and so is every machine this
// compiles for.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace ringfence {

static_assert(std::endian::native == std::endian::little, "records are memory images: a big-endian port must swap");

template <typename T>
T load(const std::byte* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
void store(std::byte* to, T value) noexcept {
  std::memcpy(to, &value, sizeof value);
}

// Short names, in the browser too, where memcmp goes byte by byte behind a call.
[[gnu::noinline]] inline bool same_text(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  const char* left = a.data();
  const char* right = b.data();
  std::size_t size = a.size();
  for (; size >= 8; size -= 8, left += 8, right += 8) {
    std::uint64_t one;
    std::uint64_t other;
    std::memcpy(&one, left, 8);
    std::memcpy(&other, right, 8);
    if (one != other) return false;
  }
  for (; size > 0; --size)
    if (*left++ != *right++) return false;
  return true;
}

}  // namespace ringfence
