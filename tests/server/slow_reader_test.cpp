// A subscriber that stops reading costs what it pins, not what it misses.
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "support/catch.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

std::int64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t pages = 0;
  std::int64_t resident = 0;
  statm >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kMeasured = false;
constexpr std::uint64_t kPublishedBytes = 20'000'000;
#else
constexpr bool kMeasured = true;
constexpr std::uint64_t kPublishedBytes = 200'000'000;
#endif
constexpr std::uint64_t kPayloadBytes = 1'000;
constexpr std::uint64_t kPublished = kPublishedBytes / kPayloadBytes;

}  // namespace

TEST_CASE("A stalled subscriber costs at most 256 KiB while 200 MB pass it, and is told what it missed",
          "[slow_reader]") {
  // Long enough that it is not ended for stalling.
  TestServer test([](Options& options) { options.limits.write_stall_ms = 600'000; });
  WsClient stalled(test.server.port(), "ringfence.v1", "", 4096);
  stalled.subscribe("room");
  WsClient quick(test.server.port());
  quick.subscribe("room");

  std::atomic<std::uint64_t> seen{0};
  std::jthread reader([&] {
    // Checks order and completeness without keeping anything.
    boost::beast::flat_buffer buffer;
    for (std::uint64_t next = 1; next <= kPublished;) {
      quick.stream().read(buffer);
      const auto data = buffer.data();
      BatchCursor cursor({static_cast<const std::byte*>(data.data()), data.size()});
      while (const auto section = cursor.next()) {
        if (section->prev_seq != next - 1) return;  // the check on `seen` below fails
        next += section->count;
      }
      seen.store(next - 1);
      buffer.clear();
    }
  });
  const std::string payload = json_filler(kPayloadBytes);
  std::int64_t at_cap_bytes = 0;
  std::int64_t most_bytes = 0;
  bool in_step = true;
  const std::uint64_t stalled_at = test.publish_until_stalled("room", payload, 2);
  REQUIRE(stalled_at < kPublished / 2);
  for (std::uint64_t seq = stalled_at + 1; seq <= kPublished && in_step; ++seq) {
    test.publish("room", payload);
    // In step with the quick reader, so that it may be asked for every record.
    for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20); seq - seen.load() > 500;) {
      std::this_thread::yield();
      in_step = std::chrono::steady_clock::now() < until;
      if (!in_step) break;
    }
    // The history is at its cap some thousand records on.
    if (seq == stalled_at + 5000) at_cap_bytes = resident_bytes();
    if (seq > stalled_at + 5000 && seq % 1000 == 0) most_bytes = std::max(most_bytes, resident_bytes());
  }
  reader.join();
  REQUIRE(seen.load() == kPublished);
  if (kMeasured) {
    INFO("resident at the cap: " << at_cap_bytes << ", at most later: " << most_bytes);
    CHECK(most_bytes - at_cap_bytes <= 256 * 1024);
  }

  // It reads again: what was on its way, one gap, the rest.
  std::uint64_t next = 1;
  int gaps = 0;
  while (next <= kPublished) {
    const auto message = stalled.read();
    if (message.json.is_null()) {
      for (const auto& event : message.events) REQUIRE(event.seq == next++);
      continue;
    }
    REQUIRE(message.json["op"] == "gap");
    CHECK(message.json["from"] == next);
    next = message.json["to"].get<std::uint64_t>() + 1;
    CHECK(message.json["missed"] == next - message.json["from"].get<std::uint64_t>());
    ++gaps;
  }
  CHECK(gaps == 1);
  CHECK(test.server.hub().stats().stalled_closed == 0);
}

TEST_CASE("A subscriber that reads nothing for too long is reset, counted, and others go on", "[slow_reader]") {
  TestServer test([](Options& options) {
    options.limits.write_stall_ms = 300;
    options.limits.sweep_ms = 20;
  });
  WsClient stalled(test.server.port(), "ringfence.v1", "?channels=room", 4096);
  WsClient quick(test.server.port());
  quick.subscribe("end");
  const std::string payload = json_filler(30'000);
  for (int i = 0; i < 1000; ++i) test.publish("room", payload);
  CHECK(test.eventually([](const HubStats& stats) { return stats.stalled_closed == 1 && stats.connections == 1; }));
  test.publish("end", "1");
  CHECK(quick.events(1).size() == 1);
}

TEST_CASE("A subscriber that reads slowly but steadily is not taken for stalled", "[slow_reader]") {
  // The kernel opens the window again in steps of half a buffer, so progress is seen every 100 ms or so: far below this.
  constexpr std::uint32_t kStallMs = 2000;
  TestServer test([](Options& options) {
    options.limits.write_stall_ms = kStallMs;
    options.limits.sweep_ms = 20;
    options.limits.frame_bytes = 8 << 20;
    options.limits.history_bytes_max = 32 << 20;
    options.limits.channels_max = 4;
  });
  WsClient slow(test.server.port(), "ringfence.v1", "", 64 * 1024);
  slow.subscribe("room");
  // Some go out at once; what follows is one message, larger than the buffers of both sockets.
  for (int i = 0; i < 250; ++i) test.publish("room", json_filler(60'000));
  auto& socket = slow.stream().next_layer();
  std::vector<char> bytes(16 * 1024);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(2 * kStallMs);
  while (std::chrono::steady_clock::now() < until) {
    REQUIRE(socket.read_some(boost::asio::buffer(bytes)) > 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(test.server.hub().stats().stalled_closed == 0);
  // It is still being written to: once it reads no more, it is reset.
  CHECK(test.eventually([](const HubStats& stats) { return stats.stalled_closed == 1; }));
}
