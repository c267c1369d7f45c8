#include <ringfence/text_match.h>

#include <algorithm>
#include <bit>
#include <cstring>
#if defined(__wasm_simd128__)
#include <wasm_simd128.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <ringfence/cold.h>

namespace ringfence {
namespace {

// Small ones say inline: Emscripten inlines no others.
//
// Lowered by the compiler to what the target has.
using Block = std::uint8_t __attribute__((vector_size(16)));
constexpr std::size_t kBlockBytes = sizeof(Block);

inline Block load_block(const char* from) noexcept {
  Block block;
  std::memcpy(&block, from, sizeof block);
  return block;
}

// A bit for each byte of a mask.
inline std::uint32_t lanes(Block mask) noexcept {
#if defined(__wasm_simd128__)
  return static_cast<std::uint32_t>(wasm_i8x16_bitmask(reinterpret_cast<v128_t>(mask)));
#elif defined(__SSE2__)
  return static_cast<std::uint32_t>(_mm_movemask_epi8(reinterpret_cast<__m128i>(mask)));
#else
  std::uint32_t bits = 0;
  for (std::size_t lane = 0; lane < sizeof mask; ++lane) bits |= (mask[lane] & 1u) << lane;
  return bits;
#endif
}

inline Block fill(char c) noexcept { return Block{} + static_cast<std::uint8_t>(c); }

inline Block equal(Block block, Block to) noexcept { return reinterpret_cast<Block>(block == to); }

// How usual a byte is in JSON of English text: less is rarer.
RINGFENCE_COLD std::size_t usualness(char c) noexcept {
  constexpr std::string_view kRareFirst = "zqxjkvbpygfwmucldrhsnioate";
  const std::size_t letter = kRareFirst.find(c);
  if (letter != std::string_view::npos) return letter + 1;
  if (static_cast<std::uint8_t>(c) >= 0x80) return 0;
  return c >= '0' && c <= '9' ? kRareFirst.size() / 2 : kRareFirst.size() + 1;  // blanks and signs are everywhere
}

// Where the next quote or backslash is; the end if there is none.
std::size_t find_quote(std::string_view json, std::size_t at) noexcept {
  // Names and short values end soon.
  for (const std::size_t near = std::min(at + 8, json.size()); at < near; ++at)
    if (json[at] == '"' || json[at] == '\\') return at;
  const Block quote = fill('"');
  const Block slash = fill('\\');
  for (; at + kBlockBytes <= json.size(); at += kBlockBytes) {
    const Block block = load_block(json.data() + at);
    const std::uint32_t found = lanes(equal(block, quote) | equal(block, slash));
    if (found != 0) return at + static_cast<std::size_t>(std::countr_zero(found));
  }
  while (at < json.size() && json[at] != '"' && json[at] != '\\') ++at;
  return at;
}

bool between(std::uint32_t c, std::uint32_t low, std::uint32_t high) noexcept { return c >= low && c <= high; }

struct Pair {
  std::uint32_t small;
  std::uint32_t large;
};

// Of a code point below U+0800. Both of a pair have the same length in UTF-8.
RINGFENCE_COLD Pair cases_of(std::uint32_t c) noexcept {
  if (between(c, 'A', 'Z') || between(c, 0xc0, 0xde)) return c == 0xd7 ? Pair{c, c} : Pair{c + 0x20, c};
  if (between(c, 'a', 'z') || between(c, 0xe0, 0xfe)) return c == 0xf7 ? Pair{c, c} : Pair{c, c - 0x20};
  if (c == 0xff || c == 0x178) return {0xff, 0x178};
  if (between(c, 0x100, 0x12f) || between(c, 0x132, 0x137) || between(c, 0x14a, 0x177) || between(c, 0x48a, 0x4bf))
    return {c | 1, c & ~1u};
  if (between(c, 0x139, 0x148) || between(c, 0x179, 0x17e)) return {((c - 1) | 1) + 1, (c - 1) | 1};
  if (between(c, 0x391, 0x3ab) && c != 0x3a2) return {c + 0x20, c};
  if (between(c, 0x3b1, 0x3cb) && c != 0x3c2) return {c, c - 0x20};
  if (between(c, 0x410, 0x42f)) return {c + 0x20, c};
  if (between(c, 0x430, 0x44f)) return {c, c - 0x20};
  if (between(c, 0x400, 0x40f)) return {c + 0x50, c};
  if (between(c, 0x450, 0x45f)) return {c, c - 0x50};
  constexpr Pair kAccented[] = {{0x3ac, 0x386}, {0x3ad, 0x388}, {0x3ae, 0x389}, {0x3af, 0x38a},
                                {0x3cc, 0x38c}, {0x3cd, 0x38e}, {0x3ce, 0x38f}};
  for (const Pair& pair : kAccented)
    if (c == pair.small || c == pair.large) return pair;
  return {c, c};
}

std::uint8_t byte(char c) noexcept { return static_cast<std::uint8_t>(c); }

std::size_t char_bytes(char lead) noexcept {
  if (byte(lead) < 0xc0) return 1;
  return byte(lead) < 0xe0 ? 2 : byte(lead) < 0xf0 ? 3 : 4;
}

// Over as many bytes as it takes.
RINGFENCE_COLD void put(std::string& to, std::size_t at, std::uint32_t c) noexcept {
  if (c < 0x80) {
    to[at] = static_cast<char>(c);
  } else {
    to[at] = static_cast<char>(0xc0 | c >> 6);
    to[at + 1] = static_cast<char>(0x80 | (c & 0x3f));
  }
}

RINGFENCE_COLD std::string as_json(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  constexpr std::string_view kShort = "\b\t\n\f\r\"\\";
  constexpr std::string_view kLetters = "btnfr\"\\";
  std::string json;
  for (const char c : text) {
    const std::size_t found = kShort.find(c);
    if (found != std::string_view::npos) {
      json += '\\';
      json += kLetters[found];
    } else if (byte(c) < 0x20) {
      json += "\\u00";
      json += kHex[byte(c) >> 4];
      json += kHex[byte(c) & 15];
    } else {
      json += c;
    }
  }
  return json;
}

// Not in the middle of an escape, nor in the name of a member: the quote behind it is not followed by a colon.
bool in_value(std::string_view json, std::size_t from, std::size_t to) noexcept {
  std::size_t slashes = 0;
  while (slashes < from && json[from - 1 - slashes] == '\\') ++slashes;
  if (slashes % 2 == 1) return false;
  for (to = find_quote(json, to); to < json.size() && json[to] == '\\';) to = find_quote(json, to + 2);
  for (++to; to < json.size(); ++to) {
    if (json[to] == ':') return false;
    if (json[to] != ' ' && json[to] != '\n' && json[to] != '\t' && json[to] != '\r') break;
  }
  return true;
}

}  // namespace

RINGFENCE_COLD Result<TextMatch> TextMatch::create(std::string_view text) {
  if (!valid(text)) return Error::bad_field;
  return TextMatch(text);
}

RINGFENCE_COLD TextMatch::TextMatch(std::string_view text) : small_(as_json(text)), large_(small_) {
  INVARIANT(valid(text));
  const std::string json = small_;
  for (std::size_t at = 0; at < json.size(); at += char_bytes(json[at])) {
    const std::size_t length = char_bytes(json[at]);
    if (length > 2 || length > json.size() - at || byte(json[at]) - 0x80u < 0x40) continue;
    const std::uint32_t c = length == 1 ? byte(json[at]) : (byte(json[at]) & 0x1fu) << 6 | (byte(json[at + 1]) & 0x3fu);
    const Pair pair = cases_of(c);
    put(small_, at, pair.small);
    put(large_, at, pair.large);
  }
  const std::size_t head = std::min(small_.size(), small_head_.size());
  std::copy_n(small_.data(), head, small_head_.data());
  std::copy_n(large_.data(), head, large_head_.data());
  if (std::none_of(small_.begin(), small_.end(), [](char c) { return byte(c) >= 0xc0; }))
    head_lanes_ = (1u << head) - 1;
  for (std::size_t at = 1; at < small_.size(); ++at)
    if (usualness(small_[at]) < usualness(small_[rare_])) rare_ = at;
  check_ = rare_ == 0 ? small_.size() - 1 : 0;
  for (std::size_t at = 0; at < small_.size(); ++at)
    if (at != rare_ && usualness(small_[at]) < usualness(small_[check_])) check_ = at;
}

bool TextMatch::matches(std::string_view json, std::size_t at) const noexcept {
  const char* const small = small_.data();
  const char* const large = large_.data();
  const char* const here = json.data() + at;
  const std::size_t size = small_.size();
  std::size_t offset = 0;
  if (head_lanes_ != 0 && at + kBlockBytes <= json.size()) {
    const Block block = load_block(here);
    const Block same = equal(block, load_block(small_head_.data())) | equal(block, load_block(large_head_.data()));
    if ((lanes(same) & head_lanes_) != head_lanes_) return false;
    offset = std::min(size, kBlockBytes);
  }
  for (; offset < size; ++offset) {
    if (here[offset] != small[offset] && here[offset] != large[offset]) return false;
    // The lead of one case and the trail of the other are another letter.
    if (small[offset] != large[offset] && byte(small[offset]) >= 0xc0) {
      const char* const one = here[offset] == small[offset] ? small : large;
      if (here[offset + 1] != one[offset + 1]) return false;
      ++offset;
    }
  }
  return in_value(json, at, at + size);
}

bool TextMatch::in(std::string_view json) const noexcept {
  const std::size_t size = small_.size();
  if (json.size() < size) return false;
  const std::size_t starts = json.size() - size + 1;  // where it may begin
  if (starts < kBlockBytes) {
    for (std::size_t at = 0; at < starts; ++at)
      if (matches(json, at)) return true;
    return false;
  }
  const Block rare_small = fill(small_[rare_]);
  const Block rare_large = fill(large_[rare_]);
  const Block check_small = fill(small_[check_]);
  const Block check_large = fill(large_[check_]);
  const char* const rare_at = json.data() + rare_;
  const char* const check_at = json.data() + check_;
  const auto rare_hits = [&](std::size_t at) {
    const Block block = load_block(rare_at + at);
    return equal(block, rare_small) | equal(block, rare_large);
  };
  for (std::size_t at = 0; at < starts; at += kBlockBytes) {
    // Two steps at once over what has nothing of it.
    while (at + 2 * kBlockBytes <= starts && lanes(rare_hits(at) | rare_hits(at + kBlockBytes)) == 0)
      at += 2 * kBlockBytes;
    if (at == starts) return false;
    // The last step goes over some bytes again, rather than past the end.
    at = std::min(at, starts - kBlockBytes);
    Block hits = rare_hits(at);
    if (lanes(hits) == 0) continue;
    const Block check = load_block(check_at + at);
    hits &= equal(check, check_small) | equal(check, check_large);
    for (std::uint32_t left = lanes(hits); left != 0; left &= left - 1)
      if (matches(json, at + static_cast<std::size_t>(std::countr_zero(left)))) return true;
  }
  return false;
}

}  // namespace ringfence
