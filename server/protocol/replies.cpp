#include "protocol/replies.h"

#include "protocol/json.h"

namespace ringfence {
namespace {

// {"op":"name", then members, then }.
class ObjectText {
 public:
  explicit ObjectText(std::string_view op) {
    text_.reserve(256);
    text_ += R"({"op":")";
    text_ += op;
    text_ += '"';
  }
  ObjectText& id(std::string_view id) { return id.empty() ? *this : raw("id", id); }
  ObjectText& raw(std::string_view name, std::string_view json) {
    text_ += ",\"";
    text_ += name;
    text_ += "\":";
    text_ += json;
    return *this;
  }
  ObjectText& string(std::string_view name, std::string_view value) {
    raw(name, {});
    append_json_string(text_, value);
    return *this;
  }
  ObjectText& number(std::string_view name, std::uint64_t value) { return raw(name, std::to_string(value)); }
  ObjectText& number_or_null(std::string_view name, std::optional<std::uint64_t> value) {
    return value ? number(name, *value) : raw(name, "null");
  }
  ObjectText& boolean(std::string_view name, bool value) { return raw(name, value ? "true" : "false"); }
  std::string end(std::string_view tail = "}") {
    text_ += tail;
    return std::move(text_);
  }

 private:
  std::string text_;
};

}  // namespace

std::string welcome_text(std::uint64_t connection_id, std::string_view protocol, const Limits& limits, bool limited) {
  const std::string bounds = "{\"message_bytes\":" + std::to_string(limits.message_bytes) +
                             ",\"subscriptions\":" + std::to_string(limits.subscriptions_max) +
                             ",\"frame_bytes\":" + std::to_string(limits.frame_bytes) +
                             ",\"json_depth\":" + std::to_string(limits.json_depth_max) +
                             ",\"json_string_chars\":" + std::to_string(limits.json_string_chars_max) +
                             (limited ? ",\"inbound_messages\":" + std::to_string(limits.inbound_messages) +
                                            ",\"inbound_window_s\":" + std::to_string(limits.inbound_window_s)
                                      : std::string()) +
                             "}";
  return ObjectText("welcome")
      .string("connection", std::to_string(connection_id))
      .string("protocol", protocol)
      .string("server", "ringfence/" RINGFENCE_VERSION)
      .raw("limits", bounds)
      .number("ping_interval_ms", limits.ping_interval_ms)
      .end();
}

std::string ok_text(std::string_view id) { return ObjectText("ok").id(id).end(); }
std::string ok_text(std::string_view id, std::uint64_t seq) { return ObjectText("ok").id(id).number("seq", seq).end(); }

std::string error_text(std::string_view id, Error code, std::string_view message,
                       std::optional<std::uint32_t> retry_after_ms) {
  ObjectText text("error");
  text.id(id).string("code", error_code(code)).string("message", message);
  if (retry_after_ms) text.number("retry_after_ms", *retry_after_ms);
  return text.end();
}

std::string subscribed_text(std::string_view id, const Channel& channel, std::string_view epoch, const StartPoint& at) {
  return ObjectText("subscribed")
      .id(id)
      .string("channel", channel.name())
      .number("channel_id", channel.id())
      .string("epoch", epoch)
      .number("first", at.first)
      .number("next", at.next)
      .number("after", at.after)
      .boolean("recovered", at.recovered)
      .number_or_null("missed", at.missed)
      .end();
}

std::string unsubscribed_text(std::string_view id, std::string_view channel, std::string_view reason) {
  ObjectText text("unsubscribed");
  text.id(id).string("channel", channel);
  if (!reason.empty()) text.string("reason", reason);
  return text.end();
}

std::string gap_text(const Channel& channel, const Gap& gap, std::string_view reason) {
  return ObjectText("gap")
      .string("channel", channel.name())
      .number("channel_id", channel.id())
      .number("from", gap.from)
      .number("to", gap.to)
      .number_or_null("missed", gap.known ? std::optional(gap.missed) : std::nullopt)
      .string("reason", reason)
      .end();
}

std::string pong_text(std::string_view id, std::int64_t time_us) {
  const auto time = rfc3339(time_us);
  return ObjectText("pong").id(id).string("time", std::string_view(time.data(), time.size())).end();
}

std::string closing_text(std::string_view reason, std::uint32_t retry_after_ms, bool reconnect) {
  ObjectText text("closing");
  text.string("reason", reason).number("retry_after_ms", retry_after_ms);
  if (!reconnect) text.boolean("reconnect", false);
  return text.end();
}

std::string history_head_text(std::string_view id, std::string_view channel, const HistoryHead& head) {
  return ObjectText("history")
      .id(id)
      .string("channel", channel)
      .string("epoch", head.epoch)
      .number("first", head.first)
      .number("next", head.next)
      .number_or_null("missed", head.missed)
      .boolean("more", head.more)
      .end(",\"events\":[");
}

}  // namespace ringfence
