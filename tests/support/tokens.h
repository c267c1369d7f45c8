// Tokens and keys for tests, made with OpenSSL alone: cpp-jwt, which the server verifies with, has no part in it.
//
// Errors   std::runtime_error if OpenSSL fails.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

#include "auth/openssl_ptr.h"

namespace ringfence::test {

inline const std::string kSecret = "a secret for tests, of 32 bytes or more";

inline std::string base64url(std::string_view bytes) {
  std::string text(4 * (bytes.size() / 3 + 1) + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

inline std::int64_t now_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

inline std::string hmac(std::string_view key, std::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (!HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
            text.size(), out, &size))
    throw std::runtime_error("HMAC");
  return {reinterpret_cast<const char*>(out), size};
}

// Header and payload as they stand, signed with HS256.
inline std::string sign_raw(std::string_view header, std::string_view payload, std::string_view secret = kSecret) {
  const std::string text = base64url(header) + "." + base64url(payload);
  return text + "." + base64url(hmac(secret, text));
}

inline std::string token(const nlohmann::json& claims, std::string_view secret = kSecret) {
  return sign_raw(R"({"alg":"HS256","typ":"JWT"})", claims.dump(), secret);
}

// {"sub":user,"exp":in a minute} and `more`.
inline nlohmann::json claims_of(const std::string& user, nlohmann::json more = nlohmann::json::object()) {
  if (!more.contains("sub")) more["sub"] = user;
  if (!more.contains("exp")) more["exp"] = now_s() + 60;
  return more;
}

// A key pair, made when the test runs.
class TestKey {
 public:
  static TestKey rsa(unsigned bits = 2048) { return TestKey(EVP_RSA_gen(bits), "RS256"); }
  static TestKey ec(const char* curve = "P-256") { return TestKey(EVP_EC_gen(curve), "ES256"); }

  std::string public_pem() const { return write_public_key(key_.get()); }

  nlohmann::json jwk(const std::string& key_id) const {
    nlohmann::json jwk{{"kid", key_id}, {"use", "sig"}, {"alg", algorithm_}};
    if (algorithm_ == "RS256") {
      jwk["kty"] = "RSA";
      jwk["n"] = base64url(number(OSSL_PKEY_PARAM_RSA_N, 0));
      jwk["e"] = base64url(number(OSSL_PKEY_PARAM_RSA_E, 0));
    } else {
      jwk["kty"] = "EC";
      jwk["crv"] = "P-256";
      jwk["x"] = base64url(number(OSSL_PKEY_PARAM_EC_PUB_X, 32));
      jwk["y"] = base64url(number(OSSL_PKEY_PARAM_EC_PUB_Y, 32));
    }
    return jwk;
  }

  std::string token(const nlohmann::json& claims, const std::string& key_id = {}) const {
    nlohmann::json header{{"alg", algorithm_}, {"typ", "JWT"}};
    if (!key_id.empty()) header["kid"] = key_id;
    const std::string text = base64url(header.dump()) + "." + base64url(claims.dump());
    return text + "." + base64url(sign(text));
  }

 private:
  TestKey(EVP_PKEY* key, std::string algorithm) : key_(key), algorithm_(std::move(algorithm)) {
    if (!key_) throw std::runtime_error("no key could be made");
  }

  // Big-endian, of `bytes` bytes, or as many as it takes.
  std::string number(const char* name, int bytes) const {
    BIGNUM* value = nullptr;
    if (EVP_PKEY_get_bn_param(key_.get(), name, &value) != 1) throw std::runtime_error(name);
    const BnPtr owned(value);
    return big_endian(value, bytes);
  }
  static std::string big_endian(const BIGNUM* value, int bytes) {
    std::string text(static_cast<std::size_t>(bytes > 0 ? bytes : BN_num_bytes(value)), '\0');
    BN_bn2binpad(value, reinterpret_cast<unsigned char*>(text.data()), static_cast<int>(text.size()));
    return text;
  }

  std::string sign(std::string_view text) const {
    const std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    std::size_t size = 0;
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    if (EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) != 1 ||
        EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) != 1)
      throw std::runtime_error("sign");
    std::string signature(size, '\0');
    if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes, text.size()) !=
        1)
      throw std::runtime_error("sign");
    signature.resize(size);
    if (algorithm_ == "RS256") return signature;
    // A JWT holds r and s as they are, not in DER.
    const auto* der = reinterpret_cast<const unsigned char*>(signature.data());
    const std::unique_ptr<ECDSA_SIG, OpensslFree<ECDSA_SIG_free>> pair(
        d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(signature.size())));
    if (!pair) throw std::runtime_error("sign");
    return big_endian(ECDSA_SIG_get0_r(pair.get()), 32) + big_endian(ECDSA_SIG_get0_s(pair.get()), 32);
  }

  PkeyPtr key_;
  std::string algorithm_;
};

// A file of its own for each, removed with it.
class KeyFile {
 public:
  explicit KeyFile(std::string_view text) {
    static int number = 0;
    path_ = (std::filesystem::temp_directory_path() /
             ("ringfence-keys-" + std::to_string(::getpid()) + "-" + std::to_string(++number)))
                .string();
    write(text);
  }
  KeyFile(const KeyFile&) = delete;
  KeyFile& operator=(const KeyFile&) = delete;
  ~KeyFile() { std::filesystem::remove(path_); }
  void write(std::string_view text) const { std::ofstream(path_, std::ios::binary | std::ios::trunc) << text; }
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace ringfence::test
