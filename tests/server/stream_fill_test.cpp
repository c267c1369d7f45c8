// StreamBridge: whatever the way to a server loses, repeats or swaps, and whatever the stream lets go of meanwhile, it holds the
// same records, or tells where some are missing. The engine is a fake.
#include <algorithm>
#include <map>
#include <random>

#include "support/bridge_node.h"
#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE_METHOD(FollowedRoom, "StreamBridge tells exactly where records are missing that the stream has lost",
                 "[stream_fill]") {
  engine.store("room", "1");
  engine.run();
  engine.disconnect();
  engine.run();
  engine.store("room", "2");
  engine.store("room", "3");
  engine.evict_through(3);
  engine.store("room", "4");
  node.connect();
  CHECK(node.payloads("room") == Texts{"1", "4"});
  CHECK(node.bridge->stats().losses == 1);
  const ChannelPtr room = node.channel("room");
  const auto gap = room->gap(1, room->history.lower_bound(2));
  REQUIRE(gap.has_value());
  CHECK(gap->from == 2);
  CHECK(gap->to == 3);
  CHECK_FALSE(gap->known);
  CHECK_FALSE(node.resume("room", 1)->recovered);
  CHECK(node.resume("room", 3)->recovered);
}

TEST_CASE_METHOD(FollowedRoom, "StreamBridge is not alarmed by bounds of the stream that took what it has",
                 "[stream_fill]") {
  engine.store("room", "1");
  engine.run();
  engine.evict_through(1);  // all that was in the stream: the next one says that none was before it
  engine.store("room", "2");
  engine.run();
  CHECK(node.payloads("room") == Texts{"1", "2"});
  CHECK(node.bridge->stats().losses == 0);
  CHECK(node.resume("room", 1)->recovered);
}

TEST_CASE("StreamBridge looks at every channel again after a connection was lost", "[stream_fill]") {
  FakeEngine engine;
  BridgeNode node(engine);
  node.connect();
  node.want("room");
  node.want("quiet");
  engine.run();
  engine.store("room", "1");
  engine.store("quiet", "a");
  engine.run();
  engine.disconnect();
  engine.run();
  engine.store("room", "2");
  engine.store("quiet", "b");  // no later record would show that this one is missing
  node.connect();
  CHECK(node.payloads("room") == Texts{"1", "2"});
  CHECK(node.payloads("quiet") == Texts{"a", "b"});
}

TEST_CASE("StreamBridge tells a late server what it cannot know", "[stream_fill]") {
  FakeEngine engine(3);  // records a channel
  for (int i = 1; i <= 5; ++i) engine.store("full", std::to_string(i));
  engine.store("some", "1");
  engine.store("some", "2");
  BridgeNode node(engine, [](Limits& limits) { limits.history_records_max = 3; });
  node.connect();
  node.ask("full");
  node.ask("some");
  engine.run();
  CHECK(node.payloads("full") == Texts{"3", "4", "5"});
  CHECK(node.resume("full", 2)->recovered);  // 3 follows it
  CHECK_FALSE(node.resume("full", 1)->recovered);
  CHECK_FALSE(node.resume("full", 1)->missed.has_value());
  CHECK_FALSE(node.resume("full", 0)->recovered);
  // Not full and of a stream that still begins behind 2, which has left by another channel's bound alone.
  CHECK_FALSE(node.resume("some", 1)->recovered);
  CHECK(node.resume("some", 2)->recovered);
}

TEST_CASE("StreamBridge fills what it had no room to hold", "[stream_fill]") {
  FakeEngine engine;
  StreamBridge::Settings settings;
  settings.held_bytes_max = 1'000;
  BridgeNode node(engine, {}, settings);
  node.connect();
  node.want("room");
  engine.run(false);  // the filling has no answer yet
  Texts all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(std::to_string(1000 + i));
    engine.store("room", all.back());
  }
  engine.run(false);
  CHECK(node.bridge->stats().held_dropped > 0);
  engine.run();
  CHECK(node.payloads("room") == all);
  for (const LedgerRow& row : node.ledger.rows()) {
    if (row.name != "bus records") continue;
    CHECK(row.used_bytes == 0);
    CHECK(row.high_water_mark_bytes <= 1'000);
  }
}

TEST_CASE("StreamBridge takes two records that come in the other order without the stream", "[stream_fill]") {
  FakeEngine engine(2);
  BridgeNode node(engine);
  node.connect();
  node.want("room");
  engine.run();
  engine.store("room", "1");
  engine.run();
  engine.store("room", "2");
  engine.store("room", "3");
  engine.store("room", "4");
  engine.swap_deliveries();
  engine.run(false);  // 4, 3, 2; whatever is asked of the stream is not answered
  CHECK(node.payloads("room") == Texts{"1", "2", "3", "4"});
  CHECK(node.bridge->stats().holes == 1);
  engine.run();
  engine.store("room", "5");
  engine.run(false);
  CHECK(node.payloads("room") == Texts{"1", "2", "3", "4", "5"});
  CHECK(node.bridge->stats().losses == 0);
  CHECK_FALSE(node.channel("room")->history.holes_behind(0));
}

TEST_CASE("StreamBridge takes what follows a purge in the other order, and whatever is purged meanwhile",
          "[stream_fill]") {
  StreamBridge::Settings settings;
  settings.loss_ms = 3'600'000;
  FollowedRoom it(settings);
  FakeEngine& engine = it.engine;
  BridgeNode& node = it.node;
  engine.store("room", "1");
  engine.run();
  engine.evict_through(1);
  engine.store("room", "2");  // says that none was before it
  engine.store("room", "3");
  engine.swap_deliveries();
  engine.run(false);
  CHECK(node.payloads("room") == Texts{"1", "2", "3"});
  engine.evict_through(3);
  engine.store("room", "4");
  engine.delay_delivery();
  engine.store("room", "5");
  engine.run(false);
  engine.evict_through(5);
  engine.store("room", "6");
  engine.run();  // the filling finds an empty stream
  CHECK(node.payloads("room") == Texts{"1", "2", "3"});
  engine.deliver_late();
  engine.run();
  CHECK(node.payloads("room") == Texts{"1", "2", "3", "4", "5", "6"});
  CHECK(node.bridge->stats().losses == 0);
}

TEST_CASE_METHOD(FollowedRoom, "StreamBridge begins another epoch if a record was overtaken exactly across a purge",
                 "[stream_fill]") {
  engine.store("room", "1");
  engine.run();
  const std::string epoch = node.channel("room")->epoch();
  engine.store("room", "2");
  engine.delay_delivery();
  engine.evict_through(2);
  engine.store("room", "3");  // says that none was before it
  engine.run();
  CHECK(node.payloads("room") == Texts{"1", "3"});
  CHECK(told == 0);  // it cannot be known yet
  SECTION("it comes late") {
    engine.deliver_late();
    engine.repeat_deliveries();
    engine.run();
    CHECK(told == 1);
    CHECK(node.bridge->stats().losses > 0);
    CHECK(node.channel("room")->epoch() != epoch);
    node.want("room");  // who was told comes back
    engine.run();
    CHECK(node.payloads("room") == Texts{"3"});
    CHECK_FALSE(node.resume("room", 1, epoch)->recovered);
    engine.store("room", "4");
    engine.run();
    CHECK(node.payloads("room") == Texts{"3", "4"});
  }
  SECTION("what comes twice is no such record") {
    engine.store("room", "4");
    engine.repeat_deliveries();
    engine.repeat_deliveries();
    engine.run();
    CHECK(told == 0);
    CHECK(node.bridge->stats().duplicates == 3);
    CHECK(node.payloads("room") == Texts{"1", "3", "4"});
  }
}

TEST_CASE("StreamBridge does not call lost what may still be on its way, and does when it has not come in time",
          "[stream_fill]") {
  StreamBridge::Settings settings;
  settings.retry_ms = 1;
  const bool comes = GENERATE(true, false);
  settings.loss_ms = comes ? 3'600'000 : 20;
  const bool purged = GENERATE(true, false);
  FollowedRoom it(settings);
  FakeEngine& engine = it.engine;
  BridgeNode& node = it.node;
  engine.store("room", "1");
  engine.run();
  engine.store("room", "2");
  engine.delay_delivery();
  engine.store("room", "3");
  if (purged)
    engine.evict_through(3);
  else
    engine.remove("room", 2);  // and 1
  const auto look = [&](std::int64_t in_ms) {
    node.bridge->sweep(steady_ms() + in_ms);
    engine.run();
  };
  engine.run();
  if (comes) {
    for (int i = 0; i < 5; ++i) look(10'000);
    CHECK(node.payloads("room") == Texts{"1"});
    engine.store("room", "4");
    engine.run();
    engine.deliver_late();
    engine.run();
    look(10'000);
    CHECK(node.payloads("room") == Texts{"1", "2", "3", "4"});
    CHECK(node.bridge->stats().losses == 0);
    CHECK(node.resume("room", 1)->recovered);
    engine.store("room", "5");
    engine.run(false);
    CHECK(node.payloads("room") == Texts{"1", "2", "3", "4", "5"});
  } else {
    for (const std::int64_t until = steady_ms() + 20'000; node.bridge->stats().losses == 0 && steady_ms() < until;)
      look(10'000);
    look(10'000);
    CHECK(node.payloads("room") == Texts{"1", "3"});
    CHECK(node.bridge->stats().losses == 1);
    CHECK_FALSE(node.resume("room", 1)->recovered);
    engine.deliver_late();  // too late
    engine.run();
    CHECK(node.payloads("room") == Texts{"1", "3"});
  }
  for (const LedgerRow& row : node.ledger.rows())
    if (row.name == "bus records") CHECK(row.used_bytes == 0);
}

TEST_CASE("StreamBridge tells a record for which it has no room at all, and goes on behind it", "[stream_fill]") {
  FakeEngine engine;
  StreamBridge::Settings settings;
  settings.held_bytes_max = 1'000;
  BridgeNode node(engine, {}, settings);
  engine.store("room", "1");
  engine.store("room", std::string(1'000, '2'));
  engine.store("room", "3");
  node.connect();
  node.ask("room");
  engine.run();
  REQUIRE(node.ready.has_value());
  CHECK(node.ready->ok());
  CHECK(node.payloads("room") == Texts{"1", "3"});
  CHECK(node.channel("room")->history.hole(1)->to == 2);
  for (const LedgerRow& row : node.ledger.rows())
    if (row.name == "bus records") CHECK(row.used_bytes == 0);
}

TEST_CASE("StreamBridge holds what the stream holds, in order, under any loss, delay and repetition", "[stream_fill]") {
  std::mt19937_64 random = seeded_random();
  const auto below = [&](std::uint64_t count) { return pick(random, 0, count - 1); };
  for (int round = 0; round < 30; ++round) {
    FakeEngine engine;
    StreamBridge::Settings settings;
    settings.held_bytes_max = 2'000;
    BridgeNode node(engine, {}, settings);
    node.connect();
    std::map<std::string, Texts> stored;
    const auto name = [&] { return numbered("c", below(3)); };
    for (int i = 0; i < 3; ++i) node.want(numbered("c", i));
    for (int step = 0; step < 200; ++step) {
      switch (below(10)) {
        case 0: engine.lose_deliveries(); break;
        case 1: engine.swap_deliveries(); break;
        case 2: engine.repeat_deliveries(); break;
        case 3: engine.answer_one(); break;
        case 4: engine.run(false); break;
        case 5: engine.run(); break;
        case 6:
          if (below(4) == 0) {
            engine.disconnect();
            engine.run();
            engine.connect(*node.bridge);
          }
          break;
        default: {
          const std::string channel = name();
          Texts& texts = stored[channel];
          texts.push_back(std::to_string(texts.size()));
          engine.store(channel, texts.back());
        }
      }
    }
    // In the end a record comes on each, as it does where there is traffic; or the connection does again.
    engine.run();
    engine.disconnect();
    engine.run();
    node.connect();
    // Fillings that found no room beside one another come in turn, as the sweep has it.
    for (int i = 0; i < 20; ++i) {
      node.bridge->sweep(steady_ms() + 10'000);
      engine.run();
    }
    for (const auto& [channel, texts] : stored) {
      REQUIRE(node.payloads(channel) == texts);
      REQUIRE_FALSE(node.channel(channel)->history.holes_behind(0));
    }
    REQUIRE(node.bridge->stats().losses == 0);
  }
}

TEST_CASE("StreamBridge tells a hole wherever the stream let go of records, whenever it did", "[stream_fill]") {
  auto random = seeded_random();
  const auto below = [&](std::uint64_t n) { return pick(random, 0, n - 1); };
  std::uint64_t told = 0, missing = 0;
  for (int round = 0; round < 200; ++round) {
    std::uint64_t channel_max = 6;
    FakeEngine engine(channel_max);
    BridgeNode node(engine);
    node.connect();
    std::map<std::string, std::vector<std::uint64_t>> published;
    std::uint64_t last = 0;
    const auto store = [&] {
      const std::string channel = numbered("c", below(2));
      last = engine.store(channel, std::to_string(last));
      published[channel].push_back(last);
    };
    for (auto i = below(10); i > 0; --i) store();
    for (int i = 0; i < 2; ++i) node.want(numbered("c", i));
    for (int step = 0; step < 150; ++step) {
      switch (below(11)) {
        case 0:
          engine.disconnect();
          engine.run();
          for (auto i = below(8); i > 0; --i) store();
          engine.connect(*node.bridge);
          break;
        case 1: engine.run(false); break;
        case 2:
          if (below(4) == 0) engine.run();
          break;
        case 3:
          if (below(8) == 0) engine.evict_through(last - std::min<std::uint64_t>(last, below(4)));
          break;
        case 4:
          if (below(16) == 0 && channel_max > 1) engine.set_channel_max(--channel_max);
          break;
        case 5:
        case 6: store(); break;
        default: engine.run(false); engine.answer_one();
      }
    }
    engine.run();
    engine.disconnect();
    engine.run();
    node.connect();
    for (const auto& [name, seqs] : published) {
      const ChannelPtr channel = node.channel(name);
      History& history = channel->history;
      std::vector<std::uint64_t> held;
      history.visit(history.first_position(), history.size(), [&](const RecordView& one) { held.push_back(one.seq); });
      std::uint64_t at = history.evicted_through();  // who stands there or before is told that it is not known
      held.push_back(history.last_seq() + 1);
      for (const std::uint64_t seq : held) {
        const auto next = std::lower_bound(seqs.begin(), seqs.end(), seq);
        const std::uint64_t newest = next == seqs.begin() ? 0 : *std::prev(next);  // of those between
        const auto hole = history.hole(at);
        INFO(name << " between " << at << " and " << seq);
        if (newest > at) {
          REQUIRE(hole.has_value());
          REQUIRE(hole->to >= newest);
        }
        missing += newest > at ? 1 : 0;
        told += hole ? 1 : 0;
        at = seq;
      }
      REQUIRE(history.last_seq() >= seqs.back());  // told, or here
    }
  }
  // It is not that everything is called a hole.
  CHECK(missing > 100);
  CHECK(told < 2 * missing);
}

TEST_CASE("StreamBridge tells that records were removed behind the last one that is here, by hand or for a while",
          "[stream_fill]") {
  FakeEngine engine;
  engine.store("other", "0");  // so the stream begins before them all the same
  BridgeNode node(engine);
  node.connect();
  node.want("room");
  engine.run();
  engine.store("room", "1");
  engine.run();
  engine.disconnect();
  engine.run();
  std::uint64_t gone_through = 0;
  for (const char* const text : {"2", "3", "4"}) gone_through = engine.store("room", text);
  SECTION("by hand") {
    engine.remove("room", gone_through);
    node.connect();
    CHECK(node.payloads("room") == Texts{"1"});
  }
  SECTION("by hand, and another came") {
    engine.remove("room", gone_through);
    engine.store("room", "5");
    node.connect();
    CHECK(node.payloads("room") == Texts{"1", "5"});
  }
  SECTION("by a bound that was smaller for a while") {
    engine.set_channel_max(1);
    engine.set_channel_max(1000);
    node.connect();
    CHECK(node.payloads("room") == Texts{"1", "4"});
    --gone_through;
  }
  CHECK(node.bridge->stats().losses == 1);
  const auto hole = node.channel("room")->history.hole(2);
  REQUIRE(hole.has_value());
  CHECK(hole->to == gone_through);
  CHECK_FALSE(node.resume("room", 2)->recovered);
}
