// HealthChecks: what the parts of a server say of how they are, asked at GET /v1/health.
//
//   health.add("broker", [this]() -> HealthFinding {
//     if (connected()) return {};
//     return {Health::degraded, "the broker is not reached since 12 s"};
//   });
//
// The server is as well as its worst part: `degraded` works, but somebody should look; `unhealthy` (503) should get no
// more clients.
// Owns     the checks.
// Threads  every function: any thread. Checks run on whatever thread asks, one at a time: they must be quick, take no lock
//          that a publish waits for, and not call add or remove. After remove() has returned the check is not called.
// Bounds   kChecksMax checks (INVARIANT: each is a part of the program); a reason is cut at kReasonBytesMax.
// Errors   add: a name that is taken is our mistake (INVARIANT). A check that throws counts as degraded, with what it threw.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace ringfence {

enum class Health : std::uint8_t { healthy, degraded, unhealthy };
std::string_view health_name(Health health) noexcept;

struct HealthFinding {
  Health health = Health::healthy;
  std::string reason{};  // for a person, who may be a stranger: no names of users or channels. Not shown while healthy
};

struct HealthReport {
  struct Row {
    std::string check;
    HealthFinding finding;
  };
  Health health = Health::healthy;  // of the worst
  std::vector<Row> reasons;         // of those that are not healthy, in the order in which they were added
};

class HealthChecks {
 public:
  static constexpr std::size_t kChecksMax = 64;
  static constexpr std::size_t kReasonBytesMax = 512;
  using Check = std::function<HealthFinding()>;

  void add(std::string name, Check check);
  // True if there was one.
  bool remove(std::string_view name);
  HealthReport report() const;

 private:
  struct Entry {
    std::string name;
    Check check;
  };
  mutable std::mutex mutex_;
  std::vector<Entry> checks_;  // under `mutex_`
};

}  // namespace ringfence
