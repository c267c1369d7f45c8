// The control messages of protocol.md, "Server to client", as text. `id` is JSON as the client sent it, or empty.
//
// Bounds   at most kReplyBytes each, as names, ids and messages are bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <ringfence/error.h>
#include <ringfence/history.h>

#include "realtime/channel.h"
#include "server_limits.h"

namespace ringfence {

inline constexpr std::size_t kReplyBytes = 1024;

// `limited`: the rate of inbound messages holds for this client.
std::string welcome_text(std::uint64_t connection_id, std::string_view protocol, const Limits& limits, bool limited);
std::string ok_text(std::string_view id);
std::string ok_text(std::string_view id, std::uint64_t seq);
std::string error_text(std::string_view id, Error code, std::string_view message,
                       std::optional<std::uint32_t> retry_after_ms);
std::string subscribed_text(std::string_view id, const Channel& channel, std::string_view epoch, const StartPoint& at);
// `reason` empty: the client asked for it.
std::string unsubscribed_text(std::string_view id, std::string_view channel, std::string_view reason = {});
// `reason`: evicted or conflated.
std::string gap_text(const Channel& channel, const Gap& gap, std::string_view reason);
std::string pong_text(std::string_view id, std::int64_t time_us);
// `reconnect` false: the client should not come back by itself.
std::string closing_text(std::string_view reason, std::uint32_t retry_after_ms, bool reconnect = true);

struct HistoryHead {
  std::string_view epoch;
  std::uint64_t first;
  std::uint64_t next;
  std::optional<std::uint64_t> missed;
  bool more;
};
// Up to the [ of `events`; the end is kHistoryTail.
std::string history_head_text(std::string_view id, std::string_view channel, const HistoryHead& head);
inline constexpr std::string_view kHistoryTail = "]}";

}  // namespace ringfence
