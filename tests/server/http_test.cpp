#include <random>
#include <set>

#include "net/origin.h"
#include "support/catch.h"
#include "support/http_client.h"
#include "support/random.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;
namespace http = boost::beast::http;

namespace {

constexpr const char* kUpgrade =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

}  // namespace

TEST_CASE("HTTP keeps a connection for many requests, also when they come at once or byte by byte", "[http]") {
  const TestServer server;
  HttpClient client(server.server.port());
  for (int i = 0; i < 3; ++i) CHECK(client.get("/v1/health").result() == http::status::ok);
  const std::string request = "GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n";
  client.send(request + "GET /none HTTP/1.1\r\nHost: x\r\n\r\n" + request);
  CHECK(client.read().result() == http::status::ok);
  CHECK(client.read().result() == http::status::not_found);
  CHECK(client.read().result() == http::status::ok);
  for (const char byte : request) client.send({&byte, 1});
  CHECK(client.read().result() == http::status::ok);
  CHECK(client.get("/v1/health", "Connection: close\r\n").result() == http::status::ok);
  CHECK(client.closed());
}

TEST_CASE("HTTP answers each wrong request with its code", "[http]") {
  const TestServer server;
  const auto code = [&server](std::string_view bytes, unsigned status) {
    HttpClient client(server.server.port());
    client.send(bytes);
    const auto response = client.read();
    CHECK(response.result_int() == status);
    return error_code_of(response);
  };
  CHECK(code("GET /none HTTP/1.1\r\nHost: x\r\n\r\n", 404) == "not_found");
  CHECK(code("GET /v1/none HTTP/1.1\r\nHost: x\r\n\r\n", 404) == "not_found");
  CHECK(code("DELETE /v1/health HTTP/1.1\r\nHost: x\r\n\r\n", 405) == "method_not_allowed");
  CHECK(code("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405) == "method_not_allowed");
  CHECK(code("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\n\r\n", 413) == "body_too_large");
  CHECK(code("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + std::string(2048, 'x'), 413) ==
        "body_too_large");
  CHECK(code("GET / HTTP/1.1\r\n\r\n", 400) == "bad_request");
  CHECK(code("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400) == "bad_request");
  CHECK(code("nonsense\r\n\r\n", 400) == "bad_request");
  CHECK(code("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400) == "bad_request");
  CHECK(code("GET /v1/ws HTTP/1.1\r\nHost: x\r\n\r\n", 400) == "bad_request");
  CHECK(code("GET / HTTP/1.1\r\nHost: x\r\nCookie: " + std::string(9000, 'c'), 431) == "header_too_large");
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 200; ++i) many += "a:b\r\n";
  CHECK(code(many, 431) == "header_too_large");
}

TEST_CASE("HTTP takes a head up to its limit", "[http]") {
  const TestServer server;
  HttpClient client(server.server.port());
  const auto response = client.get("/v1/health", "Cookie: " + std::string(8000, 'c') + "\r\n");
  CHECK(response.result() == http::status::ok);
}

TEST_CASE("HTTP ends a connection that sends no whole request in time, and keeps the others", "[http]") {
  const TestServer server([](Options& options) {
    options.limits.handshake_timeout_ms = 150;
    options.limits.sweep_ms = 20;
  });
  HttpClient idle(server.server.port());
  HttpClient slow(server.server.port());
  slow.send("GET / HTTP/1.1\r\nHost:");
  CHECK(idle.closed());
  CHECK(slow.closed());
  HttpClient next(server.server.port());
  CHECK(next.get("/v1/health").result() == http::status::ok);
}

TEST_CASE("Health counts what goes on", "[http][health]") {
  TestServer server;
  WsClient subscriber(server.server.port());
  subscriber.subscribe("a");
  server.publish("a", "1");
  (void)subscriber.events(1);
  HttpClient client(server.server.port());
  const auto health = Json::parse(client.get("/v1/health").body());
  CHECK(health["status"] == "healthy");
  CHECK(health["reasons"].empty());
  CHECK(health["version"] == RINGFENCE_VERSION);
  CHECK(health["connections"] == 2);
  CHECK(health["channels"] == 1);
  CHECK(health["subscriptions"] == 1);
  CHECK(health["published"] == 1);
  CHECK(health["delivered"] == 1);
  CHECK(health["uptime_s"].get<double>() >= 0);
}

TEST_CASE("The ledger is served with every bound, within the budget", "[http][health]") {
  const TestServer server;
  HttpClient client(server.server.port());
  const auto ledger = Json::parse(client.get("/v1/monitoring/ledger").body());
  std::uint64_t sum = 0;
  std::set<std::string> names;
  for (const auto& row : ledger["accounts"]) {
    sum += row["capacity_bytes"].get<std::uint64_t>();
    names.insert(row["name"]);
    CHECK(row["used_bytes"].get<std::uint64_t>() <= row["capacity_bytes"].get<std::uint64_t>());
    CHECK(row["evicted"].size() == kEvictionCount);
  }
  for (const char* name : {"record memory", "connections", "channels", "subscriptions"}) CHECK(names.count(name) == 1);
  CHECK(ledger["worst_case_bytes"] == sum);
  CHECK(ledger["budget_bytes"] == server.server.options().memory_budget_bytes);
  CHECK(sum <= server.server.options().memory_budget_bytes);
}

TEST_CASE("A page of another origin may not open a WebSocket unless it is allowed", "[http]") {
  const TestServer server([](Options& options) { options.allow_origins = {"https://app.example"}; });
  const auto status = [&server](const std::string& headers) {
    HttpClient client(server.server.port());
    client.send("GET /v1/ws HTTP/1.1\r\n" + headers + kUpgrade + "\r\n");
    return client.read().result_int();
  };
  CHECK(status("Host: 127.0.0.1:8080\r\n") == 101);
  CHECK(status("Host: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:8080\r\n") == 101);
  CHECK(status("Host: 127.0.0.1:8080\r\nOrigin: https://app.example\r\n") == 101);
  CHECK(status("Host: 127.0.0.1:8080\r\nOrigin: http://evil.example\r\n") == 403);
  CHECK(status("Host: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:9090\r\n") == 403);
  CHECK(status("Host: 127.0.0.1:8080\r\nOrigin: null\r\n") == 403);
  CHECK(status("Host: rebound.example\r\nOrigin: http://rebound.example\r\n") == 403);

  HttpClient client(server.server.port());
  client.send(std::string("GET /v1/ws HTTP/1.1\r\nHost: a\r\nOrigin: http://evil.example\r\n") + kUpgrade + "\r\n");
  CHECK(error_code_of(client.read()) == "origin_not_allowed");
  CHECK(client.get("/v1/health").result() == http::status::ok);  // only the upgrade was refused
}

TEST_CASE("origin_allowed compares host and port, with the scheme's default port", "[http]") {
  CHECK(origin_allowed("http://a.example", "a.example", {}, false));
  CHECK(origin_allowed("http://A.example", "a.example:80", {}, false));
  CHECK(origin_allowed("https://a.example", "a.example", {}, false));
  CHECK(origin_allowed("http://[::1]:8080", "[::1]:8080", {}, true));
  CHECK(origin_allowed("http://localhost:8080", "localhost:8080", {}, true));
  CHECK_FALSE(origin_allowed("http://a.example", "b.example", {}, false));
  CHECK_FALSE(origin_allowed("http://a.example:81", "a.example", {}, false));
  CHECK_FALSE(origin_allowed("ftp://a.example", "a.example", {}, false));
  CHECK_FALSE(origin_allowed("http://", "", {}, false));
  CHECK(origin_allowed("http://anything", "b.example", {"*"}, true));
}

TEST_CASE("A sub-protocol that is not known is refused, a known one among others taken", "[http]") {
  const TestServer server;
  const auto upgrade = [&server](const std::string& protocols) {
    HttpClient client(server.server.port());
    client.send("GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\n" + protocols + kUpgrade + "\r\n");
    return client.read();
  };
  CHECK(error_code_of(upgrade("Sec-WebSocket-Protocol: chat, soap\r\n")) == "unsupported_protocol");
  CHECK(upgrade("Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: ringfence.v1\r\n")["Sec-WebSocket-Protocol"] ==
        "ringfence.v1");
}

TEST_CASE("HTTP survives any bytes", "[http]") {
  const TestServer server;
  auto random = seeded_random();
  const std::string whole = std::string("GET /v1/ws?channels=a HTTP/1.1\r\nHost: 127.0.0.1\r\n") + kUpgrade + "\r\n";
  for (int round = 0; round < 200; ++round) {
    HttpClient client(server.server.port());
    std::string bytes = whole.substr(0, random() % (whole.size() + 1));
    for (auto changes = random() % 4; changes > 0 && !bytes.empty(); --changes)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    boost::system::error_code ignored;
    boost::asio::write(client.socket(), boost::asio::buffer(bytes), ignored);
  }
  HttpClient client(server.server.port());
  CHECK(client.get("/v1/health").result() == http::status::ok);
}
