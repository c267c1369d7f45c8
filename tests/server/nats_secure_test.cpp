// TLS, tokens and credentials against a real broker: what is right is taken, and what is not is one line and no spin.
//
// The words of OpenSSL and cnats differ by version, so what is looked for in a line is ours, or the broker's.
#include <cstdio>
#include <fstream>

#include "support/catch.h"
#include "support/certificates.h"
#include "support/http_client.h"
#include "support/nats.h"
#include "support/nats_jwt.h"
#include "support/tokens.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;
using namespace std::chrono_literals;

namespace {

using Change = std::function<void(NatsOptions&)>;

std::string tls_url(const NatsBroker& broker, const std::string& host = "127.0.0.1") {
  return "tls://" + host + ":" + std::to_string(broker.port());
}

// Certificates in files, and a broker's configuration that names them.
struct Secured {
  explicit Secured(const Authority::Subject& subject = {.hosts = {"localhost"}, .addresses = {"127.0.0.1"}},
                   const std::string& more = {})
      : authority("the right one"),
        other("another one"),
        ca(authority.certificate()),
        other_ca(other.certificate()),
        server(authority.issue(subject)),
        certificate(server.certificate),
        key(server.key),
        config("tls { cert_file: \"" + certificate.path() + "\", key_file: \"" + key.path() + "\", ca_file: \"" +
               ca.path() + "\"" + more + " }\n"),
        broker({"-c", config.path()}) {}

  Authority authority, other;
  KeyFile ca, other_ca;
  Certificate server;
  KeyFile certificate, key, config;
  NatsBroker broker;
};

// What it says of a connection that cannot be: one line, after two tries and no third.
std::string refused(const std::string& url, const Change& change = {}, bool credentials = false) {
  Nats it(
      url,
      [&](NatsOptions& options) {
        options.reconnects_max = 2;
        options.reconnect_max_ms = 60'000;
        if (change) change(options);
      },
      nullptr, false);
  it->start();
  REQUIRE(eventually([&] { return it->state() == NatsState::circuit_open; }));
  const std::string said = it->reason();
  INFO(said);
  CHECK(said.find('\n') == std::string::npos);
  CHECK(said.size() < 300);
  CHECK(said.find(url.substr(url.rfind('@') == std::string::npos ? 0 : url.rfind('@') + 1)) != std::string::npos);
  CHECK(it->refused_credentials() == credentials);
  CHECK(it->stats().connect_failures == (credentials ? 1 : 2));
  CHECK(it->stats().connects == 0);
  CHECK(it->publish({.subject = "a", .data = ""}).error() == Error::broker_unavailable);
  return said;
}

void works(Nats& it) {
  Received received;
  const auto kept = it.subscribe("test.a", received.handler(), "test");
  it.flush();
  REQUIRE(it->publish({.subject = "test.a", .data = "x"}).ok());
  CHECK(received.wait_for(1));
  CHECK(it->state() == NatsState::connected);
}

// A broker whose users are those that an account vouches for.
struct Vouched {
  Vouched()
      : operator_key(NatsKey::Kind::operators),
        account(NatsKey::Kind::account),
        operator_jwt(operator_key.says(operator_key.name(), {{"type", "operator"}})),
        config("operator: \"" + operator_jwt.path() + "\"\nresolver: MEMORY\nresolver_preload: { " + account.name() +
               ": \"" +
               operator_key.says(account.name(), {{"type", "account"},
                                                  {"limits",
                                                   {{"subs", -1},
                                                    {"data", -1},
                                                    {"payload", -1},
                                                    {"imports", -1},
                                                    {"exports", -1},
                                                    {"wildcards", true},
                                                    {"conn", -1},
                                                    {"leaf", -1}}}}) +
               "\" }\n"),
        broker({"-c", config.path()}) {}

  std::string user(const NatsKey& by, std::int64_t expires_s = 0) const {
    const NatsKey key(NatsKey::Kind::user);
    return nats_credentials(
        by.says(key.name(), {{"type", "user"}, {"subs", -1}, {"data", -1}, {"payload", -1}}, expires_s), key.seed());
  }

  NatsKey operator_key, account;
  KeyFile operator_jwt, config;
  NatsBroker broker;
};

Change with(std::string NatsOptions::* option, const std::string& value) {
  return [option, value](NatsOptions& options) { options.*option = value; };
}

}  // namespace

TEST_CASE("NatsService speaks TLS to a broker whose certificate is of the authority given", "[nats_secure]") {
  const Secured its;
  const Change ca = with(&NatsOptions::tls_ca, its.ca.path());
  Nats by_url(tls_url(its.broker), ca);
  works(by_url);
  CHECK(by_url->stats().server.find(std::to_string(its.broker.port())) != std::string::npos);
  Nats by_name(tls_url(its.broker, "localhost"), ca);
  works(by_name);
  Nats by_option(its.broker.url(), [&](NatsOptions& options) {
    ca(options);
    options.tls = true;
  });
  works(by_option);
}

TEST_CASE("NatsService refuses a broker's certificate of another authority, or one that is over, or for another host",
          "[nats_secure]") {
  const Secured its;
  const std::string url = tls_url(its.broker);
  const std::string said = refused(url, with(&NatsOptions::tls_ca, its.other_ca.path()));
  CHECK(said.starts_with("no connection to tls://"));
  (void)refused(url);  // no authority of the system's has signed it
  const auto other_host = [&](NatsOptions& options) {
    options.tls_ca = its.ca.path();
    options.tls_host = "elsewhere.example";
  };
  (void)refused(url, other_host);
  Nats insecure(url, [&](NatsOptions& options) {
    other_host(options);
    options.tls_insecure = true;
  });
  works(insecure);

  const Secured over({.addresses = {"127.0.0.1"}, .from_s = -7'200, .until_s = -3'600});
  (void)refused(tls_url(over.broker), with(&NatsOptions::tls_ca, over.ca.path()));
  const Secured elsewhere({.hosts = {"elsewhere.example"}, .addresses = {"127.0.0.2"}});
  (void)refused(tls_url(elsewhere.broker), with(&NatsOptions::tls_ca, elsewhere.ca.path()));
  (void)refused(tls_url(elsewhere.broker, "localhost"), with(&NatsOptions::tls_ca, elsewhere.ca.path()));
  Nats named(tls_url(elsewhere.broker), [&](NatsOptions& options) {
    options.tls_ca = elsewhere.ca.path();
    options.tls_host = "elsewhere.example";
  });
  works(named);
}

TEST_CASE("NatsService shows its certificate to a broker that asks for one", "[nats_secure]") {
  const Secured its({.addresses = {"127.0.0.1"}}, ", verify: true");
  const Certificate good = its.authority.issue({}), stranger = its.other.issue({});
  const KeyFile certificate(good.certificate), key(good.key), other(stranger.certificate), other_key(stranger.key);
  const auto shown = [&](const KeyFile& its_certificate, const KeyFile& its_key) {
    return [&](NatsOptions& options) {
      options.tls_ca = its.ca.path();
      options.tls_cert = its_certificate.path();
      options.tls_key = its_key.path();
    };
  };
  Nats it(tls_url(its.broker), shown(certificate, key));
  works(it);
  (void)refused(tls_url(its.broker), with(&NatsOptions::tls_ca, its.ca.path()));
  (void)refused(tls_url(its.broker), shown(other, other_key));
  (void)refused(tls_url(its.broker), shown(certificate, other_key));  // which does not belong to it
}

TEST_CASE("NatsService says so where one side wants TLS and the other does not", "[nats_secure]") {
  const NatsBroker plain;
  (void)refused(tls_url(plain));
  const Secured its;
  (void)refused(its.broker.url());
}

TEST_CASE("NatsService shows its token; a wrong one is one clear line", "[nats_secure]") {
  const NatsBroker broker({"--auth", "the right token"});
  Nats it(broker.url(), with(&NatsOptions::token, "the right token"));
  works(it);
  const std::string said = refused(broker.url(), with(&NatsOptions::token, "a wrong token"), true);
  CHECK(said.starts_with("the broker refuses these credentials: "));
  CHECK(said.find("wrong token") == std::string::npos);
  CHECK(refused(broker.url(), {}, true).starts_with("the broker refuses these credentials: "));

  Server wrong(TestServer::options([&](Options& options) {
    options.nats = nats_options(broker.url());
    options.nats.token = "a wrong token";
  }));
  CHECK_THROWS_AS(wrong.start(), std::runtime_error);
}

TEST_CASE("NatsService shows the credentials of a file; those that are wrong, over or no credentials are one line",
          "[nats_secure]") {
  const Vouched its;
  const auto file = [](const KeyFile& credentials) { return with(&NatsOptions::credentials, credentials.path()); };
  const KeyFile good(its.user(its.account));
  Nats it(its.broker.url(), file(good));
  works(it);

  const NatsKey stranger(NatsKey::Kind::account);
  CHECK(refused(its.broker.url(), file(KeyFile(its.user(stranger))), true)
            .starts_with("the broker refuses these credentials: "));
  CHECK(refused(its.broker.url(), file(KeyFile(its.user(its.account, now_s() - 60))), true)
            .starts_with("the broker refuses these credentials: "));
  (void)refused(its.broker.url(), file(KeyFile("no credentials\n")));
  CHECK(refused(its.broker.url(), {}, true).starts_with("the broker refuses these credentials: "));
}

TEST_CASE("A server whose credentials end while it is connected says so, and takes new ones without a restart",
          "[nats_secure]") {
  const Vouched its;
  const KeyFile credentials(its.user(its.account, now_s() + 2));
  TestServer test([&](Options& options) {
    options.nats = nats_options(its.broker.url());
    options.nats.mode = "core";
    options.nats.credentials = credentials.path();
    options.nats.reconnect_max_ms = 500;
  });
  const auto health = [&] { return Json::parse(HttpClient(test.server.port()).get("/v1/health").body()); };
  CHECK(health()["status"] == "healthy");
  REQUIRE(test.eventually([&](const HubStats&) { return test.server.nats()->state() == NatsState::circuit_open; }));
  const Json said = health();
  CHECK(said["status"] == "degraded");
  CHECK(said["reasons"][0]["reason"].get<std::string>().find("the broker refuses these credentials") !=
        std::string::npos);
  // In the last second of the credentials the broker lets in and throws out at once: no spin.
  CHECK(test.server.nats()->stats().disconnects <= 8);
  const std::uint64_t failures = test.server.nats()->stats().connect_failures;
  REQUIRE(
      test.eventually([&](const HubStats&) { return test.server.nats()->stats().connect_failures >= failures + 2; }));
  credentials.write(its.user(its.account));
  REQUIRE(test.eventually([&](const HubStats&) { return test.server.nats()->state() == NatsState::connected; }));
  CHECK(health()["status"] == "healthy");
}
