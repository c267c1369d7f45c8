// Row: one line of the table of options: its flag, what it fills, its help and its range.
//
// Owns     nothing: it points at the field.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace ringfence {

enum class Unit : std::uint8_t { bytes, count, ms, s };

using Field =
    std::variant<std::uint32_t*, std::uint64_t*, std::uint16_t*, std::string*, bool*, std::vector<std::string>*>;

struct Row {
  const char* group;
  const char* name;
  Field field;
  const char* help;
  Unit unit = Unit::count;  // of the numbers, as are the two below
  std::uint64_t min = 0;
  std::uint64_t max = 0;
  const char* value = "TEXT";  // of texts, as --help shows it
};

inline constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * kKiB, kGiB = 1024 * kMiB, kTiB = 1024 * kGiB;
inline constexpr std::uint64_t kDayMs = 86'400'000;

}  // namespace ringfence
