#include "auth/identity.h"

#include <algorithm>

#include "protocol/json.h"
#include "realtime/channel.h"

namespace ringfence {

bool Identity::may_subscribe(std::string_view channel) const noexcept { return matches_any(subscribe, channel); }
bool Identity::may_publish(std::string_view channel) const noexcept { return matches_any(publish, channel); }
bool Identity::may_see_presence(std::string_view channel) const noexcept { return matches_any(presence, channel); }

bool valid_pattern(std::string_view pattern) noexcept {
  if (pattern == "*") return true;
  if (pattern.ends_with('*')) pattern.remove_suffix(1);
  return valid_channel_name(pattern);
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view channel) noexcept {
  return std::any_of(patterns.begin(), patterns.end(), [channel](std::string_view pattern) {
    if (!pattern.ends_with('*')) return pattern == channel;
    pattern.remove_suffix(1);
    return channel.starts_with(pattern);
  });
}

bool valid_name(std::string_view name) noexcept {
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  return name.size() <= Identity::kNameBytesMax && valid_utf8(name) && std::none_of(name.begin(), name.end(), control);
}

}  // namespace ringfence
