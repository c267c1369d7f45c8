// Who is connected: users, sessions that replace each other, grace, attempts and the rate of messages, over real sockets.
#include <algorithm>
#include <atomic>
#include <thread>

#include "net/client_address.h"
#include "realtime/connection_manager.h"
#include "realtime/rate_limiter.h"
#include "support/catch.h"
#include "support/http_client.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

// The next control message with this op; events and others before it are passed over.
Json next_of(WsClient& client, std::string_view op) {
  for (;;) {
    const auto message = client.read();
    if (message.json.is_object() && message.json.value("op", "") == op) return message.json;
  }
}

IdentityPtr identity_of(std::string user, std::string session = {}) {
  auto identity = std::make_shared<Identity>();
  identity->user = std::move(user);
  identity->session = std::move(session);
  return identity;
}

// A manager without sockets: what is posted to a connection runs on `io`.
struct Bench {
  explicit Bench(const std::function<void(Limits&)>& change = {}) : manager(limits(change), ledger) {}
  ~Bench() {
    for (const auto& connection : held) manager.remove(connection, 0);
  }
  static Limits limits(const std::function<void(Limits&)>& change) {
    Limits limits;
    if (change) change(limits);
    return limits;
  }
  Result<ConnectionPtr> admit(std::string user, std::string session = {}) {
    auto admitted =
        manager.admit(next_id++, identity_of(std::move(user), std::move(session)), "203.0.113.1", io.get_executor());
    if (admitted) held.push_back(*admitted);
    return admitted;
  }
  void remove(const ConnectionPtr& connection, std::int64_t now_ms) {
    manager.remove(connection, now_ms);
    std::erase(held, connection);
  }

  boost::asio::io_context io;
  Ledger ledger;
  ConnectionManager manager;
  std::uint64_t next_id = 1;
  std::vector<ConnectionPtr> held;
};

}  // namespace

TEST_CASE("RateLimiter lets a burst through, then the rate, and says how long to wait", "[connections]") {
  RateLimiter limiter;
  const Rate rate{100, 60'000};
  for (int i = 0; i < 100; ++i) REQUIRE(limiter.take(1'000, rate) == 0);
  CHECK(limiter.take(1'000, rate) == 600);
  CHECK(limiter.take(1'599, rate) == 1);
  CHECK(limiter.take(1'600, rate) == 0);
  CHECK(limiter.take(1'600, rate) == 600);
  CHECK_FALSE(limiter.idle(61'000));
  for (int i = 0; i < 100; ++i) REQUIRE(limiter.take(200'000, rate) == 0);
  CHECK(limiter.take(200'000, rate) == 600);
  CHECK(limiter.idle(260'000));
}

TEST_CASE("ConnectionManager counts who is unhealthy and what no session stands behind, as they come and go",
          "[connections]") {
  Bench bench;
  const auto told = [&] {
    const ConnectionStats stats = bench.manager.stats();
    return std::pair(stats.unhealthy, stats.orphans);
  };
  const ConnectionPtr a = bench.admit("ann").value(), b = bench.admit("").value();
  CHECK(told() == std::pair<std::uint64_t, std::uint64_t>(0, 2));
  a->attach();
  a->attach();
  CHECK(told() == std::pair<std::uint64_t, std::uint64_t>(0, 1));
  for (const auto& connection : {a, b}) {
    connection->set_healthy(false);
    connection->set_healthy(false);
  }
  CHECK(told() == std::pair<std::uint64_t, std::uint64_t>(2, 1));
  b->set_healthy(true);
  CHECK(told() == std::pair<std::uint64_t, std::uint64_t>(1, 1));
  bench.remove(a, 0);
  CHECK(told() == std::pair<std::uint64_t, std::uint64_t>(0, 1));
  a->set_healthy(false);  // of no account any more
  a->attach();
  bench.remove(b, 0);
  CHECK(told() == std::pair<std::uint64_t, std::uint64_t>(0, 0));
}

TEST_CASE("client_address takes what the nearest proxy wrote, and counts no address of this machine", "[connections]") {
  const auto at = [](const char* peer, const char* forwarded, bool trust) {
    return client_address(boost::asio::ip::make_address(peer), forwarded, trust);
  };
  CHECK(at("127.0.0.1", "", true).counted.empty());
  CHECK(at("::1", "", false).counted.empty());
  CHECK(at("::ffff:127.0.0.1", "", false).counted.empty());
  CHECK(at("203.0.113.9", "198.51.100.1", true).counted == "203.0.113.9");
  CHECK(at("127.0.0.1", "198.51.100.1", false).counted.empty());
  CHECK(at("127.0.0.1", "10.0.0.1, 198.51.100.1 ", true).counted == "198.51.100.1");
  CHECK(at("127.0.0.1", "198.51.100.1, nonsense", true).counted.empty());
  CHECK(at("2001:db8:1:2:3:4:5:6", "", false).counted == at("2001:db8:1:2:ffff::1", "", false).counted);
  CHECK(at("2001:db8:1:2:3:4:5:6", "", false).counted != at("2001:db8:1:3::1", "", false).counted);
}

TEST_CASE("ConnectionManager remembers the last closed ids after 100,000 cycles, and uses no id again",
          "[connections]") {
  Bench bench;
  std::uint64_t last_user_id = 0;
  std::uint64_t last_session_id = 0;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    const auto admitted = bench.admit(numbered("user", i % 7), numbered("s", i));
    REQUIRE(admitted.ok());
    const ConnectionPtr connection = *admitted;
    REQUIRE(connection->session_id > last_session_id);
    last_session_id = connection->session_id;
    last_user_id = std::max(last_user_id, connection->user_id);
    const auto now_ms = static_cast<std::int64_t>(i);
    bench.remove(connection, now_ms);
    if (i % 7 == 6) bench.manager.sweep(now_ms + 1'000'000);
  }
  const ConnectionStats stats = bench.manager.stats();
  CHECK(stats.closed_recently == 1000);
  CHECK(stats.connections == 0);
  CHECK(stats.orphans == 0);
  CHECK(last_user_id > 90'000);
  CHECK(bench.manager.is_closed(100'000));
  CHECK(bench.manager.is_closed(99'001));
  CHECK_FALSE(bench.manager.is_closed(99'000));
  CHECK_FALSE(bench.manager.is_closed(100'001));
  // Marked twice, it takes one place.
  bench.manager.mark_closed(99'001);
  CHECK(bench.manager.is_closed(99'002));
}

TEST_CASE("ConnectionManager keeps a user for the grace time, and lets the first to leave go early when full",
          "[connections]") {
  Bench bench([](Limits& limits) {
    limits.users_max = 2;
    limits.grace_ms = 30'000;
  });
  const auto ann = bench.admit("ann");
  const std::uint64_t ann_id = (*ann)->user_id;
  bench.remove(*ann, 1'000);
  bench.manager.sweep(30'999);
  CHECK(bench.manager.is_present("ann"));
  const auto back = bench.admit("ann");
  CHECK((*back)->user_id == ann_id);
  bench.remove(*back, 40'000);
  bench.manager.sweep(69'999);
  CHECK(bench.manager.is_present("ann"));
  bench.manager.sweep(70'000);
  CHECK_FALSE(bench.manager.is_present("ann"));
  CHECK(bench.manager.stats().graces_ended == 1);

  REQUIRE(bench.admit("ann").ok());
  const auto bob = bench.admit("bob");
  CHECK(bench.admit("cid").error() == Error::too_many_users);
  bench.remove(*bob, 80'000);
  REQUIRE(bench.admit("cid").ok());
  CHECK_FALSE(bench.manager.is_present("bob"));
  CHECK(bench.manager.stats().graces_cut == 1);
  CHECK((*bench.admit("ann"))->user_id != ann_id);
  CHECK(bench.admit("").ok());  // the anonymous are no users
}

TEST_CASE("ConnectionManager bounds the connections of a user, and finds them", "[connections]") {
  Bench bench([](Limits& limits) { limits.user_connections_max = 2; });
  REQUIRE(bench.admit("ann", "s1").ok());
  REQUIRE(bench.admit("ann").ok());
  CHECK(bench.admit("ann", "s1").error() == Error::too_many_user_connections);
  REQUIRE(bench.admit("ann", "s2").ok());  // replaces both
  const auto of_ann = bench.manager.connections_of("ann");
  REQUIRE(of_ann.size() == 3);
  CHECK(of_ann[2].session == "s2");
  CHECK(of_ann[0].session_id != of_ann[2].session_id);
  CHECK(bench.manager.stats().replaced == 2);
  bool known = true;
  CHECK(bench.manager.connections_of("nobody", &known).empty());
  CHECK_FALSE(known);
  REQUIRE(bench.manager.find(4));
  CHECK(bench.manager.find(4)->user == "ann");
  CHECK_FALSE(bench.manager.find(99));
}

TEST_CASE("Another session of a user closes the old connections with 1000 before the new one is accepted",
          "[connections]") {
  TestServer test([](Options& options) { options.limits.user_attempts = 100; });
  const auto port = test.server.port();
  WsClient first(port, "ringfence.v1.json", "?user=ann&session=s1&channels=a");
  WsClient second(port, "ringfence.v1.json", "?user=ann&session=s1");
  WsClient third(port, "ringfence.v1.json", "?user=ann");
  CHECK(test.server.connections().connections_of("ann").size() == 3);

  std::atomic<bool> accepted{false};
  std::atomic<bool> answered{false};
  std::thread other([&] {
    WsClient replacing(port, "ringfence.v1.json", "?user=ann&session=s2");
    accepted = true;
    replacing.send(R"({"op":"ping","id":1})");
    answered = next_of(replacing, "pong")["id"] == 1;
    replacing.close();
  });
  for (WsClient* old : {&first, &second, &third}) {
    const Json closing = next_of(*old, "closing");
    CHECK(closing["reason"] == "session_replaced");
    CHECK(closing["reconnect"] == false);
    // Not before the last of the old ones is gone: `third` has not yet answered its close.
    if (old == &third) CHECK_FALSE(accepted);
    CHECK(old->read_close() == 1000);
  }
  other.join();
  CHECK(accepted);
  CHECK(answered);
  CHECK(test.server.connections().stats().replaced == 3);
  CHECK(test.eventually([&](const HubStats& stats) { return stats.subscriptions == 0; }));
}

TEST_CASE("A client above its rate is told when to try again, and goes on", "[connections]") {
  TestServer test([](Options& options) {
    options.limits.inbound_messages = 5;
    options.limits.inbound_window_s = 1;
  });
  WsClient client(test.server.port(), "ringfence.v1.json");
  CHECK(client.welcome["limits"]["inbound_messages"] == 5);
  CHECK(client.welcome["limits"]["inbound_window_s"] == 1);
  std::uint32_t wait_ms = 0;
  int sent = 0;
  for (; wait_ms == 0 && sent < 1000; ++sent) {
    client.send(R"({"op":"publish","id":7,"channel":"a","data":1})");
    const Json answer = client.read().json;
    if (answer["op"] == "ok") continue;
    CHECK(answer["code"] == "rate_limited");
    CHECK(answer["id"] == 7);
    wait_ms = answer["retry_after_ms"];
  }
  CHECK(sent >= 6);
  CHECK(wait_ms <= 200);
  REQUIRE(wait_ms > 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));  // as it was told
  client.send(R"({"op":"publish","id":8,"channel":"a","data":1})");
  CHECK(client.read().json["op"] == "ok");
  const auto info = test.server.connections().find(std::stoull(client.welcome["connection"].get<std::string>()));
  REQUIRE(info);
  CHECK(info->rate_limited == 1);
  CHECK(info->messages == static_cast<std::uint64_t>(sent) + 1);
  CHECK(test.server.hub().stats().refused[static_cast<std::size_t>(Error::rate_limited)] == 1);
}

TEST_CASE("A flood above the rate is answered and does not end the connection", "[connections]") {
  TestServer test([](Options& options) { options.limits.inbound_messages = 1; });
  WsClient client(test.server.port(), "ringfence.v1.json");
  for (int i = 0; i < 300; ++i) client.send(R"({"op":"ping"})");
  int limited = 0;
  for (int i = 0; i < 300; ++i) limited += client.read().json["op"] == "error";
  CHECK(limited >= 298);
  CHECK(test.server.connections().stats().connections == 1);
}

TEST_CASE("Attempts to connect are counted by user and by address, and refused with 429", "[connections]") {
  TestServer test([](Options& options) {
    options.limits.user_attempts = 2;
    options.limits.address_attempts = 3;
    options.trust_forwarded_for = true;
  });
  const auto upgrade = [&](const std::string& query, const std::string& forwarded) {
    return HttpClient(test.server.port())
        .get("/v1/ws" + query,
             "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX-Forwarded-For: " +
                 forwarded + "\r\n");
  };
  for (int i = 0; i < 2; ++i) CHECK(upgrade("?user=ann", "").result_int() == 101);
  const auto refused = upgrade("?user=ann", "");
  CHECK(refused.result_int() == 429);
  const Json body = Json::parse(refused.body());
  CHECK(body["error"]["code"] == "rate_limited");
  CHECK(body["error"]["retry_after_ms"] > 25'000);
  CHECK(refused["Retry-After"] == "30");
  for (int i = 0; i < 3; ++i) CHECK(upgrade("", "203.0.113.7").result_int() == 101);
  CHECK(upgrade("", "203.0.113.7").result_int() == 429);
  CHECK(upgrade("", "203.0.113.8").result_int() == 101);
  for (int i = 0; i < 5; ++i) CHECK(upgrade("", "").result_int() == 101);  // of this machine: not counted
  CHECK(test.server.connections().stats().attempts_refused == 2);
  CHECK(test.server.connections().stats().attempt_windows == 3);
}

TEST_CASE("A connection that neither subscribes nor speaks is closed as idle", "[connections]") {
  TestServer test([](Options& options) {
    options.limits.idle_timeout_ms = 300;
    options.limits.sweep_ms = 50;
  });
  WsClient listener(test.server.port(), "ringfence.v1.json", "?channels=a");
  WsClient idle(test.server.port(), "ringfence.v1.json");
  CHECK(next_of(idle, "closing")["reason"] == "idle");
  CHECK(idle.read_close() == 1000);
  CHECK(test.server.hub().stats().idle_closed == 1);
  test.publish("a", "1");
  while (listener.read().events.empty()) {
  }
}

TEST_CASE("disconnect() tells the connections of a user, of a session or of an id to go", "[connections]") {
  TestServer test([](Options& options) { options.limits.user_attempts = 100; });
  const auto port = test.server.port();
  WsClient ann(port, "ringfence.v1.json", "?user=ann&session=s1");
  WsClient bob(port, "ringfence.v1.json", "?user=bob&session=s1");
  WsClient other(port, "ringfence.v1.json", "?user=bob");
  ConnectionManager& connections = test.server.connections();
  CHECK(connections.disconnect_user("nobody", "", {}) == 0);
  CHECK(connections.disconnect_user("bob", "s2", {}) == 0);
  CHECK(connections.disconnect_user("bob", "s1", {1008, "banned", false}) == 1);
  CHECK(next_of(bob, "closing")["reason"] == "banned");
  CHECK(bob.read_close() == 1008);
  const auto id = std::stoull(ann.welcome["connection"].get<std::string>());
  CHECK(connections.disconnect(id, {1000, "maintenance", true}));
  CHECK_FALSE(connections.disconnect(id, {1000, "maintenance", true}));
  CHECK(next_of(ann, "closing")["reason"] == "maintenance");
  CHECK(ann.read_close() == 1000);
  CHECK(test.eventually([&](const HubStats&) { return connections.is_closed(id); }));
  CHECK(connections.connections_of("bob").size() == 1);
  CHECK(connections.stats().disconnected == 2);
}

TEST_CASE("A connection told to go that does not answer is reset after the close time", "[connections]") {
  TestServer test([](Options& options) {
    options.limits.close_timeout_ms = 200;
    options.limits.sweep_ms = 50;
    options.limits.write_stall_ms = 60'000;
  });
  WsClient deaf(test.server.port(), "ringfence.v1.json", "?user=ann&channels=a", 2048);
  test.publish_until_stalled("a", json_filler(60'000), 1);
  CHECK(test.server.connections().disconnect_user("ann", "", {}) == 1);
  CHECK(test.eventually([&](const HubStats&) { return test.server.connections().stats().connections == 0; }));
}

TEST_CASE("A string longer than allowed is refused with its id, wherever it stands", "[connections]") {
  TestServer test([](Options& options) { options.limits.json_string_chars_max = 10; });
  WsClient client(test.server.port(), "ringfence.v1.json");
  const auto answer = [&](const std::string& data) {
    client.send(R"({"op":"publish","id":3,"channel":"abcdefghij","data":)" + data + "}");
    return client.read().json;
  };
  CHECK(answer(R"(["1234567890","ä\u00e4äääääää"])")["op"] == "ok");
  const Json refused = answer(R"([{"a":["12345678901"]}])");
  CHECK(refused["code"] == "string_too_long");
  CHECK(refused["id"] == 3);
  CHECK(answer(R"({"12345678901":1})")["code"] == "string_too_long");
}
