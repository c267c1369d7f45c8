#include "bus/presence_wire.h"

#include <charconv>

#include <ringfence/record.h>

#include "auth/identity.h"
#include "protocol/json.h"
#include "realtime/channel.h"

namespace ringfence {

using Json = nlohmann::json;

namespace {

constexpr std::int64_t kTimeMax_us = std::int64_t{1} << 61;  // so that one may be added

std::string_view text(const Json& body, const char* field) {
  const auto found = body.find(field);
  return found != body.end() && found->is_string() ? std::string_view(found->get_ref<const std::string&>())
                                                   : std::string_view();
}

std::optional<std::uint64_t> hex(std::string_view digits) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  if (error != std::errc() || end != digits.data() + digits.size() || number == 0) return std::nullopt;
  return number;
}

std::int64_t time(std::optional<std::uint64_t> told) {
  return told && *told <= static_cast<std::uint64_t>(kTimeMax_us) ? static_cast<std::int64_t>(*told) : 0;
}

// {time, run}
PresenceStamp read_said(const Json& body) {
  const auto found = body.find("said");
  if (found == body.end() || !found->is_array() || found->size() != 2 || !(*found)[0].is_number_unsigned() ||
      !(*found)[1].is_string())
    return {};
  const auto run = hex((*found)[1].get_ref<const std::string&>());
  return run ? PresenceStamp{time((*found)[0].get<std::uint64_t>()), *run} : PresenceStamp{};
}

bool one_line_of_json(std::string_view data, std::uint32_t depth_max) {
  return data.empty() || (data.find_first_of("\r\n") == std::string_view::npos && !check_json(data, depth_max));
}

}  // namespace

std::string hex_text(std::uint64_t number) {
  char digits[16];
  return {digits, std::to_chars(digits, digits + sizeof digits, number, 16).ptr};
}

std::optional<std::uint64_t> read_hex(const Json& body, const char* field) { return hex(text(body, field)); }

std::optional<std::uint64_t> read_number(const Json& body, const char* field) {
  const auto found = body.find(field);
  if (found == body.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

void append_news(std::string& out, const PresenceNews& news) {
  out.append("\"count\":").append(std::to_string(news.count));
  out.append(",\"channel\":");
  append_json_string(out, news.channel);
  if (news.user.empty()) {
    out.append(",\"connection\":").append(std::to_string(news.connection));
  } else {
    out.append(",\"user\":");
    append_json_string(out, news.user);
  }
  if (news.gone) {
    out.append(",\"gone\":").append(news.end == PresenceEnd::left ? "\"left\"" : "\"disconnected\"");
    return;
  }
  out.append(",\"since\":").append(std::to_string(news.since_us));
  if (news.said.time_us <= 0) return;
  out.append(",\"said\":[").append(std::to_string(news.said.time_us)).append(",\"");
  out.append(hex_text(news.said.run)).append("\"],\"data\":");
  append_json_string(out, news.data);
}

std::optional<PresenceNews> read_news(const Json& body, std::uint32_t json_depth_max) {
  if (!body.is_object()) return std::nullopt;
  PresenceNews news;
  news.channel = text(body, "channel");
  news.user = text(body, "user");
  news.connection = read_number(body, "connection").value_or(0);
  news.count = read_number(body, "count").value_or(0);
  if (!valid_channel_name(news.channel) || !valid_name(news.user) || news.count == 0) return std::nullopt;
  if (news.user.empty() == (news.connection == 0) || news.connection >> 63 != 0) return std::nullopt;
  const std::string_view gone = text(body, "gone");
  if (!gone.empty()) {
    if (gone != "left" && gone != "disconnected") return std::nullopt;
    news.gone = true;
    news.end = gone == "left" ? PresenceEnd::left : PresenceEnd::disconnected;
    return news;
  }
  news.since_us = time(read_number(body, "since"));
  news.said = read_said(body);
  news.data = text(body, "data");
  if (!one_line_of_json(news.data, json_depth_max)) return std::nullopt;
  return news;
}

}  // namespace ringfence
