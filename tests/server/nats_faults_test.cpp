// NatsService when the broker dies, stands still, says no, or is not there.
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include "bus/connect_limit.h"
#include "bus/nats_service.h"
#include "support/catch.h"
#include "support/nats.h"

using namespace ringfence;
using namespace ringfence::test;
using namespace std::chrono_literals;

namespace {

std::string create_stream(const std::string& name, const std::string& subjects, const std::string& more = "") {
  return R"({"name":")" + name + R"(","subjects":[")" + subjects + R"("],"storage":"memory")" + more + "}";
}

struct Acks {
  NatsService::AckHandler handler() {
    return [this](const NatsAck& ack) {
      const std::lock_guard lock(mutex);
      all.push_back(ack);
    };
  }
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return all.size();
  }
  std::mutex mutex;
  std::vector<NatsAck> all;
};

// What the service told of its states, in order.
struct States {
  States(Ledger& ledger) : bus(ledger, {}) {
    bus.start();
    owner = std::make_unique<EventOwner>(bus.owner("test").value());
    kept = bus.subscribe<NatsStateChanged>(
                  [this](const NatsStateChanged& event) {
                    const std::lock_guard lock(mutex);
                    if (!told.empty()) told += ' ';
                    told += nats_state_name(event.to);
                  },
                  *owner)
               .value();
  }
  bool ends_with(const std::string& text) {
    return eventually([&] {
      const std::lock_guard lock(mutex);
      return told.ends_with(text);
    });
  }
  std::mutex mutex;  // these two outlive the subscription, whose handler uses them
  std::string told;
  EventBus bus;
  std::unique_ptr<EventOwner> owner;
  EventSubscription kept;
};

}  // namespace

TEST_CASE("NatsService: a broker that is killed and started again loses nothing that was waiting, and doubles nothing",
          "[nats_faults]") {
  NatsBroker broker;
  Ledger ledger;
  States states(ledger);
  Nats it(broker.url(), {}, &states.bus);
  Received received;
  auto kept = it.subscribe("test.a", received.handler(), "test");
  it.flush();
  CHECK(states.ends_with("connecting connected"));
  for (int round = 0; round < 3; ++round) {
    broker.kill();
    REQUIRE(
        eventually([&] { return it->state() == NatsState::reconnecting || it->state() == NatsState::circuit_open; }));
    CHECK(it->reason() != "");
    const std::size_t before = received.count();
    std::size_t taken = 0;  // refused, and told so, once the circuit is open
    for (std::size_t i = 0; i < 10; ++i)
      if (it->publish({.subject = "test.a", .data = std::to_string(taken)}).ok()) ++taken;
    broker.start();
    REQUIRE(it->wait_connected(std::chrono::steady_clock::now() + 20s));
    CHECK(it->reason() == "");
    REQUIRE(received.wait_for(before + taken));
    it.flush();
    CHECK(received.count() == before + taken);
    for (std::size_t i = 0; i < taken; ++i) CHECK(received.at(before + i) == text("test.a ", i));
    CHECK(states.ends_with("connected"));
  }
  const NatsStats stats = it->stats();
  CHECK(stats.connects == 4);
  CHECK(stats.disconnects == 3);
  CHECK(broker.look("/subsz")["num_subscriptions"] ==
        NatsBroker().look("/subsz")["num_subscriptions"].get<std::size_t>() + 2);
}

TEST_CASE("NatsService tries so many times with a rising wait, then the circuit is open, and it comes back by itself",
          "[nats_faults]") {
  NatsBroker broker;
  broker.kill();
  Ledger ledger;
  States states(ledger);
  Nats it(broker.url(), [](NatsOptions& options) { options.reconnects_max = 3; }, &states.bus, false);
  it->start();
  CHECK(states.ends_with("connecting circuit_open"));
  CHECK(it->stats().connect_failures >= 3);
  CHECK(it->reason().find("nothing listens there") != std::string::npos);
  CHECK(it->publish({.subject = "a", .data = ""}).error() == Error::broker_unavailable);
  CHECK(it.ask("a", "").result.error() == Error::broker_unavailable);
  CHECK(it->stats().refused_unavailable == 2);
  broker.start();
  CHECK(it->wait_connected(std::chrono::steady_clock::now() + 20s));
  CHECK(it->publish({.subject = "a", .data = ""}).ok());
}

TEST_CASE("NatsService gives up a connect at its time limit", "[nats_faults]") {
  NatsBroker broker;
  broker.pause();
  Nats it(broker.url(), [](NatsOptions& options) { options.connect_timeout_ms = 100; }, nullptr, false);
  it->start();
  REQUIRE(eventually([&] { return it->stats().connect_failures >= 2; }));
  CHECK(it->reason().find("no answer in time") != std::string::npos);
  broker.go_on();
  CHECK(it->wait_connected(std::chrono::steady_clock::now() + 20s));
}

TEST_CASE("NatsService gives up a connect to a broker that says who it is, and then nothing more", "[nats_faults]") {
  const bool tls = GENERATE(false, true);  // then it is silent in the handshake
  const std::string info = std::string(R"(INFO {"server_id":"a","max_payload":1048576,"tls_required":)") +
                           (tls ? "true" : "false") + "}\r\n";
  boost::asio::io_context io;
  boost::asio::ip::tcp::acceptor broker(io, {boost::asio::ip::address_v4::loopback(), 0});
  std::vector<boost::asio::ip::tcp::socket> held;
  std::atomic<bool> over{false};
  std::thread accepting([&] {
    broker.non_blocking(true);
    while (!over) {
      boost::system::error_code error;
      boost::asio::ip::tcp::socket one = broker.accept(error);
      if (error) {
        std::this_thread::sleep_for(1ms);
        continue;
      }
      boost::asio::write(one, boost::asio::buffer(info), error);
      held.push_back(std::move(one));
    }
  });
  {
    Nats it(
        text("nats://127.0.0.1:", broker.local_endpoint().port()),
        [tls](NatsOptions& options) {
          options.connect_timeout_ms = 50;
          options.tls = options.tls_insecure = tls;
        },
        nullptr, false);
    it->start();
    CHECK(eventually([&] { return it->stats().connect_failures >= 2; }, 5s));
    // Also at the end nobody waits for it.
  }
  over = true;
  accepting.join();
}

TEST_CASE("ConnectLimit knows the port of a URL", "[nats_faults]") {
  CHECK(nats_url_port("nats://127.0.0.1:1234") == 1234);
  CHECK(nats_url_port("nats://user:secret@host:1234") == 1234);
  CHECK(nats_url_port("tls://[::1]:1234") == 1234);
  for (const char* url : {"nats://host", "nats://user:1@host", "nats://[::1]", "host", "nats://host:x"})
    CHECK(nats_url_port(url) == 4222);
}

TEST_CASE("NatsService: wrong credentials are one clear line, and are tried as seldom as can be", "[nats_faults]") {
  NatsBroker broker({"--user", "ringfence", "--pass", "right"});
  for (const bool in_url : {true, false}) {
    Nats it(
        broker.url(in_url ? "ringfence:wrong" : ""),
        [&](NatsOptions& options) {
          options.reconnect_max_ms = 60'000;
          if (!in_url) options.user = "ringfence", options.password = "wrong";
        },
        nullptr, false);
    it->start();
    CHECK_FALSE(it->wait_connected(std::chrono::steady_clock::now() + 20s));
    CHECK(it->refused_credentials());
    CHECK(eventually([&] { return it->state() == NatsState::circuit_open; }));
    CHECK(it->reason().find("credentials") != std::string::npos);
    CHECK(it->reason().find("wrong") == std::string::npos);
    CHECK(it->reason().find('\n') == std::string::npos);
    CHECK(it->stats().connect_failures == 1);
  }
  Nats right(broker.url("ringfence:right"));
  CHECK(right->stats().server == broker.url());
  Nats also(broker.url(), [](NatsOptions& options) { options.user = "ringfence", options.password = "right"; });
}

TEST_CASE("NatsService: a broker that stands still fills what is bounded and no more, then all goes on in order",
          "[nats_faults]") {
  NatsBroker broker;
  Nats it(broker.url(), [](NatsOptions& options) {
    options.pending_bytes = 2 << 20;
    options.pending_max = 500;
    options.buffer_bytes = 64 * 1024;
    options.ping_interval_ms = 60'000;  // it stays connected
  });
  Nats other(broker.url());
  Received received;
  auto kept = other.subscribe("test.a", received.handler(), "test");
  other.flush();
  broker.pause();
  std::size_t taken = 0;
  const std::string filler(10'000, 'x');
  // The kernel's buffers take some megabytes, then ours fill, then it is said.
  for (int tries = 0; tries < 100'000; ++tries) {
    const auto published = it->publish({.subject = "test.a", .data = std::to_string(taken) + " " + filler});
    if (published.ok()) {
      ++taken;
    } else {
      REQUIRE(published.error() == Error::overloaded);
      const NatsStats stats = it->stats();
      // Full, and nothing moves any longer.
      std::this_thread::sleep_for(2ms);
      if (it->stats().published == stats.published && stats.pending_bytes > (2 << 20) - 12'000) break;
    }
  }
  const NatsStats full = it->stats();
  CHECK(full.refused_overloaded > 0);
  CHECK(full.pending_bytes <= 2 << 20);
  for (const LedgerRow& row : it.ledger().rows()) CHECK(row.used_bytes <= row.capacity_bytes);
  CHECK(it.ask("test.b", std::string(12'000, 'x'), 100).result.error() == Error::overloaded);
  broker.go_on();
  REQUIRE(received.wait_for(taken));
  for (std::size_t i = 0; i < taken; ++i)
    REQUIRE(received.at(i).substr(7, received.at(i).find(' ', 7) - 7) == std::to_string(i));
  CHECK(it->stats().pending_bytes == 0);
}

TEST_CASE("NatsService finds that a broker does not answer its pings, and connects again", "[nats_faults]") {
  NatsBroker broker;
  Nats it(broker.url(), [](NatsOptions& options) {
    options.ping_interval_ms = 50;
    options.connect_timeout_ms = 200;
  });
  broker.pause();
  CHECK(eventually([&] { return it->state() != NatsState::connected; }));
  broker.go_on();
  CHECK(it->wait_connected(std::chrono::steady_clock::now() + 20s));
  CHECK(it->stats().disconnects >= 1);
}

TEST_CASE("NatsService: what could not be sent in time is a dead letter, once, and bounded", "[nats_faults]") {
  NatsBroker broker;
  Nats it(broker.url(), [](NatsOptions& options) {
    options.pending_age_ms = 50;
    options.dead_letters_max = 3;
    options.reconnects_max = 1'000'000;  // it goes on accepting
  });
  broker.kill();
  REQUIRE(eventually([&] { return it->state() == NatsState::reconnecting; }));
  for (int i = 0; i < 5; ++i) REQUIRE(it->publish({.subject = "test.a", .data = std::to_string(i)}).ok());
  const auto asked = it.ask("test.b", "question");  // who waits is told, so it is no dead letter
  CHECK(asked.result.error() == Error::broker_unavailable);
  REQUIRE(eventually([&] { return it->stats().dead_letters_total == 5; }));
  CHECK(it->stats().dead_letters == 3);
  CHECK(it->stats().dead_letters_evicted == 2);
  const auto letters = it->take_dead_letters(10);
  REQUIRE(letters.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(letters[i].message.data == std::to_string(i + 2));
  CHECK(letters[0].reason == "it could not be sent in time");
  CHECK(it->take_dead_letters(10).empty());
  broker.start();
  REQUIRE(it->wait_connected(std::chrono::steady_clock::now() + 20s));
  it.flush();
  CHECK(it->stats().dead_letters_total == 5);
  CHECK(it->stats().published == 0 + it->stats().requests - 1);  // none of them is sent after all
}

// A broker without headers: cnats refuses a message that has some, on a connection that goes on.
TEST_CASE("NatsService: what a live connection does not take is tried again, then is a dead letter, once",
          "[nats_faults]") {
  const NatsBroker broker({}, false, "no_header_support: true");
  Nats it(broker.url(), [](NatsOptions& options) {
    options.retries_max = 2;
    options.retry_min_ms = options.retry_max_ms = 1;
  });
  Received received;
  const auto kept = it.subscribe("test.>", received.handler(), "test");
  std::atomic<int> answers{0};
  std::atomic<bool> refused{false};
  const NatsHeaders headers{{"Number", "1"}};
  REQUIRE(it->publish({.subject = "test.a", .data = "1"}).ok());
  REQUIRE(it->publish({.subject = "test.b", .data = "lost", .headers = headers}).ok());
  REQUIRE(it->request({.subject = "test.c", .data = "asked", .headers = headers}, [&](const NatsAnswer& answer) {
              refused = answer.result.error() == Error::broker_unavailable;
              ++answers;
            }).ok());
  REQUIRE(it->publish({.subject = "test.d", .data = "2"}).ok());
  REQUIRE(received.wait_for(2));  // those behind them are not held up for ever
  CHECK(eventually([&] { return answers == 1; }));
  CHECK(received.count() == 2);
  CHECK(received.at(0) == "test.a 1");
  CHECK(received.at(1) == "test.d 2");
  CHECK(answers == 1);
  CHECK(refused);
  const NatsStats stats = it->stats();
  CHECK(stats.retries == 6);  // two tries more of each, and the last one that buries it
  CHECK(stats.failed_batch == 0);
  CHECK(stats.pending == 0);
  CHECK(stats.request_failures == 1);
  CHECK(stats.connects == 1);
  CHECK(it->state() == NatsState::connected);
  const auto letters = it->take_dead_letters(10);
  REQUIRE(letters.size() == 1);
  CHECK(letters[0].message.data == "lost");
  CHECK(letters[0].reason.find("not sent after 2 tries: ") == 0);
  CHECK(it->take_dead_letters(10).empty());
}

TEST_CASE("NatsService: JetStream's acknowledgement has the seq, says what is a duplicate, and why it refuses",
          "[nats_faults]") {
  NatsBroker broker({}, true);
  Nats it(broker.url());
  REQUIRE(it.ask("$JS.API.STREAM.CREATE.S", create_stream("S", "s.>", R"(,"max_msgs":3,"discard":"new")")).result.ok());
  Acks acks;
  for (int i = 0; i < 2; ++i)
    REQUIRE(
        it->publish_acked({.subject = "s.a", .data = "x", .headers = {{"Nats-Msg-Id", "same"}}}, acks.handler()).ok());
  for (int i = 0; i < 3; ++i) REQUIRE(it->publish_acked({.subject = "s.a", .data = "x"}, acks.handler()).ok());
  REQUIRE(eventually([&] { return acks.count() == 5; }));
  CHECK(acks.all[0].seq.value() == 1);
  CHECK_FALSE(acks.all[0].duplicate);
  CHECK(acks.all[1].seq.value() == 1);
  CHECK(acks.all[1].duplicate);
  CHECK(acks.all[2].seq.value() == 2);
  CHECK(acks.all[3].seq.value() == 3);
  CHECK(acks.all[4].seq.error() == Error::broker_refused);
  CHECK(acks.all[4].text.find("maximum messages") != std::string::npos);
  CHECK(it->state() == NatsState::connected);  // an answer that says no is an answer
}

TEST_CASE("NatsService: a stream that does not answer opens the circuit, which closes when JetStream is there again",
          "[nats_faults]") {
  NatsBroker broker({}, true);
  Ledger ledger;
  States states(ledger);
  Nats it(broker.url(), [](NatsOptions& options) { options.circuit_open_ms = 200; }, &states.bus);
  CHECK(states.ends_with("connected"));
  Acks acks;
  for (std::size_t i = 0; i < 5; ++i) {
    REQUIRE(it->publish_acked({.subject = "no.stream", .data = "x"}, acks.handler()).ok());
    REQUIRE(eventually([&] { return acks.count() == i + 1; }));
    CHECK(acks.all[i].seq.error() == Error::broker_unavailable);
  }
  CHECK(it->publish_acked({.subject = "no.stream", .data = "x"}, acks.handler()).error() == Error::broker_unavailable);
  CHECK(states.ends_with("circuit_open degraded connected"));
  CHECK(it->stats().circuit_opened == 1);
  CHECK(acks.count() == 5);
}

TEST_CASE(
    "NatsService: what is published before the stream is ready opens no circuit, and an open one is tried once it is",
    "[nats_faults]") {
  NatsBroker broker({}, true);
  Nats it(broker.url(), [](NatsOptions& options) { options.circuit_open_ms = 3'600'000; });
  Acks acks;
  const auto fail = [&](std::size_t count) {
    const std::size_t before = acks.count();
    for (std::size_t i = 0; i < count; ++i) {
      REQUIRE(it->publish_acked({.subject = "no.stream", .data = "x"}, acks.handler()).ok());
      REQUIRE(eventually([&] { return acks.count() == before + i + 1; }));
    }
  };
  it->set_stream_ready(false);
  fail(10);
  CHECK(it->stats().circuit_opened == 0);
  CHECK(it->state() == NatsState::connected);
  it->set_stream_ready(true);
  fail(5);
  CHECK(it->stats().circuit_opened == 1);
  REQUIRE(eventually([&] { return it->state() == NatsState::circuit_open; }));
  it->set_stream_ready(true);
  CHECK(eventually([&] { return it->state() == NatsState::connected; }));
  CHECK(it->stats().circuit_opened == 1);
}

TEST_CASE("NatsService: a connection that is lost tells each request that waits, once", "[nats_faults]") {
  NatsBroker broker;
  Nats it(broker.url());
  auto deaf = it.subscribe("test.deaf", [](NatsMessage&) {}, "test");
  it.flush();
  Acks acks;
  const std::uint64_t sent = it->stats().published;
  for (int i = 0; i < 10; ++i) REQUIRE(it->publish_acked({.subject = "test.deaf", .data = "x"}, acks.handler()).ok());
  REQUIRE(eventually([&] { return it->stats().published == sent + 10; }));
  broker.kill();
  REQUIRE(eventually([&] { return acks.count() == 10; }));
  for (const NatsAck& ack : acks.all) CHECK(ack.seq.error() == Error::broker_timeout);
  broker.start();
  REQUIRE(it->wait_connected(std::chrono::steady_clock::now() + 20s));
  it.flush();
  CHECK(acks.count() == 10);
  CHECK(it->stats().circuit_opened == 0);  // a lost connection is not a stream that fails
}

TEST_CASE("NatsService is degraded while somebody says so, with the reason", "[nats_faults]") {
  NatsBroker broker;
  Nats it(broker.url());
  it->set_degraded("stream", "it has other settings");
  CHECK(eventually([&] { return it->state() == NatsState::degraded; }));
  CHECK(it->reason() == "stream: it has other settings");
  it->set_degraded("stream", "");
  CHECK(eventually([&] { return it->state() == NatsState::connected; }));
  CHECK(it->reason() == "");
}

TEST_CASE("NatsService ends at once when it is hastened, and says what is left", "[nats_faults]") {
  NatsBroker broker;
  Nats it(broker.url());
  broker.pause();
  // More than the sockets take.
  std::size_t taken = 0;
  while (it->publish({.subject = "test.a", .data = std::string(100'000, 'x')}).ok() || it->stats().pending < 50)
    ++taken;
  const auto before = std::chrono::steady_clock::now();
  const NatsLeft left = it->disconnect(before + 60s, [] { return true; });
  CHECK(std::chrono::steady_clock::now() - before < 20s);
  CHECK(left.pending > 0);
  CHECK(it->stats().dead_letters_total == left.pending);
}
