// Error: every way in which the core and the server refuse input. error_code() is the documented code of protocol.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ringfence {

enum class Error : std::uint8_t {
  // Client messages (protocol.md, "Error codes").
  bad_json,
  unknown_op,
  missing_field,
  bad_field,
  bad_channel,
  bad_type,
  message_too_large,
  record_too_large,
  text_expected,
  unsupported,
  already_subscribed,
  not_subscribed,
  too_many_subscriptions,
  too_many_channels,
  seq_in_future,
  no_such_channel,
  overloaded,
  too_many_errors,
  string_too_long,
  rate_limited,
  too_many_user_connections,
  too_many_users,
  // Authentication (protocol.md, "Authentication").
  token_missing,
  token_malformed,
  token_algorithm,
  token_signature,
  token_expired,
  token_not_yet_valid,
  token_audience,
  token_issuer,
  token_claims,
  token_user,
  key_unknown,
  forbidden,
  shutting_down,
  too_slow,
  // Presence.
  too_many_members,
  member_too_large,
  not_joined,
  // Many servers as one: the broker (protocol.md, "Error codes").
  broker_unavailable,
  broker_timeout,
  broker_refused,
  // Batches, refused by a receiver (batch.h).
  batch_truncated,
  batch_bad_magic,
  batch_bad_version,
  batch_bad_section,
  batch_bad_record,
  batch_bad_order,
  batch_trailing_bytes,
  batch_too_large,
  // Construction and use of the containers.
  bad_capacity,
  over_budget,
  duplicate_name,
  cost_too_large,
  cache_busy,
  too_many_owners,
  too_many_tasks,
  already_attached,
  seq_exhausted,
  held,
  memory_full,
};

// How many there are: the size of a table of counters by error.
inline constexpr std::size_t kErrorCount = static_cast<std::size_t>(Error::memory_full) + 1;

// The code as it stands on the wire, in metrics and in TypeScript. Static storage.
std::string_view error_code(Error error) noexcept;

}  // namespace ringfence
