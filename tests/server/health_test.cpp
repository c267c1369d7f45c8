#include "monitoring/health.h"

#include <stdexcept>

#include "support/catch.h"

using namespace ringfence;

TEST_CASE("HealthChecks are as well as the worst of them, and say why in the order of the checks", "[health]") {
  HealthChecks checks;
  CHECK(checks.report().health == Health::healthy);
  HealthFinding broker, queue;
  checks.add("broker", [&] { return broker; });
  checks.add("queue", [&] { return queue; });
  CHECK(checks.report().reasons.empty());
  queue = {Health::degraded, "nearly full"};
  CHECK(checks.report().health == Health::degraded);
  broker = {Health::unhealthy, "gone"};
  const HealthReport report = checks.report();
  CHECK(report.health == Health::unhealthy);
  REQUIRE(report.reasons.size() == 2);
  CHECK(report.reasons[0].check == "broker");
  CHECK(report.reasons[0].finding.reason == "gone");
  CHECK(report.reasons[1].check == "queue");
  CHECK(health_name(report.reasons[1].finding.health) == "degraded");
}

TEST_CASE("HealthChecks take a check that throws for degraded, and cut a long reason", "[health]") {
  HealthChecks checks;
  checks.add("throws", []() -> HealthFinding { throw std::runtime_error("of its own"); });
  checks.add("throws what is no exception", []() -> HealthFinding { throw 1; });
  checks.add("long", [] { return HealthFinding{Health::degraded, std::string(10'000, 'x')}; });
  const HealthReport report = checks.report();
  CHECK(report.health == Health::degraded);
  REQUIRE(report.reasons.size() == 3);
  CHECK(report.reasons[0].finding.reason == "this check failed: of its own");
  CHECK(report.reasons[1].finding.health == Health::degraded);
  CHECK(report.reasons[2].finding.reason.size() == HealthChecks::kReasonBytesMax);
}

TEST_CASE("HealthChecks no longer ask a check that was removed", "[health]") {
  HealthChecks checks;
  int asked = 0;
  checks.add("a", [&] {
    ++asked;
    return HealthFinding{};
  });
  (void)checks.report();
  CHECK(checks.remove("a"));
  CHECK_FALSE(checks.remove("a"));
  (void)checks.report();
  CHECK(asked == 1);
  checks.add("a", [] { return HealthFinding{Health::unhealthy, ""}; });
  CHECK(checks.report().health == Health::unhealthy);
}
