// Cursors: order, resume, gaps. What a subscriber is told is exact, in both sub-protocols.
#include "support/catch.h"
#include "support/http_client.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

Json after(const Json& epoch, std::uint64_t seq) { return {{"epoch", epoch}, {"seq", seq}}; }

// The seqs first..last, each once, in order.
void check_run(const std::vector<WsClient::Event>& events, std::uint64_t first) {
  for (const auto& event : events) {
    REQUIRE(event.seq == first);
    REQUIRE(event.prev_seq == first - 1);
    REQUIRE(event.data == std::to_string(first));
    ++first;
  }
}

}  // namespace

TEST_CASE("Events come in order, each once, over many batches", "[resume]") {
  TestServer test([](Options& options) { options.limits.frame_bytes = 4096; });
  const std::string protocol = GENERATE(std::string("ringfence.v1"), std::string("ringfence.v1.json"));
  WsClient client(test.server.port(), protocol);
  client.subscribe("room");
  // Within what the history holds, so that nothing may be missed.
  for (int i = 1; i <= 900; ++i) test.publish("room", std::to_string(i));
  check_run(client.events(900), 1);
}

TEST_CASE("A resume gives exactly the rest, at every cut point", "[resume]") {
  TestServer test;
  const std::string protocol = GENERATE(std::string("ringfence.v1"), std::string("ringfence.v1.json"));
  constexpr std::uint64_t kCount = 60;
  for (std::uint64_t i = 1; i <= kCount; ++i) test.publish("room", std::to_string(i));
  WsClient first(test.server.port(), protocol);
  const Json told = first.subscribe("room", {{"last", 1000}});
  CHECK(told["after"] == 0);
  check_run(first.events(kCount), 1);
  for (std::uint64_t cut = 0; cut <= kCount; ++cut) {
    WsClient client(test.server.port(), protocol);
    const Json resumed = client.subscribe("room", {{"after", after(told["epoch"], cut)}, {"last", 3}});
    REQUIRE(resumed["recovered"] == true);
    REQUIRE(resumed["missed"] == 0);
    REQUIRE(resumed["after"] == cut);
    REQUIRE(resumed["first"] == 1);
    REQUIRE(resumed["next"] == kCount + 1);
    check_run(client.events(kCount - cut), cut + 1);
    client.request({{"op", "ping"}}, "pong");  // and nothing behind it
  }
}

TEST_CASE("A resume at every cut point while records leave says exactly how many are gone", "[resume]") {
  TestServer test([](Options& options) { options.limits.history_records_max = 20; });
  for (std::uint64_t i = 1; i <= 50; ++i) test.publish("room", std::to_string(i));
  WsClient client(test.server.port());
  const Json epoch = client.subscribe("room")["epoch"];
  for (std::uint64_t cut = 0; cut <= 50; ++cut) {
    client.request({{"op", "unsubscribe"}, {"channel", "room"}}, "unsubscribed");
    const Json resumed = client.subscribe("room", {{"after", after(epoch, cut)}});
    const std::uint64_t gone = cut < 30 ? 30 - cut : 0;
    REQUIRE(resumed["missed"] == gone);
    REQUIRE(resumed["recovered"] == (gone == 0));
    REQUIRE(resumed["first"] == 31);
    REQUIRE(resumed["after"] == std::max<std::uint64_t>(cut, 30));
    const std::uint64_t first = std::max<std::uint64_t>(cut, 30) + 1;
    check_run(client.events(51 - first), first);  // no gap is told again
  }
}

TEST_CASE("Without a place a subscription begins at the end, or `last` records before it", "[resume]") {
  TestServer test;
  for (std::uint64_t i = 1; i <= 10; ++i) test.publish("room", std::to_string(i));
  for (const std::uint64_t last : {0, 1, 4, 10, 11, 100'000}) {
    WsClient client(test.server.port());
    const Json told = client.subscribe("room", {{"last", last}});
    const std::uint64_t begin = last > 10 ? 0 : 10 - last;
    CHECK(told["after"] == begin);
    CHECK(told["recovered"] == false);
    CHECK(told["missed"] == 0);
    check_run(client.events(10 - begin), begin + 1);
    client.request({{"op", "ping"}}, "pong");
  }
}

TEST_CASE("A place in another epoch is not known: the client is told so and gets what it asked for", "[resume]") {
  TestServer test;
  for (std::uint64_t i = 1; i <= 10; ++i) test.publish("room", std::to_string(i));
  WsClient all(test.server.port());
  Json told = all.subscribe("room", {{"after", after("another0", 9999)}});
  CHECK(told["recovered"] == false);
  CHECK(told["missed"].is_null());
  CHECK(told["after"] == 0);
  check_run(all.events(10), 1);
  WsClient some(test.server.port());
  told = some.subscribe("room", {{"after", after("another0", 3)}, {"last", 2}});
  CHECK(told["missed"].is_null());
  check_run(some.events(2), 9);
}

TEST_CASE("Resumes are counted by what was missed until then", "[resume]") {
  TestServer test([](Options& options) { options.limits.history_records_max = 20; });
  for (std::uint64_t i = 1; i <= 50; ++i) test.publish("room", std::to_string(i));
  WsClient client(test.server.port());
  const Json epoch = client.subscribe("room")["epoch"];  // not a resume
  const auto resume = [&](const Json& place) {
    WsClient(test.server.port()).subscribe("room", {{"after", place}, {"last", 0}});
  };
  for (int i = 0; i < 3; ++i) resume(after(epoch, 50));
  for (int i = 0; i < 2; ++i) resume(after(epoch, 10));
  resume(after("another0", 50));
  client.subscribe("another", {{"after", after(epoch, 1)}});
  const HubStats stats = test.server.hub().stats();
  CHECK(stats.resumes_exact == 3);
  CHECK(stats.resumes_missed == 2);
  CHECK(stats.resumes_unknown == 2);  // one of them of a channel that was not there
  const auto health = Json::parse(HttpClient(test.server.port()).get("/v1/health").body());
  CHECK(health["resumes"] == Json{{"exact", 3}, {"missed", 2}, {"unknown", 2}});
  const std::string metrics = HttpClient(test.server.port()).get("/metrics").body();
  for (const char* line :
       {"ringfence_resumes_total{missed=\"nothing\"} 3\n", "ringfence_resumes_total{missed=\"counted\"} 2\n",
        "ringfence_resumes_total{missed=\"unknown\"} 2\n", "ringfence_closed_total{reason=\"auth\"} 0\n",
        "ringfence_log_lines_dropped_total 0\n", "ringfence_key_reloads_total{result=\"failed\"} 0\n",
        "ringfence_attempt_windows_evicted_total 0\n"}) {
    CAPTURE(line);
    CHECK(metrics.find(line) != std::string::npos);
  }
}

TEST_CASE("A channel that was forgotten while idle begins another epoch", "[resume]") {
  TestServer test([](Options& options) {
    options.limits.channel_idle_ms = 1;
    options.limits.history_age_max_s = 1;
    options.limits.sweep_ms = 10;
  });
  Json epoch;
  {
    WsClient client(test.server.port());
    epoch = client.subscribe("room")["epoch"];
    test.publish("room", "1");
    CHECK(client.events(1)[0].seq == 1);
    CHECK(test.server.hub().stats().channels == 1);
    client.close();
  }
  REQUIRE(test.eventually([](const HubStats& stats) { return stats.channels == 0; }));
  WsClient client(test.server.port());
  const Json told = client.subscribe("room", {{"after", after(epoch, 1)}});
  CHECK(told["epoch"] != epoch);
  CHECK(told["missed"].is_null());
  test.publish("room", "1");
  CHECK(client.events(1)[0].seq == 1);
}

TEST_CASE("A subscriber that was overtaken gets one gap with the exact count, then what is held", "[resume]") {
  TestServer test([](Options& options) { options.limits.history_records_max = 100; });
  const std::string protocol = GENERATE(std::string("ringfence.v1"), std::string("ringfence.v1.json"));
  // It does not read; with what a socket takes, it is large records that overtake it.
  WsClient slow(test.server.port(), protocol, "", 4096);
  const Json told = slow.subscribe("room");
  const std::string data = json_filler(30'000);
  const std::uint64_t published = test.publish_until_stalled("room", data, 1) + 300;
  for (int i = 0; i < 300; ++i) test.publish("room", data);

  std::uint64_t next = 1;
  std::uint64_t missed = 0;
  int gaps = 0;
  while (next <= published) {
    const auto message = slow.read();
    if (!message.json.is_null()) {
      REQUIRE(message.json["op"] == "gap");
      CHECK(message.json["channel"] == "room");
      CHECK(message.json["channel_id"] == told["channel_id"]);
      CHECK(message.json["from"] == next);
      missed += message.json["missed"].get<std::uint64_t>();
      next = message.json["to"].get<std::uint64_t>() + 1;
      CHECK(message.json["missed"] == next - message.json["from"].get<std::uint64_t>());
      ++gaps;
      continue;
    }
    for (const auto& event : message.events) REQUIRE(event.seq == next++);
  }
  CHECK(gaps == 1);
  CHECK(next == published + 1);
  CHECK(test.server.hub().stats().missed == missed);
  CHECK(test.server.hub().stats().gaps == 1);
}
