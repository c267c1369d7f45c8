// The messages about presence (protocol.md, "Presence"), as text. `id` is JSON as the client sent it, or empty.
//
// Bounds   as large as the page they tell.
#pragma once

#include <string>
#include <string_view>

namespace ringfence {

struct PresencePage;

// All members, or the first of them; `watching`: changes follow.
std::string presence_text(std::string_view id, std::string_view channel, const PresencePage& page, bool watching);
std::string join_text(std::string_view channel, const PresencePage& page);
std::string leave_text(std::string_view channel, const PresencePage& page);
// The connection's membership and watch of the channel have ended.
std::string presence_ended_text(std::string_view channel, std::string_view reason);
// The answer of GET /v1/presence.
std::string presence_answer(std::string_view channel, const PresencePage& page);

}  // namespace ringfence
