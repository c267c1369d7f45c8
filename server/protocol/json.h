// JSON as this server needs it: a strict check of a value in place, and writing. No DOM: `data` is passed on as sent, so
// a number keeps its digits however large it is.
//
// Threads  none: functions of their arguments.
// Bounds   nesting by depth_max, without recursion.
// Errors   a JsonFault with the byte's position. UTF-8 is the caller's to check (WebSocket does: valid_utf8 otherwise).
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace ringfence {

struct JsonFault {
  std::size_t position = 0;
  std::string_view what;  // static storage
};

enum class JsonKind : std::uint8_t { null, boolean, integer, number, string, array, object };

struct JsonValue {
  JsonKind kind = JsonKind::null;
  std::string_view text;          // without white space around it; a string with its quotes
  std::size_t longest_chars = 0;  // of the strings in it, keys too: characters (code points), an escape counts as one
};

// One value behind optional white space, from `position` on, which moves behind it. `depth` containers are open already.
std::optional<JsonFault> scan_json(std::string_view text, std::size_t& position, std::uint32_t depth,
                                   std::uint32_t depth_max, JsonValue& out);
// All of `text` is one JSON value, without a string of more than `string_chars_max` characters.
std::optional<JsonFault> check_json(std::string_view text, std::uint32_t depth_max,
                                    std::size_t string_chars_max = std::numeric_limits<std::size_t>::max());

bool valid_utf8(std::string_view text) noexcept;

// The characters of a scanned string, escapes resolved; none if an escape names half of a surrogate pair.
std::optional<std::string> json_string(std::string_view quoted);
// A scanned integer within [-2^53 + 1, 2^53 - 1]; none if it is outside.
std::optional<std::int64_t> json_integer(std::string_view digits) noexcept;

// Appends `text` as a JSON string, quotes included.
void append_json_string(std::string& out, std::string_view text);
std::size_t json_string_bytes(std::string_view text) noexcept;       // what that takes
char* write_json_string(char* out, std::string_view text) noexcept;  // the same into memory; returns its end

// 2026-01-15T12:00:00.000000Z
inline constexpr std::size_t kRfc3339Bytes = 27;
std::array<char, kRfc3339Bytes> rfc3339(std::int64_t time_us) noexcept;

}  // namespace ringfence
