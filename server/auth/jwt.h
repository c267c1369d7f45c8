// verify_jwt(): a JSON Web Token to an Identity.
//
// The signatures are cpp-jwt's. What decides is ours: a token's algorithm must be that of the key; HMACs are compared in
// constant time; a name given twice, a critical extension, and text that is not base64url are refused; times may be
// fractions and never wrap; `aud` may be a list. See ARCHITECTURE.md, "Libraries".
//
// Claims   sub -> user (needed), sid or session -> session, exp, nbf, aud, iss; and `ringfence`, an object of lists of
//          channel patterns: {"subscribe":[…],"publish":[…],"presence":[…]}. Without it the default rights hold; with it,
//          a list that is absent is empty.
// Threads  a function of its arguments.
// Bounds   a token of kTokenBytesMax, JSON of kDepthMax levels.
// Cost     one signature for each key that fits: microseconds for HS256, some hundred for RS256 and ES256, as cpp-jwt reads
//          the PEM key anew each time; Authenticator's cache is for that. Nothing is verified that no key fits.
// Errors   token_malformed, token_algorithm, token_signature, token_expired, token_not_yet_valid, token_audience,
//          token_issuer, token_claims. No exception leaves.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <ringfence/result.h>

#include "auth/identity.h"
#include "auth/key_set.h"
#include "options.h"

namespace ringfence {

inline constexpr std::size_t kTokenBytesMax = 8 * 1024;  // as much as the head of a request
inline constexpr int kTokenDepthMax = 10;

Result<Identity> verify_jwt(std::string_view token, const std::vector<JwtKey>& keys, const AuthOptions& options,
                            std::int64_t now_us) noexcept;

}  // namespace ringfence
