#include "protocol/request.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <ringfence/record.h>

#include "protocol/json.h"
#include "realtime/channel.h"

namespace ringfence {
namespace {

constexpr std::size_t kIdBytesMax = 64;
constexpr std::size_t kEpochBytesMax = 16;
constexpr std::uint32_t kPageMax = 1000;

// The fields that mean something, of the message or of `after`; the first of each name.
template <std::size_t N>
class Fields {
 public:
  explicit constexpr Fields(const std::array<std::string_view, N>& names) : names_(names) {}

  // Reads the members of the object that `position` stands in, up to and with its end.
  std::optional<JsonFault> read(std::string_view text, std::size_t& position, std::uint32_t depth,
                                std::uint32_t depth_max) {
    JsonValue whole;
    const std::size_t begin = position;
    if (auto fault = scan_json(text, position, depth, depth_max, whole)) return fault;
    if (whole.kind != JsonKind::object) return JsonFault{begin, "not a JSON object"};
    longest_chars_ = whole.longest_chars;
    // Valid as a whole, so the walk over its members needs no further checks.
    std::size_t at = whole.text.find_first_not_of(" \t\r\n", 1);
    while (whole.text[at] != '}') {
      JsonValue key;
      JsonValue value;
      if (auto fault = scan_json(whole.text, at, depth, depth_max, key)) return fault;
      at = whole.text.find(':', at) + 1;
      if (auto fault = scan_json(whole.text, at, depth + 1, depth_max, value)) return fault;
      keep(key.text, value);
      at = whole.text.find_first_not_of(" \t\r\n,", at);
    }
    return std::nullopt;
  }

  const JsonValue* find(std::string_view name) const {
    for (std::size_t i = 0; i < N; ++i)
      if (names_[i] == name) return values_[i] ? &*values_[i] : nullptr;
    return nullptr;
  }
  std::string_view given_twice() const noexcept { return twice_; }
  std::size_t longest_chars() const noexcept { return longest_chars_; }

 private:
  void keep(std::string_view quoted, const JsonValue& value) {
    // A key may be written with escapes; one longer than any name, escaped throughout, is none of them.
    if (quoted.size() > 64) return;
    const auto name = json_string(quoted);
    if (!name) return;
    for (std::size_t i = 0; i < N; ++i) {
      if (names_[i] != *name) continue;
      if (values_[i]) twice_ = names_[i];
      values_[i] = value;
    }
  }

  const std::array<std::string_view, N>& names_;
  std::array<std::optional<JsonValue>, N> values_;
  std::string_view twice_;
  std::size_t longest_chars_ = 0;
};

constexpr std::array<std::string_view, 11> kNames = {"op",   "id",    "channel", "type",  "data", "after",
                                                     "last", "limit", "epoch",   "token", "watch"};
constexpr std::array<std::string_view, 2> kAfterNames = {"epoch", "seq"};
using MessageFields = Fields<kNames.size()>;
using Problem = std::optional<RequestError>;

Problem problem(Error code, std::string message) { return RequestError{code, {}, std::move(message)}; }
Problem about(Error code, std::string_view field, std::string_view what) {
  std::string message;
  message.append(1, '`').append(field).append("` ").append(what);
  return problem(code, std::move(message));
}
Problem bad(std::string_view field, std::string_view why) { return about(Error::bad_field, field, why); }
Problem missing(std::string_view field) { return about(Error::missing_field, field, "is missing"); }

Problem read_string(const JsonValue& value, std::string_view field, std::string& out) {
  if (value.kind != JsonKind::string) return bad(field, "is not a string");
  auto text = json_string(value.text);
  if (!text) return bad(field, "holds half of a surrogate pair");
  out = std::move(*text);
  return std::nullopt;
}

Problem read_integer(const JsonValue& value, std::string_view field, std::uint64_t low, std::uint64_t high,
                     std::uint64_t& out) {
  const auto number = value.kind == JsonKind::integer ? json_integer(value.text) : std::nullopt;
  if (!number || *number < 0 || static_cast<std::uint64_t>(*number) < low || static_cast<std::uint64_t>(*number) > high)
    return bad(field, "is not an integer from " + std::to_string(low) + " to " + std::to_string(high));
  out = static_cast<std::uint64_t>(*number);
  return std::nullopt;
}

Problem read_epoch(const JsonValue& value, std::string_view field, std::optional<std::string>& out) {
  std::string epoch;
  if (auto found = read_string(value, field, epoch)) return found;
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (epoch.empty() || epoch.size() > kEpochBytesMax || !std::all_of(epoch.begin(), epoch.end(), plain))
    return bad(field, "is not 1 to 16 of a-z and 0-9");
  out = std::move(epoch);
  return std::nullopt;
}

Problem read_after(const JsonValue& value, std::uint32_t depth_max, Request& out) {
  if (value.kind != JsonKind::object) return bad("after", "is not an object");
  Fields<kAfterNames.size()> fields(kAfterNames);
  std::size_t position = 0;
  fields.read(value.text, position, 1, depth_max);  // valid: it was scanned with the message
  if (!fields.given_twice().empty()) return bad("after." + std::string(fields.given_twice()), "is given twice");
  const JsonValue* epoch = fields.find("epoch");
  const JsonValue* seq = fields.find("seq");
  if (!epoch) return missing("after.epoch");
  if (!seq) return missing("after.seq");
  if (auto found = read_epoch(*epoch, "after.epoch", out.epoch)) return found;
  return read_integer(*seq, "after.seq", 0, kSeqMax, out.after_seq);
}

Problem read_channel(const MessageFields& fields, Request& out) {
  const JsonValue* channel = fields.find("channel");
  if (!channel) return missing("channel");
  if (auto found = read_string(*channel, "channel", out.channel)) return found;
  if (!valid_channel_name(out.channel))
    return problem(Error::bad_channel, "the channel's name does not match [A-Za-z0-9_:.-]{1,128}");
  return std::nullopt;
}

Problem read_subscribe(const MessageFields& fields, std::uint32_t depth_max, Request& out) {
  if (auto found = read_channel(fields, out)) return found;
  if (const JsonValue* after = fields.find("after"))
    if (auto found = read_after(*after, depth_max, out)) return found;
  if (const JsonValue* last = fields.find("last")) {
    std::uint64_t count = 0;
    if (auto found = read_integer(*last, "last", 0, std::numeric_limits<std::uint32_t>::max(), count)) return found;
    out.last = static_cast<std::uint32_t>(count);
  }
  return std::nullopt;
}

// A line break in valid JSON stands between tokens, never in a string.
std::string_view on_one_line(std::span<char> message, std::string_view value) {
  const auto offset = static_cast<std::size_t>(value.data() - message.data());
  for (char& c : message.subspan(offset, value.size()))
    if (c == '\n' || c == '\r') c = ' ';
  return value;
}

Problem read_publish(const MessageFields& fields, std::span<char> message, Request& out) {
  if (auto found = read_channel(fields, out)) return found;
  out.type = "message";
  if (const JsonValue* type = fields.find("type"))
    if (auto found = read_string(*type, "type", out.type)) return found;
  if (!valid_type(out.type))
    return problem(Error::bad_type, "the type is not 1 to 255 bytes without control characters");
  const JsonValue* data = fields.find("data");
  if (!data) return missing("data");
  out.data = on_one_line(message, data->text);
  return std::nullopt;
}

Problem read_join(const MessageFields& fields, std::span<char> message, Request& out) {
  if (auto found = read_channel(fields, out)) return found;
  if (const JsonValue* data = fields.find("data")) out.data = on_one_line(message, data->text);
  return std::nullopt;
}

// A channel, and which page of it.
Problem read_page(const MessageFields& fields, Request& out) {
  if (auto found = read_channel(fields, out)) return found;
  if (const JsonValue* after = fields.find("after"))
    if (auto found = read_integer(*after, "after", 0, kSeqMax, out.after_seq)) return found;
  if (const JsonValue* limit = fields.find("limit")) {
    std::uint64_t count = 0;
    if (auto found = read_integer(*limit, "limit", 1, kPageMax, count)) return found;
    out.limit = static_cast<std::uint32_t>(count);
  }
  return std::nullopt;
}

Problem read_presence(const MessageFields& fields, Request& out) {
  if (const JsonValue* watch = fields.find("watch")) {
    if (watch->kind != JsonKind::boolean) return bad("watch", "is not a boolean");
    out.watch = watch->text == "true";
  }
  return read_page(fields, out);
}

Problem read_history(const MessageFields& fields, Request& out) {
  if (auto found = read_page(fields, out)) return found;
  if (const JsonValue* epoch = fields.find("epoch")) return read_epoch(*epoch, "epoch", out.epoch);
  return std::nullopt;
}

Problem read_refresh(const MessageFields& fields, Request& out) {
  const JsonValue* token = fields.find("token");
  return token ? read_string(*token, "token", out.token) : missing("token");
}

Problem read_id(const MessageFields& fields, std::string_view& id) {
  const JsonValue* value = fields.find("id");
  if (!value) return std::nullopt;
  if (value->kind == JsonKind::string) {
    const auto text = json_string(value->text);
    if (!text || text->size() > kIdBytesMax) return bad("id", "is a string of more than 64 bytes or not Unicode");
  } else if (value->kind != JsonKind::integer || !json_integer(value->text)) {
    return bad("id", "is neither a string nor an integer that a double holds exactly");
  }
  id = value->text;
  return std::nullopt;
}

Problem read_op(const MessageFields& fields, Op& op) {
  static constexpr std::pair<std::string_view, Op> kOps[] = {
      {"subscribe", Op::subscribe}, {"unsubscribe", Op::unsubscribe}, {"publish", Op::publish},
      {"history", Op::history},     {"presence", Op::presence},       {"join", Op::join},
      {"leave", Op::leave},         {"refresh", Op::refresh},         {"ping", Op::ping}};
  const JsonValue* value = fields.find("op");
  if (!value) return missing("op");
  std::string name;
  if (auto found = read_string(*value, "op", name)) return found;
  for (const auto& [known, known_op] : kOps) {
    if (name != known) continue;
    op = known_op;
    return std::nullopt;
  }
  return problem(Error::unknown_op, "there is no such op");
}

// All of the message is one object.
Problem read_object(std::span<char> message, std::uint32_t depth_max, MessageFields& fields) {
  const std::string_view text(message.data(), message.size());
  std::size_t position = 0;
  std::optional<JsonFault> fault = fields.read(text, position, 0, depth_max);
  if (!fault) {
    const std::size_t behind = text.find_first_not_of(" \t\r\n", position);
    if (behind != std::string_view::npos) fault = JsonFault{behind, "something behind the object"};
  }
  if (fault)
    return problem(Error::bad_json, "at byte " + std::to_string(fault->position) + ": " + std::string(fault->what));
  return std::nullopt;
}

}  // namespace

std::optional<RequestError> parse_publish(std::span<char> object, std::uint32_t depth_max, Request& out) {
  MessageFields fields(kNames);
  if (auto found = read_object(object, depth_max, fields)) return found;
  out = Request{};
  out.op = Op::publish;
  if (!fields.given_twice().empty()) return bad(fields.given_twice(), "is given twice");
  return read_publish(fields, object, out);
}

std::optional<RequestError> parse_request(std::span<char> message, std::uint32_t depth_max, Request& out,
                                          std::size_t string_chars_max) {
  MessageFields fields(kNames);
  if (auto found = read_object(message, depth_max, fields)) return found;
  out = Request{};
  Problem found = read_id(fields, out.id);
  if (!found && fields.longest_chars() > string_chars_max)
    found =
        problem(Error::string_too_long, "a string has more than " + std::to_string(string_chars_max) + " characters");
  if (!found && !fields.given_twice().empty()) found = bad(fields.given_twice(), "is given twice");
  if (!found) found = read_op(fields, out.op);
  if (!found) {
    switch (out.op) {
      case Op::subscribe: found = read_subscribe(fields, depth_max, out); break;
      case Op::unsubscribe: found = read_channel(fields, out); break;
      case Op::publish: found = read_publish(fields, message, out); break;
      case Op::history: found = read_history(fields, out); break;
      case Op::refresh: found = read_refresh(fields, out); break;
      case Op::presence: found = read_presence(fields, out); break;
      case Op::join: found = read_join(fields, message, out); break;
      case Op::leave: found = read_channel(fields, out); break;
      case Op::ping: break;
    }
  }
  if (found) found->id = out.id;
  return found;
}

}  // namespace ringfence
