// The stream's configuration and state, as JetStream's API says them in JSON.
//
// Owns     nothing. Threads: any.
// Errors   check_stream: `fault` is one line for a person.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "bus/bus.h"

namespace ringfence {

struct StreamSettings;

// The body of $JS.API.STREAM.CREATE.
std::string stream_config(std::string_view name, std::string_view prefix, const StreamSettings& settings);

struct StreamCheck {
  bool unfinished = false;  // the broker is just making it: nothing else is said
  std::string fault;        // the order cannot rest on it
  std::string differs;      // bounds that are not as asked for
  StreamView view;
};
// Of the answer to $JS.API.STREAM.INFO.
StreamCheck check_stream(const nlohmann::json& info, std::string_view name, std::string_view prefix,
                         const StreamSettings& settings);
// None where it is not as JetStream writes it.
std::optional<StreamView> stream_view(const nlohmann::json& info, std::string_view subject);

// Of the same answer.
EngineUse stream_use(const nlohmann::json& info);

// Of any answer of the API; 0: it is no error.
int error_code_of(const nlohmann::json& answer);
std::string error_text_of(const nlohmann::json& answer);

}  // namespace ringfence
