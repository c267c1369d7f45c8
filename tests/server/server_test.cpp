#include "server.h"

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
}
