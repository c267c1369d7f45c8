// Requests over HTTP whose answer waits for the broker: over real sockets, with a network to the broker that a test holds up.
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/cluster.h"
#include "support/tcp_proxy.h"

using namespace ringfence;
using namespace ringfence::test;
using namespace std::chrono_literals;

namespace {

std::string request(const std::string& path, const std::string& body, const std::string& more = {}) {
  return "POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         more + "\r\n" + body;
}

// One thread, so that whoever blocks it blocks all.
struct Held {
  explicit Held(const std::function<void(Options&)>& change = {}) : broker({}, true), proxy(broker.port()) {
    server = std::make_unique<ClusterServer>(broker, "jetstream", [&](Options& options) {
      options.threads = 1;
      options.nats.heartbeat_ms = 600'000;  // nothing else is asked meanwhile
      options.nats.urls = {proxy.url()};
      if (change) change(options);
    });
    REQUIRE(server->eventually_nats(NatsState::connected));
  }
  std::uint16_t port() const { return server->server.port(); }
  std::uint64_t waiting() const { return server->server.nats()->stats().requests_waiting; }
  bool waits_for(std::uint64_t count) {
    return eventually([&] { return waiting() >= count; });
  }
  Json history(const std::string& channel) const {
    return Json::parse(HttpClient(port()).get("/v1/history?channel=" + channel).body());
  }

  NatsBroker broker;
  TcpProxy proxy;
  std::unique_ptr<ClusterServer> server;
};

// The broker's answers are waited for longer than any test takes.
void wait_long(Options& options) {
  options.nats.request_timeout_ms = 60'000;
  options.nats.ping_interval_ms = 60'000;
}

const std::string kEvent = R"({"channel":"room","data":1})";

}  // namespace

TEST_CASE("POST /v1/publish is answered when the stream has it, and holds up nobody until then", "[http_later]") {
  Held it;
  it.proxy.hold();
  HttpClient publisher(it.port());
  publisher.send(request("/v1/publish", kEvent));
  REQUIRE(it.waits_for(1));
  // The only thread goes on.
  WsClient(it.port()).request({{"op", "ping"}}, "pong");
  CHECK(HttpClient(it.port()).get("/v1/info").result_int() == 200);
  CHECK(it.waiting() >= 1);
  it.proxy.pass();
  const auto answer = publisher.read();
  CHECK(answer.result_int() == 200);
  CHECK(Json::parse(answer.body()) == Json{{"channel", "room"}, {"seq", 1}});
  // The connection goes on too.
  publisher.send(request("/v1/publish", kEvent));
  CHECK(Json::parse(publisher.read().body())["seq"] == 2);
  CHECK(it.history("room")["events"].size() == 2);
}

TEST_CASE("A publish over HTTP that the stream does not answer is 504, and one that was not sent 503", "[http_later]") {
  Held it([](Options& options) {
    options.nats.request_timeout_ms = 300;
    options.nats.ping_interval_ms = 60'000;
  });
  it.proxy.hold();
  HttpClient publisher(it.port());
  publisher.send(request("/v1/publish", kEvent));
  const auto late = publisher.read();
  CHECK(late.result_int() == 504);
  CHECK(error_code_of(late) == "broker_timeout");
  publisher.send(request("/v1/publish", "[" + kEvent + "," + kEvent + R"(,{"channel":"a b","data":1}])"));
  const Json many = Json::parse(publisher.read().body());
  CHECK(many["published"] == 0);
  CHECK(many["results"][1]["error"]["code"] == "broker_timeout");
  CHECK(many["results"][2]["error"]["code"] == "bad_channel");
  publisher.send(request("/v1/broadcast", R"({"channels":["a","b"],"data":1})"));
  const Json all = Json::parse(publisher.read().body());
  CHECK(all["published"] == 0);
  CHECK(all["refused"]["a"]["code"] == "broker_timeout");
  // Five without an answer: no more are tried.
  REQUIRE(it.server->eventually_nats(NatsState::circuit_open));
  publisher.send(request("/v1/publish", kEvent));
  const auto refused = publisher.read();
  CHECK(refused.result_int() == 503);
  CHECK(error_code_of(refused) == "broker_unavailable");
  CHECK(refused["Retry-After"] == "1");
}

TEST_CASE("An array, a broadcast and their parts wait for the stream and keep their order", "[http_later]") {
  Held it;
  it.proxy.hold();
  HttpClient many(it.port());
  std::string events;
  for (int i = 1; i <= 50; ++i)
    events += (i > 1 ? "," : "[") + std::string(R"({"channel":"room","data":)") + std::to_string(i) + "}";
  many.send(request("/v1/publish", events + R"(,{"channel":"room"}])"));
  REQUIRE(it.waits_for(50));
  HttpClient all(it.port());
  all.send(request("/v1/broadcast", R"({"channels":["room","hall"],"data":51})"));
  REQUIRE(it.waits_for(52));
  it.proxy.pass();
  const Json told = Json::parse(many.read().body());
  CHECK(told["published"] == 50);
  CHECK(told["refused"] == 1);
  for (std::size_t i = 0; i < 50; ++i) REQUIRE(told["results"][i]["seq"] == i + 1);
  CHECK(told["results"][50]["error"]["code"] == "missing_field");
  CHECK(Json::parse(all.read().body()) == Json{{"published", 2}, {"refused", Json::object()}});
  const Json held = it.history("room");
  REQUIRE(held["events"].size() == 51);
  for (std::size_t i = 0; i < 51; ++i) REQUIRE(held["events"][i]["data"] == i + 1);
}

TEST_CASE("GET /v1/history waits until the channel is here, without holding up its thread", "[http_later]") {
  Held it;
  ClusterServer other(it.broker, "jetstream");
  REQUIRE(other.eventually_nats(NatsState::connected));
  for (int i = 1; i <= 3; ++i) other.publish("room", std::to_string(i));
  it.proxy.hold();
  HttpClient reader(it.port());
  reader.send("GET /v1/history?channel=room HTTP/1.1\r\nHost: localhost\r\n\r\n");
  REQUIRE(it.server->eventually([](const HubStats& stats) { return stats.channels == 1; }));
  CHECK(HttpClient(it.port()).get("/v1/info").result_int() == 200);
  it.proxy.pass();
  const auto answer = reader.read();
  CHECK(answer.result_int() == 200);
  CHECK(Json::parse(answer.body())["events"].size() == 3);
}

TEST_CASE("A client that goes while its answer is waited for leaves nothing, and its event is published",
          "[http_later]") {
  Held it;
  it.proxy.hold();
  const std::uint64_t before = it.server->server.hub().stats().connections;
  {
    std::vector<std::unique_ptr<HttpClient>> gone;
    for (int i = 0; i < 20; ++i) {
      gone.push_back(std::make_unique<HttpClient>(it.port()));
      gone.back()->send(request("/v1/publish", kEvent));
    }
    REQUIRE(it.waits_for(20));
  }
  it.proxy.pass();
  CHECK(it.server->eventually([&](const HubStats& stats) { return stats.connections == before; }));
  CHECK(it.history("room")["events"].size() == 20);
}

TEST_CASE("Of one connection one request waits at a time, and the others are answered in order", "[http_later]") {
  Held it;
  it.proxy.hold();
  HttpClient client(it.port());
  std::string all;
  for (int i = 1; i <= 5; ++i) all += request("/v1/publish", R"({"channel":"room","data":)" + std::to_string(i) + "}");
  client.send(all);
  REQUIRE(it.waits_for(1));
  CHECK(HttpClient(it.port()).get("/v1/info").result_int() == 200);
  CHECK(it.waiting() == 1);
  it.proxy.pass();
  for (int i = 1; i <= 5; ++i) REQUIRE(Json::parse(client.read().body())["seq"] == i);
}

TEST_CASE("Requests with one Idempotency-Key that wait for the stream publish once and get one answer",
          "[http_later]") {
  Held it([](Options& options) { options.nats.circuit_failures = 1'000; });
  it.proxy.hold();
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<HttpClient>(it.port()));
    clients.back()->send(request("/v1/publish", kEvent, "Idempotency-Key: k\r\n"));
  }
  REQUIRE(it.waits_for(1));
  HttpClient other(it.port());
  other.send(request("/v1/publish", R"({"channel":"room","data":2})", "Idempotency-Key: k\r\n"));
  CHECK(other.read().result_int() == 422);  // at once: it need not wait to be another one
  CHECK(it.waiting() == 1);
  it.proxy.pass();
  int replayed = 0;
  for (const auto& client : clients) {
    const auto answer = client->read();
    CHECK(Json::parse(answer.body())["seq"] == 1);
    replayed += answer["Idempotency-Replayed"] == "true" ? 1 : 0;
  }
  CHECK(replayed == 4);
  CHECK(it.history("room")["events"].size() == 1);
}

TEST_CASE("An Idempotency-Key remembers that it is not known, and forgets that nothing was published", "[http_later]") {
  Held it([](Options& options) {
    options.nats.request_timeout_ms = 200;
    options.nats.circuit_failures = 2;
    options.nats.ping_interval_ms = 60'000;
  });
  it.proxy.hold();
  HttpClient client(it.port());
  const auto publish = [&](const std::string& key) {
    client.send(request("/v1/publish", kEvent, "Idempotency-Key: " + key + "\r\n"));
    return client.read();
  };
  CHECK(publish("lost").result_int() == 504);
  CHECK(publish("again").result_int() == 504);
  REQUIRE(it.server->eventually_nats(NatsState::circuit_open));
  CHECK(publish("refused").result_int() == 503);
  it.proxy.pass();
  REQUIRE(it.server->eventually_nats(NatsState::connected));
  const auto lost = publish("lost");
  CHECK(lost.result_int() == 504);
  CHECK(lost["Idempotency-Replayed"] == "true");
  const auto done = publish("refused");
  CHECK(done.result_int() == 200);
  CHECK(done["Idempotency-Replayed"].empty());
}

TEST_CASE("A request over HTTP waits for the broker no longer than --http-answer-ms", "[http_later]") {
  Held it([](Options& options) {
    options.limits.http_answer_ms = 300;
    wait_long(options);
  });
  it.proxy.hold();
  HttpClient client(it.port());
  client.send(request("/v1/publish", kEvent));
  const auto late = client.read();
  CHECK(late.result_int() == 504);
  CHECK(error_code_of(late) == "broker_timeout");
  // What comes after all is nobody's; the connection goes on with the next.
  client.send(request("/v1/publish", R"({"channel":"room","data":2})"));
  REQUIRE(it.waits_for(2));
  it.proxy.pass();
  CHECK(Json::parse(client.read().body())["seq"] == 2);
}

TEST_CASE("A server that stops does not wait for the broker's answer beyond its time", "[http_later]") {
  Held it([](Options& options) {
    options.limits.shutdown_timeout_ms = 300;
    wait_long(options);
  });
  it.proxy.hold();
  HttpClient client(it.port());
  client.send(request("/v1/publish", kEvent));
  REQUIRE(it.waits_for(1));
  const auto before = std::chrono::steady_clock::now();
  it.server->server.stop();
  CHECK(std::chrono::steady_clock::now() - before < 10s);
  CHECK(client.closed());
}
