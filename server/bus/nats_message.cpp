#include "bus/nats_message.h"

#include <nats/nats.h>

namespace ringfence {

namespace {
std::string_view view(const char* text) noexcept { return text ? std::string_view(text) : std::string_view(); }
}  // namespace

NatsMessage::~NatsMessage() { natsMsg_Destroy(raw_); }

std::string_view NatsMessage::subject() const noexcept { return view(natsMsg_GetSubject(raw_)); }
std::string_view NatsMessage::reply() const noexcept { return view(natsMsg_GetReply(raw_)); }
std::string_view NatsMessage::data() const noexcept {
  return {natsMsg_GetData(raw_), static_cast<std::size_t>(natsMsg_GetDataLength(raw_))};
}

std::optional<std::string_view> NatsMessage::header(const char* name) const noexcept {
  const char* value = nullptr;
  if (natsMsgHeader_Get(raw_, name, &value) != NATS_OK || !value) return std::nullopt;
  return std::string_view(value);
}

bool NatsMessage::no_responders() const noexcept { return natsMsg_IsNoResponders(raw_); }

bool valid_nats_subject(std::string_view subject, bool wildcards) noexcept {
  if (subject.empty() || subject.size() > 512) return false;
  std::size_t token = 0;
  for (std::size_t i = 0; i <= subject.size(); ++i) {
    if (i == subject.size() || subject[i] == '.') {
      if (i == token) return false;  // an empty token
      token = i + 1;
      continue;
    }
    const auto c = static_cast<unsigned char>(subject[i]);
    if (c <= ' ' || c >= 0x7f) return false;
    if (c != '*' && c != '>') continue;
    const bool whole = i == token && (i + 1 == subject.size() || (c == '*' && subject[i + 1] == '.'));
    if (!wildcards || !whole) return false;
  }
  return true;
}

}  // namespace ringfence
