#include <ringfence/error.h>
#include <ringfence/invariant.h>

namespace ringfence {

std::string_view error_code(Error error) noexcept {
  switch (error) {
    case Error::bad_json: return "bad_json";
    case Error::unknown_op: return "unknown_op";
    case Error::missing_field: return "missing_field";
    case Error::bad_field: return "bad_field";
    case Error::bad_channel: return "bad_channel";
    case Error::bad_type: return "bad_type";
    case Error::message_too_large: return "message_too_large";
    case Error::record_too_large: return "record_too_large";
    case Error::text_expected: return "text_expected";
    case Error::unsupported: return "unsupported";
    case Error::already_subscribed: return "already_subscribed";
    case Error::not_subscribed: return "not_subscribed";
    case Error::too_many_subscriptions: return "too_many_subscriptions";
    case Error::too_many_channels: return "too_many_channels";
    case Error::seq_in_future: return "seq_in_future";
    case Error::no_such_channel: return "no_such_channel";
    case Error::overloaded: return "overloaded";
    case Error::too_many_errors: return "too_many_errors";
    case Error::string_too_long: return "string_too_long";
    case Error::rate_limited: return "rate_limited";
    case Error::too_many_user_connections: return "too_many_user_connections";
    case Error::too_many_users: return "too_many_users";
    case Error::token_missing: return "token_missing";
    case Error::token_malformed: return "token_malformed";
    case Error::token_algorithm: return "token_algorithm";
    case Error::token_signature: return "token_signature";
    case Error::token_expired: return "token_expired";
    case Error::token_not_yet_valid: return "token_not_yet_valid";
    case Error::token_audience: return "token_audience";
    case Error::token_issuer: return "token_issuer";
    case Error::token_claims: return "token_claims";
    case Error::token_user: return "token_user";
    case Error::key_unknown: return "key_unknown";
    case Error::forbidden: return "forbidden";
    case Error::shutting_down: return "shutting_down";
    case Error::too_slow: return "too_slow";
    case Error::too_many_members: return "too_many_members";
    case Error::member_too_large: return "member_too_large";
    case Error::not_joined: return "not_joined";
    case Error::broker_unavailable: return "broker_unavailable";
    case Error::broker_timeout: return "broker_timeout";
    case Error::broker_refused: return "broker_refused";
    case Error::batch_truncated: return "batch_truncated";
    case Error::batch_bad_magic: return "batch_bad_magic";
    case Error::batch_bad_version: return "batch_bad_version";
    case Error::batch_bad_section: return "batch_bad_section";
    case Error::batch_bad_record: return "batch_bad_record";
    case Error::batch_bad_order: return "batch_bad_order";
    case Error::batch_trailing_bytes: return "batch_trailing_bytes";
    case Error::batch_too_large: return "batch_too_large";
    case Error::bad_capacity: return "bad_capacity";
    case Error::over_budget: return "over_budget";
    case Error::duplicate_name: return "duplicate_name";
    case Error::cost_too_large: return "cost_too_large";
    case Error::cache_busy: return "cache_busy";
    case Error::too_many_owners: return "too_many_owners";
    case Error::too_many_tasks: return "too_many_tasks";
    case Error::already_attached: return "already_attached";
    case Error::seq_exhausted: return "seq_exhausted";
    case Error::held: return "held";
    case Error::memory_full: return "memory_full";
  }
  INVARIANT(false);
  return {};
}

}  // namespace ringfence
