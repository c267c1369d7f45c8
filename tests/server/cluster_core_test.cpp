// Core mode: several servers and a broker, as processes do it; the servers in this one.
#include <limits>

#include <ringfence/bytes.h>
#include <ringfence/record.h>

#include "bus/bus.h"
#include "realtime/clock.h"
#include "support/catch.h"
#include "support/cluster.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

// As another server sends a record of "room".
NatsOutgoing relayed(std::uint64_t count, std::int64_t time_us, std::string_view type, std::string_view data) {
  std::string message(16 + record_stride_bytes(type.size(), data.size()), '\0');
  auto* const out = reinterpret_cast<std::byte*>(message.data());
  store<std::uint64_t>(out, 7);
  store<std::uint64_t>(out + 8, count);
  encode_record(out + 16, 1, time_us, type, data);
  return {.subject = "ringfence.core.room", .data = message};
}

// One server, and one who reads a channel of it. For TEST_CASE_METHOD.
struct ReadCoreRoom {
  ReadCoreRoom() {
    reader.subscribe("room");
    REQUIRE(subscribed(broker, "ringfence.core.room", 1));
  }
  NatsBroker broker;
  ClusterServer a{broker, "core"};
  WsClient reader{a.server.port()};
};

}  // namespace

TEST_CASE("Core mode: what is published on one server comes to the readers of all, once and in order", "[cluster]") {
  NatsBroker broker;
  ClusterServer a(broker, "core");
  ClusterServer b(broker, "core");
  const std::string protocol = GENERATE(std::string("ringfence.v1"), std::string("ringfence.v1.json"));
  WsClient on_a(a.server.port(), protocol);
  WsClient on_b(b.server.port(), protocol);
  on_a.subscribe("room.1:x");
  on_b.subscribe("room.1:x");
  REQUIRE(subscribed(broker, "ringfence.core.room~1:x", 2));
  for (int i = 1; i <= 500; ++i) a.publish("room.1:x", std::to_string(i));
  for (WsClient* client : {&on_a, &on_b}) {
    std::uint64_t next = 1;
    for (const auto& event : client->events(500)) {
      REQUIRE(event.seq == next);
      REQUIRE(event.data == std::to_string(next++));
    }
  }
  // The other way, by a client.
  on_b.send(R"({"op":"publish","id":1,"channel":"room.1:x","data":"back"})");
  CHECK(on_a.events(1)[0].data == "\"back\"");
}

TEST_CASE("Core mode: a resume is recovered on the same server, and says that it is not on another", "[cluster]") {
  NatsBroker broker;
  ClusterServer a(broker, "core");
  ClusterServer b(broker, "core");
  WsClient on_a(a.server.port());
  const Json epoch = on_a.subscribe("room")["epoch"];
  WsClient on_b(b.server.port());
  on_b.subscribe("room");
  REQUIRE(subscribed(broker, "ringfence.core.room", 2));
  for (int i = 1; i <= 10; ++i) b.publish("room", std::to_string(i));
  on_a.events(10);
  on_b.events(10);
  on_a.drop();
  WsClient again(a.server.port());
  const Json same = again.subscribe("room", {{"after", {{"epoch", epoch}, {"seq", 4}}}});
  CHECK(same["recovered"] == true);
  CHECK(same["missed"] == 0);
  CHECK(again.events(6)[0].data == "5");
  WsClient elsewhere(b.server.port());
  const Json other = elsewhere.subscribe("room", {{"after", {{"epoch", epoch}, {"seq", 4}}}, {"last", 2}});
  CHECK(other["epoch"] != epoch);
  CHECK(other["recovered"] == false);
  CHECK(other["missed"].is_null());
  CHECK(elsewhere.events(2)[0].data == "9");
}

TEST_CASE("Core mode: a loss between the servers is told exactly", "[cluster]") {
  NatsBroker broker;
  ClusterServer a(broker, "core");
  ClusterServer b(broker, "core");
  WsClient on_b(b.server.port());
  const Json told = on_b.subscribe("room");
  REQUIRE(subscribed(broker, "ringfence.core.room", 1));
  a.publish("room", "1");
  CHECK(on_b.events(1)[0].seq == 1);
  // As if three had not got through.
  const ChannelPtr room = a.server.hub().find("room");
  {
    const std::lock_guard lock(room->mutex);
    room->relayed += 3;
  }
  a.publish("room", "5");
  const Json gap = on_b.expect("gap");
  CHECK(gap["from"] == 2);
  CHECK(gap["to"] == 4);
  CHECK(gap["missed"] == 3);
  CHECK(gap["reason"] == "lost");
  const auto event = on_b.events(1)[0];
  CHECK(event.seq == 5);
  CHECK(event.prev_seq == 4);
  CHECK(event.data == "5");
  // Who comes later is told as well.
  WsClient late(b.server.port());
  CHECK(late.subscribe("room", {{"after", {{"epoch", told["epoch"]}, {"seq", 1}}}})["recovered"] == false);
  CHECK(late.expect("gap")["missed"] == 3);
  CHECK(late.events(1)[0].data == "5");
}

TEST_CASE("Core mode: a server without its broker serves its own clients, and others again when it is back",
          "[cluster]") {
  NatsBroker broker;
  const auto quick = [](Options& options) { options.nats.pending_age_ms = 100; };
  ClusterServer a(broker, "core", quick);
  ClusterServer b(broker, "core", quick);
  WsClient on_a(a.server.port());
  on_a.subscribe("room");
  WsClient on_b(b.server.port());
  on_b.subscribe("room");
  REQUIRE(subscribed(broker, "ringfence.core.room", 2));
  a.publish("room", "1");
  CHECK(on_a.events(1)[0].data == "1");
  CHECK(on_b.events(1)[0].data == "1");
  broker.kill();
  REQUIRE(a.eventually_nats(NatsState::reconnecting));
  for (int i = 2; i <= 5; ++i) a.publish("room", std::to_string(i));
  CHECK(on_a.events(4)[3].data == "5");
  REQUIRE(a.eventually([&](const HubStats&) { return a.server.nats()->stats().pending == 0; }));  // too old: given up
  broker.start();
  REQUIRE(a.eventually_nats(NatsState::connected));
  REQUIRE(b.eventually_nats(NatsState::connected));
  REQUIRE(subscribed(broker, "ringfence.core.room", 2));
  a.publish("room", "6");
  const Json gap = on_b.expect("gap");
  CHECK(gap["missed"] == 4);
  CHECK(on_b.events(1)[0].data == "6");
  CHECK(on_a.events(1)[0].data == "6");
}

TEST_CASE("Core mode leaves no subscription at the broker of 10,000 channels joined and left", "[cluster]") {
  NatsBroker broker;
  ClusterServer a(broker, "core", many_channels);
  REQUIRE(a.eventually_nats(NatsState::connected));
  join_and_leave(broker, a, "ringfence.core.");
}

TEST_CASE_METHOD(ReadCoreRoom, "Core mode: what a server cannot have sent is skipped and counted", "[cluster]") {
  Outsider other(broker);
  const auto send = [&](std::uint64_t count, std::int64_t time_us, std::string_view type, std::string_view data) {
    other.publish(relayed(count, time_us, type, data));
  };
  constexpr auto kLast = std::numeric_limits<std::uint64_t>::max();
  const std::int64_t now_us = wall_us();
  send(1, now_us, "t", "1");
  send(kLast, now_us, "t", "2");        // as many lost as there are no numbers for
  send(kSeqMax - 1, now_us, "t", "3");  // nearly
  send(2, std::numeric_limits<std::int64_t>::min(), "t", "4");
  send(2, std::numeric_limits<std::int64_t>::max(), "t", "5");
  send(2, now_us, "a\nb", "6");
  other.publish({.subject = "ringfence.core.room", .data = "short"});
  send(2, now_us, "t", "7");
  CHECK(reader.events(2)[1].data == "7");
  CHECK(a.publish("room", "8") == 3);
  CHECK(reader.events(1)[0].prev_seq == 2);
  CHECK(a.server.hub().bus()->counts().back().value == 6);
}

TEST_CASE_METHOD(ReadCoreRoom, "Core mode: a server whose clock is far ahead does not age what the others have",
                 "[cluster]") {
  a.publish("room", "1");
  Outsider other(broker);
  other.publish(relayed(1, wall_us() + std::int64_t{365} * 86'400 * 1'000'000, "t", "2"));
  CHECK(reader.events(2)[1].data == "2");
  WsClient late(a.server.port());
  CHECK(late.subscribe("room", {{"last", 10}})["first"] == 1);
  CHECK(late.events(2)[0].data == "1");
}
