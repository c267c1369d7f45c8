// The events of a running server, server.on(), and what its end leaves.
#include "events/server_events.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <vector>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "support/catch.h"
#include "support/http_client.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;
using namespace std::chrono_literals;

namespace {

auto soon() { return std::chrono::steady_clock::now() + 30s; }

// What handlers were told, in their order, for the test's thread to wait for.
class Told {
 public:
  void add(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
    changed_.notify_all();
  }
  std::vector<std::string> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 30s, [&] { return lines_.size() >= count; });
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> lines_;
};

struct Hold {
  void pass() {
    std::unique_lock lock(mutex);
    entered = true;
    changed.notify_all();
    changed.wait(lock, [this] { return open; });
  }
  void wait_entered() {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, 30s, [this] { return entered; }));
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  ~Hold() { let_go(); }
  std::mutex mutex;
  std::condition_variable changed;
  bool entered = false;
  bool open = false;
};

// Made after the subscriptions, so that a test that fails does not wait for a handler that nobody lets go.
struct Opener {
  Hold& hold;
  ~Opener() { hold.let_go(); }
};

}  // namespace

TEST_CASE("A server tells its event bus who connects, subscribes, publishes and leaves", "[server_events]") {
  Told told;
  TestServer test;
  EventBus& bus = test.server.events();
  const EventOwner owner = bus.owner("test").value();
  std::vector<EventSubscription> held;
  held.push_back(bus.subscribe<Connected>(
                        [&](const Connected& e) {
                          told.add(numbered("connect ", e.connection) + (e.who ? "" : " by nobody") +
                                   (e.address.empty() ? "" : " from " + e.address));
                        },
                        owner)
                     .value());
  held.push_back(
      bus.subscribe<Subscribed>([&](const Subscribed& e) { told.add("subscribe " + e.channel); }, owner).value());
  held.push_back(
      bus.subscribe<Unsubscribed>([&](const Unsubscribed& e) { told.add("unsubscribe " + e.channel); }, owner).value());
  held.push_back(bus.subscribe<ClientMessage>(
                        [&](const ClientMessage& e) {
                          told.add("message " + e.channel + " " + e.type + " " + std::to_string(e.seq) + " " + e.data);
                        },
                        owner)
                     .value());
  held.push_back(bus.subscribe<Published>(
                        [&](const Published& e) {
                          told.add("publish " + e.channel + " " + e.type + " " + std::to_string(e.seq) + " " +
                                   std::to_string(e.bytes));
                        },
                        owner)
                     .value());
  held.push_back(bus.subscribe<Disconnected>(
                        [&](const Disconnected& e) { told.add(numbered("disconnect ", e.connection)); }, owner)
                     .value());

  WsClient client(test.server.port());
  const std::uint64_t id = client.welcome["connection"].is_string()
                               ? std::stoull(client.welcome["connection"].get<std::string>())
                               : client.welcome["connection"].get<std::uint64_t>();
  client.subscribe("room");
  client.request({{"op", "publish"}, {"id", 1}, {"channel", "room"}, {"type", "chat"}, {"data", {1, 2}}}, "ok");
  CHECK(client.events(1)[0].seq == 1);
  client.request({{"op", "unsubscribe"}, {"channel", "room"}}, "unsubscribed");
  client.close();
  const auto lines = told.wait_for(6);
  REQUIRE(lines.size() == 6);
  CHECK(lines[0] == numbered("connect ", id) + " from 127.0.0.1");
  CHECK(lines[1] == "subscribe room");
  CHECK(lines[2] == "publish room chat 1 5");
  CHECK(lines[3] == "message room chat 1 [1,2]");
  CHECK(lines[4] == "unsubscribe room");
  CHECK(lines[5] == numbered("disconnect ", id));
  test.publish("room", "true");  // by the program: no message of a client
  CHECK(told.wait_for(7)[6] == "publish room message 2 4");
}

TEST_CASE("A server tells what leaves its histories, by reason", "[server_events]") {
  Ledger ledger;
  EventBus bus(ledger, {1024, 1 << 20, 8});
  bus.start();
  Limits limits;
  limits.history_records_max = 10;
  Hub hub(limits, ledger, 1, &bus);
  const EventOwner owner = bus.owner("test").value();
  std::uint64_t by_records = 0;
  std::string channel;
  for (int i = 0; i < 20; ++i) REQUIRE(hub.publish("quiet", "t", "1").ok());
  const auto held = bus.subscribe<Evicted>(
                           [&](const Evicted& e) {
                             if (e.reason == Eviction::records) by_records += e.records;
                             channel = e.channel;
                           },
                           owner)
                        .value();
  for (int i = 0; i < 25; ++i) REQUIRE(hub.publish("room", "t", "1").ok());
  REQUIRE(bus.drain(soon()));
  CHECK(by_records == 15);
  CHECK(channel == "room");
}

TEST_CASE("What a look at a history finds too old is told as well", "[server_events]") {
  std::atomic<int> by_age{0};
  TestServer test([](Options& options) {
    options.limits.history_age_max_s = 1;
    options.limits.sweep_ms = 60'000;  // it is not the sweep that finds it
    options.limits.inbound_messages = 100'000;
  });
  const EventOwner owner = test.server.events().owner("test").value();
  const auto held = test.server.events()
                        .subscribe<Evicted>([&](const Evicted& e) { by_age += e.reason == Eviction::age; }, owner)
                        .value();
  WsClient client(test.server.port());
  for (const char* channel : {"read", "joined"}) test.publish(channel, "1");
  CHECK(test.eventually([&](const HubStats&) {
    client.request({{"op", "history"}, {"channel", "read"}}, "history");
    return by_age == 1;
  }));
  client.subscribe("joined");
  CHECK(test.eventually([&](const HubStats&) { return by_age == 2; }));
}

TEST_CASE("A reclaiming tells of every record that it takes, in a bounded number of events", "[server_events]") {
  Ledger ledger;
  EventBus bus(ledger, {4096, 1 << 20, 8});
  bus.start();
  Limits limits;
  limits.history_memory_bytes = 256 * 1024;
  limits.history_bytes_max = 64 * 1024;
  Hub hub(limits, ledger, 1, &bus);
  const EventOwner owner = bus.owner("test").value();
  std::uint64_t by_pressure = 0;
  const auto held = bus.subscribe<Evicted>(
                           [&](const Evicted& e) {
                             if (e.reason == Eviction::pressure) by_pressure += e.records;
                           },
                           owner)
                        .value();
  const std::string data = json_filler(500);
  for (int i = 0; i < 3000; ++i) {
    REQUIRE(hub.publish(numbered("c", i % 200), "t", data).ok());
    if (i % 100 == 0) REQUIRE(bus.drain(soon()));
  }
  REQUIRE(bus.drain(soon()));
  CHECK(by_pressure > 0);
  CHECK(by_pressure == hub.pool().account().evicted(Eviction::pressure));
  CHECK(bus.stats().total().refused == 0);
}

TEST_CASE("Server::on hands a client's messages to the handler of their type, until its handle ends",
          "[server_events]") {
  Told told;
  TestServer test;
  CHECK(test.server.on("", [](const ClientMessage&) {}).error() == Error::bad_type);
  auto broken =
      test.server.on("chat_message", [](const ClientMessage&) { throw std::runtime_error("not today"); }).value();
  auto chat = test.server
                  .on("chat_message",
                      [&](const ClientMessage& m) {
                        told.add(m.who->user + "/" + m.channel + "/" + std::to_string(m.seq) + "/" + m.data);
                      })
                  .value();
  auto other = test.server.on("other", [&](const ClientMessage& m) { told.add("other " + m.data); }).value();
  WsClient client(test.server.port());
  const auto publish = [&](const char* type, int n) {
    client.request({{"op", "publish"}, {"id", n}, {"channel", "room:1"}, {"type", type}, {"data", n}}, "ok");
  };
  publish("chat_message", 1);
  publish("move", 2);
  publish("other", 3);
  const auto lines = told.wait_for(2);
  CHECK(lines == std::vector<std::string>{"/room:1/1/1", "other 3"});
  REQUIRE(test.server.events().drain(soon()));
  CHECK(test.server.events().stats().total().failures == 1);  // logged, counted, and nobody else minds
  chat.end();
  publish("chat_message", 4);
  publish("other", 5);
  CHECK(told.wait_for(3).back() == "other 5");
  CHECK(told.wait_for(3).size() == 3);
}

TEST_CASE("A client whose message no handler has room for is told, and nothing is published", "[server_events]") {
  Hold hold;
  TestServer test([](Options& options) { options.limits.events_max = 2; });
  auto slow = test.server.on("t", [&](const ClientMessage&) { hold.pass(); }).value();
  const Opener opener{hold};
  WsClient client(test.server.port());
  const auto op = [](int n) {
    return Json{{"op", "publish"}, {"id", n}, {"channel", "c"}, {"type", "t"}, {"data", n}};
  };
  client.request(op(1), "ok");
  hold.wait_entered();
  client.request(op(2), "ok");
  const Json refused = client.request(op(3), "error");
  CHECK(refused["code"] == "overloaded");
  CHECK(refused["id"] == 3);
  CHECK(refused["retry_after_ms"] > 0);
  CHECK(test.server.hub().stats().published == 2);
  CHECK(test.server.events().stats().total().refused == 1);
  hold.let_go();
  REQUIRE(test.server.events().drain(soon()));
  CHECK(client.request(op(4), "ok")["seq"] == 3);
}

TEST_CASE("stop() waits for message handlers, refuses new messages meanwhile, and leaves nothing", "[server_events]") {
  Hold hold;
  int handled = 0;
  TestServer test;
  auto slow = test.server
                  .on("t",
                      [&](const ClientMessage&) {
                        ++handled;
                        hold.pass();
                      })
                  .value();
  const Opener opener{hold};
  WsClient client(test.server.port());
  const auto op = [](int n) {
    return Json{{"op", "publish"}, {"id", n}, {"channel", "c"}, {"type", "t"}, {"data", n}};
  };
  for (int n = 0; n < 3; ++n) client.request(op(n), "ok");
  hold.wait_entered();
  std::size_t left = 99;
  std::thread stopper([&] { left = test.server.stop(); });
  while (!test.server.stopping()) std::this_thread::yield();
  // Until the step has begun a message is still taken; from then on it is refused, until the connection is closed.
  std::string code;
  for (int n = 3; code.empty() && n < 1000; ++n) {
    client.send_op(op(n));
    const Json answer = client.read().json;
    if (answer["op"] == "closing") break;
    if (answer["op"] == "error") code = answer["code"];
    std::this_thread::sleep_for(1ms);
  }
  CHECK((code == "shutting_down" || code == "rate_limited" || code.empty()));
  hold.let_go();
  CHECK(client.read_close() == 1001);
  stopper.join();
  CHECK(left == 0);
  CHECK(handled >= 3);
  CHECK(test.server.events().publish(ClientMessage{}).error() == Error::shutting_down);
}

TEST_CASE("stop() says what was left: a task that does not end, events that no handler got", "[server_events]") {
  Hold hold;
  TestServer test;
  auto stuck = test.server.on("t", [&](const ClientMessage&) { hold.pass(); }).value();
  auto may_end = std::make_shared<std::atomic<bool>>(false);
  std::atomic<bool> deaf{false};
  namespace asio = boost::asio;
  REQUIRE(test.server.tasks()
              .spawn({"deaf", TaskKind::service, "test"},
                     [may_end, &deaf]() -> asio::awaitable<void> {
                       co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
                       asio::steady_timer timer(co_await asio::this_coro::executor);
                       deaf = true;
                       while (!*may_end) {
                         timer.expires_after(1ms);
                         co_await timer.async_wait(asio::use_awaitable);
                       }
                     })
              .ok());
  CHECK(test.eventually([&](const HubStats&) { return deaf.load(); }));
  const Opener opener{hold};
  WsClient client(test.server.port());
  client.request({{"op", "publish"}, {"id", 1}, {"channel", "c"}, {"type", "t"}, {"data", 1}}, "ok");
  hold.wait_entered();
  std::size_t left = 0;
  std::thread stopper([&] { left = test.server.stop(); });
  while (!test.server.stopping()) std::this_thread::yield();
  test.server.hasten();  // no step waits for its limit
  stopper.join();
  CHECK(left >= 3);  // the task, the handler and its event; the client may have been reset too
  CHECK(test.server.tasks().live() == 1);
}

TEST_CASE("stop() cancels the server's tasks, and the registry then refuses", "[server_events]") {
  TestServer test;
  namespace asio = boost::asio;
  const auto task = []() -> asio::awaitable<void> {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_at(std::chrono::steady_clock::time_point::max());
    co_await timer.async_wait(asio::use_awaitable);
  };
  REQUIRE(test.server.tasks().spawn({"sampling", TaskKind::periodic, "monitor"}, task).ok());
  REQUIRE(test.server.tasks().spawn({"watch", TaskKind::lifecycle, "test"}, task).ok());
  CHECK(test.server.stop() == 0);
  CHECK(test.server.tasks().live() == 0);
  CHECK(test.server.tasks().stats().total().cancelled == 3);  // and the leak monitor's
  CHECK(test.server.tasks().spawn({"late", TaskKind::other, "test"}, task).error() == Error::shutting_down);
}

TEST_CASE("The event bus and the tasks are shown over HTTP", "[server_events]") {
  TestServer test;
  HttpClient http(test.server.port());
  const Json bus = Json::parse(http.get("/v1/monitoring/eventbus").body());
  CHECK(bus["running"] == true);
  CHECK(bus["queue"]["capacity"] == 8192);
  CHECK(bus["owners"][0]["owner"] == "server.on");
  const Json tasks = Json::parse(http.get("/v1/monitoring/tasks").body());
  CHECK(tasks["capacity"] == 256);
  CHECK(tasks["shutting_down"] == false);
}
