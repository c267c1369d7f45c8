// NatsKey: an Ed25519 key as NATS names it, and the JWTs that it signs: what an operator, an account and a user are made of,
// without the tools of NATS.
//
// Errors   std::runtime_error if OpenSSL fails.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "support/tokens.h"

namespace ringfence::test {

class NatsKey {
 public:
  enum class Kind : std::uint8_t { operators = 14 << 3, account = 0, user = 20 << 3 };

  explicit NatsKey(Kind kind) : kind_(static_cast<std::uint8_t>(kind)) {
    if (RAND_bytes(seed_.data(), static_cast<int>(seed_.size())) != 1) throw std::runtime_error("RAND_bytes");
    key_.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed_.data(), seed_.size()));
    if (!key_) throw std::runtime_error("no key could be made");
  }

  std::string name() const {
    std::array<unsigned char, 32> bytes;
    std::size_t size = bytes.size();
    if (EVP_PKEY_get_raw_public_key(key_.get(), bytes.data(), &size) != 1) throw std::runtime_error("public key");
    return encoded(std::string(1, static_cast<char>(kind_)), bytes);
  }
  std::string seed() const {
    constexpr unsigned kSeed = 18 << 3;
    const std::string prefix{static_cast<char>(kSeed | (kind_ >> 5)), static_cast<char>((kind_ & 31) << 3)};
    return encoded(prefix, seed_);
  }

  // That `subject` is what `nats` says, on our word.
  std::string says(const std::string& subject, const nlohmann::json& nats, std::int64_t expires_s = 0) const {
    nlohmann::json claims{{"jti", "test"}, {"iat", now_s()}, {"iss", name()}, {"name", "test"}, {"sub", subject}};
    claims["nats"] = nats;
    claims["nats"]["version"] = 2;
    if (expires_s != 0) claims["exp"] = expires_s;
    const std::string text = base64url(R"({"typ":"JWT","alg":"ed25519-nkey"})") + "." + base64url(claims.dump());
    return text + "." + base64url(sign(text));
  }

 private:
  std::string sign(std::string_view text) const {
    const std::unique_ptr<EVP_MD_CTX, OpensslFree<EVP_MD_CTX_free>> context(EVP_MD_CTX_new());
    std::string signature(64, '\0');
    std::size_t size = signature.size();
    if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1 ||
        EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                       reinterpret_cast<const unsigned char*>(text.data()), text.size()) != 1)
      throw std::runtime_error("sign");
    return signature;
  }

  // Prefix, key and CRC-16 (XMODEM, low byte first), in base32 without padding.
  static std::string encoded(std::string bytes, const std::array<unsigned char, 32>& key) {
    bytes.append(reinterpret_cast<const char*>(key.data()), key.size());
    unsigned crc = 0;
    for (const char c : bytes) {
      crc ^= static_cast<unsigned>(static_cast<unsigned char>(c)) << 8;
      for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000u ? crc << 1 ^ 0x1021u : crc << 1) & 0xFFFFu;
    }
    bytes += static_cast<char>(crc & 255);
    bytes += static_cast<char>(crc >> 8);
    static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    std::string text;
    unsigned held = 0;
    int bits = 0;
    for (const char c : bytes) {
      held = held << 8 | static_cast<unsigned char>(c);
      for (bits += 8; bits >= 5; bits -= 5) text += kDigits[held >> (bits - 5) & 31];
    }
    if (bits > 0) text += kDigits[held << (5 - bits) & 31];
    return text;
  }

  const std::uint8_t kind_;
  std::array<unsigned char, 32> seed_{};
  PkeyPtr key_;
};

// The text of a .creds file.
inline std::string nats_credentials(const std::string& jwt, const std::string& seed) {
  return "-----BEGIN NATS USER JWT-----\n" + jwt +
         "\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n" + seed +
         "\n------END USER NKEY SEED------\n";
}

}  // namespace ringfence::test
