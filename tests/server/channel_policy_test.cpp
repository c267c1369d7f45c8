#include "realtime/channel_policy.h"

#include "options.h"
#include "caching/cache_manager.h"
#include "realtime/last_values.h"
#include "support/catch.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

// Twice as much as the kernel takes for a reader that has stopped.
constexpr std::uint64_t kMore = 200;
const std::string kPayload = json_filler(30'000);

struct Seen {
  std::uint64_t events = 0;
  std::uint64_t missed = 0;
  std::uint64_t gaps = 0;
  std::uint64_t last_seq = 0;
};

// Reads until the record `last` and whatever was skipped have come. Every event is newer than the one before, and every
// record is either an event or told as missed.
Seen read_to(WsClient& client, std::uint64_t last) {
  Seen seen;
  while (seen.events + seen.missed < last) {
    const auto message = client.read();
    if (message.json.is_null()) {
      for (const auto& event : message.events) {
        REQUIRE(event.seq > seen.last_seq);
        REQUIRE(event.prev_seq == seen.last_seq);  // also across what was skipped: there is no hole
        seen.last_seq = event.seq;
        ++seen.events;
      }
      continue;
    }
    REQUIRE(message.json["op"] == "gap");
    CHECK(message.json["reason"] == "conflated");
    CHECK(message.json["to"] == seen.last_seq - 1);
    const std::uint64_t from = message.json["from"];
    CHECK(message.json["missed"] == seen.last_seq - from);
    seen.missed += message.json["missed"].get<std::uint64_t>();
    ++seen.gaps;
  }
  return seen;
}

std::string usage_error(const std::vector<std::string>& rows) {
  try {
    (void)ChannelPolicies::parse(rows);
  } catch (const UsageError& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("ChannelPolicies give the policy of the first row that matches", "[channel_policy]") {
  const auto policies = ChannelPolicies::parse({"ticker:slow=catch_up", "ticker:*=conflate", "orders=close"});
  CHECK(policies.of("ticker:slow") == SlowPolicy::catch_up);
  CHECK(policies.of("ticker:eur") == SlowPolicy::conflate);
  CHECK(policies.of("ticker") == SlowPolicy::catch_up);
  CHECK(policies.of("orders") == SlowPolicy::close);
  CHECK(policies.of("orders:1") == SlowPolicy::catch_up);
  CHECK(policies.has(SlowPolicy::conflate));
  CHECK_FALSE(ChannelPolicies().has(SlowPolicy::conflate));
  CHECK(ChannelPolicies::parse({"*=close"}).of("anything") == SlowPolicy::close);
}

TEST_CASE("ChannelPolicies refuse what is no row, and more rows than they hold", "[channel_policy]") {
  for (const char* wrong : {"", "=", "ticker", "ticker=", "=close", "ticker=fast", "tick*er=close", "a b=close"})
    CHECK(usage_error({wrong}).find("--channel-policy: '" + std::string(wrong) + "'") == 0);
  std::vector<std::string> rows(ChannelPolicies::kRowsMax, "a=close");
  CHECK(usage_error(rows).empty());
  rows.push_back("a=close");
  CHECK(usage_error(rows).find("64") != std::string::npos);
}

TEST_CASE("A slow subscriber of a `conflate` channel gets the latest only, and is told what it was spared",
          "[channel_policy]") {
  for (const char* protocol : {"ringfence.v1", "ringfence.v1.json"}) {
    TestServer test([](Options& options) { options.channel_policies = {"ticker:*=conflate"}; });
    WsClient slow(test.server.port(), protocol, "", 4096);
    slow.subscribe("ticker:a");
    const std::uint64_t stalled_at = test.publish_until_stalled("ticker:a", kPayload, 1);
    for (std::uint64_t i = 0; i < kMore; ++i) test.publish("ticker:a", kPayload);
    const std::uint64_t last = test.publish("ticker:a", "\"latest\"");
    const Seen seen = read_to(slow, last);
    CHECK(seen.last_seq == last);
    CHECK(seen.events <= stalled_at + 1);
    CHECK(seen.missed >= kMore);
    CHECK(seen.gaps == 1);
    const HubStats stats = test.server.hub().stats();
    CHECK(stats.conflated == seen.missed);
    CHECK(stats.gaps == 0);
    // It keeps pace again: every record comes.
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t seq = test.publish("ticker:a", "1");
      CHECK(slow.events(1)[0].seq == seq);
    }
  }
}

TEST_CASE("A subscriber of a `conflate` channel that keeps pace gets every record, and its backlog on resume",
          "[channel_policy]") {
  TestServer test([](Options& options) { options.channel_policies = {"ticker:*=conflate"}; });
  for (int i = 0; i < 500; ++i) test.publish("ticker:a", "1");
  WsClient client(test.server.port());
  const Json subscribed = client.subscribe("ticker:a", {{"last", 500}});
  CHECK(subscribed["missed"] == 0);
  CHECK(client.events(500).back().seq == 500);
  CHECK(test.server.hub().stats().conflated == 0);
}

TEST_CASE("The latest of a `conflate` channel is to be had after its history has let go of it", "[channel_policy]") {
  TestServer test([](Options& options) {
    options.channel_policies = {"ticker:*=conflate"};
    options.limits.history_age_max_s = 1;
    options.limits.sweep_ms = 20;
  });
  WsClient slow(test.server.port(), "ringfence.v1", "", 4096);
  slow.subscribe("ticker:a");
  test.publish_until_stalled("ticker:a", kPayload, 1);
  for (std::uint64_t i = 0; i < kMore; ++i) test.publish("ticker:a", kPayload);
  const std::uint64_t last = test.publish("ticker:a", "\"latest\"");
  REQUIRE(test.eventually([&](const HubStats&) {
    const ChannelPtr channel = test.server.hub().find("ticker:a");
    const std::lock_guard lock(channel->mutex);
    return channel->history.empty();
  }));
  CHECK(read_to(slow, last).last_seq == last);

  for (const char* protocol : {"ringfence.v1", "ringfence.v1.json"}) {
    WsClient late(test.server.port(), protocol);
    late.subscribe("ticker:a", {{"last", 1}});
    const auto event = late.events(1)[0];
    CHECK(event.seq == last);
    CHECK(event.data == "\"latest\"");
  }
  const auto stats = test.server.caches().find<std::uint32_t, LastRecordPtr>("last_values")->stats();
  CHECK(stats.size == 1);
  CHECK(stats.hits >= 3);
}

TEST_CASE("A latest record above --last-value-memory is refused there, and the subscriber is told the gap",
          "[channel_policy]") {
  TestServer test([](Options& options) {
    options.channel_policies = {"ticker:*=conflate"};
    options.last_value_memory_bytes = 64 * 1024;
    options.limits.history_age_max_s = 1;
    options.limits.sweep_ms = 20;
  });
  const std::uint64_t last = test.publish("ticker:a", json_filler(65'500));
  test.publish("ticker:b", "1");
  REQUIRE(test.eventually([&](const HubStats&) {
    const ChannelPtr channel = test.server.hub().find("ticker:a");
    const std::lock_guard lock(channel->mutex);
    return channel->history.empty();
  }));
  CHECK(test.server.caches().find<std::uint32_t, LastRecordPtr>("last_values")->stats().refused == 1);
  WsClient late(test.server.port());
  const Json subscribed = late.subscribe("ticker:a", {{"last", 1}});
  CHECK(subscribed["after"] == last);
  test.publish("ticker:a", "2");
  CHECK(late.events(1)[0].seq == last + 1);
}

TEST_CASE("A slow subscriber of a `close` channel is told too_slow and closed, others go on, and it may resume",
          "[channel_policy]") {
  TestServer test([](Options& options) {
    options.channel_policies = {"orders=close"};
    options.limits.history_records_max = 20;
  });
  WsClient slow(test.server.port(), "ringfence.v1", "", 4096);
  const Json subscribed = slow.subscribe("orders");
  const std::uint64_t stalled_at = test.publish_until_stalled("orders", kPayload, 1);
  for (std::uint64_t i = 0; i < kMore; ++i) test.publish("orders", kPayload);
  std::uint64_t seen = 0;
  Json error;
  while (error.is_null()) {
    const auto message = slow.read();
    for (const auto& event : message.events) REQUIRE(event.seq == ++seen);
    error = message.json;
  }
  CHECK(error["op"] == "error");
  CHECK(error["code"] == "too_slow");
  CHECK(slow.read_close() == 1008);
  CHECK(seen >= stalled_at - 1);
  const HubStats stats = test.server.hub().stats();
  CHECK(stats.slow_closed == 1);
  CHECK(stats.refused[static_cast<std::size_t>(Error::too_slow)] == 1);

  WsClient again(test.server.port());
  const Json resumed = again.subscribe("orders", {{"after", {{"epoch", subscribed["epoch"]}, {"seq", seen}}}});
  CHECK(resumed["recovered"] == false);
  CHECK(resumed["missed"] == stalled_at + kMore - 20 - seen);
  CHECK(again.events(20).back().seq == stalled_at + kMore);
}

TEST_CASE("A server whose caches leave no room for --last-value-memory is refused", "[channel_policy]") {
  std::string message;
  try {
    const Server server(TestServer::options([](Options& options) {
      options.channel_policies = {"*=conflate"};
      options.last_value_memory_bytes = options.cache_memory_bytes;
    }));
  } catch (const UsageError& error) {
    message = error.what();
  }
  CHECK(message.find("--last-value-memory 16MiB") != std::string::npos);
}
