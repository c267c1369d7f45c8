// StreamBridge: many servers hold the same records: publishing, following, waiting, epochs. The engine is a fake.
#include <thread>

#include "support/bridge_node.h"
#include "support/catch.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE_METHOD(FollowedRoom, "StreamBridge: a publish is answered by the engine, and comes back with its number",
                 "[stream_bridge]") {
  engine.store("other", "\"x\"");
  std::optional<Result<std::uint64_t>> seq;
  REQUIRE(node.hub.publish_later("room", "t", "1", [&](Result<std::uint64_t> told) { seq = told; }).ok());
  CHECK_FALSE(seq.has_value());
  CHECK(node.payloads("room").empty());  // not before it has a number
  engine.run();
  REQUIRE(seq.has_value());
  CHECK(seq->value() == 2);
  CHECK(node.payloads("room") == Texts{"1"});
  CHECK(node.channel("room")->history.first_seq() == 2);
  CHECK(node.hub.stats().published == 1);
}

TEST_CASE("StreamBridge refuses what the hub would refuse, and what cannot be sent", "[stream_bridge]") {
  FakeEngine engine;
  BridgeNode node(engine, [](Limits& limits) { limits.history_bytes_max = 4096; });
  const auto never = [](Result<std::uint64_t>) { FAIL("called"); };
  CHECK(node.hub.publish_later("room", "t", "1", never).error() == Error::broker_unavailable);
  node.connect();
  CHECK(node.hub.publish_later("a b", "t", "1", never).error() == Error::bad_channel);
  CHECK(node.hub.publish_later("room", "", "1", never).error() == Error::bad_type);
  CHECK(node.hub.publish_later("room", "t", std::string(5000, '1'), never).error() == Error::record_too_large);
  CHECK(node.hub.stats().refused[static_cast<std::size_t>(Error::broker_unavailable)] == 1);
}

TEST_CASE("StreamBridge gives two servers the same records, numbers and epoch", "[stream_bridge]") {
  FakeEngine engine;
  engine.store("room", "1");
  engine.store("other", "0");
  engine.store("room", "2");
  BridgeNode late(engine);
  late.connect();
  CHECK(late.channel("room")->behind);
  late.ask("room");
  CHECK_FALSE(late.ready.has_value());
  engine.run();
  REQUIRE(late.ready.has_value());
  CHECK(late.ready->ok());
  CHECK_FALSE(late.channel("room")->behind);
  CHECK(late.payloads("room") == Texts{"1", "2"});
  const auto all = late.resume("room", 0);
  CHECK(all->recovered);
  CHECK(all->missed == 0);
  CHECK(late.resume("room", 1)->recovered);
  CHECK(late.channel("room")->epoch() == "25");  // 77
  CHECK(late.channel("room")->history.read(1, 4096).prev_seq == 1);
}

TEST_CASE_METHOD(FollowedRoom, "StreamBridge skips what comes twice, and fills what was lost on the way",
                 "[stream_bridge]") {
  engine.store("room", "1");
  engine.store("room", "2");
  engine.repeat_deliveries();
  engine.run();
  CHECK(node.payloads("room") == Texts{"1", "2"});
  CHECK(node.bridge->stats().duplicates == 2);
  engine.store("room", "3");
  engine.store("room", "4");
  engine.lose_deliveries();
  engine.store("room", "5");
  engine.run(false);
  CHECK(node.payloads("room") == Texts{"1", "2"});  // 5 waits for those before it
  engine.store("room", "6");                        // and so does what comes meanwhile
  engine.run();
  CHECK(node.payloads("room") == Texts{"1", "2", "3", "4", "5", "6"});
  CHECK(node.bridge->stats().holes == 1);
  CHECK(node.bridge->stats().losses == 0);
  CHECK_FALSE(node.channel("room")->history.holes_behind(0));
}

TEST_CASE_METHOD(FollowedRoom, "StreamBridge lets a reader wait who has seen more elsewhere", "[stream_bridge]") {
  engine.store("room", "1");
  engine.store("room", "2");
  engine.lose_deliveries();  // still on their way to this server
  node.ask("room", 2);
  engine.run();
  REQUIRE(node.ready.has_value());
  CHECK(node.ready->ok());
  CHECK(node.resume("room", 2)->recovered);
  node.ask("room", 99);  // there is no such record
  engine.run();
  REQUIRE(node.ready.has_value());
  CHECK(node.ready->ok());
  CHECK(node.resume("room", 99).error() == Error::seq_in_future);
}

TEST_CASE("StreamBridge does not let a reader wait for ever", "[stream_bridge]") {
  FakeEngine engine;
  BridgeNode node(engine);
  node.ask("room");
  engine.run();
  node.bridge->sweep(steady_ms() + 4'000);
  engine.run();
  CHECK_FALSE(node.ready.has_value());
  node.bridge->sweep(steady_ms() + 6'000);
  engine.run();
  REQUIRE(node.ready.has_value());
  CHECK(node.ready->error() == Error::broker_unavailable);
}

TEST_CASE("StreamBridge tries a filling again that got no answer", "[stream_bridge]") {
  FakeEngine engine;
  engine.store("room", "1");
  BridgeNode node(engine);
  node.connect();
  engine.fail_answers = true;
  node.ask("room");
  engine.run();
  CHECK_FALSE(node.ready.has_value());
  engine.fail_answers = false;
  node.bridge->sweep(steady_ms() + 1'000);
  engine.run();
  REQUIRE(node.ready.has_value());
  CHECK(node.payloads("room") == Texts{"1"});
}

TEST_CASE_METHOD(FollowedRoom, "StreamBridge follows a channel while somebody reads it, and a while longer",
                 "[stream_bridge]") {
  CHECK(engine.followed().size() == 1);
  engine.store("room", "1");
  engine.run();
  node.bridge->sweep(steady_ms() + 60'000);
  engine.run();
  CHECK(engine.followed().size() == 1);  // it is read
  node.want("room", false);
  node.bridge->sweep(steady_ms() + 4'000);
  engine.run();
  CHECK(engine.followed().size() == 1);
  node.bridge->sweep(steady_ms() + 6'000);
  engine.run();
  CHECK(engine.followed().empty());
  CHECK(node.channel("room")->behind);
  engine.store("room", "2");
  engine.run();
  node.ask("room");
  engine.run();
  CHECK(node.payloads("room") == Texts{"1", "2"});
}

TEST_CASE("StreamBridge leaves nothing behind of 1,000 channels joined and left", "[stream_bridge]") {
  FakeEngine engine;
  BridgeNode node(engine, [](Limits& limits) {
    limits.channels_max = 50;
    limits.channel_idle_ms = 1;
  });
  node.connect();
  for (int i = 0; i < 1'000; ++i) {
    const std::string name = numbered("c", i);
    engine.store(name, "1");
    node.want(name);
    engine.run();
    CHECK(node.payloads(name) == Texts{"1"});
    node.want(name, false);
    if (i % 40 != 39) continue;
    node.bridge->sweep(steady_ms() + 6'000);
    engine.run();
    CHECK(engine.followed().empty());
    node.flush();
    while (node.hub.stats().channels > 0) node.hub.sweep_channels(0, 4096);
    engine.run();
  }
  CHECK(node.bridge->stats().followed == 0);
  for (const LedgerRow& row : node.ledger.rows())
    if (row.name == "bus channels" || row.name == "bus records") CHECK(row.used_bytes == 0);
}

TEST_CASE_METHOD(FollowedRoom, "StreamBridge begins another epoch when the stream was made anew", "[stream_bridge]") {
  engine.store("room", "1");
  engine.run();
  CHECK(told == 0);
  engine.disconnect();
  engine.run();
  engine.make_anew();
  node.connect();
  CHECK(told == 1);
  CHECK(node.channel("room")->epoch() == "26");
  CHECK(node.channel("room")->history.empty());
  engine.store("room", "new");
  node.ask("room");
  engine.run();
  CHECK(node.payloads("room") == Texts{"new"});
  CHECK_FALSE(node.resume("room", 1, "25")->missed.has_value());
}

TEST_CASE_METHOD(FollowedRoom, "StreamBridge takes no number twice from a stream that has lost its end",
                 "[stream_bridge]") {
  for (int i = 1; i <= 3; ++i) engine.store("room", std::to_string(i));
  engine.run();
  engine.disconnect();
  engine.run();
  engine.cut_to(1);  // as after a power cut
  engine.store("room", "two");
  node.connect();
  CHECK(told == 1);
  CHECK(node.channel("room")->epoch() != "25");
  node.ask("room");
  engine.run();
  CHECK(node.payloads("room") == Texts{"1", "two"});
}

TEST_CASE_METHOD(FollowedRoom, "StreamBridge is not alarmed by what overtakes the first answer of a new connection",
                 "[stream_bridge]") {
  engine.store("room", "1");
  engine.run();
  engine.disconnect();
  engine.run();
  const StreamView before{77, 1, 1, 0};  // what the broker said, before another server published
  engine.store("room", "2");
  node.bridge->on_record("room", {2, 1, 2, "t", "2"});
  CHECK(node.payloads("room") == Texts{"1"});
  engine.connect(*node.bridge);
  std::optional<Result<std::uint64_t>> seq;
  REQUIRE(node.hub.publish_later("room", "t", "3", [&](Result<std::uint64_t> is) { seq = is; }).ok());
  while (!seq) engine.answer_one();  // the publish is answered before the engine tells of the stream
  node.bridge->on_connected(before);
  engine.run();
  CHECK(told == 0);
  CHECK(node.channel("room")->epoch() == "25");
  CHECK(node.payloads("room") == Texts{"1", "2", "3"});
  CHECK_FALSE(node.channel("room")->history.holes_behind(0));
}

TEST_CASE("StreamBridge gives up a long line of fillings whose questions are refused, and comes back to them",
          "[stream_bridge]") {
  constexpr unsigned kChannels = 1'000;
  FakeEngine engine;
  BridgeNode node(engine, [](Limits& limits) { limits.channels_max = kChannels; });
  node.connect();
  for (unsigned i = 0; i < kChannels; ++i) node.want(numbered("c", i));
  engine.store(numbered("c", kChannels - 1), "1");
  engine.run(false);
  CHECK(engine.waiting() == StreamBridge::kFillsMax);
  engine.refuse_questions = true;  // as where too many publishes wait for an answer
  engine.run();
  CHECK(node.bridge->stats().fills == kChannels);
  CHECK(engine.refused_stack_bytes() < 4096);
  engine.refuse_questions = false;
  node.bridge->sweep(steady_ms() + 1'000);
  engine.run();
  CHECK(node.payloads(numbered("c", kChannels - 1)) == Texts{"1"});
}

TEST_CASE("StreamBridge tells who reads of another epoch once no channel is in the old one", "[stream_bridge]") {
  FakeEngine engine;
  BridgeNode node(engine);
  node.connect();
  for (unsigned i = 0; i < 100; ++i) node.want(numbered("c", i));
  engine.run();
  unsigned in_old_epoch = 0;
  bool told = false;
  node.hub.on_stream_epoch([&] {
    told = true;
    for (unsigned i = 0; i < 100; ++i) {
      const ChannelPtr channel = node.channel(numbered("c", i));
      in_old_epoch += channel->epoch() == "25" || !channel->behind ? 1 : 0;
    }
  });
  engine.disconnect();
  engine.run();
  engine.make_anew();
  node.connect();
  CHECK(told);
  CHECK(in_old_epoch == 0);  // a session that begins by then would stay there
}

TEST_CASE("StreamBridge: who waits for a channel that was forgotten takes nothing from the one that has its name now",
          "[stream_bridge]") {
  FakeEngine engine;
  BridgeNode node(engine, [](Limits& limits) { limits.channel_idle_ms = 1; });
  node.connect();
  const ChannelPtr old = node.channel("room");
  while (node.hub.sweep_channels(0, 1'000'000) == 0) std::this_thread::yield();
  REQUIRE(old->forgotten);
  node.want("room");
  engine.run();
  REQUIRE_FALSE(node.channel("room")->behind);
  std::optional<Result<void>> ready;
  node.hub.when_ready(old, 0, [&](Result<void> result) { ready = result; });
  engine.run();
  REQUIRE(ready.has_value());
  CHECK(ready->ok());
  engine.store("room", "1");
  engine.run();
  CHECK(node.payloads("room") == Texts{"1"});
}
