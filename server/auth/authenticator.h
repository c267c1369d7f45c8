// Authenticator: who a request speaks for, by its JWT or API key; and whether that still holds later.
//
// Authentication is on as soon as one key is configured (--jwt-secret, --jwt-public-key, --jwks, --api-keys): then every
// WebSocket and every route that asks here needs one. While it is off, everybody may do everything, and a client is who
// it says it is (?user=, ?session=): for development, on loopback.
//
// Owns     the keys; files are read again when they have changed, at most once each recheck_s. A file that has become
//          wrong is logged and the keys stay.
// Threads  any.
// Bounds   account "identities": all identities alive (identity_memory_bytes); full: those that only the cache holds go,
//          then overloaded. Cache "tokens": what verified tokens said, until they expire; it is keyed by their hashes.
// Errors   those of protocol.md, "Authentication": token_*, key_unknown, forbidden; overloaded.
//          The constructor throws UsageError.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>

#include <ringfence/ledger.h>
#include <ringfence/result.h>

#include "auth/api_keys.h"
#include "auth/identity.h"
#include "caching/cache_manager.h"
#include "options.h"

namespace ringfence {

class KeySet;

// A hash is spread already.
template <>
struct LruHash<Sha256> {
  std::size_t operator()(const Sha256& digest) const noexcept {
    std::size_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
  }
};

// What a request brings. Views into it.
struct Credentials {
  std::string_view authorization;  // the header's value: "Bearer <JWT or API key>"
  std::string_view api_key;        // of X-API-Key
  std::string_view protocols;  // all of Sec-WebSocket-Protocol, joined by commas; one may be bearer.<JWT or API key>
  std::string_view target;     // of the request, for ?user= and ?session=
};

// Of an HTTP request of Beast (Sec-WebSocket-Protocol is left to the caller, as it may come in several lines).
template <typename Request>
Credentials credentials_of(const Request& request) {
  const auto view = [](const auto& text) { return std::string_view(text.data(), text.size()); };
  Credentials credentials;
  credentials.authorization = view(request["Authorization"]);
  credentials.api_key = view(request["X-API-Key"]);
  credentials.target = view(request.target());
  return credentials;
}

enum class Role : std::uint8_t {
  client,    // anybody who is known
  back_end,  // an API key
  admin,     // an API key with the role admin, which is a back end too
};

class Authenticator {
 public:
  Authenticator(const AuthOptions& options, Ledger& ledger, CacheManager& caches);
  Authenticator(const Authenticator&) = delete;
  Authenticator& operator=(const Authenticator&) = delete;
  ~Authenticator();

  bool enabled() const noexcept { return enabled_; }

  // token_missing without credentials, and so on. bad_field: ?user= or ?session= that are no names.
  Result<IdentityPtr> identify(const Credentials& credentials);
  // The same, and `forbidden` if the identity has not this role. While authentication is off, always good. For the HTTP
  // routes: 401 for everything but forbidden (403) and overloaded (503).
  Result<IdentityPtr> require(const Credentials& credentials, Role role);
  // A JWT or API key alone.
  Result<IdentityPtr> verify(std::string_view token);
  // What a `refresh` op brings: as verify; token_user if it is another user's, or of another session.
  Result<IdentityPtr> refresh(const Identity& held, std::string_view token);
  // token_expired; key_unknown if the key that vouched for it is no longer configured. Cheap: no token is verified.
  Result<void> check(const Identity& held);

  // How often changed files were read, and could not be.
  std::uint64_t reloads() const noexcept { return reloads_.load(std::memory_order_relaxed); }
  std::uint64_t reloads_failed() const noexcept { return reloads_failed_.load(std::memory_order_relaxed); }

  std::int64_t recheck_ms() const noexcept { return std::int64_t{1000} * options_.recheck_s; }

 private:
  std::shared_ptr<const KeySet> keys() const;
  // Reads the files again if it is time.
  void reload_if_due();
  Result<IdentityPtr> share(Identity&& identity);
  Result<Timed<IdentityPtr>> verify_anew(std::string_view token);
  Result<IdentityPtr> identify_open(const Credentials& credentials);

  const AuthOptions options_;
  const bool enabled_;
  std::shared_ptr<Account> identities_;  // shared with the identities, which give back to it
  mutable std::mutex mutex_;
  std::shared_ptr<const KeySet> keys_;
  const std::shared_ptr<Cache<Sha256, IdentityPtr>> tokens_;
  std::atomic<std::int64_t> reload_at_ms_;
  std::atomic<std::uint64_t> reloads_{0};
  std::atomic<std::uint64_t> reloads_failed_{0};
  IdentityPtr open_identity_;       // of everybody without a name while authentication is off
  IdentityPtr open_http_identity_;  // of every HTTP request then: may use all routes
};

}  // namespace ringfence
