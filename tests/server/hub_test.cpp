// The hub and its threads under load: who publishes, who subscribes and who leaves, all at once.
#include <atomic>
#include <map>
#include <thread>

#include "support/catch.h"
#include "support/random.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE("Many threads publish while clients come and go: every subscriber has every record in order", "[hub]") {
  TestServer test([](Options& options) { options.limits.history_records_max = 100'000; });
  constexpr std::uint64_t kEach = 1'500;
  constexpr int kPublishers = 3;
  std::vector<std::jthread> threads;
  std::atomic<int> subscribed{0};
  std::atomic<int> wrong{0};  // the assertions are not for several threads
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      WsClient client(test.server.port(), i % 2 ? "ringfence.v1" : "ringfence.v1.json");
      client.subscribe("a");
      client.subscribe("b");
      ++subscribed;
      // Of each channel, as JSON events name it and batches number it, the seqs run on from 1.
      std::map<std::string, std::uint64_t> last;
      for (std::uint64_t got = 0; got < 2 * kEach * kPublishers;) {
        for (const auto& event : client.read().events) {
          std::uint64_t& seq = last[numbered(event.channel, event.channel_id)];
          if (event.seq != seq + 1 || event.prev_seq != seq) ++wrong;
          seq = event.seq;
          ++got;
        }
      }
      if (last.size() != 2) ++wrong;
      client.close();
    });
  }
  std::atomic<bool> done{false};
  threads.emplace_back([&] {
    while (!done) {
      WsClient passing(test.server.port(), "ringfence.v1", "?channels=a,b,c");
      if (!done) test.publish("c", "1");
      passing.drop();
    }
  });
  while (subscribed < 3) std::this_thread::yield();
  std::vector<std::jthread> publishers;
  for (int i = 0; i < kPublishers; ++i)
    publishers.emplace_back([&] {
      for (std::uint64_t n = 0; n < kEach; ++n) {
        test.publish("a", "1");
        test.publish("b", "2");
      }
    });
  for (auto& thread : publishers) thread.join();
  for (int i = 0; i < 3; ++i) threads[static_cast<std::size_t>(i)].join();
  done = true;
  threads.back().join();
  CHECK(wrong == 0);
  CHECK(test.eventually([](const HubStats& stats) { return stats.connections == 0; }));
}

TEST_CASE("Record memory that is full takes the oldest of the large channels, counted, and refuses nobody", "[hub]") {
  Ledger ledger;
  Limits limits;
  limits.history_memory_bytes = 256 * 1024;
  limits.history_bytes_max = 256 * 1024;
  Hub hub(limits, ledger, 1);
  const std::string data = json_filler(500);
  REQUIRE(hub.publish("small", "t", "1").ok());
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(hub.publish(numbered("large:", i % 3), "t", data).ok());
    REQUIRE(hub.pool().used_bytes() <= limits.history_memory_bytes);
  }
  CHECK(hub.pool().account().evicted(Eviction::pressure) > 0);
  const ChannelPtr small = hub.find("small");
  CHECK(small->history.size() == 1);
  CHECK(hub.stats().refused[static_cast<std::size_t>(Error::overloaded)] == 0);
}

TEST_CASE("Record memory that readers hold is refused as overloaded, and comes back when they let go", "[hub]") {
  Ledger ledger;
  Limits limits;
  limits.history_memory_bytes = 128 * 1024;
  limits.history_bytes_max = 64 * 1024;
  Hub hub(limits, ledger, 1);
  const std::string data = json_filler(500);
  // A reader of every channel that lets go of nothing.
  std::vector<Slice> held;
  Result<std::uint64_t> seq = std::uint64_t{0};
  for (int i = 0; i < 1000 && seq.ok(); ++i) {
    const std::string name = numbered("c", i % 10);
    seq = hub.publish(name, "t", data);
    if (!seq.ok()) break;
    const ChannelPtr channel = hub.find(name);
    held.push_back(channel->history.read(*seq - 1, 1 << 20));
  }
  REQUIRE_FALSE(seq.ok());
  CHECK(seq.error() == Error::overloaded);
  CHECK(hub.under_pressure());
  CHECK(hub.stats().refused[static_cast<std::size_t>(Error::overloaded)] == 1);
  held.clear();
  CHECK(hub.publish("c0", "t", data).ok());
}

TEST_CASE("Publishers are told overloaded while stalled readers hold all memory; then those readers go", "[hub]") {
  TestServer test([](Options& options) {
    options.limits.history_memory_bytes = 1 << 20;
    options.limits.history_bytes_max = 256 * 1024;
    options.limits.history_records_max = 4;  // so that what is written is soon held by the write alone
    options.limits.write_stall_pressure_ms = 300;
    options.limits.sweep_ms = 20;
  });
  std::vector<std::unique_ptr<WsClient>> stalled;
  for (int i = 0; i < 24; ++i)
    stalled.push_back(std::make_unique<WsClient>(test.server.port(), "ringfence.v1", numbered("?channels=c", i), 4096));
  const std::string data = json_filler(60'000);
  WsClient publisher(test.server.port());
  std::uint64_t overloaded = 0;
  for (int n = 0; n < 400 && overloaded == 0; ++n)
    for (int i = 0; i < 24; ++i) {
      publisher.send_op({{"op", "publish"}, {"channel", numbered("c", i)}, {"data", data}, {"id", n}});
      const Json answer = publisher.read().json;
      if (answer["op"] == "ok") continue;
      REQUIRE(answer["code"] == "overloaded");
      CHECK(answer["retry_after_ms"] > 0);
      CHECK(answer["id"] == n);
      ++overloaded;
    }
  CHECK(overloaded > 0);
  CHECK(test.eventually([](const HubStats& stats) { return stats.stalled_closed > 0; }));
  CHECK(test.eventually([&](const HubStats&) {
    return publisher.request({{"op", "ping"}}, "pong")["op"] == "pong" &&
           test.server.hub().publish("c0", "t", data).ok();
  }));
}

TEST_CASE("Large messages wait for inbound memory in words, not in memory", "[hub]") {
  TestServer test([](Options& options) { options.limits.inbound_memory_bytes = 100'000; });
  WsClient holder(test.server.port());
  holder.stream().text(true);
  const std::string part(60'000, ' ');
  holder.stream().write_some(false, boost::asio::buffer(part));
  REQUIRE(test.eventually([&](const HubStats&) {
    for (const LedgerRow& row : test.server.ledger().rows())
      if (row.name == "inbound messages") return row.used_bytes == 65'536;
    return false;
  }));
  WsClient client(test.server.port());
  client.send(part);
  const Json refused = client.expect("error");
  CHECK(refused["code"] == "overloaded");
  CHECK(refused["retry_after_ms"] > 0);
  client.request({{"op", "ping"}}, "pong");
  holder.drop();
  CHECK(test.eventually([&](const HubStats& stats) { return stats.connections == 1; }));
  CHECK(client.error_of(part) == "bad_json");
}

TEST_CASE("Messages that are never finished end their connections, and the inbound memory is there again", "[hub]") {
  TestServer test([](Options& options) {
    options.limits.inbound_memory_bytes = 110'000;  // both, also while one grows
    options.limits.message_timeout_ms = 1'000;
    options.limits.close_timeout_ms = 300;
    options.limits.sweep_ms = 20;
  });
  const auto held = [&test] {
    for (const LedgerRow& row : test.server.ledger().rows())
      if (row.name == "inbound messages") return row.used_bytes;
    return std::uint64_t{0};
  };
  // One falls silent; one goes on by a byte and a ping now and then, and has a subscription: neither dead nor idle.
  WsClient silent(test.server.port(), "ringfence.v1.json");
  WsClient dripping(test.server.port(), "ringfence.v1.json", "?channels=a");
  dripping.expect("subscribed");
  for (WsClient* client : {&silent, &dripping}) {
    client->stream().text(true);
    client->stream().write_some(false, boost::asio::buffer(std::string(client == &silent ? 60'000 : 3'000, ' ')));
  }
  WsClient other(test.server.port(), "ringfence.v1.json");
  REQUIRE(test.eventually([&](const HubStats&) { return held() == 65'536 + 4'096; }));
  CHECK(other.error_of(std::string(60'000, ' ')) == "overloaded");
  REQUIRE(test.eventually([&](const HubStats& stats) {
    boost::system::error_code ignored;  // it is closed by then
    dripping.stream().write_some(false, boost::asio::buffer(" ", 1), ignored);
    dripping.stream().ping({}, ignored);
    return stats.unfinished_closed == 2;
  }));
  const Json told = silent.expect("closing");
  CHECK(told["reason"] == "message_timeout");
  CHECK(told.value("reconnect", true));
  CHECK(silent.read_close() == 1008);
  CHECK(test.eventually([&](const HubStats& stats) { return held() == 0 && stats.connections == 1; }));
  CHECK(other.error_of(std::string(60'000, ' ')) == "bad_json");
  CHECK(test.server.hub().stats().unfinished_closed == 2);

  // Who is slow has the time for each message anew.
  other.stream().text(true);
  for (int i = 0; i < 3; ++i) {
    other.stream().write_some(false, boost::asio::buffer(R"({"op":"ping",)", 13));
    std::this_thread::sleep_for(std::chrono::milliseconds(400));  // three of them are more than the limit
    other.stream().write_some(true, boost::asio::buffer(R"("id":1})", 7));
    CHECK(other.expect("pong")["id"] == 1);
  }
}

TEST_CASE("JSON text waits for record memory, and what that cost the history is told", "[hub]") {
  TestServer test([](Options& options) {
    options.limits.history_memory_bytes = 128 * 1024;
    options.limits.history_bytes_max = 64 * 1024;
  });
  WsClient client(test.server.port(), "ringfence.v1.json");
  client.subscribe("room");
  test.publish("room", "1");
  CHECK(client.events(1)[0].seq == 1);
  // All memory but a crumb is held; the record itself still fits into its segment.
  Hub& hub = test.server.hub();
  REQUIRE(test.eventually([&](const HubStats&) { return hub.pool().used_bytes() == 512; }));  // no text of event 1
  std::vector<SegmentRef> held;
  for (std::uint64_t bytes = 32 * 1024; bytes > 64; bytes /= 2)
    while (SegmentRef segment = hub.pool().acquire(bytes)) held.push_back(std::move(segment));
  test.publish("room", "2");
  CHECK(test.eventually([](const HubStats& stats) { return stats.waits_for_memory > 0; }));
  held.clear();
  // Taking memory from histories may have cost the record its place; then that is told.
  const auto message = client.read();
  if (message.json.is_null())
    CHECK(message.events[0].seq == 2);
  else
    CHECK(message.json["to"] == 2);
  test.publish("room", "3");
  CHECK(client.events(1)[0].seq == 3);
}
