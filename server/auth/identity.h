// Identity: who a connection or a request speaks for, and what it may do. Made once at the handshake, then shared.
//
// Owns     plain values, immutable once made: sessions, HTTP requests and caches share it by IdentityPtr.
// Threads  any, as it never changes.
// Bounds   user and session: kNameBytesMax bytes each; patterns: kPatternsMax for each kind of right, each as long as a
//          channel's name may be. Its memory is counted by the account "identities" (authenticator.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ringfence {

struct Identity {
  static constexpr std::size_t kNameBytesMax = 128;
  static constexpr std::size_t kPatternsMax = 32;
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  std::string user;     // empty: anonymous
  std::string session;  // empty: none named; another one of the same user replaces that user's connections
  // Channel patterns that it may use: a name, or a prefix and '*'.
  std::vector<std::string> subscribe{"*"};
  std::vector<std::string> publish{"*"};
  std::vector<std::string> presence{"*"};
  std::int64_t expires_at_us = kNever;  // wall clock
  bool back_end = false;                // came with an API key: not rate-limited
  bool admin = false;                   // may use the admin routes
  std::uint64_t key_id = 0;             // of the key that vouches for it; 0: authentication is off

  bool may_subscribe(std::string_view channel) const noexcept;  // history too
  bool may_publish(std::string_view channel) const noexcept;
  bool may_see_presence(std::string_view channel) const noexcept;  // and join or leave it
};

using IdentityPtr = std::shared_ptr<const Identity>;

// 1 to 128 of [A-Za-z0-9_:.-], and perhaps one '*' at the end; or "*" alone.
bool valid_pattern(std::string_view pattern) noexcept;
bool matches_any(const std::vector<std::string>& patterns, std::string_view channel) noexcept;
// At most kNameBytesMax bytes of UTF-8 without control characters; empty is one too.
bool valid_name(std::string_view name) noexcept;

}  // namespace ringfence
