#include "bus/nats_service.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <nats/nats.h>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/ringbuffer_sink.h>

#include "log.h"
#include "support/catch.h"
#include "support/nats.h"

using namespace ringfence;
using namespace ringfence::test;
using namespace std::chrono_literals;

TEST_CASE("NatsService delivers what is published, with headers, in order, to every handle of a subject",
          "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url());
  Received first, second;
  auto one = it.subscribe("test.>", first.handler(), "one");
  auto two = it.subscribe("test.>", second.handler(), "two");
  it.flush();
  for (int i = 0; i < 1'000; ++i)
    REQUIRE(
        it->publish({.subject = "test.a", .data = std::to_string(i), .headers = {{"Number", std::to_string(i)}}}).ok());
  for (Received* received : {&first, &second}) {
    REQUIRE(received->wait_for(1'000));
    for (std::size_t i = 0; i < 1'000; ++i)
      REQUIRE(received->at(i) == text("test.a ", i).append(" ").append(std::to_string(i)));
  }
}

// The reference overwrote the first handle and leaked its subscription.
TEST_CASE("NatsService: a second handle on a subject is independent, and the end of one is not that of the other",
          "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url());
  Received first, second;
  it.flush();
  const std::size_t before = broker.look("/subsz")["num_subscriptions"];
  {
    auto one = it.subscribe("test.a", first.handler(), "one");
    auto two = it.subscribe("test.a", second.handler(), "two");
    it.flush();
    CHECK(broker.look("/subsz")["num_subscriptions"] == before + 2);
    CHECK(it->get_active_subscriptions().size() == 2);
    one.end();
    CHECK_FALSE(one.active());
    CHECK(two.active());
    it.flush();
    CHECK(broker.look("/subsz")["num_subscriptions"] == before + 1);
    REQUIRE(it->publish({.subject = "test.a", .data = "x"}).ok());
    CHECK(second.wait_for(1));
    one.end();  // again: nothing
  }
  it.flush();
  CHECK(broker.look("/subsz")["num_subscriptions"] == before);
  CHECK(first.count() == 0);
  CHECK(it->get_active_subscriptions().empty());
  const NatsStats stats = it->stats();
  CHECK(stats.subscribed_total == 2);
  CHECK(stats.unsubscribed_total == 2);
}

TEST_CASE("NatsService ends the subscriptions of one owner, and a handle that outlives the service does nothing",
          "[nats_service]") {
  NatsBroker broker;
  NatsSubscription outlives;
  {
    Nats it(broker.url());
    Received received;
    auto a = it.subscribe("test.a", received.handler(), "one");
    auto b = it.subscribe("test.b", received.handler(), "one");
    outlives = it.subscribe("test.a", received.handler(), "two");
    CHECK(it->unsubscribe_all("one") == 2);
    CHECK(it->unsubscribe_all("one") == 0);
    it.flush();
    REQUIRE(it->publish({.subject = "test.a", .data = "x"}).ok());
    REQUIRE(received.wait_for(1));
    it.flush();
    CHECK(received.count() == 1);
    CHECK(it->get_active_subscriptions().size() == 1);
  }
  CHECK_FALSE(outlives.active());
  outlives.end();
}

TEST_CASE("NatsService: ended is never called again, also from within and while the handler runs", "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url());
  std::mutex mutex;
  std::condition_variable changed;
  int step = 0;
  const auto reach = [&](int n) {
    std::unique_lock lock(mutex);
    step = n;
    changed.notify_all();
  };
  const auto wait_for = [&](int n) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 20s, [&] { return step >= n; });
  };
  std::atomic<bool> running{false};
  auto slow = it.subscribe(
      "test.slow",
      [&](NatsMessage&) {
        running = true;
        reach(1);
        std::this_thread::sleep_for(50ms);  // longer than the end below takes to begin; the check does not need it
        running = false;
      },
      "test");
  int self_calls = 0;
  NatsSubscription self = it.subscribe(
      "test.self",
      [&](NatsMessage&) {
        ++self_calls;
        self.end();
      },
      "test");
  it.flush();
  REQUIRE(it->publish({.subject = "test.slow", .data = ""}).ok());
  REQUIRE(wait_for(1));
  slow.end();
  CHECK_FALSE(running);
  for (int i = 0; i < 3; ++i) REQUIRE(it->publish({.subject = "test.self", .data = ""}).ok());
  it.flush();
  CHECK(self_calls == 1);
}

TEST_CASE("NatsService: a handler that throws is counted, and the others are called", "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url());
  Received received;
  auto bad = it.subscribe("test.a", [](NatsMessage&) { throw std::runtime_error("on purpose"); }, "test");
  auto good = it.subscribe("test.a", received.handler(), "test");
  it.flush();
  for (int i = 0; i < 2; ++i) REQUIRE(it->publish({.subject = "test.a", .data = "x"}).ok());
  CHECK(received.wait_for(2));
  it.flush();
  CHECK(it->stats().handler_failures == 2);
}

// The reference looked at its table before it was cleared, so it always warned; and it closed before it unsubscribed.
TEST_CASE("NatsService disconnects in order: what came is handled, nothing is left, the broker forgets all",
          "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url());
  Nats other(broker.url());
  Received received, others;
  auto kept = it.subscribe("test.a", received.handler(), "test");
  auto heard = other.subscribe("test.b", others.handler(), "test");
  it.flush();
  other.flush();
  const std::size_t with_ours = broker.look("/subsz")["num_subscriptions"];
  for (int i = 0; i < 500; ++i) REQUIRE(other->publish({.subject = "test.a", .data = std::to_string(i)}).ok());
  other.flush();
  for (int i = 0; i < 500; ++i) REQUIRE(it->publish({.subject = "test.b", .data = std::to_string(i)}).ok());
  const NatsLeft left = it->disconnect(std::chrono::steady_clock::now() + 20s);
  CHECK(left.sum() == 0);
  CHECK(received.count() == 500);  // all that had come
  CHECK(others.wait_for(500));     // all that was pending
  CHECK(it->state() == NatsState::disconnected);
  CHECK(eventually([&] { return broker.look("/connz")["num_connections"] == 1; }));
  CHECK(broker.look("/subsz")["num_subscriptions"] == with_ours - 2);  // test.a, and its answers
  CHECK(it->publish({.subject = "test.b", .data = ""}).error() == Error::shutting_down);
  CHECK(it->disconnect(std::chrono::steady_clock::now() + 20s).sum() == 0);  // again: nothing
}

TEST_CASE("NatsService: disconnect logs the active subscriptions, and warns of some that are left only if there are",
          "[nats_service]") {
  NatsBroker broker;
  const auto log = logger("nats");
  const auto lines = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(100);
  const auto level = log->level();
  log->set_level(spdlog::level::info);
  log->sinks().push_back(lines);
  const bool in_time = GENERATE(true, false);
  NatsLeft left;
  {
    Nats it(broker.url());
    Received received;
    auto kept = it.subscribe("test.a", received.handler(), "who holds it");
    it.flush();
    if (!in_time) broker.pause();  // it does not take the unsubscribing
    left = it->disconnect(std::chrono::steady_clock::now() + (in_time ? 20s : 1s));
  }
  std::string all;
  for (const std::string& line : lines->last_formatted()) all += line;
  log->sinks().pop_back();
  log->set_level(level);
  INFO(all);
  CHECK(all.find("disconnecting: 1 active subscriptions") != std::string::npos);
  CHECK(all.find("active: test.a of who holds it") != std::string::npos);
  CHECK((left.subscriptions > 0) == !in_time);
  CHECK((all.find("were left after the unsubscribing") != std::string::npos) == !in_time);
}

// What the connection does not take is the failed batch: it is tried again, here on the next connection, in order.
TEST_CASE("NatsService: a batch that could not be sent is bounded, and is sent once after all", "[nats_service]") {
  NatsBroker broker;
  Nats it(
      broker.url(), [](NatsOptions& options) { options.retry_min_ms = 60'000, options.retry_max_ms = 60'000; }, nullptr,
      false);
  std::atomic<std::uint64_t> failed{0}, pending{0};
  it->watch_state([&](NatsState from, NatsState to) {
    if (from != NatsState::connected || to != NatsState::reconnecting) return;
    failed = it->stats().failed_batch;
    pending = it->stats().pending;
  });
  it->start();
  REQUIRE(it->wait_connected(std::chrono::steady_clock::now() + 20s));
  Received received;
  auto kept = it.subscribe("test.a", received.handler(), "test");
  constexpr std::size_t kCount = 250;
  auto breaks = it.subscribe(
      "test.break",
      [&](NatsMessage&) {
        // These are sent when the handler has returned; by then there is no connection, and that is not known yet. From
        // another thread, so that the sending is due before the news of the close.
        std::thread([&] {
          for (std::size_t i = 0; i < kCount; ++i) (void)it->publish({.subject = "test.a", .data = std::to_string(i)});
        }).join();
        natsConnection_Close(it->connection().get());
      },
      "test");
  it.flush();
  REQUIRE(it->publish({.subject = "test.break", .data = ""}).ok());
  REQUIRE(received.wait_for(kCount));
  it.flush();
  CHECK(received.count() == kCount);
  for (std::size_t i = 0; i < kCount; ++i) REQUIRE(received.at(i) == text("test.a ", i));
  CHECK(failed == 100);
  CHECK(pending == kCount);
  const NatsStats stats = it->stats();
  CHECK(stats.retries == 1);
  CHECK(stats.failed_batch == 0);
  CHECK(stats.pending == 0);
  CHECK(stats.dead_letters_total == 0);
}

TEST_CASE("NatsService started again makes what is still held once, and no duplicate", "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url());
  Received received;
  auto kept = it.subscribe("test.a", received.handler(), "test");
  {
    auto gone = it.subscribe("test.a", received.handler(), "test");
    it.flush();
  }
  it.flush();
  const std::size_t before = broker.look("/subsz")["num_subscriptions"];
  for (std::size_t round = 1; round <= 3; ++round) {
    it->disconnect(std::chrono::steady_clock::now() + 20s);
    it->start();
    it->start();  // again: nothing
    REQUIRE(it->wait_connected(std::chrono::steady_clock::now() + 20s));
    it.flush();
    CHECK(broker.look("/subsz")["num_subscriptions"] == before);
    REQUIRE(it->publish({.subject = "test.a", .data = "x"}).ok());
    REQUIRE(received.wait_for(round));
    it.flush();
    CHECK(received.count() == round);
  }
}

TEST_CASE("NatsService gets answers, and says whether none came or nobody listens", "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url());
  auto echo = it.subscribe(
      "test.echo",
      [&](NatsMessage& message) {
        (void)it->publish({.subject = std::string(message.reply()), .data = "re: " + std::string(message.data())});
      },
      "test");
  auto deaf = it.subscribe("test.deaf", [](NatsMessage&) {}, "test");
  it.flush();
  const NatsStats before = it->stats();
  const auto echoed = it.ask("test.echo", "hello");
  CHECK(echoed.result.ok());
  CHECK(echoed.text == "re: hello");
  CHECK(it.ask("test.nobody", "x").result.error() == Error::broker_unavailable);
  CHECK(it.ask("test.deaf", "x", 100).result.error() == Error::broker_timeout);
  const NatsStats stats = it->stats();
  CHECK(stats.requests == before.requests + 3);
  CHECK(stats.request_timeouts == 1);
  CHECK(stats.request_failures == before.request_failures + 1);
  CHECK(stats.requests_waiting == 0);
}

TEST_CASE("NatsService refuses what is no subject, too large, or too much, and nothing is kept of it",
          "[nats_service]") {
  NatsBroker broker;
  Ledger ledger;
  NatsOptions options = nats_options(broker.url());
  options.pending_max = 10;
  options.payload_bytes = 4096;
  options.pending_bytes = 5 * 4096;
  options.requests_max = 2;
  NatsService nats(options, ledger, nullptr);
  CHECK(nats.publish({.subject = "a", .data = ""}).error() == Error::shutting_down);  // not started
  broker.kill();
  nats.start();
  for (const char* wrong : {"", "a b", "a..b", ".a", "a.", "a.*", "a.>", "a\r\nPUB b 0"})
    CHECK(nats.publish({.subject = wrong, .data = ""}).error() == Error::bad_field);
  CHECK(nats.publish({.subject = "a", .data = "", .headers = {{"x", "1\r\nPUB"}}}).error() == Error::bad_field);
  CHECK(nats.publish({.subject = "a", .data = "", .headers = {{"", "1"}}}).error() == Error::bad_field);
  CHECK(nats.publish({.subject = "a", .data = std::string(4097, 'x')}).error() == Error::message_too_large);
  for (int i = 0; i < 10; ++i) CHECK(nats.publish({.subject = "a", .data = "x"}).ok());
  CHECK(nats.publish({.subject = "a", .data = "x"}).error() == Error::overloaded);
  CHECK(nats.stats().pending == 10);
  CHECK(nats.stats().refused_overloaded == 1);
  CHECK(nats.stats().refused_too_large == 1);
  // Sent in order once there is a connection.
  broker.start();
  REQUIRE(nats.wait_connected(std::chrono::steady_clock::now() + 20s));
  CHECK(eventually([&] { return nats.stats().published == 10; }));
  CHECK(nats.stats().pending_bytes == 0);
}

TEST_CASE("NatsService: a payload above the broker's own limit is refused with a code, and the connection goes on",
          "[nats_service]") {
  NatsBroker broker({}, false, "max_payload: 1024");
  Nats it(broker.url());
  CHECK(it->stats().max_payload == 1024);
  CHECK(it->publish({.subject = "a", .data = std::string(1024, 'x')}).ok());
  CHECK(it->publish({.subject = "a", .data = std::string(1025, 'x')}).error() == Error::message_too_large);
  CHECK(it->publish({.subject = "a", .data = std::string(1010, 'x'), .headers = {{"a", "b"}}}).error() ==
        Error::message_too_large);
  it.flush();
  CHECK(it->stats().disconnects == 0);
}

TEST_CASE("NatsService takes no more subscriptions than it may", "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url(), [](NatsOptions& options) { options.subscriptions_max = 16; });
  std::vector<NatsSubscription> held;
  for (int i = 0; i < 15; ++i) held.push_back(it.subscribe("test.a", [](NatsMessage&) {}, "test"));  // one is its own
  CHECK(it->subscribe("test.a", [](NatsMessage&) {}, "test").error() == Error::too_many_subscriptions);
  CHECK(it->subscribe("test..a", [](NatsMessage&) {}, "test").error() == Error::bad_field);
  CHECK(it->subscribe("test.a", [](NatsMessage&) {}, "").error() == Error::bad_field);
  held.pop_back();
  CHECK(eventually([&] { return it->subscribe("test.a", [](NatsMessage&) {}, "test").ok(); }));
}

TEST_CASE("NatsService shares a queue: one of its members gets each message", "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url());
  Received first, second;
  auto one = it->subscribe("test.a", first.handler(), "test", "workers").value();
  auto two = it->subscribe("test.a", second.handler(), "test", "workers").value();
  it.flush();
  for (int i = 0; i < 200; ++i) REQUIRE(it->publish({.subject = "test.a", .data = "x"}).ok());
  CHECK(eventually([&] { return first.count() + second.count() == 200; }));
  it.flush();
  CHECK(first.count() + second.count() == 200);
}

TEST_CASE("NatsService does not read from the broker while its handlers are behind", "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url(), [](NatsOptions& options) { options.incoming_bytes = 64 * 1024; });
  Nats other(broker.url());
  std::mutex gate;
  std::atomic<int> handled{0};
  auto kept = it.subscribe(
      "test.a",
      [&](NatsMessage&) {
        const std::lock_guard wait(gate);
        ++handled;
      },
      "test");
  it.flush();
  constexpr int kMessages = 20'000;
  {
    const std::lock_guard closed(gate);
    for (int i = 0; i < kMessages; ++i)
      while (!other->publish({.subject = "test.a", .data = std::string(500, 'x')}).ok())
        std::this_thread::sleep_for(1ms);
    other.flush();
    CHECK(handled == 0);
  }
  CHECK(eventually([&] { return handled == kMessages; }));
  const NatsStats stats = it->stats();
  CHECK(stats.reads_paused > 0);
  CHECK(stats.incoming_bytes <= 64 * 1024 + 64 * 1024);  // and one read, with what the messages take besides
}

TEST_CASE("NatsService: 10,000 subscriptions made and ended, twice, leave the broker and the ledger as they were",
          "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url());
  it.flush();
  const auto ours = [&] {
    for (const LedgerRow& row : it.ledger().rows())
      if (row.name == "nats subscriptions") return row.used_bytes;
    return std::uint64_t{0};
  };
  const std::size_t subscriptions = broker.look("/subsz")["num_subscriptions"];
  const std::uint64_t bytes = ours();
  constexpr std::size_t kMany = 10'000;
  for (int round = 0; round < 2; ++round) {
    std::vector<NatsSubscription> held;
    for (std::size_t i = 0; i < kMany; ++i)
      held.push_back(it.subscribe(text("churn.", i), [](NatsMessage&) {}, "churn"));
    it.flush();
    CHECK(broker.look("/subsz")["num_subscriptions"] == subscriptions + kMany);
    CHECK(it->get_active_subscriptions().size() == kMany);
    held.clear();
    it.flush();
    CHECK(broker.look("/subsz")["num_subscriptions"] == subscriptions);
    CHECK(broker.look("/connz")["num_connections"] == 1);
    CHECK(ours() == bytes);
  }
  CHECK(it->stats().subscribed_total == 2 * kMany);
  CHECK(it->stats().unsubscribed_total == 2 * kMany);
}

TEST_CASE("NatsService: what is subscribed before a publish hears it, however busy the connection is",
          "[nats_service]") {
  NatsBroker broker;
  Nats it(broker.url());
  // Something is always on its way, so that sending goes on in any order of the threads.
  auto echo = it.subscribe(
      "test.busy",
      [&](NatsMessage& message) {
        (void)it->publish({.subject = std::string(message.reply()), .data = "x"});
        (void)it->publish({.subject = "test.busy", .data = "x", .reply = "test.nobody"});
      },
      "test");
  REQUIRE(it->publish({.subject = "test.busy", .data = "x", .reply = "test.nobody"}).ok());
  for (std::size_t i = 0; i < 500; ++i) {
    Received received;
    auto heard = it.subscribe(text("test.order.", i), received.handler(), "test");
    REQUIRE(it->publish({.subject = text("test.order.", i), .data = "x"}).ok());
    REQUIRE(received.wait_for(1));
  }
}
