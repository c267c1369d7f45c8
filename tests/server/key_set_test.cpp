#include "auth/key_set.h"

#include "support/catch.h"
#include "support/tokens.h"

using namespace ringfence;
using namespace ringfence::test;
using Json = nlohmann::json;

namespace {

std::string refused(const AuthOptions& options) {
  try {
    (void)KeySet::load(options);
  } catch (const UsageError& error) {
    return error.what();
  }
  return {};
}

std::string with_secret(const std::string& secret) {
  AuthOptions options;
  options.jwt_secret = secret;
  return refused(options);
}

std::string with_pem(const std::string& text) {
  const KeyFile file(text);
  AuthOptions options;
  options.jwt_public_key = file.path();
  return refused(options);
}

std::string with_jwks(const std::string& text) {
  const KeyFile file(text);
  AuthOptions options;
  options.jwks = file.path();
  return refused(options);
}

bool says(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("KeySet refuses a secret that is short, or a PEM key that is taken for one", "[key_set]") {
  CHECK(says(with_secret(std::string(31, 'x')), "32 bytes or more"));
  CHECK(with_secret(std::string(32, 'x')).empty());
  CHECK(says(with_secret(TestKey::rsa().public_pem()), "--jwt-public-key takes it"));
}

TEST_CASE("KeySet takes RSA of 2,048 bits and P-256, and no weaker or other key", "[key_set]") {
  CHECK(with_pem(TestKey::rsa(2048).public_pem()).empty());
  CHECK(with_pem(TestKey::ec().public_pem()).empty());
  CHECK(says(with_pem(TestKey::rsa(1024).public_pem()), "2,048 to 8,192 bits"));
  CHECK(says(with_pem(TestKey::ec("P-384").public_pem()), "P-256"));
  CHECK(says(with_pem("nonsense"), "no public key or certificate"));
  CHECK(says(with_pem(""), "empty"));
  CHECK(says(with_pem(std::string(KeySet::kFileBytesMax + 1, 'x')), "above 262144 bytes"));
  AuthOptions options;
  options.jwt_public_key = "/nowhere/at/all";
  CHECK(says(refused(options), "cannot read '/nowhere/at/all'"));
}

TEST_CASE("KeySet reads a JSON Web Key Set and passes over keys that cannot verify", "[key_set]") {
  Json encrypting = TestKey::rsa().jwk("enc");
  encrypting["use"] = "enc";
  Json other = TestKey::rsa().jwk("ps");
  other["alg"] = "PS256";
  const Json curve{{"kty", "EC"}, {"crv", "P-384"}};
  const Json oct{{"kty", "oct"}, {"k", base64url(kSecret)}};
  const Json set{{"keys", {TestKey::rsa().jwk("1"), encrypting, other, curve, Json{{"kty", "OKP"}}, oct}}};
  const auto keys = jwks_keys(set.dump(), "test");
  REQUIRE(keys.size() == 2);
  CHECK(keys[0].algorithm == JwtAlgorithm::rs256);
  CHECK(keys[0].key_id == "1");
  CHECK(keys[1].algorithm == JwtAlgorithm::hs256);
  CHECK(keys[1].material == kSecret);
}

TEST_CASE("KeySet says which key of a set is wrong", "[key_set]") {
  CHECK(says(with_jwks("[]"), "list `keys`"));
  CHECK(says(with_jwks("{\"keys\":{}}"), "list `keys`"));
  CHECK(says(with_jwks("{\"keys\":[]}"), "no key for"));
  CHECK(says(with_jwks("{\"keys\":[7]}"), "key 1: not an object"));
  Json jwk = TestKey::ec().jwk("1");
  jwk["y"] = "!";
  CHECK(says(with_jwks(Json{{"keys", {jwk}}}.dump()), "`y` is not base64url"));
  jwk["y"] = jwk["x"];  // a point that is not on the curve
  CHECK(says(with_jwks(Json{{"keys", {jwk}}}.dump()), "no key"));
  CHECK(says(with_jwks(R"({"keys":[{"kty":"oct","k":"c2hvcnQ"}]})"), "32 bytes or more"));
  const Json many{{"keys", std::vector<Json>(32, TestKey::ec().jwk("1"))}};
  CHECK(with_jwks(many.dump()).empty());
  Json more = many;
  more["keys"].push_back(TestKey::ec().jwk("2"));
  CHECK(says(with_jwks(more.dump()), "more than 32"));
}

TEST_CASE("KeySet knows its keys by ids that are the same in another reading", "[key_set]") {
  const NewApiKey key = make_api_key("a", "back_end");
  const KeyFile file(key.line + "\n");
  AuthOptions options;
  options.api_keys = file.path();
  options.jwt_secret = kSecret;
  const auto first = KeySet::load(options);
  const auto second = KeySet::load(options);
  CHECK(first->digest() == second->digest());
  const std::uint64_t api_key = first->api_keys().find(key.key)->id;
  const std::uint64_t jwt_key = first->jwt_keys().front().id;
  CHECK(second->holds(api_key));
  CHECK(second->holds(jwt_key));
  CHECK_FALSE(second->holds(0));
  file.write(make_api_key("b", "back_end").line);
  const auto third = KeySet::load(options);
  CHECK(third->digest() != first->digest());
  CHECK_FALSE(third->holds(api_key));
  CHECK(third->holds(jwt_key));
  file.write("# nobody\n");
  CHECK(says(refused(options), "holds no key"));
}
