#include "monitoring/health.h"

#include <algorithm>
#include <exception>
#include <utility>

#include <ringfence/invariant.h>

namespace ringfence {

std::string_view health_name(Health health) noexcept {
  switch (health) {
    case Health::healthy: return "healthy";
    case Health::degraded: return "degraded";
    case Health::unhealthy: break;
  }
  return "unhealthy";
}

void HealthChecks::add(std::string name, Check check) {
  const std::lock_guard lock(mutex_);
  INVARIANT(checks_.size() < kChecksMax);
  INVARIANT(std::none_of(checks_.begin(), checks_.end(), [&](const Entry& entry) { return entry.name == name; }));
  checks_.push_back({std::move(name), std::move(check)});
}

bool HealthChecks::remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  return std::erase_if(checks_, [&](const Entry& entry) { return entry.name == name; }) > 0;
}

HealthReport HealthChecks::report() const {
  HealthReport report;
  const std::lock_guard lock(mutex_);
  for (const Entry& entry : checks_) {
    HealthFinding finding;
    try {
      finding = entry.check();
    } catch (const std::exception& error) {
      finding = {Health::degraded, std::string("this check failed: ") + error.what()};
    } catch (...) {
      finding = {Health::degraded, "this check failed"};
    }
    if (finding.health == Health::healthy) continue;
    if (finding.reason.size() > kReasonBytesMax) finding.reason.resize(kReasonBytesMax);
    report.health = std::max(report.health, finding.health);
    report.reasons.push_back({entry.name, std::move(finding)});
  }
  return report;
}

}  // namespace ringfence
