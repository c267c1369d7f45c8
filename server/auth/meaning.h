// auth_meaning(): what an Error of authentication says to a person. Nothing in it depends on the token or on a key.
#pragma once

#include <string_view>

#include <ringfence/error.h>

namespace ringfence {

constexpr std::string_view auth_meaning(Error error) noexcept {
  switch (error) {
    case Error::token_missing:
      return "a token or an API key is needed: Authorization: Bearer, or the sub-protocol bearer.<token>";
    case Error::token_malformed: return "this is no JSON Web Token that this server reads";
    case Error::token_algorithm: return "the token's algorithm is none that this server has a key for";
    case Error::token_signature: return "the token's signature fits no key of this server";
    case Error::token_expired: return "the token has expired";
    case Error::token_not_yet_valid: return "the token is not valid yet";
    case Error::token_audience: return "the token is meant for another audience";
    case Error::token_issuer: return "the token was issued by somebody else";
    case Error::token_claims: return "a claim is missing, of the wrong kind or out of bounds";
    case Error::token_user: return "the token is another user's or of another session; connect anew with it";
    case Error::key_unknown: return "this API key, or the key that signed the token, is not among the server's keys";
    case Error::forbidden: return "this identity may not do that";
    case Error::overloaded: return "there is no memory for one more identity now";
    case Error::bad_field: return "`user` and `session` are at most 128 bytes without control characters";
    case Error::unsupported: return "authentication is off: there is no token to refresh";
    default: return "refused";
  }
}

}  // namespace ringfence
