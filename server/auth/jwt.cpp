#include "auth/jwt.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include <jwt/algorithm.hpp>
#include <jwt/base64.hpp>
#include <nlohmann/json.hpp>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "auth/base64url.h"
#include "auth/claims.h"

namespace ringfence {

std::optional<std::string> decode_base64url(std::string_view text) {
  static constexpr std::string_view kChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  if (text.empty() || text.size() % 4 == 1 || text.find_first_not_of(kChars) != std::string_view::npos)
    return std::nullopt;
  return jwt::base64_uri_decode(text.data(), text.size());
}

namespace {

struct Parts {
  std::string_view signed_text;  // header.payload
  std::string_view signature;
  std::string header;
  std::string payload;
};

std::optional<Parts> split(std::string_view token) {
  const std::size_t first = token.find('.');
  const std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return std::nullopt;
  auto header = decode_base64url(token.substr(0, first));
  auto payload = decode_base64url(token.substr(first + 1, second - first - 1));
  if (!header || !payload) return std::nullopt;
  return Parts{token.substr(0, second), token.substr(second + 1), std::move(*header), std::move(*payload)};
}

std::optional<JwtAlgorithm> algorithm_of(std::string_view name) noexcept {
  if (name == "HS256") return JwtAlgorithm::hs256;
  if (name == "RS256") return JwtAlgorithm::rs256;
  if (name == "ES256") return JwtAlgorithm::es256;
  return std::nullopt;  // "none" among them, however it is spelled
}

jwt::string_view view(std::string_view text) { return {text.data(), text.size()}; }

bool signature_fits(const JwtKey& key, const Parts& parts) {
  if (key.algorithm == JwtAlgorithm::rs256)
    return jwt::PEMSign<jwt::algo::RS256>::verify(view(key.material), view(parts.signed_text), view(parts.signature))
        .first;
  if (key.algorithm == JwtAlgorithm::es256)
    return jwt::PEMSign<jwt::algo::ES256>::verify(view(key.material), view(parts.signed_text), view(parts.signature))
        .first;
  // cpp-jwt 1.4 compares HMACs with ==, which tells by its time how much of a guess is right.
  const auto signature = decode_base64url(parts.signature);
  const auto [expected, error] = jwt::HMACSign<jwt::algo::HS256>::sign(view(key.material), view(parts.signed_text));
  return !error && signature && signature->size() == expected.size() &&
         CRYPTO_memcmp(signature->data(), expected.data(), expected.size()) == 0;
}

Result<Identity> verify(std::string_view token, const std::vector<JwtKey>& keys, const AuthOptions& options,
                        std::int64_t now_us) {
  if (token.size() > kTokenBytesMax) return Error::token_malformed;
  const auto parts = split(token);
  if (!parts) return Error::token_malformed;
  const auto header = parse_strict(parts->header);
  // `crit` names extensions that must be understood; none is.
  if (!header || !header->is_object() || header->contains("crit")) return Error::token_malformed;
  const auto text = [&header](const char* name) {
    const auto found = header->find(name);
    return found != header->end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto algorithm = algorithm_of(text("alg"));
  const auto of_algorithm = [&](const JwtKey& key) { return algorithm && key.algorithm == *algorithm; };
  if (std::none_of(keys.begin(), keys.end(), of_algorithm)) return Error::token_algorithm;
  if (!decode_base64url(parts->signature)) return Error::token_malformed;

  const std::string key_id = text("kid");
  const auto fits = std::find_if(keys.begin(), keys.end(), [&](const JwtKey& key) {
    return of_algorithm(key) && (key_id.empty() || key.key_id.empty() || key.key_id == key_id) &&
           signature_fits(key, *parts);
  });
  if (fits == keys.end()) return Error::token_signature;
  auto identity = identity_of_claims(parts->payload, options, now_us);
  if (identity) identity->key_id = fits->id;
  return identity;
}

}  // namespace

Result<Identity> verify_jwt(std::string_view token, const std::vector<JwtKey>& keys, const AuthOptions& options,
                            std::int64_t now_us) noexcept {
  struct ClearErrors {
    ~ClearErrors() { ERR_clear_error(); }
  } const clear;
  try {
    return verify(token, keys, options, now_us);
  } catch (...) {  // of the library, or for want of memory: nobody has shown who they are
    return Error::token_malformed;
  }
}

}  // namespace ringfence
