// Servers that share a broker, as each other sees them.
#include "bus/cluster_view.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "support/catch.h"
#include "support/http_client.h"
#include "support/nats.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

std::function<void(Options&)> node(const std::string& url, const std::string& name, std::uint32_t nodes_max = 64) {
  return [=](Options& options) {
    options.nats = nats_options(url);
    options.nats.mode = "core";
    options.nats.name = name;
    options.nats.heartbeat_ms = 50;
    options.nats.nodes_max = nodes_max;
    options.limits.user_attempts = 100;
  };
}

Json info(TestServer& test) { return Json::parse(HttpClient(test.server.port()).get("/v1/info").body()); }

std::string names(TestServer& test) {
  std::string all;
  const Json told = info(test);  // for the whole of the loop
  for (const Json& one : told["nodes"]) {
    if (!all.empty()) all += ' ';
    all += one["node"].get<std::string>();
  }
  return all;
}

Json disconnect(TestServer& test, const std::string& body) {
  HttpClient http(test.server.port());
  http.send("POST /v1/disconnect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
            std::to_string(body.size()) + "\r\n\r\n" + body);
  return Json::parse(http.read().body());
}

}  // namespace

TEST_CASE("ClusterView lists the servers with what they have, and those that have gone no more", "[cluster_view]") {
  NatsBroker broker;
  TestServer one(node(broker.url(), "one"));
  CHECK(names(one) == "one");
  {
    TestServer two(node(broker.url(), "two"));
    WsClient client(two.server.port(), "ringfence.v1.json", "?channels=a,b");
    client.expect("subscribed");
    client.expect("subscribed");
    CHECK(eventually([&] {
      const Json told = info(one);
      return told["nodes"].size() == 2 && told["nodes"][1]["subscriptions"] == 2;
    }));
    const Json told = info(one);
    CHECK(told["node"] == "one");
    CHECK(told["nodes"][0]["self"] == true);
    CHECK(told["nodes"][1]["node"] == "two");
    CHECK(told["nodes"][1]["self"] == false);
    CHECK(told["nodes"][1]["connections"] == 1);
    CHECK(told["cluster"]["connections"] == 1);
    CHECK(eventually([&] { return names(two) == "two one"; }));
  }
  CHECK(eventually([&] { return names(one) == "one"; }));  // it said goodbye
}

TEST_CASE("ClusterView forgets a server that is silent, and lists no more than it may", "[cluster_view]") {
  NatsBroker broker;
  TestServer one(node(broker.url(), "one", 2));
  Nats other(broker.url());
  for (const char* name : {"a", "b", "c"})
    REQUIRE(other->publish({.subject = std::string("ringfence.node.") + name, .data = R"({"connections":7})"}).ok());
  for (const char* wrong : {"[]", "{", R"({"connections":-1,"leaving":"x"})"})
    REQUIRE(other->publish({.subject = "ringfence.node.d", .data = wrong}).ok());
  REQUIRE(eventually([&] { return info(one)["nodes_not_listed"] > 0; }));
  CHECK(eventually([&] { return names(one) == "one"; }));  // three heartbeats
  for (const LedgerRow& row : one.server.ledger().rows())
    if (row.name == "cluster nodes") CHECK(eventually([&] { return row.used_bytes <= 2 * ClusterView::kNodeBytes; }));
}

TEST_CASE("ClusterView: two servers of one name are both degraded and say why, until one goes", "[cluster_view]") {
  NatsBroker broker;
  TestServer one(node(broker.url(), "same"));
  const auto reason = [](TestServer& test) {
    const Json said = Json::parse(HttpClient(test.server.port()).get("/v1/health").body());
    return said["status"] == "degraded" ? said["reasons"][0]["reason"].get<std::string>() : std::string();
  };
  for (int round = 0; round < 2; ++round) {
    auto two = std::make_unique<TestServer>(node(broker.url(), "same"));
    for (TestServer* const test : {&one, two.get()}) {
      REQUIRE(eventually([&] { return !reason(*test).empty(); }));
      CHECK(reason(*test) == "degraded: name: another server has the name same too; give each its own --nats-name");
    }
    // A user is reached at both, and a session replaces the one at the other.
    WsClient ann(two->server.port(), "ringfence.v1.json", "?user=ann&session=s1");
    WsClient again(one.server.port(), "ringfence.v1.json", "?user=ann&session=s2");
    CHECK(ann.expect("closing")["reason"] == "session_replaced");
    WsClient bob(two->server.port(), "ringfence.v1.json", "?user=bob");
    (void)disconnect(one, R"({"user":"bob","reason":"banned"})");
    CHECK(bob.expect("closing")["reason"] == "banned");
    two.reset();
    CHECK(eventually([&] { return reason(one).empty(); }));
  }
  // One that is killed says no goodbye: it is silent.
  Nats other(broker.url());
  REQUIRE(other->publish({.subject = "ringfence.node.same", .data = R"({"run":"another"})"}).ok());
  CHECK(eventually([&] { return !reason(one).empty(); }));
  CHECK(eventually([&] { return reason(one).empty(); }));
}

TEST_CASE("ClusterView disconnects a user on any server", "[cluster_view]") {
  NatsBroker broker;
  TestServer one(node(broker.url(), "one")), two(node(broker.url(), "two"));
  REQUIRE(eventually([&] { return names(one) == "one two"; }));
  WsClient here(one.server.port(), "ringfence.v1.json", "?user=ann&session=s");
  WsClient there(two.server.port(), "ringfence.v1.json", "?user=ann&session=s");
  WsClient bob(two.server.port(), "ringfence.v1.json", "?user=bob&session=s");
  const Json told = disconnect(one, R"({"user":"ann","code":4000,"reason":"banned"})");
  CHECK(told["disconnected"] == 1);
  CHECK(told["asked"] == 1);
  CHECK(here.expect("closing")["reason"] == "banned");
  CHECK(there.expect("closing")["reason"] == "banned");
  CHECK(there.read_close() == 4000);
  bob.subscribe("a");  // is still there
}

TEST_CASE("ClusterView: a new session replaces the user's others on every server, the same or none does not",
          "[cluster_view]") {
  NatsBroker broker;
  TestServer one(node(broker.url(), "one")), two(node(broker.url(), "two"));
  REQUIRE(eventually([&] { return names(one) == "one two" && names(two) == "two one"; }));
  WsClient first(one.server.port(), "ringfence.v1.json", "?user=ann&session=s1");
  WsClient same(two.server.port(), "ringfence.v1.json", "?user=ann&session=s1");
  WsClient none(two.server.port(), "ringfence.v1.json", "?user=ann");
  WsClient other(two.server.port(), "ringfence.v1.json", "?user=bob&session=s9");
  first.subscribe("a");
  WsClient second(two.server.port(), "ringfence.v1.json", "?user=ann&session=s2");
  const Json closing = first.expect("closing");
  CHECK(closing["reason"] == "session_replaced");
  CHECK(closing["reconnect"] == false);
  CHECK(first.read_close() == 1000);
  second.subscribe("a");
  other.subscribe("a");
  CHECK(one.server.connections().stats().replaced == 1);
}

TEST_CASE("ClusterView takes what others say only as far as it can be", "[cluster_view]") {
  NatsBroker broker;
  TestServer one(node(broker.url(), "one"));
  Nats other(broker.url());
  WsClient ann(one.server.port(), "ringfence.v1.json", "?user=ann&session=s1");
  // What NatsService would not send.
  boost::asio::io_context io;
  boost::asio::ip::tcp::socket raw(io);
  raw.connect({boost::asio::ip::address_v4::loopback(), broker.port()});
  std::string said = "CONNECT {\"verbose\":false}\r\n";
  for (const char* name : {"\xff", "a\x01", "two"})
    said.append("PUB ringfence.node.").append(name).append(" 11\r\n{\"run\":\"r\"}\r\n");
  boost::asio::write(raw, boost::asio::buffer(said));
  REQUIRE(eventually([&] { return info(one).contains("nodes") && names(one) == "one two"; }));
  // The latest there can be, and one later for a server whose name comes behind.
  REQUIRE(other
              ->publish({.subject = "ringfence.ask",
                         .data = R"({"op":"session","run":"r","node":"two","user":"ann","session":"s2",)"
                                 R"("established_us":9223372036854775807})"})
              .ok());
  CHECK(ann.expect("closing")["reason"] == "session_replaced");
}
