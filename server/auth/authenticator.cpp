#include "auth/authenticator.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include <boost/beast/core/string.hpp>

#include "auth/jwt.h"
#include "auth/key_set.h"
#include "log.h"
#include "net/query.h"
#include "realtime/clock.h"

namespace ringfence {
namespace {

constexpr std::string_view kProtocolPrefix = "bearer.";

std::uint64_t bytes_of(const Identity& identity) noexcept {
  std::uint64_t bytes = sizeof(Identity) + 64;  // with the counters of its shared_ptr
  for (const std::string* text : {&identity.user, &identity.session}) bytes += text->capacity();
  for (const auto* patterns : {&identity.subscribe, &identity.publish, &identity.presence}) {
    bytes += patterns->capacity() * sizeof(std::string);
    for (const std::string& pattern : *patterns) bytes += pattern.capacity();
  }
  return bytes;
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The token of whichever of the three ways was taken; empty if none was.
std::string_view token_of(const Credentials& credentials) noexcept {
  static constexpr std::string_view kBearer = "Bearer ";
  if (!credentials.api_key.empty()) return trimmed(credentials.api_key);
  const std::string_view value = trimmed(credentials.authorization);
  if (value.size() >= kBearer.size() && boost::beast::iequals(value.substr(0, kBearer.size()), kBearer))
    return trimmed(value.substr(kBearer.size()));
  for (std::string_view rest = credentials.protocols; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view name = trimmed(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    if (name.starts_with(kProtocolPrefix)) return name.substr(kProtocolPrefix.size());
  }
  return {};
}

std::shared_ptr<Account> open_identities(Ledger& ledger, std::uint64_t capacity_bytes) {
  auto account = ledger.open("identities", capacity_bytes);
  INVARIANT(account.ok());
  return std::make_shared<Account>(std::move(account).value());
}

std::shared_ptr<Cache<Sha256, IdentityPtr>> open_tokens(CacheManager& caches, std::size_t entries) {
  CacheOptions<Sha256, IdentityPtr> options;
  options.name = "tokens";
  options.entries = entries;
  options.bytes = entries * (sizeof(Sha256) + sizeof(IdentityPtr));
  auto cache = caches.create(std::move(options));
  if (!cache.ok())
    throw UsageError("--token-cache: " + std::to_string(entries) +
                     " tokens do not fit into what is left of --cache-memory");
  return std::move(cache).value();
}

}  // namespace

Authenticator::Authenticator(const AuthOptions& options, Ledger& ledger, CacheManager& caches)
    : options_(options),
      enabled_(options.enabled()),
      identities_(open_identities(ledger, options.identity_memory_bytes)),
      keys_(KeySet::load(options)),
      tokens_(open_tokens(caches, options.token_cache_entries)),
      reload_at_ms_(steady_ms() + recheck_ms()) {
  open_identity_ = std::make_shared<const Identity>();
  Identity http;
  http.back_end = http.admin = true;
  open_http_identity_ = std::make_shared<const Identity>(std::move(http));
}

Authenticator::~Authenticator() = default;

std::shared_ptr<const KeySet> Authenticator::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

void Authenticator::reload_if_due() {
  std::int64_t due_ms = reload_at_ms_.load(std::memory_order_relaxed);
  const std::int64_t now_ms = steady_ms();
  if (now_ms < due_ms || !reload_at_ms_.compare_exchange_strong(due_ms, now_ms + recheck_ms())) return;
  try {
    auto read = KeySet::load(options_);
    const std::lock_guard lock(mutex_);
    if (read->digest() == keys_->digest()) return;
    keys_ = std::move(read);
    tokens_->clear();
  } catch (const std::exception& error) {
    reloads_failed_.fetch_add(1, std::memory_order_relaxed);
    return logger("auth")->warn("the keys stay as they were: {}", error.what());
  }
  reloads_.fetch_add(1, std::memory_order_relaxed);
  logger("auth")->info("the keys have changed and were read again");
}

Result<IdentityPtr> Authenticator::share(Identity&& identity) {
  const std::uint64_t bytes = bytes_of(identity);
  if (!identities_->try_add(bytes)) {
    tokens_->clear();  // who is here goes before who was
    if (!identities_->try_add(bytes)) return Error::overloaded;
  }
  return IdentityPtr(new Identity(std::move(identity)), [account = identities_, bytes](const Identity* held) {
    delete held;
    account->sub(bytes);
  });
}

Result<IdentityPtr> Authenticator::identify_open(const Credentials& credentials) {
  Identity identity;
  identity.user = query_value(credentials.target, "user");
  identity.session = query_value(credentials.target, "session");
  if (!valid_name(identity.user) || !valid_name(identity.session)) return Error::bad_field;
  if (identity.user.empty() && identity.session.empty()) return open_identity_;
  return share(std::move(identity));
}

Result<IdentityPtr> Authenticator::identify(const Credentials& credentials) {
  if (!enabled_) return identify_open(credentials);
  const std::string_view token = token_of(credentials);
  if (token.empty()) return Error::token_missing;
  return verify(token);
}

Result<IdentityPtr> Authenticator::require(const Credentials& credentials, Role role) {
  if (!enabled_) return open_http_identity_;
  auto identity = identify(credentials);
  if (!identity) return identity;
  const bool good = role == Role::client || (role == Role::back_end && (*identity)->back_end) || (*identity)->admin;
  return good ? std::move(identity) : Error::forbidden;
}

Result<IdentityPtr> Authenticator::verify(std::string_view token) {
  reload_if_due();
  if (looks_like_api_key(token)) {
    const auto held = keys();
    const ApiKeys::Key* const key = held->api_keys().find(token);
    if (!key) return Error::key_unknown;
    Identity identity;
    identity.back_end = true;
    identity.admin = key->admin;
    identity.key_id = key->id;
    return share(std::move(identity));
  }
  if (token.size() > kTokenBytesMax) return Error::token_malformed;
  auto identity = tokens_->get_or_compute(sha256(token), [&] { return verify_anew(token); });
  // The cache goes by a clock that never jumps, a token by the wall's.
  if (identity && (*identity)->expires_at_us <= wall_us()) return Error::token_expired;
  return identity;
}

// Asks for the keys itself: reload_if_due() changes them first and then clears the cache, so what is verified by the old
// ones is not kept.
Result<Timed<IdentityPtr>> Authenticator::verify_anew(std::string_view token) {
  const std::int64_t now_us = wall_us();
  auto verified = verify_jwt(token, keys()->jwt_keys(), options_, now_us);
  if (!verified) return verified.error();
  const std::int64_t expires_at_us = verified->expires_at_us;
  auto identity = share(std::move(verified).value());
  if (!identity) return identity.error();
  const std::int64_t ttl_ms = expires_at_us == Identity::kNever ? LruLimits::kNever : (expires_at_us - now_us) / 1000;
  return Timed<IdentityPtr>{std::move(identity).value(), ttl_ms};
}

Result<IdentityPtr> Authenticator::refresh(const Identity& held, std::string_view token) {
  if (!enabled_) return Error::unsupported;
  auto fresh = verify(token);
  if (!fresh) return fresh;
  const Identity& identity = **fresh;
  if (identity.user != held.user || identity.session != held.session || identity.back_end != held.back_end)
    return Error::token_user;
  return fresh;
}

Result<void> Authenticator::check(const Identity& held) {
  if (!enabled_) return {};
  reload_if_due();
  if (held.expires_at_us <= wall_us()) return Error::token_expired;
  if (!keys()->holds(held.key_id)) return Error::key_unknown;
  return {};
}

}  // namespace ringfence
