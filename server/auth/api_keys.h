// ApiKeys: the keys of back ends and admins, as --api-keys FILE lists them: lines of name:role:hash, # begins a comment.
//
// A key is 32 random bytes (make_api_key), so nothing can be guessed and one SHA-256 is enough: a slow hash is for
// passwords. The file holds the hashes only; whoever reads it gets no key.
// Owns     the hashes.
// Threads  const: any.
// Bounds   kKeysMax keys; a file of kFileBytesMax.
// Cost     find: one SHA-256, and all hashes are compared, each in constant time: which one fits does not show.
// Errors   parse throws UsageError with the line's number.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ringfence {

using Sha256 = std::array<unsigned char, 32>;
Sha256 sha256(std::string_view bytes);

class ApiKeys {
 public:
  static constexpr std::size_t kKeysMax = 256;
  static constexpr std::size_t kFileBytesMax = 64 * 1024;
  struct Key {
    std::string name;
    bool admin = false;
    Sha256 hash{};
    std::uint64_t id = 0;  // never 0; the same for the same line in another reading
  };

  // `where` names the text in errors.
  static ApiKeys parse(std::string_view text, const std::string& where);

  const Key* find(std::string_view key) const;
  bool holds(std::uint64_t id) const noexcept;
  bool empty() const noexcept { return keys_.empty(); }

 private:
  std::vector<Key> keys_;
};

// Whether a bearer token has the form of an API key; a JWT never does.
bool looks_like_api_key(std::string_view token) noexcept;

struct NewApiKey {
  std::string key;   // for the one who will use it; kept nowhere
  std::string line;  // for the file
};
// Throws UsageError for a name that is not 1 to 64 of [A-Za-z0-9_.-], or a role that is neither back_end nor admin.
NewApiKey make_api_key(const std::string& name, const std::string& role);

}  // namespace ringfence
