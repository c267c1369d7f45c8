#include "auth/jwt.h"

#include "options.h"
#include "support/catch.h"
#include "support/random.h"
#include "support/tokens.h"

using namespace ringfence;
using namespace ringfence::test;
using Json = nlohmann::json;

namespace {

constexpr std::int64_t kNow = 1'800'000'000;  // s

AuthOptions strict() {
  AuthOptions options;
  options.jwt_clock_skew_s = 10;
  return options;
}

std::vector<JwtKey> secret() { return {secret_key(kSecret, "test")}; }

Result<Identity> verify(const std::string& token, const std::vector<JwtKey>& keys = secret(),
                        const AuthOptions& options = strict()) {
  return verify_jwt(token, keys, options, kNow * 1'000'000);
}

std::string code(const std::string& token, const std::vector<JwtKey>& keys = secret(),
                 const AuthOptions& options = strict()) {
  const auto identity = verify(token, keys, options);
  return identity ? "ok" : std::string(error_code(identity.error()));
}

Json claims(Json more = Json::object()) {
  more["sub"] = "ann";
  return more;
}

// HS256, with these claims as text.
std::string raw(const std::string& payload) { return sign_raw(R"({"alg":"HS256"})", payload); }

}  // namespace

TEST_CASE("verify_jwt takes HS256, RS256 and ES256, each by a key of its own", "[jwt]") {
  const TestKey rsa = TestKey::rsa();
  const TestKey ec = TestKey::ec();
  const std::vector<JwtKey> rsa_key{pem_key(rsa.public_pem(), "test")};
  const std::vector<JwtKey> ec_key{pem_key(ec.public_pem(), "test")};
  CHECK(code(token(claims())) == "ok");
  CHECK(code(rsa.token(claims()), rsa_key) == "ok");
  CHECK(code(ec.token(claims()), ec_key) == "ok");
  CHECK(verify(ec.token(claims()), ec_key)->user == "ann");

  CHECK(code(token(claims(), kSecret + "?")) == "token_signature");
  CHECK(code(TestKey::rsa().token(claims()), rsa_key) == "token_signature");
  CHECK(code(TestKey::ec().token(claims()), ec_key) == "token_signature");
  CHECK(code(rsa.token(claims()), ec_key) == "token_algorithm");
  CHECK(code(token(claims()), rsa_key) == "token_algorithm");
  CHECK(code(token(claims()), {}) == "token_algorithm");
}

TEST_CASE("verify_jwt is not led to another algorithm than its key's", "[jwt]") {
  const TestKey rsa = TestKey::rsa();
  const std::string pem = rsa.public_pem();
  const std::vector<JwtKey> keys{pem_key(pem, "test")};
  // The public key is no secret: signed with it as if it were one.
  CHECK(code(token(claims(), pem), keys) == "token_algorithm");
  const std::vector<JwtKey> both{pem_key(pem, "test"), secret_key(kSecret, "test")};
  CHECK(code(token(claims(), pem), both) == "token_signature");
  CHECK(code(token(claims()), both) == "ok");
  CHECK(code(rsa.token(claims()), both) == "ok");
  for (const char* none : {"none", "None", "NONE", "nOnE", ""}) {
    const std::string text = base64url(Json{{"alg", none}}.dump()) + "." + base64url(claims().dump());
    CHECK(code(text + ".") == "token_algorithm");
    CHECK(code(text + "." + base64url(hmac(kSecret, text))) == "token_algorithm");
  }
  CHECK(code(sign_raw(R"({"alg":"hs256"})", claims().dump())) == "token_algorithm");
  CHECK(code(sign_raw(R"({"alg":"HS512"})", claims().dump())) == "token_algorithm");
  CHECK(code(sign_raw(R"({"alg":["HS256"]})", claims().dump())) == "token_algorithm");
  CHECK(code(sign_raw(R"({})", claims().dump())) == "token_algorithm");
}

TEST_CASE("verify_jwt chooses the key by its kid, where both name one", "[jwt]") {
  const TestKey one = TestKey::ec();
  const TestKey two = TestKey::ec();
  const Json set{{"keys", {one.jwk("1"), two.jwk("2"), TestKey::rsa().jwk("3")}}};
  const auto keys = jwks_keys(set.dump(), "test");
  REQUIRE(keys.size() == 3);
  CHECK(code(one.token(claims(), "1"), keys) == "ok");
  CHECK(code(two.token(claims(), "2"), keys) == "ok");
  CHECK(code(two.token(claims()), keys) == "ok");  // names none: all of its algorithm are tried
  CHECK(code(two.token(claims(), "1"), keys) == "token_signature");
  CHECK(code(two.token(claims(), "9"), keys) == "token_signature");
}

TEST_CASE("verify_jwt refuses what two readers could read in two ways", "[jwt]") {
  CHECK(code(raw(R"({"sub":"ann","sub":"bob"})")) == "token_malformed");
  CHECK(code(raw(R"({"sub":"ann","\u0073ub":"bob"})")) == "token_malformed");
  CHECK(code(raw(R"({"sub":"ann","x":{"a":1,"a":2}})")) == "token_malformed");
  CHECK(code(raw(R"({"sub":"ann","x":[{"a":1},{"a":2}]})")) == "ok");
  CHECK(code(sign_raw(R"({"alg":"HS256","alg":"none"})", claims().dump())) == "token_malformed");
  CHECK(code(sign_raw(R"({"alg":"HS256","crit":["b64"],"b64":false})", claims().dump())) == "token_malformed");
  CHECK(code(sign_raw(R"({"alg":"HS256","typ":"at+jwt"})", claims().dump())) == "ok");
  CHECK(code(raw(R"(["sub"])")) == "token_malformed");
  CHECK(code(raw("{\"sub\":\"\xff\"}")) == "token_malformed");
  CHECK(code(raw(R"({"sub":"ann"} )")) == "ok");
  CHECK(code(raw(R"({"sub":"ann"}x)")) == "token_malformed");
  const auto levels = static_cast<std::size_t>(kTokenDepthMax) - 1;
  const std::string deep = std::string(levels, '[').append(levels, ']');
  CHECK(code(raw(R"({"sub":"ann","x":)" + deep + "}")) == "ok");
  CHECK(code(raw(R"({"sub":"ann","x":[[)" + deep + "]]}")) == "token_malformed");
}

TEST_CASE("verify_jwt refuses what is no token, however it looks", "[jwt]") {
  const std::string good = token(claims());
  const std::string end = good.substr(good.rfind('.') + 1);
  const std::string head = good.substr(0, good.rfind('.') + 1);
  const std::string bad[] = {"",
                             ".",
                             "..",
                             "...",
                             "a",
                             "a.b",
                             good + ".",
                             good + ".a",
                             "." + good,
                             head,
                             " " + good,
                             good + " ",
                             good + "=",
                             head + "+" + end.substr(1),
                             head + "\xff" + end.substr(1),
                             std::string(1, '\xff') + good,
                             std::string(3, '\0')};
  for (const std::string& one : bad) {
    CAPTURE(one);
    CHECK(code(one) == "token_malformed");
  }
  CHECK(code(head + end.substr(1)) != "ok");
  CHECK(code(head + end + "AAAA") == "token_signature");
}

TEST_CASE("verify_jwt takes a token of kTokenBytesMax and refuses a larger one unread", "[jwt]") {
  const auto of = [](std::size_t letters) {
    return raw(std::string(R"({"sub":"ann","x":")").append(letters, 'x').append("\"}"));
  };
  std::size_t letters = 6000;
  while (of(letters + 1).size() <= kTokenBytesMax) ++letters;
  CHECK(code(of(letters)) == "ok");
  CHECK(code(of(letters + 1)) == "token_malformed");
  CHECK(code(std::string(10'000'000, 'A')) == "token_malformed");
}

TEST_CASE("verify_jwt accepts no token that was changed in any way", "[jwt]") {
  auto random = seeded_random();
  const TestKey rsa = TestKey::rsa();
  const TestKey ec = TestKey::ec();
  const std::vector<JwtKey> keys{secret_key(kSecret, "test"), pem_key(rsa.public_pem(), "test"),
                                 pem_key(ec.public_pem(), "test")};
  const std::string tokens[] = {token(claims()), rsa.token(claims()), ec.token(claims())};
  for (int round = 0; round < 3000; ++round) {
    const std::string& good = tokens[round % 3];
    std::string changed = good;
    const std::size_t at = random() % changed.size();
    switch (random() % 4) {
      case 0: changed[at] = static_cast<char>(random() % 256); break;
      case 1: changed.erase(at, 1 + random() % 8); break;
      case 2: changed.insert(at, 1, static_cast<char>(random() % 256)); break;
      case 3: changed.resize(at); break;
    }
    // The last letter of a signature holds bits that mean nothing.
    if (changed == good || (changed.size() == good.size() && at + 1 == good.size())) continue;
    CAPTURE(round, changed);
    REQUIRE(code(changed, keys) != "ok");
  }
}

TEST_CASE("verify_jwt keeps exp and nbf within the clock's skew, and no time wraps", "[jwt]") {
  const auto at = [](const char* claim, Json value) { return code(token(claims({{claim, std::move(value)}}))); };
  CHECK(at("exp", kNow - 9) == "ok");
  CHECK(at("exp", kNow - 10) == "token_expired");
  CHECK(at("exp", kNow - 9.5) == "ok");
  CHECK(at("exp", 0) == "token_expired");
  CHECK(at("exp", -1) == "token_expired");
  CHECK(at("exp", -1e300) == "token_expired");
  CHECK(at("exp", 1e300) == "ok");
  CHECK(at("exp", std::numeric_limits<std::uint64_t>::max()) == "ok");
  CHECK(at("exp", std::to_string(kNow + 100)) == "token_claims");
  CHECK(at("exp", nullptr) == "token_claims");
  CHECK(at("nbf", kNow + 10) == "ok");
  CHECK(at("nbf", kNow + 11) == "token_not_yet_valid");
  CHECK(at("nbf", 1e300) == "token_not_yet_valid");
  CHECK(at("nbf", -1) == "ok");
  CHECK(at("nbf", true) == "token_claims");
  CHECK(verify(token(claims({{"exp", kNow + 100}})))->expires_at_us == (kNow + 110) * 1'000'000);
  CHECK(verify(token(claims()))->expires_at_us == Identity::kNever);
}

TEST_CASE("verify_jwt looks at aud and iss once they are configured", "[jwt]") {
  AuthOptions options = strict();
  options.jwt_audience = "chat";
  options.jwt_issuer = "me";
  const auto with = [&](const Json& aud, const Json& iss) {
    return code(token(claims({{"aud", aud}, {"iss", iss}})), secret(), options);
  };
  CHECK(with("chat", "me") == "ok");
  CHECK(with({"mail", "chat"}, "me") == "ok");
  CHECK(with("chatter", "me") == "token_audience");
  CHECK(with({"mail"}, "me") == "token_audience");
  CHECK(with(Json::array(), "me") == "token_audience");
  CHECK(with(Json{{"chat", 1}}, "me") == "token_audience");
  CHECK(with("chat", "you") == "token_issuer");
  CHECK(with("chat", Json::array({"me"})) == "token_issuer");
  CHECK(code(token(claims({{"iss", "me"}})), secret(), options) == "token_audience");
  CHECK(code(token(claims({{"aud", "chat"}})), secret(), options) == "token_issuer");
  CHECK(code(token(claims({{"aud", "x"}, {"iss", "y"}}))) == "ok");
}

TEST_CASE("verify_jwt makes the identity of the claims", "[jwt]") {
  const auto identity = verify(
      token(claims({{"sid", "s1"}, {"ringfence", {{"subscribe", {"room:*", "news"}}, {"publish", {"room:1"}}}}})));
  REQUIRE(identity.ok());
  CHECK(identity->user == "ann");
  CHECK(identity->session == "s1");
  CHECK(identity->subscribe == std::vector<std::string>{"room:*", "news"});
  CHECK(identity->publish == std::vector<std::string>{"room:1"});
  CHECK(identity->presence.empty());  // the claim is there and does not name it
  CHECK_FALSE(identity->back_end);
  CHECK_FALSE(identity->admin);
  CHECK(identity->key_id == 0);  // KeySet gives ids
  CHECK(verify(token(claims({{"session", "s2"}})))->session == "s2");
  CHECK(verify(token(claims({{"session", "s2"}, {"sid", "s1"}})))->session == "s1");
}

TEST_CASE("verify_jwt gives the default rights without a claim, and none with an empty one", "[jwt]") {
  AuthOptions options = strict();
  options.jwt_publish = {"room:*"};
  options.jwt_presence = {};
  auto identity = verify(token(claims()), secret(), options);
  CHECK(identity->may_subscribe("anything"));
  CHECK(identity->may_publish("room:1"));
  CHECK_FALSE(identity->may_publish("news"));
  CHECK_FALSE(identity->may_see_presence("room:1"));
  identity = verify(token(claims({{"ringfence", Json::object()}})), secret(), options);
  CHECK_FALSE(identity->may_subscribe("anything"));
  CHECK_FALSE(identity->may_publish("room:1"));
}

TEST_CASE("verify_jwt bounds the claims", "[jwt]") {
  const auto with = [](Json more) { return code(token(claims(std::move(more)))); };
  const auto sub = [](const Json& value) { return code(token(Json{{"sub", value}})); };
  CHECK(code(token(Json::object())) == "token_claims");
  CHECK(sub("") == "token_claims");
  CHECK(sub(7) == "token_claims");
  CHECK(sub("a\nb") == "token_claims");
  CHECK(sub(std::string(128, 'a')) == "ok");
  CHECK(sub(std::string(129, 'a')) == "token_claims");
  CHECK(with({{"sid", std::string(129, 'a')}}) == "token_claims");
  CHECK(with({{"sid", 1}}) == "token_claims");
  const auto patterns = [&](const Json& list) { return with({{"ringfence", {{"subscribe", list}}}}); };
  std::vector<std::string> many(32, "room:*");
  CHECK(patterns(many) == "ok");
  many.push_back("one more");
  CHECK(patterns(many) == "token_claims");
  CHECK(patterns("room:*") == "token_claims");
  CHECK(patterns({1}) == "token_claims");
  CHECK(patterns({"a*b"}) == "token_claims");
  CHECK(patterns({""}) == "token_claims");
  CHECK(patterns({std::string(128, 'a') + "*"}) == "ok");
  CHECK(patterns({std::string(129, 'a')}) == "token_claims");
  CHECK(with({{"ringfence", "all"}}) == "token_claims");
}
