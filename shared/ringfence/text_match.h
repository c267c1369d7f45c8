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
//          The step looks at two bytes of the text only; what they let through is compared.
// Errors   create(): bad_field for a length out of bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ringfence/result.h>

namespace ringfence {

class TextMatch {
 public:
  static constexpr std::size_t kTextBytesMax = 512;

  static Result<TextMatch> create(std::string_view text);

  bool in(std::string_view json) const noexcept;

 private:
  explicit TextMatch(std::string_view json);
  bool matches_at(const char* at) const noexcept;
  bool search(std::string_view json, std::size_t from, std::size_t to) const noexcept;

  std::string small_;  // as JSON writes it; both have the same length
  std::string large_;
};

}  // namespace ringfence
