#include "auth/identity.h"

#include "auth/api_keys.h"
#include "auth/authenticator.h"
#include "realtime/clock.h"
#include "support/catch.h"
#include "support/tokens.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

std::uint64_t used_of(const Ledger& ledger, const std::string& account) {
  for (const LedgerRow& row : ledger.rows())
    if (row.name == account) return row.used_bytes;
  throw std::runtime_error("no account " + account);
}

}  // namespace

TEST_CASE("Identity allows the channels that its patterns name", "[identity]") {
  Identity identity;
  CHECK(identity.may_subscribe("any"));
  identity.subscribe = {"room:*", "news"};
  identity.publish = {};
  identity.presence = {"*"};
  CHECK(identity.may_subscribe("room:1"));
  CHECK(identity.may_subscribe("room:"));
  CHECK(identity.may_subscribe("news"));
  CHECK_FALSE(identity.may_subscribe("news:1"));
  CHECK_FALSE(identity.may_subscribe("roo"));
  CHECK_FALSE(identity.may_publish("news"));
  CHECK(identity.may_see_presence("news"));
}

TEST_CASE("A pattern is a name or a prefix and one star at its end", "[identity]") {
  for (const char* good : {"*", "a", "a*", "room:*", "a.b-c_d"}) CHECK(valid_pattern(good));
  for (const char* bad : {"", "**", "*a", "a*b", "a b", "a/*"}) CHECK_FALSE(valid_pattern(bad));
  CHECK(valid_pattern(std::string(128, 'a').append("*")));
  CHECK_FALSE(valid_pattern(std::string(129, 'a')));
}

TEST_CASE("Authenticator counts every identity and refuses one above the bound", "[identity]") {
  Ledger ledger;
  CacheManager caches(ledger, 16 << 20, steady_ms);
  AuthOptions options;
  options.identity_memory_bytes = 1500;
  Authenticator auth(options, ledger, caches);
  const auto used = [&ledger] { return used_of(ledger, "identities"); };
  const auto named = [](const std::string& target) {
    Credentials credentials;
    credentials.target = target;
    return credentials;
  };
  const std::string target = std::string("/v1/ws?user=").append(100, 'a');
  CHECK(auth.identify({}).ok());  // without a name it is shared by all
  CHECK(used() == 0);
  std::vector<IdentityPtr> held;
  for (auto one = auth.identify(named(target)); one; one = auth.identify(named(target))) held.push_back(*one);
  CHECK(held.size() >= 2);
  CHECK(used() > 100 * held.size());
  CHECK(used() <= 1500);
  CHECK(auth.identify(named(target)).error() == Error::overloaded);
  held.pop_back();
  CHECK(auth.identify(named(target)).ok());
  held.clear();
  CHECK(used() == 0);
}

TEST_CASE("Authenticator::require asks for a role once authentication is on", "[identity]") {
  const NewApiKey back_end = make_api_key("b", "back_end");
  const NewApiKey admin = make_api_key("a", "admin");
  const KeyFile file(back_end.line + "\n" + admin.line + "\n");
  Ledger ledger;
  CacheManager caches(ledger, 16 << 20, steady_ms);
  AuthOptions options;
  {
    Ledger its_ledger;
    CacheManager its_caches(its_ledger, 16 << 20, steady_ms);
    Authenticator open(options, its_ledger, its_caches);
    CHECK_FALSE(open.enabled());
    CHECK(open.require({}, Role::admin).ok());
  }
  options.api_keys = file.path();
  options.jwt_secret = kSecret;
  Authenticator auth(options, ledger, caches);
  CHECK(auth.enabled());
  const auto ask = [&](const std::string& key, Role role) {
    const std::string value = "bearer  " + key;
    Credentials credentials;
    credentials.authorization = value;
    const auto identity = auth.require(credentials, role);
    return identity ? std::string("ok") : std::string(error_code(identity.error()));
  };
  CHECK(error_code(auth.require({}, Role::client).error()) == "token_missing");
  CHECK(ask(back_end.key, Role::client) == "ok");
  CHECK(ask(back_end.key, Role::back_end) == "ok");
  CHECK(ask(back_end.key, Role::admin) == "forbidden");
  CHECK(ask(admin.key, Role::back_end) == "ok");
  CHECK(ask(admin.key, Role::admin) == "ok");
  CHECK(ask(token(claims_of("ann")), Role::client) == "ok");
  CHECK(ask(token(claims_of("ann")), Role::back_end) == "forbidden");
  CHECK(ask("nonsense", Role::client) == "token_malformed");
}

TEST_CASE("Authenticator keeps a verified token until it expires and no longer", "[identity]") {
  Ledger ledger;
  std::int64_t now_ms = 1000;
  CacheManager caches(ledger, 16 << 20, [&now_ms] { return now_ms; });
  AuthOptions options;
  options.jwt_secret = kSecret;
  options.jwt_clock_skew_s = 10;
  Authenticator auth(options, ledger, caches);
  const auto tokens = caches.find<Sha256, IdentityPtr>("tokens");
  REQUIRE(tokens);
  const std::string one = token(claims_of("ann", {{"exp", now_s() + 60}}));
  const IdentityPtr first = auth.verify(one).value();
  CHECK(auth.verify(one).value() == first);
  CHECK(tokens->stats().hits == 1);
  CHECK(auth.verify("a.b.c").error() == Error::token_malformed);
  CHECK(tokens->stats().size == 1);  // what is no token takes no place
  now_ms += 60'000;
  CHECK(tokens->stats().size == 1);
  now_ms += 10'001;
  CHECK(tokens->stats().size == 0);
  CHECK(auth.verify(one).value() != first);
}

TEST_CASE("Authenticator lets go of identities that only the cache holds before it refuses one", "[identity]") {
  Ledger ledger;
  CacheManager caches(ledger, 16 << 20, steady_ms);
  AuthOptions options;
  options.jwt_secret = kSecret;
  options.identity_memory_bytes = 16 * 1024;
  Authenticator auth(options, ledger, caches);
  std::vector<IdentityPtr> held;
  for (int i = 0; i < 10; ++i) held.push_back(auth.verify(token(claims_of(std::to_string(i)))).value());
  for (int i = 10; i < 500; ++i) REQUIRE(auth.verify(token(claims_of(std::to_string(i)))).ok());
  CHECK(used_of(ledger, "identities") <= options.identity_memory_bytes);
  CHECK(held.front()->user == "0");
}

TEST_CASE("Authenticator refuses a token cache that does not fit", "[identity]") {
  Ledger ledger;
  CacheManager caches(ledger, 64 * 1024, steady_ms);
  AuthOptions options;
  CHECK_THROWS_AS(Authenticator(options, ledger, caches), UsageError);
  options.token_cache_entries = 10;
  CHECK_NOTHROW(Authenticator(options, ledger, caches));
}
