#include "protocol/json.h"

#include <bit>
#include <charconv>
#include <chrono>
#include <vector>

namespace ringfence {
namespace {

constexpr std::int64_t kIntegerMax = (std::int64_t{1} << 53) - 1;

bool is_space(char c) noexcept { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

int hex_digit(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class Scanner {
 public:
  Scanner(std::string_view text, std::size_t position) : text_(text), at_(position) {}

  std::size_t at() const noexcept { return at_; }
  std::size_t longest_chars() const noexcept { return longest_chars_; }
  std::optional<JsonFault> fault() const { return JsonFault{fault_at_, fault_}; }

  void skip_space() noexcept {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }

  bool value(std::uint32_t depth, std::uint32_t depth_max, JsonKind& kind) {
    // What is open: true for an object. A vector<bool> of at most depth_max - depth entries.
    std::vector<bool> open;
    bool first = true;
    for (;;) {
      skip_space();
      JsonKind here{};
      if (at_ == text_.size()) return fail("the message ends within a value");
      const char c = text_[at_];
      if (c == '{' || c == '[') {
        if (depth + open.size() >= depth_max) return fail("nested too deep");
        ++at_;
        here = c == '{' ? JsonKind::object : JsonKind::array;
        if (first) kind = here;
        first = false;
        skip_space();
        if (!take(c == '{' ? '}' : ']')) {
          open.push_back(c == '{');
          if (c == '{' && !key()) return false;
          continue;
        }
      } else {
        if (!scalar(here)) return false;
        if (first) kind = here;
        first = false;
      }
      // A value has ended: so may what it is in.
      for (;;) {
        if (open.empty()) return true;
        skip_space();
        if (take(',')) {
          if (open.back()) {
            skip_space();
            if (!key()) return false;
          }
          break;
        }
        if (!take(open.back() ? '}' : ']')) return fail(open.back() ? "expected , or }" : "expected , or ]");
        open.pop_back();
      }
    }
  }

 private:
  bool fail(std::string_view what) {
    fault_ = what;
    fault_at_ = at_;
    return false;
  }
  bool take(char c) noexcept {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool key() {
    if (at_ == text_.size() || text_[at_] != '"') return fail("expected a key");
    if (!string()) return false;
    skip_space();
    return take(':') || fail("expected :");
  }
  bool scalar(JsonKind& kind) {
    switch (text_[at_]) {
      case '"': kind = JsonKind::string; return string();
      case 't': kind = JsonKind::boolean; return literal("true");
      case 'f': kind = JsonKind::boolean; return literal("false");
      case 'n': kind = JsonKind::null; return literal("null");
      default: return number(kind);
    }
  }
  bool literal(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return fail("not a JSON value");
    at_ += word.size();
    return true;
  }
  bool string() {
    std::size_t chars = 0;
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        if (chars > longest_chars_) longest_chars_ = chars;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return fail("a control character in a string");
      chars += (static_cast<unsigned char>(c) & 0xc0) != 0x80;  // a byte that begins a character
      if (c != '\\') continue;
      if (++at_ == text_.size()) break;
      if (text_[at_] == 'u') {
        for (int i = 0; i < 4; ++i)
          if (++at_ == text_.size() || hex_digit(text_[at_]) < 0) return fail("an escape that is not \\uXXXX");
      } else if (std::string_view("\"\\/bfnrt").find(text_[at_]) == std::string_view::npos) {
        return fail("an unknown escape");
      }
    }
    return fail("a string without an end");
  }
  bool digits() {
    if (at_ == text_.size() || !is_digit(text_[at_])) return false;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    return true;
  }
  bool number(JsonKind& kind) {
    kind = JsonKind::integer;
    const bool negative = take('-');
    if (!take('0') && !digits()) return fail(negative ? "a number without digits" : "not a JSON value");
    if (take('.')) {
      kind = JsonKind::number;
      if (!digits()) return fail("a number without digits behind its point");
    }
    if (take('e') || take('E')) {
      kind = JsonKind::number;
      if (!take('+')) take('-');
      if (!digits()) return fail("a number without digits in its exponent");
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_;
  std::size_t fault_at_ = 0;
  std::size_t longest_chars_ = 0;
  std::string_view fault_;
};

void append_utf8(std::string& out, std::uint32_t code) {
  const auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

std::uint32_t hex4(std::string_view text, std::size_t at) noexcept {
  std::uint32_t code = 0;
  for (std::size_t i = 0; i < 4; ++i) code = code << 4 | static_cast<std::uint32_t>(hex_digit(text[at + i]));
  return code;
}

void digits_into(char* out, unsigned width, std::uint64_t value) noexcept {
  for (unsigned i = width; i-- > 0; value /= 10) out[i] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::optional<JsonFault> scan_json(std::string_view text, std::size_t& position, std::uint32_t depth,
                                   std::uint32_t depth_max, JsonValue& out) {
  Scanner scanner(text, position);
  scanner.skip_space();
  const std::size_t begin = scanner.at();
  if (!scanner.value(depth, depth_max, out.kind)) return scanner.fault();
  position = scanner.at();
  out.longest_chars = scanner.longest_chars();
  out.text = text.substr(begin, position - begin);
  return std::nullopt;
}

std::optional<JsonFault> check_json(std::string_view text, std::uint32_t depth_max, std::size_t string_chars_max) {
  std::size_t position = 0;
  JsonValue value;
  if (auto fault = scan_json(text, position, 0, depth_max, value)) return fault;
  while (position < text.size() && is_space(text[position])) ++position;
  if (position != text.size()) return JsonFault{position, "something behind the value"};
  if (value.longest_chars > string_chars_max) return JsonFault{0, "a string has more characters than it may"};
  return std::nullopt;
}

bool valid_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const int length = std::countl_one(lead);
    if (length < 2 || length > 4 || text.size() - i < static_cast<std::size_t>(length)) return false;
    std::uint32_t code = lead & (0x7fu >> length);
    for (int k = 1; k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + static_cast<std::size_t>(k)]);
      if ((next & 0xc0) != 0x80) return false;
      code = code << 6 | (next & 0x3f);
    }
    static constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    i += static_cast<std::size_t>(length);
  }
  return true;
}

std::optional<std::string> json_string(std::string_view quoted) {
  std::string out;
  const std::string_view text = quoted.substr(1, quoted.size() - 2);
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c != 'u') {
      static constexpr std::string_view kNames = "\"\\/bfnrt";
      static constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
      out += kMeant[kNames.find(c)];
      continue;
    }
    std::uint32_t code = hex4(text, i + 1);
    i += 4;
    if (code >= 0xd800 && code < 0xe000) {
      if (code >= 0xdc00 || text.substr(i + 1, 2) != "\\u") return std::nullopt;
      const std::uint32_t low = hex4(text, i + 3);
      if (low < 0xdc00 || low >= 0xe000) return std::nullopt;
      code = 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00));
      i += 6;
    }
    append_utf8(out, code);
  }
  return out;
}

std::optional<std::int64_t> json_integer(std::string_view digits) noexcept {
  std::int64_t value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec != std::errc{} || value > kIntegerMax || value < -kIntegerMax) return std::nullopt;
  return value;
}

std::size_t json_string_bytes(std::string_view text) noexcept {
  std::size_t bytes = text.size() + 2;
  for (const char c : text) {
    if (c == '"' || c == '\\')
      bytes += 1;
    else if (static_cast<unsigned char>(c) < 0x20)
      bytes += 5;
  }
  return bytes;
}

char* write_json_string(char* out, std::string_view text) noexcept {
  *out++ = '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20) {
      for (const char x : {'\\', 'u', '0', '0', "01"[byte >> 4], "0123456789abcdef"[byte & 15]}) *out++ = x;
      continue;
    }
    if (c == '"' || c == '\\') *out++ = '\\';
    *out++ = c;
  }
  *out++ = '"';
  return out;
}

void append_json_string(std::string& out, std::string_view text) {
  const std::size_t before = out.size();
  out.resize(before + json_string_bytes(text));
  write_json_string(out.data() + before, text);
}

std::array<char, kRfc3339Bytes> rfc3339(std::int64_t time_us) noexcept {
  using namespace std::chrono;
  // Years that four digits hold; what lies outside is shown as the nearest.
  constexpr std::int64_t kFirst = -62'167'219'200'000'000;
  constexpr std::int64_t kLast = 253'402'300'799'999'999;
  const microseconds since{time_us < kFirst ? kFirst : time_us > kLast ? kLast : time_us};
  const auto day = floor<days>(since);
  const year_month_day date{sys_days{day}};
  const auto in_day = static_cast<std::uint64_t>((since - day).count());
  std::array<char, kRfc3339Bytes> text;
  std::string_view("0000-00-00T00:00:00.000000Z").copy(text.data(), text.size());
  digits_into(&text[0], 4, static_cast<std::uint64_t>(static_cast<int>(date.year())));
  digits_into(&text[5], 2, static_cast<unsigned>(date.month()));
  digits_into(&text[8], 2, static_cast<unsigned>(date.day()));
  digits_into(&text[11], 2, in_day / 3'600'000'000);
  digits_into(&text[14], 2, in_day / 60'000'000 % 60);
  digits_into(&text[17], 2, in_day / 1'000'000 % 60);
  digits_into(&text[20], 6, in_day % 1'000'000);
  return text;
}

}  // namespace ringfence
