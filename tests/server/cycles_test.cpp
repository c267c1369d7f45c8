// Connections and shards as they come and go: nothing is left behind, nothing hangs.
#include <algorithm>
#include <atomic>
#include <thread>

#include "support/catch.h"
#include "support/random.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr int kCycles = 2'000;
#else
constexpr int kCycles = 10'000;
#endif

TEST_CASE("Thousands of connects and disconnects leave the ledger where it was", "[cycles]") {
  TestServer test([](Options& options) {
    options.limits.channel_idle_ms = 1;
    options.limits.history_age_max_s = 1;
    options.limits.sweep_ms = 50;
  });
  const auto before = test.server.ledger().rows();
  auto random = seeded_random();
  for (int i = 0; i < kCycles; ++i) {
    WsClient client(test.server.port(), i % 2 ? "ringfence.v1" : "ringfence.v1.json", "?channels=a,b");
    switch (pick(random, 0, 4)) {
      case 0: client.drop(); break;      // with replies on their way
      case 1: client.drop(true); break;  // by a reset
      case 2:
        client.send(R"({"op":"publish","channel":"a","data":")" + std::string(pick(random, 0, 6000), 'x') + "\"}");
        client.drop();
        break;
      case 3: {  // in the middle of a message
        client.stream().text(true);
        client.stream().write_some(false, boost::asio::buffer(std::string(3000, ' ')));
        client.drop();
        break;
      }
      default: client.close();
    }
  }
  CHECK(test.server.hub().stats().connections_total == kCycles);
  CHECK(test.eventually(
      [](const HubStats& stats) { return stats.connections == 0 && stats.subscriptions == 0 && stats.channels == 0; }));
  const auto after = test.server.ledger().rows();
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    INFO(after[i].name);
    CHECK(after[i].used_bytes == before[i].used_bytes);
    CHECK(after[i].refused == 0);
  }
  CHECK(test.server.connections().stats().closed_recently == std::min<std::uint64_t>(kCycles, 1000));
  CHECK(test.server.connections().is_closed(kCycles));
}

TEST_CASE("A silent connection is pinged, and one that does not answer is ended", "[cycles]") {
  TestServer test([](Options& options) {
    options.limits.ping_interval_ms = 50;
    options.limits.dead_after_ms = 300;
    options.limits.sweep_ms = 10;
  });
  WsClient silent(test.server.port());  // never reads, so never answers a ping
  WsClient alive(test.server.port());
  alive.subscribe("room");
  std::string got;                                              // the assertions are not for several threads
  std::jthread reader([&] { got = alive.events(1)[0].data; });  // reading answers pings
  CHECK(test.eventually([](const HubStats& stats) { return stats.dead_closed == 1 && stats.connections == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(600));
  CHECK(test.server.hub().stats().connections == 1);
  test.publish("room", "1");
  reader.join();
  CHECK(got == "1");
}

TEST_CASE("A client that leaves the close handshake unanswered is ended", "[cycles]") {
  TestServer test([](Options& options) {
    options.limits.errors_max = 1;
    options.limits.close_timeout_ms = 100;
    options.limits.sweep_ms = 10;
  });
  WsClient client(test.server.port());
  client.send("?");
  client.send("?");
  CHECK(test.eventually([](const HubStats& stats) { return stats.connections == 0; }));
}

TEST_CASE("Stopping tells every client, spread over time, sends what is pending and closes with 1001", "[cycles]") {
  TestServer test;
  std::vector<std::unique_ptr<WsClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<WsClient>(test.server.port(), i % 2 ? "ringfence.v1" : "ringfence.v1.json"));
    clients.back()->subscribe("room");
  }
  for (int i = 1; i <= 200; ++i) test.publish("room", std::to_string(i));
  std::size_t left = 99;
  std::jthread stopper([&] { left = test.server.stop(); });
  std::vector<std::uint32_t> retries;
  for (auto& client : clients) {
    CHECK(client->events(200).back().seq == 200);
    const Json closing = client->expect("closing");
    CHECK(closing["retry_after_ms"] < 5000);
    retries.push_back(closing["retry_after_ms"]);
    CHECK(client->read_close() == 1001);
  }
  stopper.join();
  CHECK(left == 0);
  std::sort(retries.begin(), retries.end());
  CHECK(retries.front() != retries.back());
}

TEST_CASE("Stopping resets a client that does not read, once its time is over", "[cycles]") {
  TestServer test([](Options& options) { options.limits.shutdown_timeout_ms = 300; });
  WsClient stalled(test.server.port(), "ringfence.v1", "?channels=room", 4096);
  WsClient other(test.server.port());
  const std::string data = json_filler(30'000);
  for (int i = 0; i < 1000; ++i) test.publish("room", data);
  std::size_t left = 99;
  std::jthread stopper([&] { left = test.server.stop(); });
  other.expect("closing");
  CHECK(other.read_close() == 1001);
  stopper.join();
  CHECK(left == 1);
}
