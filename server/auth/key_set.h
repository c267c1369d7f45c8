// KeySet: every key by which somebody may show who they are: JWT keys of --jwt-secret, --jwt-public-key and --jwks, and API
// keys.
//
// A JWT key belongs to one algorithm. What a token's header says only chooses among the keys, so a token cannot turn a
// public RSA key into an HMAC secret.
// Owns     the keys; immutable once loaded.
// Threads  const: any.
// Bounds   kJwtKeysMax JWT keys; files of kFileBytesMax; RSA of 2,048 to 8,192 bits, EC on P-256, secrets of 32 bytes or more.
// Errors   load throws UsageError, which names the option and the file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/api_keys.h"
#include "options.h"

namespace ringfence {

enum class JwtAlgorithm : std::uint8_t { hs256, rs256, es256 };

struct JwtKey {
  JwtAlgorithm algorithm = JwtAlgorithm::hs256;
  std::string key_id;    // `kid`; empty: for tokens of any `kid`
  std::string material;  // hs256: the secret; else a public key in PEM
  std::uint64_t id = 0;  // of the material and the algorithm; never 0
};

class KeySet {
 public:
  static constexpr std::size_t kJwtKeysMax = 32;
  static constexpr std::size_t kFileBytesMax = 256 * 1024;

  static std::shared_ptr<const KeySet> load(const AuthOptions& options);

  const std::vector<JwtKey>& jwt_keys() const noexcept { return jwt_keys_; }
  const ApiKeys& api_keys() const noexcept { return api_keys_; }
  bool holds(std::uint64_t key_id) const noexcept;
  const Sha256& digest() const noexcept { return digest_; }  // of everything that was read

 private:
  void add(JwtKey key, const std::string& where);

  std::vector<JwtKey> jwt_keys_;
  ApiKeys api_keys_;
  Sha256 digest_{};
};

// One key as JwtKey; `where` names it in the UsageError.
JwtKey secret_key(std::string_view secret, const std::string& where);
JwtKey pem_key(std::string_view pem, const std::string& where);  // a public key or a certificate, RSA or P-256
// Keys of a JSON Web Key Set (RFC 7517) that can verify RS256, ES256 or HS256; others are passed over.
std::vector<JwtKey> jwks_keys(std::string_view json, const std::string& where);

}  // namespace ringfence
