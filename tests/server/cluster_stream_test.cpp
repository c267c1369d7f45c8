// Several servers on one JetStream stream: the same records under the same numbers, whatever fails in between.
#include <algorithm>
#include <map>
#include <memory>
#include <thread>

#include "net/ws_session.h"
#include "support/catch.h"
#include "support/cluster.h"
#include "support/server_process.h"
#include "support/told.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kClients = 200;
#else
constexpr std::size_t kClients = 1'000;
#endif

// One server, and one who reads a channel of it. For TEST_CASE_METHOD.
struct ReadRoom {
  JetStreamBroker broker;
  ClusterServer a{broker, "jetstream"};
  WsClient reader{a.server.port()};
  const Json told = reader.subscribe("room");
};

// By the client, and what it was told.
Json publish(WsClient& client, const std::string& channel, const std::string& data, int id = 1) {
  client.send(R"({"op":"publish","id":)" + std::to_string(id) + R"(,"channel":")" + channel + R"(","data":)" + data +
              "}");
  for (;;) {
    const auto message = client.read();
    if (!message.json.is_null() && message.json.value("id", 0) == id) return message.json;
  }
}

std::string post(std::uint16_t port, const std::string& path, const std::string& body) {
  HttpClient client(port);
  client.send("POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  return client.read().body();
}

// Each once, in order, each behind the one before it.
void check_chain(const std::vector<WsClient::Event>& events) {
  for (std::size_t i = 1; i < events.size(); ++i) {
    REQUIRE(events[i].seq > events[i - 1].seq);
    REQUIRE(events[i].prev_seq == events[i - 1].seq);
  }
}

}  // namespace

TEST_CASE("JetStream: all servers give the same records under the same numbers, whoever publishes", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream");
  ClusterServer b(broker, "jetstream");
  const std::string protocol = GENERATE(std::string("ringfence.v1"), std::string("ringfence.v1.json"));
  WsClient on_a(a.server.port(), protocol);
  WsClient on_b(b.server.port(), protocol);
  const Json told_a = on_a.subscribe("room.1");
  const Json told_b = on_b.subscribe("room.1");
  CHECK(told_a["epoch"] == told_b["epoch"]);
  constexpr int kEach = 200;
  std::thread other([&] {
    for (int i = 0; i < kEach; ++i) (void)b.server.publish("room.1", "message", std::to_string(1000 + i));
  });
  for (int i = 0; i < kEach; ++i) {
    (void)a.server.publish("room.1", "message", std::to_string(i));
    (void)a.server.publish("elsewhere", "message", "0");
  }
  other.join();
  const auto events_a = on_a.events(2 * kEach);
  const auto events_b = on_b.events(2 * kEach);
  check_chain(events_a);
  check_chain(events_b);
  int next_a = 0, next_b = 1000;
  for (std::size_t i = 0; i < events_a.size(); ++i) {
    REQUIRE(events_a[i].seq == events_b[i].seq);
    REQUIRE(events_a[i].data == events_b[i].data);
    const int data = std::stoi(events_a[i].data);
    REQUIRE(data == (data < 1000 ? next_a++ : next_b++));  // one publisher's keep their order
  }
}

TEST_CASE("JetStream: a resume on another server misses nothing, at every cut point", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream");
  WsClient first(a.server.port());
  const Json told = first.subscribe("room");
  for (int i = 0; i < 20; ++i) {
    a.publish("room", std::to_string(i));
    a.publish("other", "0");
  }
  const auto events = first.events(20);
  ClusterServer late(broker, "jetstream");  // it was not there when they were published
  for (std::size_t cut = 0; cut <= events.size(); ++cut) {
    WsClient client(late.server.port());
    const std::uint64_t seq = cut == 0 ? 0 : events[cut - 1].seq;
    const Json resumed = client.subscribe("room", {{"after", after(told["epoch"], seq)}});
    REQUIRE(resumed["recovered"] == true);
    REQUIRE(resumed["missed"] == 0);
    if (cut == events.size()) break;
    const auto rest = client.events(events.size() - cut);
    check_chain(rest);
    REQUIRE(rest.front().prev_seq == seq);
    REQUIRE(rest.front().data == events[cut].data);
  }
  const Json page = Json::parse(HttpClient(late.server.port()).get("/v1/history?channel=room&limit=3").body());
  CHECK(page["events"].size() == 3);
  CHECK(page["events"][0]["seq"] == events[0].seq);
}

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

TEST_CASE("JetStream: a broker that is killed and comes back loses nothing that was acknowledged", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream");
  ClusterServer b(broker, "jetstream");
  WsClient reader(b.server.port());
  const Json told = reader.subscribe("room");
  WsClient publisher(a.server.port());
  std::vector<std::uint64_t> acknowledged;
  int refused = 0;
  const auto publish_some = [&](int count) {
    for (int i = 0; i < count; ++i) {
      const Json answer = publish(publisher, "room", std::to_string(acknowledged.size()));
      if (answer["op"] == "ok")
        acknowledged.push_back(answer["seq"].get<std::uint64_t>());
      else
        ++refused;
    }
  };
  publish_some(20);
  broker.kill();
  REQUIRE(a.eventually([&](const HubStats&) { return a.server.nats()->state() != NatsState::connected; }));
  const Json said = health(a.server.port());
  CHECK(said["status"] == "degraded");
  CHECK(said["reasons"][0]["check"] == "broker");
  CHECK(said["reasons"][0]["reason"].get<std::string>().size() > std::string("reconnecting: ").size());
  broker.start();
  REQUIRE(a.eventually_nats(NatsState::connected));
  REQUIRE(b.eventually_nats(NatsState::connected));
  CHECK(health(a.server.port())["status"] == "healthy");
  publish_some(20);
  REQUIRE(acknowledged.size() >= 20);
  std::vector<WsClient::Event> events;
  while (events.empty() || events.back().seq < acknowledged.back())
    for (auto& event : reader.read().events) events.push_back(std::move(event));
  check_chain(events);
  for (const std::uint64_t seq : acknowledged)
    REQUIRE(std::any_of(events.begin(), events.end(), [seq](const auto& event) { return event.seq == seq; }));
  // And who resumes on the other gets the same.
  WsClient again(a.server.port());
  CHECK(again.subscribe("room", {{"after", after(told["epoch"], events.front().seq)}})["recovered"] == true);
  for (ClusterServer* const server : {&a, &b}) CHECK(within_bounds(server->server.ledger()));
}

TEST_CASE("JetStream: 1,000 clients of a server that is killed go on at another, all complete", "[cluster]") {
  JetStreamBroker broker;
  const std::vector<std::string> joined{"--nats", broker.url(), "--threads", "1", "--history-records", "10000"};
  ServerProcess first(joined);
  ServerProcess second(joined);
  std::vector<std::unique_ptr<WsClient>> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<WsClient>(first.port()));
    clients.back()->send_op({{"op", "subscribe"}, {"channel", "room"}});
  }
  Json epoch;
  for (auto& client : clients) epoch = client->expect("subscribed")["epoch"];
  // It goes on while the server dies and its clients come.
  Publisher publisher(second.port(), "room", 1, std::chrono::milliseconds(5));
  REQUIRE(eventually([&] { return publisher.acknowledged() >= 50; }));
  // Each has seen another part when its server goes.
  std::vector<Told> told(kClients);
  for (std::size_t i = 0; i < kClients; ++i)
    while (told[i].events.size() < i % 50) told[i].take(clients[i]->read());
  first.kill();
  clients.clear();
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<WsClient>(second.port()));
    clients.back()->send_op({{"op", "subscribe"}, {"channel", "room"}, {"after", after(epoch, told[i].last)}});
  }
  for (auto& client : clients) {
    const Json resumed = client->expect("subscribed");
    REQUIRE(resumed["recovered"] == true);
    REQUIRE(resumed["missed"] == 0);
  }
  const auto took = std::chrono::steady_clock::now() - began;
  publisher.stop();
  CHECK(publisher.codes.empty());
  const std::uint64_t last = publisher.acked.rbegin()->first;
  for (std::size_t i = 0; i < kClients; ++i) told[i].read_through(*clients[i], last);
  CHECK(publisher.check(told[0]) == 0);
  for (const Told& one : told) {
    REQUIRE(one.gaps.empty());
    REQUIRE(one.events == told[0].events);
  }
  CHECK(health(second.port())["status"] == "healthy");  // it is not its broker that has failed
  const Json ledger = Json::parse(HttpClient(second.port()).get("/v1/monitoring/ledger").body());
  for (const Json& account : ledger["accounts"]) REQUIRE(account["high_water_mark_bytes"] <= account["capacity_bytes"]);
  UNSCOPED_INFO(std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms until all had resumed");
  CHECK(took < std::chrono::seconds(60));
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
  std::vector<WsClient::Event> events;
  while (events.empty() || events.back().seq < acknowledged.back())
    for (auto& event : reader.read().events) events.push_back(std::move(event));
  check_chain(events);
  for (const std::uint64_t seq : acknowledged)
    REQUIRE(std::any_of(events.begin(), events.end(), [seq](const auto& event) { return event.seq == seq; }));
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

TEST_CASE("JetStream: two servers that start at once agree on one stream", "[cluster]") {
  for (int round = 0; round < 3; ++round) {
    JetStreamBroker broker;
    Server a(TestServer::options(joining(broker, "jetstream")));
    Server b(TestServer::options(joining(broker, "jetstream")));
    std::thread other([&] { b.start(); });
    a.start();
    other.join();
    for (Server* const server : {&a, &b}) CHECK(health(server->port())["status"] == "healthy");
    WsClient on_a(a.port());
    WsClient on_b(b.port());
    CHECK(on_a.subscribe("room")["epoch"] == on_b.subscribe("room")["epoch"]);
    CHECK(a.publish("room", "message", "1").ok());
    CHECK(on_b.events(1)[0].data == "1");
    CHECK(Outsider(broker).ask("STREAM.NAMES")["total"] == 1);
  }
}

TEST_CASE_METHOD(ReadRoom, "JetStream: a stream that is purged leaves readers in peace and latecomers told",
                 "[cluster]") {
  a.publish("room", "1");
  a.publish("room", "2");
  reader.events(2);
  REQUIRE(Outsider(broker).ask("STREAM.PURGE.ringfence")["success"] == true);
  a.publish("room", "3");
  const auto event = reader.events(1)[0];
  CHECK(event.data == "3");
  CHECK(event.prev_seq == 2);
  ClusterServer late(broker, "jetstream");
  WsClient from_1(late.server.port());
  const Json resumed = from_1.subscribe("room", {{"after", after(told["epoch"], 1)}});
  CHECK(resumed["recovered"] == false);
  CHECK(resumed["missed"].is_null());
  WsClient from_2(late.server.port());
  CHECK(from_2.subscribe("room", {{"after", after(told["epoch"], 2)}})["recovered"] == true);
  CHECK(from_2.events(1)[0].data == "3");
}

TEST_CASE_METHOD(ReadRoom, "JetStream: a stream whose bounds shrink under us is told to who comes too late",
                 "[cluster]") {
  for (int i = 1; i <= 10; ++i) a.publish("room", std::to_string(i));
  reader.events(10);
  Outsider outsider(broker);
  Json config = outsider.ask("STREAM.INFO.ringfence")["config"];
  config["max_msgs_per_subject"] = 3;
  REQUIRE_FALSE(outsider.ask("STREAM.UPDATE.ringfence", config).contains("error"));
  ClusterServer late(broker, "jetstream");
  WsClient from_5(late.server.port());
  const Json resumed = from_5.subscribe("room", {{"after", after(told["epoch"], 5)}});
  CHECK(resumed["recovered"] == false);
  CHECK(resumed["missed"].is_null());
  CHECK(from_5.events(3)[0].data == "8");
  WsClient from_7(late.server.port());
  CHECK(from_7.subscribe("room", {{"after", after(told["epoch"], 7)}})["recovered"] == true);
}

TEST_CASE_METHOD(ReadRoom, "JetStream: a stream that is made anew begins another epoch", "[cluster]") {
  a.publish("room", "1");
  reader.events(1);
  REQUIRE(Outsider(broker).ask("STREAM.DELETE.ringfence")["success"] == true);
  broker.kill();  // so that the server looks again
  broker.start();
  CHECK(reader.expect("closing")["reason"] == "stream_replaced");
  CHECK(reader.read_close() == 1012);
  REQUIRE(a.eventually_nats(NatsState::connected));
  WsClient again(a.server.port());
  const Json resumed = again.subscribe("room", {{"after", after(told["epoch"], 1)}});
  CHECK(resumed["epoch"] != told["epoch"]);
  CHECK(resumed["recovered"] == false);
  CHECK(resumed["missed"].is_null());
  const auto seq = a.server.publish("room", "message", "\"new\"");
  INFO((seq.ok() ? "" : error_code(seq.error())));
  REQUIRE(seq.ok());
  CHECK(again.events(1)[0].seq == *seq);
}

TEST_CASE("JetStream: a stream that is deleted or changed under us is noticed on the same connection", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream", [](Options& options) { options.nats.heartbeat_ms = 50; });
  REQUIRE(a.eventually_nats(NatsState::connected));
  WsClient reader(a.server.port());
  const Json told = reader.subscribe("room");
  a.publish("room", "1");
  reader.events(1);
  Outsider outsider(broker);
  REQUIRE(outsider.ask("STREAM.DELETE.ringfence")["success"] == true);
  CHECK(reader.expect("closing")["reason"] == "stream_replaced");
  std::unique_ptr<WsClient> again;
  REQUIRE(eventually([&] {
    try {  // who comes while the others are being closed is closed with them
      again = std::make_unique<WsClient>(a.server.port());
      return again->subscribe("room")["epoch"] != told["epoch"];
    } catch (const std::exception&) {
      return false;
    }
  }));
  std::string last;
  const bool published = eventually([&] {
    const auto seq = a.server.publish("room", "message", "2");
    if (!seq) last = error_code(seq.error());
    return seq.ok();
  });
  INFO(last << "; " << nats_state_name(a.server.nats()->state()) << ": " << a.server.nats()->reason());
  REQUIRE(published);
  CHECK(again->events(1)[0].data == "2");
  // It refuses when it is full, instead of letting go of the oldest: so nothing is served from it.
  const Json config = outsider.ask("STREAM.INFO.ringfence")["config"];
  Json other = config;
  other["discard"] = "new";
  REQUIRE_FALSE(outsider.ask("STREAM.UPDATE.ringfence", other).contains("error"));
  REQUIRE(a.eventually_nats(NatsState::degraded));
  CHECK(health(a.server.port())["reasons"][0]["reason"].get<std::string>().find("discard") != std::string::npos);
  REQUIRE_FALSE(outsider.ask("STREAM.UPDATE.ringfence", config).contains("error"));
  REQUIRE(a.eventually_nats(NatsState::connected));
  CHECK(a.server.nats()->stats().disconnects == 0);
}

TEST_CASE("JetStream: what the stream holds stands in the ledger against its bounds", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream", [](Options& options) {
    options.nats.heartbeat_ms = 50;
    options.limits.history_records_max = 5;
    options.limits.history_age_max_s = 3'600;
    options.nats.stream_bytes = 2 << 20;
  });
  REQUIRE(a.eventually_nats(NatsState::connected));
  const auto stream = [&] {
    return Json::parse(HttpClient(a.server.port()).get("/v1/monitoring/ledger").body())["stream"];
  };
  CHECK(eventually([&] { return stream()["records"] == 0; }));
  for (int i = 0; i < 7; ++i) a.publish("room", "1");
  a.publish("other", "1");
  REQUIRE(eventually([&] { return stream()["records"] == 6; }));
  const Json now = stream();
  CHECK(now["name"] == "ringfence");
  CHECK(now["storage"] == "file");
  CHECK(now["replicas"] == 1);
  CHECK(now["used_bytes"] > 6 * 24);
  CHECK(now["capacity_bytes"] == 2 << 20);
  CHECK(now["channel_records_max"] == 5);
  CHECK(now["records_max"].is_null());
  CHECK(now["age_s_max"] == 3'600);
  CHECK(now["looked_ms_ago"] < 20'000);
  Outsider outsider(broker);
  Json config = outsider.ask("STREAM.INFO.ringfence")["config"];
  config["max_msgs"] = 4;
  REQUIRE_FALSE(outsider.ask("STREAM.UPDATE.ringfence", config).contains("error"));
  CHECK(eventually([&] { return stream()["records"] == 4 && stream()["records_max"] == 4; }));
  const std::string metrics = HttpClient(a.server.port()).get("/metrics").body();
  CHECK(metrics.find("ringfence_stream_records 4\n") != std::string::npos);
  CHECK(metrics.find("ringfence_stream_bytes_max 2097152\n") != std::string::npos);
  // No part of this server's memory.
  for (const LedgerRow& row : a.server.ledger().rows()) CHECK(row.name.find("stream") == std::string::npos);
}

TEST_CASE("JetStream: a stream with other settings is told in one line, and served once it is as it must be",
          "[cluster]") {
  JetStreamBroker broker;
  Outsider outsider(broker);
  REQUIRE_FALSE(outsider
                    .ask("STREAM.CREATE.ringfence", {{"name", "ringfence"},
                                                     {"subjects", {"ringfence.stream.in.>"}},
                                                     {"retention", "limits"},
                                                     {"storage", "file"},
                                                     {"max_consumers", -1}})
                    .contains("error"));
  ClusterServer a(broker, "jetstream", [](Options& options) { options.nats.ready_ms = 200; });
  REQUIRE(a.eventually_nats(NatsState::degraded));
  CHECK(a.server.nats()->reason().find("exists with other settings (republish)") != std::string::npos);
  WsClient client(a.server.port());
  CHECK(client.error_of(R"({"op":"subscribe","channel":"room"})") == "broker_unavailable");
  CHECK(client.error_of(R"({"op":"publish","channel":"room","data":1})") == "broker_unavailable");
  CHECK(outsider.ask("STREAM.INFO.ringfence")["state"]["messages"] == 0);
  REQUIRE(outsider.ask("STREAM.DELETE.ringfence")["success"] == true);
  REQUIRE(a.eventually_nats(NatsState::connected));
  client.subscribe("room");
  a.publish("room", "1");
  CHECK(client.events(1)[0].data == "1");
}

TEST_CASE_METHOD(ReadRoom,
                 "JetStream: a stream that refuses what is published is told in its words, until it takes something",
                 "[cluster]") {
  Outsider outsider(broker);
  Json config = outsider.ask("STREAM.INFO.ringfence")["config"];
  config["max_msg_size"] = 200;
  REQUIRE_FALSE(outsider.ask("STREAM.UPDATE.ringfence", config).contains("error"));
  CHECK(a.server.publish("room", "message", json_filler(1'000)).error() == Error::broker_refused);
  REQUIRE(a.eventually_nats(NatsState::degraded));
  CHECK(a.server.nats()->reason().starts_with("publishes: the stream ringfence refuses them: "));
  a.publish("room", "1");
  CHECK(a.eventually_nats(NatsState::connected));
  CHECK(reader.events(1)[0].data == "1");
}

TEST_CASE("JetStream: a broker without it is told in one line", "[cluster]") {
  NatsBroker broker;
  ClusterServer a(broker, "jetstream");
  REQUIRE(a.eventually_nats(NatsState::degraded));
  CHECK(a.server.nats()->reason().find("--nats-mode core") != std::string::npos);
}

TEST_CASE("JetStream leaves no subscription at the broker of 10,000 channels joined and left", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream", many_channels);
  REQUIRE(a.eventually_nats(NatsState::connected));
  join_and_leave(broker, a, "ringfence.stream.out.");
}
