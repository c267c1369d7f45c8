// load / store: little-endian integers at any address. The wire is little-endian, and so is every machine this
// compiles for.
#pragma once

#include <bit>
#include <cstddef>
#include <cstring>

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

}  // namespace ringfence
