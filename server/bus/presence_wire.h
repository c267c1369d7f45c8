// What servers tell one another of members, as JSON. `run` is a server's identity since its start, in hexadecimal.
//
//   {"run":"9f…","counts":[4,0,…]}                          a heartbeat: the changes told in each part of its table
//   {"run":"9f…","leaving":true}                            it ends
//   {"run":"9f…","part":3,"count":5,"channel":"room","user":"ann","since":…,"said":[…,"9f…"],"data":"{\"mood\":1}"}
//   {"run":"9f…","part":3,"count":6,"channel":"room","connection":17,"gone":"left"}
//   {"run":"9f…","part":3,"after":0,"until":0}              asks that server for a page of a part, answered with
//   {"run":"9f…","part":3,"count":6,"until":6,"more":false,"members":[{"count":5,"channel":…},…]}
//
// Threads  none: functions of their arguments.
// Bounds   names as everywhere; `data` by the caller.
// Errors   what is not as it should be is nothing (nullopt).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "realtime/presence.h"

namespace ringfence {

std::string hex_text(std::uint64_t number);
std::optional<std::uint64_t> read_hex(const nlohmann::json& body, const char* field);
std::optional<std::uint64_t> read_number(const nlohmann::json& body, const char* field);

// `"count":5,"channel":…`, without braces.
void append_news(std::string& out, const PresenceNews& news);
// Its views are of `body`. Data is JSON on one line, no deeper than `json_depth_max`.
std::optional<PresenceNews> read_news(const nlohmann::json& body, std::uint32_t json_depth_max);

}  // namespace ringfence
