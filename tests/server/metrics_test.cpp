// GET /metrics as Prometheus' own tool and a scraper see it.
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "monitoring/memory_leak_monitor.h"
#include "support/catch.h"
#include "support/http_client.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

// name{labels} -> value
std::map<std::string, double> scrape(std::uint16_t port) {
  const auto response = HttpClient(port).get("/metrics");
  CHECK(response.result_int() == 200);
  CHECK(response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8");
  std::map<std::string, double> values;
  std::istringstream lines(response.body());
  for (std::string line; std::getline(lines, line);)
    if (!line.empty() && line[0] != '#') {
      const std::size_t space = line.rfind(' ');
      CHECK(values.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second);
    }
  return values;
}

}  // namespace

TEST_CASE("The metrics pass promtool's check", "[metrics]") {
  TestServer test;
  WsClient client(test.server.port(), "ringfence.v1.json", "?user=ann&channels=a");
  client.expect("subscribed");
  CHECK(client.error_of("nonsense") == "bad_json");
  test.publish("a", "1");
  char name[] = "/tmp/ringfence-metrics-XXXXXX";
  const int file = ::mkstemp(name);
  REQUIRE(file >= 0);
  std::ofstream(name) << HttpClient(test.server.port()).get("/metrics").body();
  const int status = std::system((std::string("promtool check metrics < ") + name + " >&2").c_str());
  ::unlink(name);
  ::close(file);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("The metrics are the numbers that the server has", "[metrics]") {
  TestServer test;
  WsClient client(test.server.port(), "ringfence.v1.json", "?user=ann&channels=a");
  client.expect("subscribed");
  for (int i = 0; i < 3; ++i) test.publish("a", "1");
  (void)client.events(3);
  CHECK(client.error_of("nonsense") == "bad_json");
  CHECK(test.eventually([](const HubStats& stats) { return stats.delivered == 3; }));
  auto values = scrape(test.server.port());
  CHECK(values["ringfence_published_records_total"] == 3);
  CHECK(values["ringfence_delivered_records_total"] == 3);
  CHECK(values["ringfence_connections"] == 1);
  CHECK(values["ringfence_users"] == 1);
  CHECK(values["ringfence_channels"] == 1);
  CHECK(values["ringfence_refused_total{code=\"bad_json\"}"] == 1);
  CHECK(values["ringfence_bound_capacity_bytes{account=\"record memory\"}"] == 256.0 * (1 << 20));
  CHECK(values["ringfence_bound_used_bytes{account=\"record memory\"}"] >= 512);
  for (const auto& row : test.server.ledger().rows())
    CHECK(values.count("ringfence_bound_capacity_bytes{account=\"" + row.name + "\"}") == 1);
  // A line for a channel or a user would have no bound.
  const std::size_t lines = values.size();
  for (std::uint64_t i = 0; i < 100; ++i) test.publish(numbered("more:", i), "1");
  CHECK(scrape(test.server.port()).size() == lines);
}

TEST_CASE("The metrics tell of health, and of an alert while it is raised", "[metrics]") {
  TestServer test([](Options& options) {
    options.limits.connections_max = 4;
    options.monitor.share_percent = 25;
    options.monitor.sample_s = 3'600;  // the test looks by itself
  });
  auto values = scrape(test.server.port());
  CHECK(values["ringfence_health"] == 0);
  CHECK(values["ringfence_monitor_looks_total"] == 1);
  CHECK(values.count("ringfence_alerts{kind=\"share\",structure=\"connections\"}") == 0);
  CHECK(values["ringfence_resident_memory_bytes"] > 1'000'000);
  {
    WsClient client(test.server.port());
    test.server.monitor().look();
    values = scrape(test.server.port());
    CHECK(values["ringfence_alerts{kind=\"share\",structure=\"connections\"}"] == 1);
    CHECK(values["ringfence_health"] == 1);
    client.close();
  }
  REQUIRE(test.eventually([](const HubStats& stats) { return stats.connections == 0; }));
  test.server.monitor().look();
  values = scrape(test.server.port());
  CHECK(values.count("ringfence_alerts{kind=\"share\",structure=\"connections\"}") == 0);
  CHECK(values["ringfence_alerts_raised_total"] == 1);
  CHECK(values["ringfence_alerts_cleared_total"] == 1);
}
