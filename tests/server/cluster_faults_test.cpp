// Several servers on one stream, and publishers that go on, while the network or the broker fails between them.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>

#include "support/catch.h"
#include "support/cluster.h"
#include "support/tcp_proxy.h"
#include "support/told.h"

using namespace ringfence;
using namespace ringfence::test;
using namespace std::chrono_literals;

namespace {

// One server that reaches the broker by a network that can be broken, one that reaches it directly, and a reader on each.
struct Pair {
  explicit Pair(const std::function<void(NatsOptions&)>& change = {}, const std::string& mode = "jetstream")
      : proxy(broker.port()),
        far(broker, mode,
            [&](Options& options) {
              set(options);
              options.nats.urls = {proxy.url()};
              if (change) change(options.nats);
            }),
        near(broker, mode, set),
        on_far(far.server.port()),
        on_near(near.server.port()) {
    REQUIRE(far.eventually_nats(NatsState::connected));
    REQUIRE(near.eventually_nats(NatsState::connected));
    epoch = on_far.subscribe("room")["epoch"];
    const Json told = on_near.subscribe("room");
    if (mode == "jetstream") CHECK(told["epoch"] == epoch);
  }
  // No record leaves the histories while a test runs, so all that is missed is missed for another reason.
  static void set(Options& options) {
    options.limits.history_records_max = 100'000;
    options.limits.history_bytes_max = 32 << 20;
    options.limits.history_memory_bytes = 256ull << 20;
    options.memory_budget_bytes = 4ull << 30;
  }
  // All that was acknowledged came to both readers, and the same to both.
  void check_all(std::initializer_list<const Publisher*> publishers) {
    std::uint64_t newest = 0;
    for (const Publisher* const publisher : publishers)
      if (!publisher->acked.empty()) newest = std::max(newest, publisher->acked.rbegin()->first);
    told_far.read_through(on_far, newest);
    told_near.read_through(on_near, newest);
    for (const Told* const told : {&told_far, &told_near}) {
      CHECK(told->gaps.empty());
      for (const Publisher* const publisher : publishers) CHECK(publisher->check(*told) == 0);
    }
    for (const auto& [seq, data] : told_far.events) {
      if (seq > newest) break;
      const auto same = told_near.events.find(seq);
      REQUIRE(same != told_near.events.end());
      REQUIRE(same->second == data);
    }
    // Whoever resumes, wherever, misses nothing.
    const auto middle = std::next(told_far.events.begin(), static_cast<long>(told_far.events.size() / 2));
    for (ClusterServer* const server : {&far, &near}) {
      WsClient again(server->server.port());
      const Json resumed = again.subscribe("room", {{"after", after(epoch, middle->first)}});
      CHECK(resumed["recovered"] == true);
      Told rest;
      rest.last = middle->first;
      rest.read_through(again, newest);
      CHECK(rest.gaps.empty());
      CHECK(within_bounds(server->server.ledger()));
    }
  }

  JetStreamBroker broker;
  TcpProxy proxy;
  ClusterServer far, near;
  WsClient on_far, on_near;
  Told told_far, told_near;
  Json epoch;
};

// Only such that say what is the matter with the broker, and `also`.
bool only_broker_codes(const Publisher& publisher, const std::string& also = "broker_timeout") {
  return std::all_of(publisher.codes.begin(), publisher.codes.end(), [&](const auto& code) {
    return code.first == "broker_timeout" || code.first == "broker_unavailable" || code.first == also;
  });
}

void quick(NatsOptions& options) {
  options.ping_interval_ms = 250;
  options.request_timeout_ms = 500;
  options.connect_timeout_ms = 250;
}

}  // namespace

TEST_CASE("JetStream: a server whose network to the broker is cut says so, and goes on where it was once it heals",
          "[cluster]") {
  Pair it(quick);
  Publisher near(it.near.server.port(), "room", 4), far(it.far.server.port(), "room", 4);
  REQUIRE(eventually([&] { return near.acknowledged() >= 50 && far.acknowledged() >= 50; }));
  for (int round = 0; round < 2; ++round) {
    it.proxy.hold();
    const std::uint64_t refused = far.refused();
    REQUIRE(it.far.eventually([&](const HubStats&) { return it.far.server.nats()->state() != NatsState::connected; }));
    const Json said = health(it.far.server.port());
    CHECK(said["status"] == "degraded");
    CHECK(said["reasons"][0]["check"] == "broker");
    CHECK(said["reasons"][0]["reason"].get<std::string>().size() > std::string("reconnecting: ").size());
    CHECK(health(it.near.server.port())["status"] == "healthy");
    // No thread of it waits for the broker: a client is answered.
    WsClient(it.far.server.port()).request({{"op", "ping"}}, "pong");
    const std::uint64_t others = near.acknowledged();
    CHECK(eventually([&] { return far.refused() >= refused + 10 && near.acknowledged() >= others + 100; }));
    const std::uint64_t before = far.acknowledged();
    if (round == 1) it.proxy.cut();  // what was on its way is lost as well
    it.proxy.pass();
    REQUIRE(it.far.eventually_nats(NatsState::connected));
    CHECK(health(it.far.server.port())["status"] == "healthy");
    REQUIRE(eventually([&] { return far.acknowledged() >= before + 20; }));
  }
  near.stop();
  far.stop();
  CHECK(near.codes.empty());
  CHECK(only_broker_codes(far));
  it.check_all({&near, &far});
}

TEST_CASE("JetStream: a network that stood still for less than a lost connection is used again at once", "[cluster]") {
  Pair it([](NatsOptions& options) { options.request_timeout_ms = 300; });
  Publisher near(it.near.server.port(), "room", 4), far(it.far.server.port(), "room", 4);
  REQUIRE(eventually([&] { return near.acknowledged() >= 50 && far.acknowledged() >= 50; }));
  it.proxy.hold();
  // Five publishes without an answer, and no more are tried: for a minute, were nothing else heard.
  REQUIRE(it.far.eventually_nats(NatsState::circuit_open));
  CHECK(health(it.far.server.port())["status"] == "degraded");
  const std::uint64_t before = far.acknowledged();
  it.proxy.pass();
  REQUIRE(it.far.eventually_nats(NatsState::connected));
  REQUIRE(eventually([&] { return far.acknowledged() >= before + 20; }));
  near.stop();
  far.stop();
  CHECK(it.far.server.nats()->stats().disconnects == 0);
  CHECK(only_broker_codes(far));
  it.check_all({&near, &far});
}

TEST_CASE("JetStream: a slow network holds publishers back, refuses them with a code, and all fits once it is fast",
          "[cluster]") {
  Pair it([](NatsOptions& options) {
    options.pending_bytes = 1 << 20;
    options.payload_bytes = 64 << 10;
    options.buffer_bytes = 64 << 10;
  });
  it.proxy.slow(200'000);
  constexpr std::size_t kBytes = 16'000;
  std::vector<std::unique_ptr<Publisher>> all;
  for (int i = 0; i < 12; ++i)
    all.push_back(std::make_unique<Publisher>(it.far.server.port(), "room", 16, 0us, kBytes));
  // More than sockets, buffer and queue take.
  const auto sum = [&](std::uint64_t (Publisher::*of)() const) {
    std::uint64_t count = 0;
    for (const auto& publisher : all) count += ((*publisher).*of)();
    return count;
  };
  CHECK(eventually([&] { return sum(&Publisher::refused) >= 100; }, 60s));
  CHECK(eventually([&] {
    const Json said = health(it.far.server.port());
    return said["status"] == "degraded" && said["reasons"][0]["check"] == "broker";
  }));
  const NatsStats stats = it.far.server.nats()->stats();
  CHECK(stats.pending_bytes <= 1 << 20);
  CHECK(stats.refused_overloaded + stats.refused_unavailable + stats.request_timeouts + stats.request_failures > 0);
  CHECK(within_bounds(it.far.server.ledger()));
  for (auto& publisher : all) CHECK(publisher->sent() <= publisher->acknowledged() + publisher->refused() + 16 + 1);
  it.proxy.pass();
  const std::uint64_t before = sum(&Publisher::acknowledged);
  CHECK(eventually([&] { return sum(&Publisher::acknowledged) >= before + 100; }, 60s));
  REQUIRE(it.far.eventually_nats(NatsState::connected));
  for (auto& publisher : all) {
    publisher->stop();
    CHECK(only_broker_codes(*publisher, "overloaded"));
  }
  Publisher last(it.far.server.port(), "room");
  REQUIRE(eventually([&] { return last.acknowledged() >= 5; }));
  last.stop();
  for (auto& publisher : all) it.check_all({publisher.get(), &last});
}

TEST_CASE("JetStream: a broker that stands still for 30 s, with the options as they are", "[cluster]") {
  JetStreamBroker broker;
  const auto defaults = [&](Options& options) {
    Pair::set(options);
    options.nats = {};
    options.nats.urls = {broker.url()};
  };
  ClusterServer a(broker, "jetstream", defaults), b(broker, "jetstream", defaults);
  WsClient reader(b.server.port());
  const Json epoch = reader.subscribe("room")["epoch"];
  Publisher one(a.server.port(), "room", 4), other(b.server.port(), "room", 4);
  REQUIRE(eventually([&] { return one.acknowledged() >= 50 && other.acknowledged() >= 50; }));
  broker.pause();
  const auto began = std::chrono::steady_clock::now();
  for (ClusterServer* const server : {&a, &b}) {
    REQUIRE(server->eventually([&](const HubStats&) { return server->server.nats()->state() != NatsState::connected; },
                               60s));
    const Json said = health(server->server.port());
    CHECK(said["status"] == "degraded");
    CHECK(said["reasons"][0]["check"] == "broker");
    WsClient(server->server.port()).request({{"op", "ping"}}, "pong");
  }
  std::this_thread::sleep_until(began + 30s);
  CHECK(one.refused() > 0);
  CHECK(other.refused() > 0);
  const std::uint64_t before_one = one.acknowledged(), before_other = other.acknowledged();
  broker.go_on();
  REQUIRE(a.eventually_nats(NatsState::connected));
  REQUIRE(b.eventually_nats(NatsState::connected));
  CHECK(health(a.server.port())["status"] == "healthy");
  REQUIRE(eventually([&] { return one.acknowledged() >= before_one + 20 && other.acknowledged() >= before_other + 20; },
                     60s));
  one.stop();
  other.stop();
  Told told;
  told.read_through(reader, std::max(one.acked.rbegin()->first, other.acked.rbegin()->first));
  CHECK(told.gaps.empty());
  for (const Publisher* const publisher : {&one, &other}) {
    CHECK(publisher->check(told) == 0);
    CHECK(only_broker_codes(*publisher));
    CHECK(publisher->slowest < 15s);  // each is told within its time, and a connect's
  }
  for (ClusterServer* const server : {&a, &b}) CHECK(within_bounds(server->server.ledger()));
}

TEST_CASE("JetStream: a stream that is purged again and again while publishing goes on", "[cluster]") {
  Pair it;
  Publisher near(it.near.server.port(), "room", 4), far(it.far.server.port(), "room", 4);
  Outsider outsider(it.broker);
  REQUIRE(eventually([&] { return near.acknowledged() >= 50 && far.acknowledged() >= 50; }));
  for (int round = 0; round < 20; ++round) {
    REQUIRE(outsider.ask("STREAM.PURGE.ringfence")["success"] == true);
    if (round % 4 == 3) it.proxy.cut();  // so that its records have to be fetched, where there may be none
    const std::uint64_t before = near.acknowledged();
    REQUIRE(eventually([&] { return near.acknowledged() >= before + 10; }));
  }
  REQUIRE(it.far.eventually_nats(NatsState::connected));
  const std::uint64_t before = far.acknowledged();
  REQUIRE(eventually([&] { return far.acknowledged() >= before + 20; }));
  near.stop();
  far.stop();
  CHECK(near.codes.empty());
  CHECK(only_broker_codes(far));
  const std::uint64_t newest = std::max(near.acked.rbegin()->first, far.acked.rbegin()->first);
  it.told_near.read_through(it.on_near, newest);
  it.told_far.read_through(it.on_far, newest);
  // At the one that was never cut off all of it came; at the other, or it was told where something may be missing.
  CHECK(near.check(it.told_near) + far.check(it.told_near) == 0);
  CHECK(it.told_near.gaps.empty());
  (void)near.check(it.told_far);
  (void)far.check(it.told_far);
  for (ClusterServer* const server : {&it.far, &it.near}) CHECK(within_bounds(server->server.ledger()));
}

TEST_CASE("JetStream: a stream whose bounds shrink while publishing goes on, and are raised again", "[cluster]") {
  Pair it;
  it.near.publish("other", "0");  // the stream begins with it, whatever happens to the room
  Publisher near(it.near.server.port(), "room", 4), far(it.far.server.port(), "room", 4);
  Outsider outsider(it.broker);
  REQUIRE(eventually([&] { return near.acknowledged() >= 50 && far.acknowledged() >= 50; }));
  const Json config = outsider.ask("STREAM.INFO.ringfence")["config"];
  for (int round = 0; round < 6; ++round) {
    Json smaller = config;
    smaller["max_msgs_per_subject"] = 3;
    if (round % 2 == 1) it.proxy.hold();
    REQUIRE_FALSE(outsider.ask("STREAM.UPDATE.ringfence", smaller).contains("error"));
    const std::uint64_t before = near.acknowledged();
    REQUIRE(eventually([&] { return near.acknowledged() >= before + 50; }));
    if (round % 2 == 1) {
      it.proxy.cut();
      it.proxy.pass();
    }
    if (round % 3 == 2) REQUIRE(it.far.eventually_nats(NatsState::connected));
    REQUIRE_FALSE(outsider.ask("STREAM.UPDATE.ringfence", config).contains("error"));
  }
  REQUIRE(it.far.eventually_nats(NatsState::connected));
  const std::uint64_t before = far.acknowledged();
  REQUIRE(eventually([&] { return far.acknowledged() >= before + 20; }));
  near.stop();
  far.stop();
  CHECK(near.codes.empty());
  const std::uint64_t newest = std::max(near.acked.rbegin()->first, far.acked.rbegin()->first);
  it.told_near.read_through(it.on_near, newest);
  it.told_far.read_through(it.on_far, newest);
  CHECK(near.check(it.told_near) + far.check(it.told_near) == 0);
  CHECK(it.told_near.gaps.empty());
  for (ClusterServer* const server : {&it.far, &it.near}) CHECK(within_bounds(server->server.ledger()));
  // What was published while it was cut off is not in the stream any more, but for the last three: that is told.
  CHECK(near.check(it.told_far) > 0);
  CHECK_FALSE(it.told_far.gaps.empty());
  (void)far.check(it.told_far);
}

TEST_CASE("JetStream: a message above the broker's limit is refused with one code, and the connection lives",
          "[cluster]") {
  const NatsBroker broker({}, true, "max_payload: 4096");
  const std::string mode = GENERATE(std::string("jetstream"), std::string("core"));
  ClusterServer a(broker, mode);
  REQUIRE(a.eventually_nats(NatsState::connected));
  WsClient client(a.server.port()), reader(a.server.port());
  reader.subscribe("room");
  const auto publish = [&](std::size_t bytes) {
    client.send(R"({"op":"publish","id":1,"channel":"room","data":)" + json_filler(bytes) + "}");
  };
  if (mode == "jetstream") {
    for (int i = 0; i < 3; ++i) {
      publish(5000);
      CHECK(client.expect("error")["code"] == "message_too_large");
    }
    CHECK(a.server.publish("room", "t", json_filler(5000)).error() == Error::message_too_large);
    CHECK(a.server.nats()->stats().refused_too_large == 4);
  } else {  // its own clients get it; that the others do not is counted
    publish(5000);
    client.expect("ok");
    CHECK(reader.events(1)[0].data.size() == 5000);
    CHECK(eventually([&] { return a.server.nats()->stats().refused_too_large >= 1; }));
  }
  publish(3000);
  client.expect("ok");
  CHECK(reader.events(1)[0].data.size() == 3000);
  CHECK(a.server.nats()->stats().disconnects == 0);
  CHECK(health(a.server.port())["status"] == "healthy");
}

TEST_CASE("A server that is given no URL of a broker says so in one line, and ends", "[cluster]") {
  FILE* const run = ::popen(RINGFENCE_SERVER_BINARY " --port 0 --nats http://somewhere 2>&1", "r");
  REQUIRE(run);
  std::string said;
  for (int c = 0; (c = std::fgetc(run)) != EOF;) said += static_cast<char>(c);
  const int status = ::pclose(run);
  CHECK(said == "ringfence-server: --nats: 'http://somewhere' must begin with nats:// or tls:// and name a host\n");
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 2);
}

TEST_CASE("Core mode: a server whose network to the broker is cut serves its own, and the loss is told exactly",
          "[cluster]") {
  Pair it(
      [](NatsOptions& options) {
        quick(options);
        options.pending_age_ms = 500;
      },
      "core");
  REQUIRE(subscribed(it.broker, "ringfence.core.room", 2));
  // Each has heard the other: of one not heard before it is not known what was before.
  it.far.publish("room", "99");
  for (WsClient* const reader : {&it.on_far, &it.on_near}) REQUIRE(reader->events(1)[0].data == "99");
  for (int i = 0; i < 10; ++i) it.near.publish("room", std::to_string(i));
  for (WsClient* const reader : {&it.on_far, &it.on_near}) REQUIRE(reader->events(10)[9].data == "9");
  it.proxy.hold();
  REQUIRE(it.far.eventually([&](const HubStats&) { return it.far.server.nats()->state() != NatsState::connected; }));
  CHECK(health(it.far.server.port())["reasons"][0]["check"] == "broker");
  for (int i = 10; i < 30; ++i) it.near.publish("room", std::to_string(i));
  CHECK(it.on_near.events(20)[19].data == "29");
  for (int i = 0; i < 5; ++i) it.far.publish("room", "100");
  CHECK(it.on_far.events(5)[4].data == "100");
  REQUIRE(eventually([&] { return it.far.server.nats()->stats().pending == 0; }));  // too old: given up
  it.proxy.cut();
  it.proxy.pass();
  REQUIRE(it.far.eventually_nats(NatsState::connected));
  REQUIRE(subscribed(it.broker, "ringfence.core.room", 2));
  it.near.publish("room", "30");
  CHECK(it.on_near.events(1)[0].data == "30");
  const Json far_missed = it.on_far.expect("gap");
  CHECK(far_missed["missed"] == 20);
  CHECK(it.on_far.events(1)[0].data == "30");
  it.far.publish("room", "101");
  CHECK(it.on_far.events(1)[0].data == "101");
  const Json near_missed = it.on_near.expect("gap");
  CHECK(near_missed["missed"] == 5);
  CHECK(it.on_near.events(1)[0].data == "101");
  for (ClusterServer* const server : {&it.far, &it.near}) CHECK(within_bounds(server->server.ledger()));
}
