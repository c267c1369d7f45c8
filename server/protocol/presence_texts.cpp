#include "protocol/presence_texts.h"

#include "realtime/presence.h"

namespace ringfence {
namespace {

// Channel names need no escapes.
std::string head(std::string_view op, std::string_view id, std::string_view channel) {
  std::string text = R"({"op":")";
  text.append(op).append("\"");
  if (!id.empty()) text.append(",\"id\":").append(id);
  return text.append(R"(,"channel":")").append(channel).append("\"");
}

std::string& append_members(std::string& text, std::uint64_t count, bool more, std::string_view members) {
  text.append(",\"count\":").append(std::to_string(count));
  text.append(",\"more\":").append(more ? "true" : "false");
  return text.append(",\"members\":[").append(members).append("]}");
}

}  // namespace

std::string presence_text(std::string_view id, std::string_view channel, const PresencePage& page, bool watching) {
  std::string text = head("presence", id, channel);
  text.append(",\"watching\":").append(watching ? "true" : "false");
  text.append(",\"version\":").append(std::to_string(page.seen.version));
  return append_members(text, page.count, page.more, page.joined);
}

std::string join_text(std::string_view channel, const PresencePage& page) {
  std::string text = head("join", {}, channel);
  return append_members(text, page.count, page.more, page.joined);
}

// `more` where a `join` follows at once, too.
std::string leave_text(std::string_view channel, const PresencePage& page) {
  std::string text = head("leave", {}, channel);
  return append_members(text, page.count, page.more || !page.joined.empty(), page.left);
}

std::string presence_ended_text(std::string_view channel, std::string_view reason) {
  return head("presence", {}, channel).append(R"(,"watching":false,"reason":")").append(reason).append("\"}");
}

std::string presence_answer(std::string_view channel, const PresencePage& page) {
  std::string text = R"({"channel":")";
  text.append(channel).append("\",\"version\":").append(std::to_string(page.seen.version));
  return append_members(text, page.count, page.more, page.joined);
}

}  // namespace ringfence
