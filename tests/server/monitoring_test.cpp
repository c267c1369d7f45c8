// The endpoints of health and monitoring over real sockets.
#include <string>

#include "caching/cache_manager.h"
#include "events/event_bus.h"
#include "monitoring/health.h"
#include "monitoring/memory_leak_monitor.h"
#include "support/catch.h"
#include "support/http_client.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

Json get(const TestServer& test, std::string_view path) {
  return Json::parse(HttpClient(test.server.port()).get(path).body());
}

Json clean_up(const TestServer& test) {
  HttpClient client(test.server.port());
  client.send("POST /v1/monitoring/cleanup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  const auto response = client.read();
  REQUIRE(response.result_int() == 200);
  return Json::parse(response.body());
}

void quiet_monitor(Options& options) { options.monitor.sample_s = 3'600; }  // the test looks by itself

}  // namespace

TEST_CASE("GET /v1/health is as well as the worst check: 200, and 503 with the reason where it is unhealthy",
          "[monitoring]") {
  TestServer test(quiet_monitor);
  HttpClient client(test.server.port());
  const auto health = [&](unsigned status) {
    const auto response = client.get("/v1/health");
    CHECK(response.result_int() == status);
    return Json::parse(response.body());
  };
  CHECK(health(200)["status"] == "healthy");
  HealthFinding finding{Health::degraded, "far away"};
  test.server.health().add("broker of the test", [&] { return finding; });
  Json told = health(200);
  CHECK(told["status"] == "degraded");
  CHECK(told["reasons"] ==
        Json::array({{{"check", "broker of the test"}, {"status", "degraded"}, {"reason", "far away"}}}));
  finding = {Health::unhealthy, "gone"};
  told = health(503);
  CHECK(told["status"] == "unhealthy");
  CHECK(told["reasons"][0]["reason"] == "gone");
  CHECK(test.server.health().remove("broker of the test"));
  CHECK(health(200)["status"] == "healthy");
}

TEST_CASE("GET /v1/health is unhealthy without the event bus, and degraded while the connections are all taken",
          "[monitoring]") {
  TestServer test([](Options& options) {
    quiet_monitor(options);
    options.limits.connections_max = 2;
  });
  WsClient client(test.server.port());
  HttpClient http(test.server.port());
  Json health = Json::parse(http.get("/v1/health").body());
  CHECK(health["status"] == "degraded");
  CHECK(health["reasons"][0]["check"] == "connections");
  (void)test.server.events().shutdown(std::chrono::steady_clock::now());
  const auto response = http.get("/v1/health");
  CHECK(response.result_int() == 503);
  CHECK(Json::parse(response.body())["reasons"][0]["check"] == "event bus");
  test.server.events().start();
}

TEST_CASE("The monitor's endpoints tell what it saw, its alerts and what was", "[monitoring]") {
  TestServer test([](Options& options) {
    quiet_monitor(options);
    options.limits.users_max = 2;
    options.limits.grace_ms = 1;
    options.limits.sweep_ms = 10;
  });
  CHECK(get(test, "/v1/monitoring/alerts")["alerts"].empty());
  {
    WsClient ann(test.server.port(), "ringfence.v1", "?user=ann");
    WsClient ben(test.server.port(), "ringfence.v1", "?user=ben");
    test.server.monitor().look();
    const Json alerts = get(test, "/v1/monitoring/alerts");
    REQUIRE(alerts["alerts"].size() == 1);
    CHECK(alerts["alerts"][0]["kind"] == "share");
    CHECK(alerts["alerts"][0]["structure"] == "users");
    CHECK(alerts["alerts"][0]["value"] == 100);
    CHECK(alerts["history"].size() == 1);
    const Json leaks = get(test, "/v1/monitoring/memory-leaks");
    CHECK(leaks["looks"] == 2);
    CHECK(leaks["connection"]["active"] == 2);
    CHECK(leaks["connection"]["orphans"] == 0);
    CHECK(leaks["alerts"] == alerts["alerts"]);
    CHECK(leaks["cache"].contains("rooms"));
    CHECK(leaks["growth_rates"].contains("descriptors"));
    CHECK(get(test, "/v1/health")["reasons"][0]["reason"] == "alerts: share of users");
    ann.close();
    ben.close();
  }
  REQUIRE(test.eventually([&](const HubStats&) {
    return test.server.connections().stats().users_in_grace == 0 && test.server.connections().stats().users == 0;
  }));
  test.server.monitor().look();
  const Json alerts = get(test, "/v1/monitoring/alerts");
  CHECK(alerts["alerts"].empty());
  CHECK(alerts["history"].size() == 2);
  CHECK(alerts["history"][1]["raised"] == false);
  CHECK(alerts["raised_total"] == 1);
  CHECK(alerts["cleared_total"] == 1);
  const Json memory = get(test, "/v1/monitoring/memory");
  CHECK(memory["process"]["rss_bytes"].get<std::uint64_t>() > 1'000'000);
  CHECK(memory["at_start"]["rss_bytes"].get<std::uint64_t>() > 1'000'000);
  CHECK(memory["budget_bytes"] == test.server.options().memory_budget_bytes);
  CHECK(memory["monitor"]["looks"] == 3);
}

TEST_CASE("POST /v1/monitoring/cleanup does what is due, says how much it was, and leaves what lives", "[monitoring]") {
  TestServer test([](Options& options) {
    quiet_monitor(options);
    options.limits.sweep_ms = 60'000;  // nothing goes by itself
    options.limits.channel_idle_ms = 1;
    options.limits.grace_ms = 1;
    options.limits.history_age_max_s = 1;
  });
  (void)clean_up(test);
  CacheOptions<std::string, std::string> options;
  options.name = "short";
  options.ttl_ms = 1;
  const auto cache = test.server.caches().create(std::move(options)).value();
  CHECK(cache->put("key", "value").ok());
  CHECK(test.server.caches().text("rooms")->put("hall", "{}").ok());
  test.publish("old", "1");
  WsClient stays(test.server.port(), "ringfence.v1", "?user=ann&channels=held");
  WsClient goes(test.server.port(), "ringfence.v1", "?user=ben");
  goes.close();
  REQUIRE(test.eventually([&](const HubStats&) { return test.server.connections().stats().users_in_grace == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(1'200));  // of which all that was is over
  const Json done = clean_up(test);
  CHECK(done["cache_entries"] == 1);
  CHECK(done["cache_bytes"] == 8);
  CHECK(done["records"] == 1);
  CHECK(done["channels"] == 1);
  CHECK(done["users"] == 1);
  CHECK(done["closed_ids"] == 1);
  CHECK(done["rss_bytes_after"].get<std::uint64_t>() > 0);
  CHECK(test.server.hub().stats().channels == 1);
  CHECK(test.server.connections().stats().users == 1);
  CHECK(test.server.connections().stats().closed_recently == 0);
  CHECK(test.server.caches().text("rooms")->get(std::string_view("hall")) == "{}");
  const Json again = clean_up(test);
  for (const char* name : {"cache_entries", "cache_bytes", "records", "channels", "users", "closed_ids"})
    CHECK(again[name] == 0);
}

TEST_CASE("Monitoring asks for an admin's key once authentication is on; health does not", "[monitoring]") {
  TestServer test([](Options& options) {
    quiet_monitor(options);
    options.auth.jwt_secret = "0123456789abcdef0123456789abcdef";
  });
  HttpClient client(test.server.port());
  for (const char* path : {"/v1/monitoring/memory-leaks", "/v1/monitoring/memory", "/v1/monitoring/alerts", "/metrics"})
    CHECK(client.get(path).result_int() == 401);
  client.send("POST /v1/monitoring/cleanup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  CHECK(client.read().result_int() == 401);
  CHECK(client.get("/v1/health").result_int() == 200);
  CHECK(client.get("/v1/monitoring/cleanup").result_int() == 401);
}
