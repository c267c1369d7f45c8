// Who is let in: every refusal of the handshake over a real socket, by its status and code.
#include "auth/api_keys.h"
#include "support/catch.h"
#include "support/http_client.h"
#include "support/tokens.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

const std::string kUpgrade =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

struct Answer {
  unsigned status = 0;
  std::string code;
  bool operator==(const Answer&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Answer& answer) { return out << answer.status << " " << answer.code; }

Answer ask(const TestServer& test, const std::string& headers, const std::string& target = "/v1/ws") {
  HttpClient client(test.server.port());
  const auto response = client.get(target, kUpgrade + headers);
  return {response.result_int(), response.result_int() == 101 ? "" : error_code_of(response)};
}

std::string bearer(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }

}  // namespace

TEST_CASE("A handshake without a good token is refused with 401 and a code of its own", "[auth]") {
  TestServer test([](Options& options) {
    options.auth.jwt_secret = kSecret;
    options.auth.jwt_audience = "chat";
    options.auth.jwt_issuer = "issuer";
    options.auth.jwt_clock_skew_s = 0;
  });
  const Json more{{"aud", "chat"}, {"iss", "issuer"}};
  const auto with = [&](const std::string& name, const Json& value) {
    Json claims = claims_of("ann", more);
    claims[name] = value;
    return token(claims);
  };
  const std::string good = token(claims_of("ann", more));
  CHECK(ask(test, bearer(good)) == Answer{101, ""});
  CHECK(ask(test, "Sec-WebSocket-Protocol: ringfence.v1, bearer." + good + "\r\n") == Answer{101, ""});

  CHECK(ask(test, "") == Answer{401, "token_missing"});
  CHECK(ask(test, "Authorization: Basic YTpi\r\n") == Answer{401, "token_missing"});
  CHECK(ask(test, bearer("")) == Answer{401, "token_missing"});
  CHECK(ask(test, bearer("x")) == Answer{401, "token_malformed"});
  CHECK(ask(test, bearer("a.b.c")) == Answer{401, "token_malformed"});
  CHECK(ask(test, bearer(with("exp", now_s() - 1))) == Answer{401, "token_expired"});
  CHECK(ask(test, bearer(with("nbf", now_s() + 100))) == Answer{401, "token_not_yet_valid"});
  CHECK(ask(test, bearer(with("aud", "mail"))) == Answer{401, "token_audience"});
  CHECK(ask(test, bearer(with("iss", "stranger"))) == Answer{401, "token_issuer"});
  CHECK(ask(test, bearer(with("sub", 7))) == Answer{401, "token_claims"});
  CHECK(ask(test, bearer(token(claims_of("ann", more), "another secret, of 32 bytes and more"))) ==
        Answer{401, "token_signature"});
  const std::string none = base64url(R"({"alg":"none"})") + "." + base64url(claims_of("ann", more).dump()) + ".";
  CHECK(ask(test, bearer(none)) == Answer{401, "token_algorithm"});
  CHECK(ask(test, bearer(none + "AAAA")) == Answer{401, "token_algorithm"});
  CHECK(ask(test, bearer(TestKey::rsa().token(claims_of("ann", more)))) == Answer{401, "token_algorithm"});
  CHECK(ask(test, bearer(make_api_key("x", "admin").key)) == Answer{401, "key_unknown"});

  CHECK(ask(test, bearer(good) + "Origin: https://elsewhere.example\r\n") == Answer{403, "origin_not_allowed"});

  const HubStats stats = test.server.hub().stats();
  CHECK(stats.refused[static_cast<std::size_t>(Error::token_missing)] == 3);
  CHECK(stats.refused[static_cast<std::size_t>(Error::token_algorithm)] == 3);
}

TEST_CASE("A 401 says how to do better, and the connection goes on", "[auth]") {
  TestServer test([](Options& options) { options.auth.jwt_secret = kSecret; });
  HttpClient client(test.server.port());
  const auto refused = client.get("/v1/ws", kUpgrade);
  CHECK(refused.result_int() == 401);
  CHECK(refused[boost::beast::http::field::www_authenticate] == "Bearer");
  CHECK(Json::parse(refused.body())["error"]["message"].get<std::string>().find("Authorization: Bearer") !=
        std::string::npos);
  CHECK(client.get("/v1/ws", kUpgrade + bearer(token(claims_of("ann")))).result_int() == 101);
}

TEST_CASE("A token in a sub-protocol is not named in the answer", "[auth]") {
  TestServer test([](Options& options) { options.auth.jwt_secret = kSecret; });
  const std::string good = token(claims_of("ann"));
  WsClient client(test.server.port(), "bearer." + good + ", ringfence.v1");
  CHECK(client.protocol() == "ringfence.v1");
  HttpClient bare(test.server.port());
  const auto response = bare.get("/v1/ws", kUpgrade + "Sec-WebSocket-Protocol: bearer." + good + "\r\n");
  CHECK(response.result_int() == 101);
  CHECK(response.count(boost::beast::http::field::sec_websocket_protocol) == 0);
  CHECK(ask(test, "Sec-WebSocket-Protocol: bearer." + good + ", soap\r\n") == Answer{400, "unsupported_protocol"});
}

TEST_CASE("An API key opens a WebSocket too, by either header", "[auth]") {
  const NewApiKey key = make_api_key("feed", "back_end");
  const KeyFile file(key.line);
  TestServer test([&](Options& options) { options.auth.api_keys = file.path(); });
  CHECK(ask(test, bearer(key.key)) == Answer{101, ""});
  CHECK(ask(test, "X-API-Key: " + key.key + "\r\n") == Answer{101, ""});
  CHECK(ask(test, "X-API-Key: " + make_api_key("feed", "back_end").key + "\r\n") == Answer{401, "key_unknown"});
  CHECK(ask(test, "") == Answer{401, "token_missing"});
  CHECK(ask(test, bearer(token(claims_of("ann")))) == Answer{401, "token_algorithm"});  // no JWT key at all
}

TEST_CASE("Admin routes need an admin's key once authentication is on", "[auth]") {
  const NewApiKey back_end = make_api_key("feed", "back_end");
  const NewApiKey admin = make_api_key("ops", "admin");
  const KeyFile file(back_end.line + "\n" + admin.line);
  TestServer test([&](Options& options) {
    options.auth.api_keys = file.path();
    options.auth.jwt_secret = kSecret;
  });
  HttpClient client(test.server.port());
  const auto get = [&](const std::string& headers, const std::string& path = "/v1/monitoring/ledger") {
    const auto response = client.get(path, headers);
    return Answer{response.result_int(), response.result_int() == 200 ? "" : error_code_of(response)};
  };
  CHECK(get("") == Answer{401, "token_missing"});
  CHECK(get("", "/v1/monitoring/none") == Answer{401, "token_missing"});  // which there are is not told either
  CHECK(get(bearer(token(claims_of("ann")))) == Answer{403, "forbidden"});
  CHECK(get("X-API-Key: " + back_end.key + "\r\n") == Answer{403, "forbidden"});
  CHECK(get("X-API-Key: " + admin.key + "\r\n") == Answer{200, ""});
  CHECK(get(bearer(admin.key)) == Answer{200, ""});
  CHECK(get("", "/v1/health") == Answer{200, ""});
  const TestServer open;
  CHECK(HttpClient(open.server.port()).get("/v1/monitoring/ledger").result_int() == 200);
}

TEST_CASE("Whoever tries bad tokens is held up like everybody who tries too often", "[auth]") {
  TestServer test([](Options& options) {
    options.auth.jwt_secret = kSecret;
    options.trust_forwarded_for = true;
    options.limits.address_attempts = 3;
  });
  const std::string from = "X-Forwarded-For: 203.0.113.7\r\n";
  for (int i = 0; i < 3; ++i) CHECK(ask(test, from + bearer("a.b.c")) == Answer{401, "token_malformed"});
  CHECK(ask(test, from + bearer("a.b.c")) == Answer{429, "rate_limited"});
  CHECK(ask(test, from + bearer(token(claims_of("ann")))) == Answer{429, "rate_limited"});
  CHECK(ask(test, bearer(token(claims_of("ann")))) == Answer{101, ""});
}

TEST_CASE("Without authentication a client may name itself, within bounds", "[auth]") {
  TestServer test;
  CHECK(ask(test, "", "/v1/ws?user=ann&session=1") == Answer{101, ""});
  CHECK(ask(test, "", "/v1/ws?user=" + std::string(128, 'a')) == Answer{101, ""});
  CHECK(ask(test, "", "/v1/ws?user=" + std::string(129, 'a')) == Answer{400, "bad_field"});
  CHECK(ask(test, "", "/v1/ws?user=a%0ab") == Answer{400, "bad_field"});
  CHECK(ask(test, "", "/v1/ws?session=%ff") == Answer{400, "bad_field"});
  CHECK(ask(test, bearer("whatever")) == Answer{101, ""});  // nothing is checked
}
