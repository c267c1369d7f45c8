#include <ringfence/text_match.h>

#include <algorithm>
#include <cstring>

namespace ringfence {
namespace {

// Lowered by the compiler to what the target has.
using Block = std::uint8_t __attribute__((vector_size(16)));
using Halves = std::uint64_t __attribute__((vector_size(16)));
constexpr std::size_t kBlockBytes = sizeof(Block);

Block load_block(const char* from) noexcept {
  Block block;
  std::memcpy(&block, from, sizeof block);
  return block;
}

bool any(Block mask) noexcept {
  Halves halves;
  std::memcpy(&halves, &mask, sizeof halves);
  return (halves[0] | halves[1]) != 0;
}

Block fill(char c) noexcept { return Block{} + static_cast<std::uint8_t>(c); }

bool between(std::uint32_t c, std::uint32_t low, std::uint32_t high) noexcept { return c >= low && c <= high; }

struct Pair {
  std::uint32_t small;
  std::uint32_t large;
};

// Of a code point below U+0800. Both of a pair have the same length in UTF-8.
Pair cases_of(std::uint32_t c) noexcept {
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
void put(std::string& to, std::size_t at, std::uint32_t c) noexcept {
  if (c < 0x80) {
    to[at] = static_cast<char>(c);
  } else {
    to[at] = static_cast<char>(0xc0 | c >> 6);
    to[at + 1] = static_cast<char>(0x80 | (c & 0x3f));
  }
}

std::string as_json(std::string_view text) {
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
  while (to < json.size() && json[to] != '"') to += json[to] == '\\' ? 2 : 1;
  for (++to; to < json.size(); ++to) {
    if (json[to] == ':') return false;
    if (json[to] != ' ' && json[to] != '\n' && json[to] != '\t' && json[to] != '\r') break;
  }
  return true;
}

}  // namespace

Result<TextMatch> TextMatch::create(std::string_view text) {
  if (text.empty() || text.size() > kTextBytesMax) return Error::bad_field;
  return TextMatch(as_json(text));
}

TextMatch::TextMatch(std::string_view json) : small_(json), large_(json) {
  for (std::size_t at = 0; at < json.size(); at += char_bytes(json[at])) {
    const std::size_t length = char_bytes(json[at]);
    if (length > 2 || length > json.size() - at || byte(json[at]) - 0x80u < 0x40) continue;
    const std::uint32_t c = length == 1 ? byte(json[at]) : (byte(json[at]) & 0x1fu) << 6 | (byte(json[at + 1]) & 0x3fu);
    const Pair pair = cases_of(c);
    put(small_, at, pair.small);
    put(large_, at, pair.large);
  }
}

bool TextMatch::matches_at(const char* at) const noexcept {
  for (std::size_t offset = 0; offset < small_.size();) {
    // Both bytes of a letter of one case: the lead of one and the trail of the other are another letter.
    const std::size_t length = std::min(char_bytes(small_[offset]), small_.size() - offset);
    if (std::memcmp(at + offset, &small_[offset], length) != 0 &&
        std::memcmp(at + offset, &large_[offset], length) != 0)
      return false;
    offset += length;
  }
  return true;
}

bool TextMatch::search(std::string_view json, std::size_t from, std::size_t to) const noexcept {
  const std::size_t last = small_.size() - 1;
  for (std::size_t at = from; at < to; ++at) {
    const char first = json[at];
    if (first != small_[0] && first != large_[0]) continue;
    const char behind = json[at + last];
    if (behind != small_[last] && behind != large_[last]) continue;
    if (matches_at(&json[at]) && in_value(json, at, at + last + 1)) return true;
  }
  return false;
}

bool TextMatch::in(std::string_view json) const noexcept {
  const std::size_t last = small_.size() - 1;
  if (json.size() <= last) return false;
  const std::size_t starts = json.size() - last;  // where it may begin
  if (starts < kBlockBytes) return search(json, 0, starts);
  const Block first_small = fill(small_[0]);
  const Block first_large = fill(large_[0]);
  const Block last_small = fill(small_[last]);
  const Block last_large = fill(large_[last]);
  for (std::size_t at = 0;;) {
    const Block first = load_block(json.data() + at);
    const Block behind = load_block(json.data() + at + last);
    const auto hits =
        ((first == first_small) | (first == first_large)) & ((behind == last_small) | (behind == last_large));
    if (any(reinterpret_cast<const Block&>(hits)) && search(json, at, at + kBlockBytes)) return true;
    if (at + kBlockBytes >= starts) return false;
    // The last step goes over some bytes again, rather than past the end.
    at = std::min(at + kBlockBytes, starts - kBlockBytes);
  }
}

}  // namespace ringfence
