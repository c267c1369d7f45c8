// JSON Web Key Sets (RFC 7517): the keys in it that can verify, as JwtKey.
#include <utility>

#include <nlohmann/json.hpp>

#include "auth/base64url.h"
#include "auth/claims.h"
#include "auth/key_set.h"
#include "auth/openssl_ptr.h"

namespace ringfence {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& jwk, const char* name) {
  const auto found = jwk.find(name);
  return found != jwk.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Whether the key is for verifying with this algorithm, as far as it says.
bool meant_for(const Json& jwk, const char* algorithm) {
  const std::string alg = text_of(jwk, "alg");
  const std::string use = text_of(jwk, "use");
  return (alg.empty() || alg == algorithm) && (use.empty() || use == "sig");
}

JwtKey public_key(const PkeyPtr& pkey, const std::string& where) {
  if (!pkey) throw UsageError(where + ": its numbers are no key");
  return pem_key(write_public_key(pkey.get()), where);
}

}  // namespace

std::vector<JwtKey> jwks_keys(std::string_view json, const std::string& where) {
  const auto set = parse_strict(json);
  if (!set || !set->is_object() || !set->contains("keys") || !(*set)["keys"].is_array())
    throw UsageError(where + ": not a JSON object with a list `keys` (RFC 7517)");
  std::vector<JwtKey> keys;
  std::size_t number = 0;
  for (const Json& jwk : (*set)["keys"]) {
    const std::string at = where + ", key " + std::to_string(++number);
    if (!jwk.is_object()) throw UsageError(at + ": not an object");
    const auto bytes = [&](const char* name) {
      auto decoded = decode_base64url(text_of(jwk, name));
      if (!decoded) throw UsageError(at + ": `" + name + "` is not base64url");
      return std::move(*decoded);
    };
    const std::string type = text_of(jwk, "kty");
    std::optional<JwtKey> key;
    if (type == "RSA" && meant_for(jwk, "RS256")) key = public_key(rsa_public_key(bytes("n"), bytes("e")), at);
    if (type == "EC" && text_of(jwk, "crv") == "P-256" && meant_for(jwk, "ES256"))
      key = public_key(p256_public_key(bytes("x"), bytes("y")), at);
    if (type == "oct" && meant_for(jwk, "HS256")) key = secret_key(bytes("k"), at);
    if (!key) continue;
    key->key_id = text_of(jwk, "kid");
    keys.push_back(std::move(*key));
  }
  return keys;
}

}  // namespace ringfence
