// Subjects of the bus between servers. A channel is one token: its dots, which would be several, become tildes, which no
// channel's name has.
//
//   <prefix>.stream.in.<channel>   what the stream takes
//   <prefix>.stream.out.<channel>  what it publishes again, with its number
//   <prefix>.core.<channel>        core mode
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace ringfence {

inline std::string channel_token(std::string_view channel) {
  std::string token(channel);
  std::replace(token.begin(), token.end(), '.', '~');
  return token;
}

inline std::string stream_name(std::string_view prefix) {
  std::string name(prefix);
  std::replace(name.begin(), name.end(), '.', '-');
  return name;
}

}  // namespace ringfence
