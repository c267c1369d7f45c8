// TextMatch: whether a text is contained in JSON, capitals or not.
//
// Only values are searched, not the names of members. A quote in the text matches an escaped quote, as do others that JSON
// escapes. Letters written as \uXXXX are not found. The inside of a string of JSON, without its quotes, is searched as well.
//
// Capitals and small letters are the same in ASCII, Latin-1, Latin Extended-A (but for dotted and dotless i), Greek
// (but for the final sigma) and Cyrillic (U+0400 to U+045F, U+048A to U+04BF): where both have the same length in UTF-8.
// Owns     its text, in both cases.
// Threads  const: any number.
// Bounds   1 to kTextBytesMax bytes.
// Cost     16 bytes of payload a step where there is SIMD (SSE2, NEON, WASM with -msimd128): about 0.3 ns a byte or less.
//          A step looks for one byte of the text, a rare one, then for another; what they let through is compared.
// Errors   create(): bad_field for a length out of bounds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ringfence/result.h>

namespace ringfence {

class TextMatch {
 public:
  static constexpr std::size_t kTextBytesMax = 512;

  static bool valid(std::string_view text) noexcept { return !text.empty() && text.size() <= kTextBytesMax; }
  static Result<TextMatch> create(std::string_view text);
  explicit TextMatch(std::string_view text);  // INVARIANT: valid

  bool in(std::string_view json) const noexcept;

 private:
  bool matches(std::string_view json, std::size_t at) const noexcept;

  std::string small_;  // as JSON writes it; both have the same length
  std::string large_;
  std::array<char, 16> small_head_{};  // their first bytes
  std::array<char, 16> large_head_{};
  std::uint32_t head_lanes_ = 0;  // a bit for each byte; 0: not to be compared byte by byte
  std::size_t rare_ = 0;          // the byte looked for first, and
  std::size_t check_ = 0;         // the one looked at next: the two least usual ones
};

}  // namespace ringfence
