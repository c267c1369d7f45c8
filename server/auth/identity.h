// Identity: who a connection or a request speaks for, and what it may do. Made once at the handshake, then shared.
//
// Owns     plain values, immutable once made: sessions, HTTP requests and caches share it by IdentityPtr.
// Threads  any, as it never changes.
// Bounds   user and session: kNameBytesMax bytes each; patterns: kPatternsMax for each kind of right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
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
};

using IdentityPtr = std::shared_ptr<const Identity>;

}  // namespace ringfence
