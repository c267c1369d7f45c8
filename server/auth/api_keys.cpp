#include "auth/api_keys.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <ringfence/invariant.h>

#include "options.h"

namespace ringfence {
namespace {

constexpr std::string_view kPrefix = "rfk_";  // so that scanners for leaked secrets, and we, know one when we see it
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kKeyChars = 2 * kKeyBytes;

std::string hex(const unsigned char* bytes, std::size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

bool read_hex(std::string_view text, Sha256& out) noexcept {
  if (text.size() != 2 * out.size()) return false;
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = digit(text[2 * i]);
    const int low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<unsigned char>(high * 16 + low);
  }
  return true;
}

bool valid_key_name(std::string_view name) noexcept {
  static constexpr std::string_view kChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  return !name.empty() && name.size() <= 64 && name.find_first_not_of(kChars) == std::string_view::npos;
}

std::string_view trimmed(std::string_view text) noexcept {
  static constexpr std::string_view kSpace = " \t\r";
  const std::size_t first = text.find_first_not_of(kSpace);
  return first == std::string_view::npos ? std::string_view()
                                         : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

ApiKeys::Key parse_line(std::string_view line, const std::string& where) {
  const std::size_t first = line.find(':');
  const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
  if (second == std::string_view::npos) throw UsageError(where + ": a line is name:role:hash");
  ApiKeys::Key key;
  key.name = line.substr(0, first);
  const std::string_view role = line.substr(first + 1, second - first - 1);
  if (!valid_key_name(key.name)) throw UsageError(where + ": the name is not 1 to 64 of [A-Za-z0-9_.-]");
  if (role != "back_end" && role != "admin") throw UsageError(where + ": the role is neither back_end nor admin");
  if (!read_hex(line.substr(second + 1), key.hash))
    throw UsageError(where + ": the hash is not 64 of 0-9a-f; `ringfence-server hash-key` makes such a line");
  key.admin = role == "admin";
  // Of the whole line: a key whose role has changed is another one, and what it vouched for ends.
  const Sha256 digest = sha256(line);
  std::memcpy(&key.id, digest.data(), sizeof key.id);
  key.id |= 1;
  return key;
}

}  // namespace

Sha256 sha256(std::string_view bytes) {
  Sha256 out{};
  unsigned size = 0;
  INVARIANT(EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_sha256(), nullptr) == 1);
  return out;
}

ApiKeys ApiKeys::parse(std::string_view text, const std::string& where) {
  ApiKeys keys;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.starts_with('#')) continue;
    const std::string at = where + ", line " + std::to_string(number);
    if (keys.keys_.size() == kKeysMax) throw UsageError(at + ": more than " + std::to_string(kKeysMax) + " keys");
    Key key = parse_line(line, at);
    for (const Key& other : keys.keys_)
      if (other.name == key.name || other.hash == key.hash)
        throw UsageError(at + ": this name or key is there already");
    keys.keys_.push_back(std::move(key));
  }
  return keys;
}

const ApiKeys::Key* ApiKeys::find(std::string_view key) const {
  if (!looks_like_api_key(key)) return nullptr;
  const Sha256 hash = sha256(key);
  const Key* found = nullptr;
  for (const Key& one : keys_)
    if (CRYPTO_memcmp(one.hash.data(), hash.data(), hash.size()) == 0) found = &one;
  return found;
}

bool ApiKeys::holds(std::uint64_t id) const noexcept {
  return std::any_of(keys_.begin(), keys_.end(), [id](const Key& key) { return key.id == id; });
}

bool looks_like_api_key(std::string_view token) noexcept {
  return token.size() == kPrefix.size() + kKeyChars && token.starts_with(kPrefix);
}

NewApiKey make_api_key(const std::string& name, const std::string& role) {
  if (!valid_key_name(name)) throw UsageError("hash-key --name: not 1 to 64 of [A-Za-z0-9_.-]");
  if (role != "back_end" && role != "admin") throw UsageError("hash-key --role: neither back_end nor admin");
  unsigned char bytes[kKeyBytes];
  if (RAND_bytes(bytes, sizeof bytes) != 1) throw std::runtime_error("hash-key: no random bytes are to be had");
  NewApiKey made;
  made.key = std::string(kPrefix) + hex(bytes, sizeof bytes);
  const Sha256 hash = sha256(made.key);
  made.line = name + ":" + role + ":" + hex(hash.data(), hash.size());
  return made;
}

}  // namespace ringfence
