#include "auth/key_set.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>

#include "auth/openssl_ptr.h"

namespace ringfence {
namespace {

constexpr std::size_t kSecretBytesMin = 32;  // RFC 7518, section 3.2

std::string read_file(const std::string& path, std::size_t bytes_max, const std::string& option) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw UsageError(option + ": cannot read '" + path + "'");
  std::string text(bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad() || text.empty()) throw UsageError(option + ": '" + path + "' is empty or cannot be read");
  if (text.size() > bytes_max)
    throw UsageError(option + ": '" + path + "' is above " + std::to_string(bytes_max) + " bytes");
  return text;
}

}  // namespace

JwtKey secret_key(std::string_view secret, const std::string& where) {
  if (secret.size() < kSecretBytesMin)
    throw UsageError(where + ": a secret of HS256 has 32 bytes or more (RFC 7518, section 3.2)");
  if (secret.find("-----BEGIN") != std::string_view::npos)
    throw UsageError(where + ": this is a PEM key and no secret; --jwt-public-key takes it");
  JwtKey key;
  key.material = secret;
  return key;
}

JwtKey pem_key(std::string_view pem, const std::string& where) {
  const PkeyPtr pkey = read_public_key(pem);
  if (!pkey) throw UsageError(where + ": no public key or certificate in PEM");
  JwtKey key;
  if (EVP_PKEY_get_base_id(pkey.get()) == EVP_PKEY_RSA) {
    const int bits = EVP_PKEY_get_bits(pkey.get());
    if (bits < 2048 || bits > 8192) throw UsageError(where + ": an RSA key has 2,048 to 8,192 bits");
    key.algorithm = JwtAlgorithm::rs256;
  } else if (EVP_PKEY_get_base_id(pkey.get()) == EVP_PKEY_EC && on_p256(pkey.get())) {
    key.algorithm = JwtAlgorithm::es256;
  } else {
    throw UsageError(where + ": neither an RSA key nor an EC key on P-256");
  }
  key.material = write_public_key(pkey.get());
  if (key.material.empty()) throw UsageError(where + ": a key that cannot be used");
  return key;
}

void KeySet::add(JwtKey key, const std::string& where) {
  if (jwt_keys_.size() == kJwtKeysMax)
    throw UsageError(where + ": more than " + std::to_string(kJwtKeysMax) + " JWT keys");
  std::string identity(1, static_cast<char>('0' + static_cast<int>(key.algorithm)));
  identity += key.material;
  const Sha256 digest = sha256(identity);
  std::memcpy(&key.id, digest.data(), sizeof key.id);
  key.id |= 1;
  jwt_keys_.push_back(std::move(key));
}

std::shared_ptr<const KeySet> KeySet::load(const AuthOptions& options) {
  auto keys = std::make_shared<KeySet>();
  std::string everything;
  const auto note = [&everything](const std::string& text) { everything += std::to_string(text.size()) + ":" + text; };
  if (!options.jwt_secret.empty()) keys->add(secret_key(options.jwt_secret, "--jwt-secret"), "--jwt-secret");
  if (!options.jwt_public_key.empty()) {
    const std::string where = "--jwt-public-key " + options.jwt_public_key;
    const std::string pem = read_file(options.jwt_public_key, kFileBytesMax, "--jwt-public-key");
    note(pem);
    keys->add(pem_key(pem, where), where);
  }
  if (!options.jwks.empty()) {
    const std::string where = "--jwks " + options.jwks;
    const std::string json = read_file(options.jwks, kFileBytesMax, "--jwks");
    note(json);
    std::vector<JwtKey> found = jwks_keys(json, where);
    if (found.empty()) throw UsageError(where + ": no key for RS256, ES256 or HS256 is in it");
    for (JwtKey& key : found) keys->add(std::move(key), where);
  }
  if (!options.api_keys.empty()) {
    const std::string text = read_file(options.api_keys, ApiKeys::kFileBytesMax, "--api-keys");
    note(text);
    keys->api_keys_ = ApiKeys::parse(text, "--api-keys " + options.api_keys);
    if (keys->api_keys_.empty()) throw UsageError("--api-keys: '" + options.api_keys + "' holds no key");
  }
  keys->digest_ = sha256(everything);
  return keys;
}

bool KeySet::holds(std::uint64_t key_id) const noexcept {
  return api_keys_.holds(key_id) ||
         std::any_of(jwt_keys_.begin(), jwt_keys_.end(), [key_id](const JwtKey& key) { return key.id == key_id; });
}

}  // namespace ringfence
