// A stream that is made, purged, bounded, changed or taken away under the servers that stand on it.
#include <limits>
#include <memory>
#include <thread>

#include <ringfence/record.h>

#include "bus/bus.h"
#include "support/catch.h"
#include "support/cluster.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

// One server, and one who reads a channel of it. For TEST_CASE_METHOD.
struct ReadRoom {
  JetStreamBroker broker;
  ClusterServer a{broker, "jetstream"};
  WsClient reader{a.server.port()};
  const Json told = reader.subscribe("room");
};

}  // namespace

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
  HttpClient back_end(a.server.port());
  REQUIRE(back_end.get("/v1/health").result_int() == 200);
  REQUIRE(Outsider(broker).ask("STREAM.DELETE.ringfence")["success"] == true);
  broker.kill();  // so that the server looks again
  broker.start();
  CHECK(reader.expect("closing")["reason"] == "stream_replaced");
  CHECK(reader.read_close() == 1012);
  CHECK(back_end.get("/v1/health").result_int() == 200);  // reads no channel, so it is left alone
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

TEST_CASE("JetStream: what the stream cannot have sent is skipped and counted", "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream");
  WsClient reader(a.server.port());
  reader.subscribe("room");
  a.publish("room", "1");
  reader.events(1);
  Outsider other(broker);
  const auto record = [](std::int64_t time_us, std::string_view type) {
    std::string data(record_stride_bytes(type.size(), 1), '\0');
    encode_record(reinterpret_cast<std::byte*>(data.data()), 1, time_us, type, "0");
    return data;
  };
  const auto send = [&](const std::string& data, NatsHeaders headers) {
    other.publish({.subject = "ringfence.stream.out.room", .data = data, .headers = std::move(headers)});
  };
  const std::string good = record(1, "t");
  send(good, {});
  send(good, {{"Nats-Sequence", "2"}});
  send(good, {{"Nats-Sequence", "x"}, {"Nats-Last-Sequence", "1"}});
  send(good, {{"Nats-Sequence", "99999999999999999999"}, {"Nats-Last-Sequence", "1"}});
  send(good, {{"Nats-Sequence", "9007199254740992"}, {"Nats-Last-Sequence", "1"}});
  send(good, {{"Nats-Sequence", "5"}, {"Nats-Last-Sequence", "18446744073709551615"}});
  send(good, {{"Nats-Sequence", "5"}, {"Nats-Last-Sequence", "5"}});
  const NatsHeaders next{{"Nats-Sequence", "2"}, {"Nats-Last-Sequence", "1"}};
  send(record(std::numeric_limits<std::int64_t>::min(), "t"), next);
  send(record(1, "a\nb"), next);
  send(good.substr(0, 20), next);
  CHECK(eventually([&] { return a.server.hub().bus()->counts().back().value == 10; }));
  a.publish("room", "2");
  const auto event = reader.events(1)[0];
  CHECK(event.data == "2");
  CHECK(event.prev_seq == 1);
}

TEST_CASE("JetStream: a stream whose numbers were put beyond all that can be given is told, and nobody dies of it",
          "[cluster]") {
  JetStreamBroker broker;
  ClusterServer a(broker, "jetstream", [](Options& options) {
    options.nats.heartbeat_ms = 50;
    options.nats.ready_ms = 500;
  });
  WsClient reader(a.server.port());
  reader.subscribe("room");
  a.publish("room", "1");
  reader.events(1);
  REQUIRE(Outsider(broker).ask("STREAM.PURGE.ringfence", {{"seq", kSeqMax + 10}})["success"] == true);
  (void)a.server.publish("room", "t", "2");
  (void)a.server.publish("new", "t", "2");
  WsClient late(a.server.port());
  late.send_op({{"op", "subscribe"}, {"channel", "new"}});
  late.send_op({{"op", "ping"}});
  for (std::string op; op != "pong";) op = late.op();
  CHECK(a.eventually([&](const HubStats&) {
    return a.server.nats()->reason().find("used up half of its numbers") != std::string::npos;
  }));
}
