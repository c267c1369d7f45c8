// Publishes to the stream: when they are answered, how many may wait, and what waits for them.
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "net/ws_session.h"
#include "support/catch.h"
#include "support/cluster.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

std::string post(std::uint16_t port, const std::string& path, const std::string& body) {
  HttpClient client(port);
  client.send("POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  return client.read().body();
}

}  // namespace

TEST_CASE("JetStream: a client's publish is answered with the number of the stream", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream");
  WsClient client(a.server.port());
  client.subscribe("room");
  for (int i = 1; i <= 100; ++i)
    client.send(R"({"op":"publish","id":)" + std::to_string(i) + R"(,"channel":"room","data":)" + std::to_string(i) +
                "}");
  std::vector<WsClient::Event> events;
  std::map<int, std::uint64_t> told;
  while (events.size() < 100 || told.size() < 100) {
    auto message = client.read();
    if (!message.json.is_null()) {
      REQUIRE(message.json["op"] == "ok");
      told[message.json["id"].get<int>()] = message.json["seq"].get<std::uint64_t>();
    }
    for (auto& event : message.events) events.push_back(std::move(event));
  }
  for (const auto& event : events) REQUIRE(told[std::stoi(event.data)] == event.seq);
  const Json answer = Json::parse(post(a.server.port(), "/v1/publish",
                                       R"([{"channel":"room","data":1},{"channel":"room","data":2},{"channel":""}])"));
  CHECK(answer["published"] == 2);
  CHECK(answer["results"][1]["seq"] == 102);
}

TEST_CASE("JetStream: while the broker is stopped publishers are told so, and nothing is lost when it goes on",
          "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream", [](Options& options) {
    options.nats.request_timeout_ms = 300;
    options.nats.ping_interval_ms = 200;
  });
  WsClient reader(a.server.port());
  const Json told = reader.subscribe("room");
  WsClient publisher(a.server.port());
  std::vector<std::uint64_t> acknowledged{publish(publisher, "room", "0")["seq"].get<std::uint64_t>()};
  broker.pause();
  Json answer;  // it takes a moment until all of its threads have stopped
  while ((answer = publish(publisher, "room", "1"))["op"] == "ok")
    acknowledged.push_back(answer["seq"].get<std::uint64_t>());
  CHECK(answer["code"].get<std::string>().starts_with("broker_"));
  REQUIRE(a.eventually([&](const HubStats&) { return a.server.nats()->state() != NatsState::connected; }));
  CHECK(health(a.server.port())["status"] == "degraded");
  // A client's ping is answered all the same: no thread of ours waits for the broker.
  WsClient other(a.server.port());
  other.request({{"op", "ping"}}, "pong");
  broker.go_on();
  REQUIRE(a.eventually_nats(NatsState::connected));
  for (int i = 2; i < 10; ++i) {
    const Json answer = publish(publisher, "room", std::to_string(i));
    if (answer["op"] == "ok") acknowledged.push_back(answer["seq"].get<std::uint64_t>());
  }
  (void)read_acknowledged(reader, acknowledged);
}

TEST_CASE("JetStream: a client's publishes wait for the stream side by side, within their bound", "[cluster]") {
  const bool room = GENERATE(true, false);
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream", [](Options& options) {
    options.nats.request_timeout_ms = 60'000;
    options.nats.heartbeat_ms = 600'000;  // nobody else asks
  });
  Account& inbound = a.server.hub().inbound();
  const std::uint64_t others = room ? 0 : inbound.capacity_bytes();
  WsClient publisher(a.server.port());
  REQUIRE(publish(publisher, "room", "0")["op"] == "ok");
  REQUIRE(inbound.used_bytes() == 0);
  REQUIRE((others == 0 || inbound.try_add(others)));
  broker.pause();
  constexpr int kSent = 1'000;
  for (int i = 1; i <= kSent; ++i)
    publisher.send(R"({"op":"publish","id":)" + std::to_string(i) + R"(,"channel":"room","data":0})");
  const std::uint64_t bound = room ? WsSession::kPublishesMax : WsSession::kPublishesOwn;
  const auto waiting = [&] { return a.server.nats()->stats().requests_waiting; };
  // The first ones may be answered: it takes a moment until all threads of the broker have stopped.
  CHECK(eventually([&] { return waiting() == bound; }));
  CHECK((inbound.used_bytes() > others) == room);
  WsClient(a.server.port()).request({{"op", "ping"}}, "pong");
  CHECK(waiting() == bound);
  inbound.sub(others);
  broker.go_on();
  std::uint64_t seq = 0;
  for (int i = 1; i <= kSent; ++i) {
    const Json answer = publisher.expect("ok");
    REQUIRE(answer["id"] == i);
    REQUIRE(answer["seq"] > seq);
    seq = answer["seq"];
  }
  CHECK(eventually([&] { return inbound.used_bytes() == 0; }));
  CHECK(within_bounds(a.server.ledger()));
}

TEST_CASE("JetStream: answers that come all at once leave room for that of an op which is on its way", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream", [](Options& options) {
    options.nats.request_timeout_ms = 60'000;
    options.limits.inbound_messages = 1'000'000;
  });
  WsClient client(a.server.port());
  REQUIRE(publish(client, "room", "0")["op"] == "ok");
  constexpr int kRounds = 10, kPublishes = 100, kPings = 500;
  for (int round = 0; round < kRounds; ++round) {
    broker.pause();
    for (int i = 0; i < kPublishes; ++i) client.send(R"({"op":"publish","id":1,"channel":"room","data":0})");
    std::thread goes_on([&broker] { broker.go_on(); });
    for (int i = 0; i < kPings; ++i) client.send(R"({"op":"ping"})");
    goes_on.join();
    std::map<std::string, int> answers;
    for (int i = 0; i < kPublishes + kPings; ++i) ++answers[client.read().json["op"]];
    REQUIRE(answers == std::map<std::string, int>{{"ok", kPublishes}, {"pong", kPings}});
  }
}

TEST_CASE("JetStream: a client that is not read from, as the stream is waited for, is not taken for dead",
          "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream", [](Options& options) {
    options.nats.ready_ms = 1'500;
    options.nats.request_timeout_ms = 60'000;
    options.nats.heartbeat_ms = 600'000;
    options.limits.ping_interval_ms = 100;
    options.limits.dead_after_ms = 300;
  });
  WsClient client(a.server.port());
  broker.pause();
  // The first ones may be answered: it takes a moment until all threads of the broker have stopped.
  Json answer = Json::object();
  for (int i = 0; i < 1'000 && answer.value("op", "subscribed") == "subscribed"; ++i) {
    client.send_op({{"op", "subscribe"}, {"channel", numbered("room", i)}});
    answer = client.read().json;
  }
  CHECK(answer.value("code", "") == "broker_unavailable");
  broker.go_on();
  client.request({{"op", "ping"}}, "pong");
  CHECK(a.server.hub().stats().dead_closed == 0);
}

TEST_CASE("JetStream: a client that leaves while its publishes wait gives back their room", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream", [](Options& options) {
    options.nats.request_timeout_ms = 500;
    options.nats.heartbeat_ms = 600'000;
  });
  Account& inbound = a.server.hub().inbound();
  {
    WsClient publisher(a.server.port());
    REQUIRE(publish(publisher, "room", "0")["op"] == "ok");
    broker.pause();
    for (int i = 1; i <= 200; ++i) publisher.send(R"({"op":"publish","channel":"room","data":0})");
    REQUIRE(eventually([&] { return inbound.used_bytes() > 0; }));
  }
  CHECK(eventually([&] { return inbound.used_bytes() == 0; }));
  broker.go_on();
}
