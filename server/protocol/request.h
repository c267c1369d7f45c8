// Request: one op of a client, parsed and checked against protocol.md, "Client to server".
//
// Cost     one pass, no DOM; strings of fields are copied (short), `data` is not.
// Refs     `data` and `id` point into the message given; its line breaks between tokens have become spaces.
// Errors   bad_json (with the byte's position), unknown_op, missing_field, bad_field, bad_channel, bad_type,
//          string_too_long.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <ringfence/error.h>

namespace ringfence {

enum class Op : std::uint8_t { subscribe, unsubscribe, publish, history, presence, join, leave, refresh, ping };

struct Request {
  Op op = Op::ping;
  std::string_view id;  // as JSON, empty if none
  std::string channel;
  std::string type;                   // publish
  std::string_view data;              // publish, join: as sent; empty if none
  std::optional<std::string> epoch;   // of `after` (subscribe), or `epoch` (history)
  std::uint64_t after_seq = 0;        // subscribe with epoch; history; presence: a version
  std::optional<std::uint32_t> last;  // subscribe
  std::uint32_t limit = 100;          // history, presence
  std::optional<bool> watch;          // presence
  std::string token;                  // refresh
};

struct RequestError {
  Error code;
  std::string_view id;  // as JSON, empty if none or not known
  std::string message;
};

// `message` is UTF-8. Nothing of `out` counts if an error is returned.
std::optional<RequestError> parse_request(std::span<char> message, std::uint32_t depth_max, Request& out,
                                          std::size_t string_chars_max = std::numeric_limits<std::size_t>::max());

// The fields of a `publish` alone, as back ends send them over HTTP: an object with `channel`, `type?` and `data`.
std::optional<RequestError> parse_publish(std::span<char> object, std::uint32_t depth_max, Request& out);

}  // namespace ringfence
