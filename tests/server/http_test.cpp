#include <random>
#include <set>
#include <vector>

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
  const std::string request = "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
  client.send(request + "GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n" + request);
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
  CHECK(code("GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n", 404) == "not_found");
  CHECK(code("GET /v1/none HTTP/1.1\r\nHost: localhost\r\n\r\n", 404) == "not_found");
  CHECK(code("DELETE /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n", 405) == "method_not_allowed");
  CHECK(code("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 405) == "method_not_allowed");
  CHECK(code("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1025\r\n\r\n", 413) == "body_too_large");
  CHECK(code("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + std::string(2048, 'x'),
             413) == "body_too_large");
  CHECK(code("GET / HTTP/1.1\r\n\r\n", 400) == "bad_request");
  CHECK(code("GET / HTTP/1.1\r\nHost: localhost\r\nHost: y\r\n\r\n", 400) == "bad_request");
  CHECK(code("nonsense\r\n\r\n", 400) == "bad_request");
  CHECK(code("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400) == "bad_request");
  CHECK(code("GET /v1/ws HTTP/1.1\r\nHost: localhost\r\n\r\n", 400) == "bad_request");
  CHECK(code("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + std::string(9000, 'c'), 431) == "header_too_large");
  std::string many = "GET / HTTP/1.1\r\nHost: localhost\r\n";
  for (int i = 0; i < 200; ++i) many += "a:b\r\n";
  CHECK(code(many, 431) == "header_too_large");
}

// What a proxy and the server read differently would let one client's bytes stand before another's request.
TEST_CASE("HTTP refuses a request whose length can be read in two ways, and reads nothing behind it", "[http]") {
  TestServer server;
  const std::string body = R"({"channel":"a","data":1})";
  const std::string length = std::to_string(body.size());
  const std::string behind =
      "POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length + "\r\n\r\n" + body;
  for (const std::string& headers : std::vector<std::string>{
           "Content-Length: " + length + "\r\nContent-Length: 5\r\n",
           "Content-Length: 5, " + length + "\r\n",
           "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
           "Transfer-Encoding: xchunked\r\n",
           "Transfer-Encoding: identity\r\n",
           "Transfer-Encoding: chunked, identity\r\n",
           "Transfer-Encoding:\r\n",
           "Content-Length: +" + length + "\r\n",
           "Content-Length: -1\r\n",
           "Content-Length: 0x18\r\n",
           "Content-Length: 99999999999999999999\r\n",
           "Content-Length : " + length + "\r\n",
       }) {
    CAPTURE(headers);
    HttpClient client(server.server.port());
    client.send("POST /v1/publish HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n0\r\n\r\n" + behind);
    CHECK(client.read().result_int() == 400);
    CHECK(client.closed());
  }
  CHECK(server.server.hub().stats().published == 0);
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
  const auto health = next.get("/v1/health");
  CHECK(health.result() == http::status::ok);
  CHECK(Json::parse(health.body())["http"]["timeouts"] == 2);
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

namespace {

struct Asked {
  std::string host;
  std::string origin;   // empty: no such header
  std::string refused;  // the code; empty: it is answered
};

// By all ways in, which must agree.
void check_ways_in(const TestServer& server, const Asked& asked) {
  CAPTURE(asked.host, asked.origin);
  std::string headers = "Host: " + asked.host + "\r\n";
  if (!asked.origin.empty()) headers += "Origin: " + asked.origin + "\r\n";
  const std::string event = R"({"channel":"a","data":1})";
  const auto post = [&](const std::string& path, const std::string& body) {
    return "POST " + path + " HTTP/1.1\r\n" + headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           body;
  };
  HttpClient client(server.server.port());
  for (const std::string& request :
       {"GET /v1/health HTTP/1.1\r\n" + headers + "\r\n", "GET /v1/info HTTP/1.1\r\n" + headers + "\r\n",
        "GET /metrics HTTP/1.1\r\n" + headers + "\r\n", post("/v1/publish", event),
        "GET /v1/history?channel=a HTTP/1.1\r\n" + headers + "\r\n", post("/v1/disconnect", R"({"user":"ann"})"),
        post("/v1/monitoring/cleanup", "")}) {
    CAPTURE(request);
    client.send(request);
    const auto response = client.read();
    CHECK(response.result_int() == (asked.refused.empty() ? 200 : 403));
    if (!asked.refused.empty()) CHECK(error_code_of(response) == asked.refused);
  }
  client.send("GET /v1/ws HTTP/1.1\r\n" + headers + kUpgrade + "\r\n");
  const auto response = client.read();
  CHECK(response.result_int() == (asked.refused.empty() ? 101 : 403));
  if (!asked.refused.empty()) CHECK(error_code_of(response) == asked.refused);
}

}  // namespace

TEST_CASE("Without authentication no page but the server's own and allowed ones gets anything, over HTTP either",
          "[http]") {
  TestServer server(
      [](Options& options) { options.allow_origins = {"https://app.example", "http://tool.example:81"}; });
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;
  for (const Asked& asked : std::initializer_list<Asked>{
           {"127.0.0.1:8080", "", ""},
           {"localhost", "", ""},
           {"LOCALHOST:8080", "http://localhost:8080", ""},
           {"demo.localhost:8080", "http://demo.localhost:8080", ""},
           {"[::1]:8080", "http://[::1]:8080", ""},
           {"127.0.0.1:8080", "https://app.example", ""},
           {"app.example", "https://app.example", ""},  // a proxy that leaves Host as it was
           {"tool.example", "", ""},
           {"127.0.0.1:8080", "http://evil.example", "origin_not_allowed"},
           {"127.0.0.1:8080", "http://127.0.0.1:9090", "origin_not_allowed"},
           {"127.0.0.1:8080", "null", "origin_not_allowed"},
           {"rebound.example:8080", "http://rebound.example:8080", "origin_not_allowed"},
           {"rebound.example:8080", "", "host_not_allowed"},  // a GET of its own origin, as its browser sees it
           {"rebound.example:8080", "https://app.example", "host_not_allowed"},
           {"127.evil.example", "", "host_not_allowed"},
           {"localhost.evil.example", "", "host_not_allowed"},
           {"192.0.2.1:8080", "", "host_not_allowed"},
       }) {
    check_ways_in(server, asked);
    ++(asked.refused.empty() ? answered : refused);
  }
  CHECK(server.server.hub().stats().published == answered);
  HttpClient client(server.server.port());
  CHECK(Json::parse(client.get("/v1/health").body())["http"]["errors"] == 8 * refused);
  // Of files the Host alone is looked at: they are no more than the folder that somebody chose to show.
  client.send("GET /none HTTP/1.1\r\nHost: rebound.example\r\n\r\n");
  CHECK(error_code_of(client.read()) == "host_not_allowed");
  CHECK(client.get("/none", "Origin: http://evil.example\r\n").result() == http::status::not_found);
  client.send(
      "GET /v1/health HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example\r\n\r\n");
  CHECK(error_code_of(client.read()) == "origin_not_allowed");
  client.send("GET /v1/health HTTP/1.0\r\n\r\n");  // no browser
  CHECK(client.read().result() == http::status::ok);
}

TEST_CASE("Any page may use the server with --allow-origin *", "[http]") {
  const TestServer server([](Options& options) { options.allow_origins = {"*"}; });
  check_ways_in(server, {"127.0.0.1:8080", "http://any.example", ""});
  check_ways_in(server, {"rebound.example", "", ""});
}

TEST_CASE("On another address the server's name is not known: no Host is refused, but pages of others are", "[http]") {
  const TestServer server([](Options& options) {
    options.host = "0.0.0.0";
    options.insecure = true;
  });
  check_ways_in(server, {"chat.example:8080", "", ""});
  check_ways_in(server, {"chat.example:8080", "http://evil.example", "origin_not_allowed"});
}

TEST_CASE("With authentication the key protects what HTTP answers, under any Host and for any page", "[http]") {
  const TestServer server([](Options& options) { options.auth.jwt_secret = std::string(32, 's'); });
  HttpClient client(server.server.port());
  const std::string headers = " HTTP/1.1\r\nHost: chat.example\r\nOrigin: http://evil.example\r\n";
  client.send("GET /v1/health" + headers + "\r\n");
  CHECK(client.read().result() == http::status::ok);
  client.send("GET /v1/info" + headers + "\r\n");
  CHECK(client.read().result() == http::status::unauthorized);
  client.send("GET /v1/ws" + headers + kUpgrade + "\r\n");
  CHECK(error_code_of(client.read()) == "origin_not_allowed");
}

TEST_CASE("host_allowed takes loopback names and addresses, and the hosts of allowed origins", "[http]") {
  for (const char* host : {"", "localhost", "localhost:1", "a.localhost", "127.0.0.1", "127.9.9.9:80", "[::1]",
                           "[::1]:80", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]:8080", "[::ffff:7f00:1]"})
    CHECK(host_allowed(host, {}));
  for (const char* host : {"a.example", "localhost.a.example", "127.a.example", "127.0.0.1.a.example", "[::2]", "[]",
                           "[", ":80", "10.0.0.1", "[::ffff:10.0.0.1]", "0.0.0.0", "nulllocalhost"})
    CHECK_FALSE(host_allowed(host, {"null"}));
  CHECK(host_allowed("A.example:81", {"https://a.EXAMPLE"}));
  CHECK(host_allowed("a.example", {"http://b.example", "https://a.example:8443"}));
  CHECK(host_allowed("[::2]:80", {"http://[::2]:8080"}));
  CHECK_FALSE(host_allowed("b.a.example", {"https://a.example"}));
  CHECK(host_allowed("anything", {"*"}));
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
