// Several servers on one JetStream stream: the same records under the same numbers, whatever fails in between.
#include <memory>
#include <thread>

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
  const auto events = read_acknowledged(reader, acknowledged);
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

TEST_CASE("JetStream leaves no subscription at the broker of 10,000 channels joined and left", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream", many_channels);
  REQUIRE(a.eventually_nats(NatsState::connected));
  join_and_leave(broker, a, "ringfence.stream.out.");
}
