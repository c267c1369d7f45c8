#include "bus/back_ends.h"

#include <utility>

#include "auth/identity.h"
#include "events/event_bus.h"
#include "log.h"
#include "protocol/json.h"
#include "protocol/meaning.h"
#include "protocol/request.h"
#include "realtime/channel.h"

namespace ringfence {

namespace {

std::string error_body(Error code, std::string_view message) {
  std::string body = R"({"error":{"code":)";
  append_json_string(body, error_code(code));
  body += R"(,"message":)";
  append_json_string(body, message.empty() ? error_meaning(code) : message);
  return body += "}}";
}

std::string seq_body(std::string_view channel, std::uint64_t seq) {
  std::string body = R"({"channel":)";
  append_json_string(body, channel);
  return body += R"(,"seq":)" + std::to_string(seq) + "}";
}

// A type as a subject's token: what may not stand there becomes '_'. The type itself is in the message.
std::string subject_token(std::string_view type) {
  std::string token(type);
  for (char& c : token)
    if (c <= ' ' || c >= 0x7f || c == '*' || c == '>' || c == '.') c = '_';
  return token;
}

// An event without its channel, as a whole one. Empty if it is no object with something in it.
std::string with_channel(std::string_view channel, std::string_view body) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = body.find_first_not_of(kSpace);
  if (begin == std::string_view::npos || body[begin] != '{') return {};
  const std::size_t next = body.find_first_not_of(kSpace, begin + 1);
  if (next == std::string_view::npos || body[next] == '}') return {};
  return R"({"channel":")" + std::string(channel) + R"(",)" + std::string(body.substr(next));
}

}  // namespace

BackEnds::BackEnds(NatsService& nats, EventBus& events, Publish publish, std::uint32_t json_depth_max)
    : nats_(nats),
      publish_(std::move(publish)),
      json_depth_max_(json_depth_max),
      pub_(nats.options().prefix + ".pub."),
      in_(nats.options().prefix + ".in."),
      owner_(events.owner("back ends").value()) {
  if (!nats.options().in_types.empty())
    messages_ =
        events.subscribe<ClientMessage>([this](const ClientMessage& message) { forward(message); }, owner_).value();
  // One of the servers takes each.
  publishes_ = nats.subscribe(
                       pub_ + ">", [this](NatsMessage& message) { on_publish(message); }, "back ends", "ringfence")
                   .value();
}

void BackEnds::stop() {
  publishes_.end();
  messages_.end();
}

BackEnds::Stats BackEnds::stats() const noexcept { return {published_, refused_, forwarded_, dropped_}; }

void BackEnds::on_publish(NatsMessage& message) {
  const std::string channel(message.subject().substr(pub_.size()));
  const std::string reply(message.reply());
  const auto refuse = [&](Error code, std::string_view why) {
    ++refused_;
    answer(reply, error_body(code, why));
  };
  if (!valid_channel_name(channel)) return refuse(Error::bad_channel, {});
  if (!valid_utf8(message.data())) return refuse(Error::bad_json, "not UTF-8");
  std::string whole = with_channel(channel, message.data());
  if (whole.empty()) return refuse(Error::bad_json, R"(not a JSON object with "data")");
  Request event;
  if (const auto fault = parse_publish(whole, json_depth_max_, event)) return refuse(fault->code, fault->message);
  const auto taken = publish_(event.channel, event.type, event.data, [this, channel, reply](Result<std::uint64_t> seq) {
    ++(seq.ok() ? published_ : refused_);
    answer(reply, seq.ok() ? seq_body(channel, *seq) : error_body(seq.error(), {}));
  });
  if (!taken.ok()) refuse(taken.error(), {});
}

void BackEnds::answer(const std::string& reply, std::string body) {
  if (!reply.empty()) (void)nats_.publish({.subject = reply, .data = std::move(body)});
}

// On the event bus's thread.
void BackEnds::forward(const ClientMessage& message) {
  if (!matches_any(nats_.options().in_types, message.type)) return;
  std::string body = R"({"user":)";
  append_json_string(body, message.who ? message.who->user : std::string());
  body += R"(,"session":)";
  append_json_string(body, message.who ? message.who->session : std::string());
  body += R"(,"connection":")" + std::to_string(message.connection) + R"(","channel":)";
  append_json_string(body, message.channel);
  body += R"(,"seq":)" + std::to_string(message.seq) + R"(,"type":)";
  append_json_string(body, message.type);
  body += R"(,"data":)" + message.data + "}";
  // A channel with dots where a subject may have none cannot be answered so.
  std::string reply = pub_ + message.channel;
  if (!valid_nats_subject(reply, false)) reply.clear();
  const auto sent =
      nats_.publish({.subject = in_ + subject_token(message.type), .data = std::move(body), .reply = std::move(reply)});
  if (sent.ok()) {
    ++forwarded_;
  } else if (dropped_++ % 1000 == 0) {
    logger("nats")->warn("messages of clients are not given to back ends: {}", error_code(sent.error()));
  }
}

}  // namespace ringfence
