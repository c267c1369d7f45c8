#include "auth/claims.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "auth/jwt.h"

namespace ringfence {
namespace {

using Json = nlohmann::json;

// NumericDate (RFC 7519, section 2): seconds, perhaps with a fraction. Never wraps, however large it is.
bool read_time(const Json& value, std::int64_t& time_us) {
  static constexpr double kSecondsMax = 9e12;
  if (!value.is_number()) return false;
  const double seconds = value.get<double>();
  time_us = seconds >= kSecondsMax ? Identity::kNever : static_cast<std::int64_t>(std::max(seconds, 0.0) * 1e6);
  return true;
}

Result<void> check_times(const Json& claims, const AuthOptions& options, std::int64_t now_us, Identity& identity) {
  const std::int64_t skew_us = std::int64_t{1'000'000} * options.jwt_clock_skew_s;
  if (const auto exp = claims.find("exp"); exp != claims.end()) {
    std::int64_t at_us = 0;
    if (!read_time(*exp, at_us)) return Error::token_claims;
    identity.expires_at_us = at_us == Identity::kNever ? at_us : at_us + skew_us;
    if (identity.expires_at_us <= now_us) return Error::token_expired;
  }
  if (const auto nbf = claims.find("nbf"); nbf != claims.end()) {
    std::int64_t at_us = 0;
    if (!read_time(*nbf, at_us)) return Error::token_claims;
    if (at_us > now_us + skew_us) return Error::token_not_yet_valid;
  }
  return {};
}

Result<void> check_names(const Json& claims, const AuthOptions& options) {
  if (!options.jwt_issuer.empty()) {
    const auto iss = claims.find("iss");
    if (iss == claims.end() || *iss != options.jwt_issuer) return Error::token_issuer;
  }
  if (!options.jwt_audience.empty()) {
    const auto aud = claims.find("aud");
    const bool meant = aud != claims.end() &&
                       (aud->is_array() ? std::find(aud->begin(), aud->end(), options.jwt_audience) != aud->end()
                                        : *aud == options.jwt_audience);
    if (!meant) return Error::token_audience;
  }
  return {};
}

bool read_name(const Json& claims, const char* claim, std::string& out) {
  const auto found = claims.find(claim);
  if (found == claims.end()) return true;
  if (!found->is_string()) return false;
  out = found->get<std::string>();
  return valid_name(out);
}

bool read_patterns(const Json& rights, const char* kind, std::vector<std::string>& out) {
  out.clear();
  const auto found = rights.find(kind);
  if (found == rights.end()) return true;
  if (!found->is_array() || found->size() > Identity::kPatternsMax) return false;
  for (const Json& pattern : *found) {
    if (!pattern.is_string() || !valid_pattern(pattern.get_ref<const std::string&>())) return false;
    out.push_back(pattern.get<std::string>());
  }
  return true;
}

}  // namespace

std::optional<Json> parse_strict(std::string_view text) {
  std::vector<std::set<std::string>> open;
  bool good = true;
  const auto look = [&](int depth, Json::parse_event_t event, const Json& parsed) {
    good = good && depth <= kTokenDepthMax;
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key) good = open.back().insert(parsed.get<std::string>()).second && good;
    return true;
  };
  Json json = Json::parse(text, look, false);
  if (json.is_discarded() || !good) return std::nullopt;
  return json;
}

Result<Identity> identity_of_claims(std::string_view payload, const AuthOptions& options, std::int64_t now_us) {
  const auto claims = parse_strict(payload);
  if (!claims || !claims->is_object()) return Error::token_malformed;
  Identity identity;
  if (const auto good = check_times(*claims, options, now_us, identity); !good) return good.error();
  if (const auto good = check_names(*claims, options); !good) return good.error();
  if (!read_name(*claims, "sub", identity.user) || identity.user.empty()) return Error::token_claims;
  if (!read_name(*claims, claims->contains("sid") ? "sid" : "session", identity.session)) return Error::token_claims;
  identity.subscribe = options.jwt_subscribe;
  identity.publish = options.jwt_publish;
  identity.presence = options.jwt_presence;
  if (const auto rights = claims->find("ringfence"); rights != claims->end()) {
    if (!rights->is_object() || !read_patterns(*rights, "subscribe", identity.subscribe) ||
        !read_patterns(*rights, "publish", identity.publish) || !read_patterns(*rights, "presence", identity.presence))
      return Error::token_claims;
  }
  return identity;
}

}  // namespace ringfence
