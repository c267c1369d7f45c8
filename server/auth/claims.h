// The claims of a token whose signature is good, as an Identity; and JSON read so strictly that no two readers differ.
//
// Threads  functions of their arguments.
// Errors   token_malformed, token_expired, token_not_yet_valid, token_audience, token_issuer, token_claims.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

#include <ringfence/result.h>

#include "auth/identity.h"
#include "options.h"

namespace ringfence {

// None if it is no JSON, a name stands twice in one object (readers differ in which counts), or it is nested deeper than
// kTokenDepthMax.
std::optional<nlohmann::json> parse_strict(std::string_view text);

Result<Identity> identity_of_claims(std::string_view payload, const AuthOptions& options, std::int64_t now_us);

}  // namespace ringfence
