// A whole server with a broker: what it says of it.
#include "support/catch.h"
#include "support/http_client.h"
#include "support/nats.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

std::function<void(Options&)> joined(const std::string& url) {
  return [url](Options& options) {
    options.nats = nats_options(url);
    options.nats.mode = "core";
  };
}

Json health(Server& server) { return Json::parse(HttpClient(server.port()).get("/v1/health").body()); }

}  // namespace

TEST_CASE("A server says that it is degraded, and why, while its broker is away", "[nats_server]") {
  NatsBroker broker;
  TestServer test(joined(broker.url()));
  CHECK(health(test.server)["status"] == "healthy");
  CHECK(health(test.server)["reasons"].empty());
  broker.kill();
  REQUIRE(eventually([&] { return health(test.server)["status"] == "degraded"; }));
  CHECK(health(test.server)["reasons"][0]["check"] == "broker");
  CHECK(HttpClient(test.server.port()).get("/v1/health").result_int() == 200);
  broker.start();
  CHECK(eventually([&] { return health(test.server)["status"] == "healthy"; }));
  const std::string metrics = HttpClient(test.server.port()).get("/metrics").body();
  CHECK(metrics.find("ringfence_broker_state{state=\"connected\"} 1\n") != std::string::npos);
  CHECK(metrics.find("ringfence_broker_disconnects_total 1\n") != std::string::npos);
  CHECK(test.server.stop() == 0);
  CHECK(eventually([&] { return broker.look("/connz")["num_connections"] == 0; }));
}

TEST_CASE("A server starts without its broker and finds it later; wrong credentials end it in one line",
          "[nats_server]") {
  NatsBroker broker({"--user", "ringfence", "--pass", "right"});
  broker.kill();
  TestServer test([&](Options& options) {
    joined(broker.url("ringfence:right"))(options);
    options.nats.connect_timeout_ms = 100;
  });
  CHECK(health(test.server)["status"] == "degraded");
  broker.start();
  CHECK(eventually([&] { return health(test.server)["status"] == "healthy"; }));

  Server wrong(TestServer::options(joined(broker.url("ringfence:wrong"))));
  std::string said;
  try {
    wrong.start();
  } catch (const std::runtime_error& error) {
    said = error.what();
  }
  CHECK(said == "the broker refuses these credentials: " + broker.url() + ": Authorization Violation");
}

TEST_CASE("The bounds of the broker's part are in the ledger, and in what is refused at start", "[nats_server]") {
  NatsBroker broker;
  TestServer test(joined(broker.url()));
  std::size_t found = 0;
  for (const LedgerRow& row : test.server.ledger().rows())
    if (row.name.starts_with("nats ")) ++found;
  CHECK(found >= 6);
  std::string said;
  try {
    const Server large(TestServer::options([&](Options& options) {
      joined(broker.url())(options);
      options.nats.incoming_bytes = 1ull << 30;
    }));
  } catch (const UsageError& error) {
    said = error.what();
  }
  CHECK(said.find("nats incoming") != std::string::npos);
}
