#include "server.h"

#include <unistd.h>

#include <csignal>
#include <thread>

#include "log.h"
#include "support/catch.h"
#include "support/http_client.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE("A worst case above the memory budget is refused with the table", "[server]") {
  Options options = TestServer::options([](Options& o) { o.memory_budget_bytes = 100 << 20; });
  std::string message;
  try {
    const Server server(options);
  } catch (const UsageError& error) {
    message = error.what();
  }
  CHECK(message.find("--memory-budget 100MiB") != std::string::npos);
  CHECK(message.find("record memory") != std::string::npos);
  CHECK(message.find("EXCEEDED") != std::string::npos);
}

TEST_CASE("Server::publish checks what it is given, as for a client", "[server]") {
  TestServer server;
  auto& it = server.server;
  CHECK(it.publish("a", "t", "{\n\"x\":\r\n1}").value() == 1);
  CHECK(it.publish("a", "t", "{").error() == Error::bad_json);
  CHECK(it.publish("a", "t", "\"\xff\"").error() == Error::bad_json);
  CHECK(it.publish("a", "t", "1 2").error() == Error::bad_json);
  CHECK(it.publish("a b", "t", "1").error() == Error::bad_channel);
  CHECK(it.publish("a", "", "1").error() == Error::bad_type);
  WsClient client(it.port(), "ringfence.v1.json");
  client.subscribe("a", {{"last", 1}});
  CHECK(Json::parse(client.events(1)[0].data) == Json{{"x", 1}});
}

TEST_CASE("stop() tells every client `closing`, sends what is pending, and leaves nothing", "[server]") {
  TestServer server;
  WsClient binary(server.server.port());
  WsClient json(server.server.port(), "ringfence.v1.json");
  HttpClient idle(server.server.port());
  CHECK(idle.get("/v1/health").result_int() == 200);
  binary.subscribe("a");
  json.subscribe("a");
  for (int i = 0; i < 100; ++i) server.publish("a", "1");
  std::size_t left = 99;
  std::thread stopper([&] { left = server.server.stop(); });
  for (WsClient* client : {&binary, &json}) {
    CHECK(client->events(100).back().seq == 100);
    const Json closing = client->expect("closing");
    CHECK(closing.contains("reason"));
    CHECK(closing["retry_after_ms"].is_number_unsigned());
    CHECK(client->read_close() == 1001);
  }
  CHECK(idle.closed());
  stopper.join();
  CHECK(left == 0);
}

TEST_CASE("stop() resets a client that does not answer, at the deadline", "[server]") {
  TestServer server([](Options& options) { options.limits.shutdown_timeout_ms = 200; });
  WsClient deaf(server.server.port(), "ringfence.v1", "", 4096);
  deaf.subscribe("a");
  for (int i = 0; i < 200; ++i) server.publish("a", json_filler(60'000));
  const auto before = std::chrono::steady_clock::now();
  CHECK(server.server.stop() == 1);
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(10));
}

TEST_CASE("run() ends in order at SIGTERM", "[server]") {
  Options options = TestServer::options({});
  Server server(options);
  std::unique_ptr<WsClient> client;
  std::thread reader;
  std::uint16_t close_code = 0;
  const int status = server.run([&] {
    client = std::make_unique<WsClient>(server.port());
    reader = std::thread([&] { close_code = client->read_close(); });
    ::raise(SIGTERM);
  });
  reader.join();
  CHECK(status == kExitOk);
  CHECK(close_code == 1001);
}

TEST_CASE("Log lines are published on --log-channel, and do not feed themselves", "[server]") {
  TestServer server([](Options& options) {
    options.log_channel = "log";
    options.limits.history_records_max = 5000;
  });
  WsClient client(server.server.port(), "ringfence.v1.json");
  client.subscribe("log", {{"last", 0}});
  logger("test")->warn("a \"line\"\nwith \xff bytes");
  const auto event = client.events(1)[0];
  CHECK(event.type == "log");
  const Json data = Json::parse(event.data);
  CHECK(data["level"] == "warning");
  CHECK(data["logger"] == "test");
  CHECK(data["text"].get<std::string>().find("a \"line\"\nwith ") == 0);

  // From many threads at once, more than the queue holds: bounded, and what was dropped is said.
  const std::uint64_t published = server.server.hub().stats().published;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([] {
      for (int i = 0; i < 500; ++i) logger("flood")->warn("x");
    });
  for (auto& thread : threads) thread.join();
  std::uint64_t seen = 0;
  while (seen < 2000) {
    for (const auto& line : client.read().events) {
      const Json one = Json::parse(line.data);
      seen += 1 + one.value("dropped_before", 0);
    }
  }
  CHECK(seen == 2000);
  CHECK(server.server.hub().stats().published - published <= 2000);
  const Json health = Json::parse(HttpClient(server.server.port()).get("/v1/health").body());
  CHECK(health["log_lines_dropped"] == 2000 - (server.server.hub().stats().published - published));
  CHECK(health["flushes"] > 0);
  CHECK(health["closed_recently"] == 0);
  client.drop();
  CHECK(server.eventually([&](const HubStats&) { return server.server.connections().stats().closed_recently == 1; }));
}

TEST_CASE("Records published together come in one message each way of reading, not in one each", "[server]") {
  TestServer server([](Options& options) { options.threads = 1; });  // a request is handled whole before the flush
  WsClient binary(server.server.port(), "ringfence.v1", "?channels=a");
  WsClient lines(server.server.port(), "ringfence.v1.json", "?channels=a");
  binary.expect("subscribed");
  lines.expect("subscribed");
  std::string body = "[";
  for (int i = 0; i < 100; ++i) body += std::string(i > 0 ? "," : "") + R"({"channel":"a","data":1})";
  body += "]";
  HttpClient client(server.server.port());
  client.send("POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) +
              "\r\n\r\n" + body);
  REQUIRE(client.read().result_int() == 200);
  CHECK(binary.read().events.size() == 100);
  CHECK(lines.read().events.size() == 100);
  const HubStats stats = server.server.hub().stats();
  CHECK(stats.delivered == 200);
  CHECK(stats.messages == 2);
}

TEST_CASE("A second signal ends a stop that waits for a client", "[server]") {
  Options options = TestServer::options([](Options& o) { o.limits.shutdown_timeout_ms = 60'000; });
  Server server(options);
  std::unique_ptr<WsClient> deaf;
  std::thread second;
  const auto before = std::chrono::steady_clock::now();
  const int status = server.run([&] {
    deaf = std::make_unique<WsClient>(server.port(), "ringfence.v1", "", 4096);
    deaf->subscribe("a");
    for (int i = 0; i < 200; ++i) REQUIRE(server.publish("a", "t", json_filler(60'000)).ok());
    second = std::thread([&server] {
      while (!server.stopping()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ::kill(::getpid(), SIGTERM);
    });
    ::raise(SIGTERM);
  });
  second.join();
  CHECK(status == kExitRuntime);
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(30));
}

TEST_CASE("hasten() ends a stop that waits for a client, and is harmless before, twice, and after", "[server]") {
  TestServer server([](Options& options) { options.limits.shutdown_timeout_ms = 60'000; });
  const std::uint16_t port = server.server.port();
  server.server.hasten();  // nothing is under way
  WsClient silent(port);   // reads nothing, so does not answer the close
  const auto before = std::chrono::steady_clock::now();
  std::size_t left = 0;
  std::atomic<bool> ended{false};
  std::thread stopper([&] {
    left = server.server.stop();
    ended = true;
  });
  while (!server.server.stopping()) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  while (!ended) {
    server.server.hasten();
    CHECK(server.server.port() == port);
    std::this_thread::yield();
  }
  stopper.join();
  server.server.hasten();
  CHECK(server.server.port() == port);
  CHECK(left == 1);
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(30));
}

TEST_CASE("run() that is left by an exception leaves a server that still ends in order", "[server]") {
  Server server(TestServer::options({}));
  CHECK_THROWS_AS(server.run([] { throw std::runtime_error("not today"); }), std::runtime_error);
  CHECK(server.stop() == 0);
}

TEST_CASE("A worst case beyond any memory is refused with the table, before it is reserved", "[server]") {
  Options options = TestServer::options([](Options& o) {
    o.threads = 64;
    o.limits.channels_max = 100'000'000;
  });
  CHECK_THROWS_AS(Server(options), UsageError);
}

TEST_CASE("A client that pipelines ops is told `closing`, and not answered to the last of them", "[server]") {
  TestServer server([](Options& options) { options.limits.shutdown_timeout_ms = 20'000; });
  WsClient client(server.server.port(), "ringfence.v1", "", 4096);
  client.subscribe("a");
  (void)server.publish_until_stalled("a", json_filler(60'000), 1);
  constexpr int kPings = 1000;
  for (int i = 0; i < kPings; ++i) client.send(R"({"op":"ping"})");
  std::thread stopper([&] { server.server.stop(); });
  while (!server.server.stopping()) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  int pongs = 0;
  std::string op;
  for (op = client.op(); op == "event" || op == "pong" || op == "gap"; op = client.op()) pongs += op == "pong";
  CHECK(op == "closing");
  CHECK(pongs < kPings / 10);
  CHECK(client.read_close() == 1001);
  stopper.join();
}
