// MemoryLeakMonitor: looks at a server every sample_s seconds, says what is wrong, and logs how it stands every log_s.
//
// Its rules, each an alert that names the structure and where to look (protocol.md, "Alerts"):
//   share       a structure that refuses when it is full is at share_percent of its bound; over at nine tenths of that
//   refused     one that evicts when it is full has refused all the same; over after kCalmLooks looks without
//   growth      one has grown by growth_percent at equal load, significantly (trend_detector.h); over after kCalmLooks
//   orphans     something whose owner is gone, at two looks in a row
//   memory      the process has grown by unexplained_bytes more than all accounts together hold
//   closed_ids, cache    the reference system's thresholds, where they are set
//
// Owns     the last looks' trends, the first look, the alerts; its task belongs to the TaskRegistry (owner "monitoring").
// Threads  start: before stop. The rest: any thread; looks take turns.
// Bounds   kTrendsMax structures whose growth is judged, with kWindow samples each; further ones are not. Account "monitor",
//          taken whole, and "alerts".
// Cost     a look: what ServerLook takes, and O(structures * kWindow).
// Errors   none; a look that throws ends the task, which is logged and counted there, and makes the server degraded.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ringfence/ledger.h>
#include <ringfence/trend_detector.h>

#include "monitoring/alert_book.h"
#include "monitoring/health.h"
#include "monitoring/look.h"
#include "options.h"

namespace ringfence {

class EventBus;
class TaskRegistry;

class MemoryLeakMonitor {
 public:
  static constexpr std::size_t kWindow = 64;
  static constexpr std::size_t kTrendsMax = 64;
  static constexpr int kCalmLooks = 10;
  // The chance that a look takes one healthy structure for one that grows is far below this (trend_detector.h).
  static constexpr double kSignificance = 1e-5;
  static constexpr double kGrowthMin = 5;  // of anything
  static constexpr std::uint64_t kBytesMax = kTrendsMax * (TrendDetector::memory_bytes(kWindow) + 256) +
                                             2 * ServerLook::kStructuresMax * (sizeof(Structure) + 256);

  using LookAround = std::function<Look()>;

  // `lag_ms`: the longest that a structure may follow its load: a grace, an expiry. Ledger and bus (may be null) outlive it.
  MemoryLeakMonitor(const MonitorOptions& options, std::uint32_t lag_ms, Ledger& ledger, EventBus* events,
                    LookAround look);
  MemoryLeakMonitor(const MemoryLeakMonitor&) = delete;
  MemoryLeakMonitor& operator=(const MemoryLeakMonitor&) = delete;

  // Looks at once, logs it, and spawns the task that goes on.
  void start(TaskRegistry& tasks);
  // A look and its rules; the task's doing, and a test's.
  void look();
  // How the last look differs from the first: at the end.
  void log_difference();

  const AlertBook& alerts() const noexcept { return alerts_; }
  // Degraded while an alert is raised, or once the last look is older than three intervals.
  HealthFinding health() const;

  struct Growth {
    std::string structure;
    Trend trend;
  };
  struct Report {
    Look first, last;
    std::vector<Growth> growth;
    std::uint64_t looks = 0;
    std::uint64_t unexplained_bytes = 0;
    std::uint64_t look_us = 0, look_us_max = 0, look_us_total = 0;  // of CPU
  };
  Report report() const;

 private:
  struct Tracked {
    TrendDetector trends;
    Trend last;
  };

  void judge(const Look& look);
  void judge_share(const Structure& structure, std::int64_t now_us);
  void judge_growth(const Structure& structure, std::int64_t now_us);
  void judge_orphans(const Structure& structure, std::int64_t now_us);
  void judge_memory(const Look& look);
  void judge_reference(const Structure& structure, std::int64_t now_us);
  void log_state();

  const MonitorOptions options_;
  const std::size_t lag_;
  const Account account_;
  AlertBook alerts_;
  const LookAround look_around_;

  mutable std::mutex mutex_;  // of all below
  Look first_, last_;
  std::map<std::string, Tracked, std::less<>> trends_;
  std::map<std::string, std::uint64_t, std::less<>> refused_;  // at the last look
  std::uint64_t looks_ = 0;
  std::uint64_t unexplained_bytes_ = 0;
  std::uint64_t look_us_ = 0, look_us_max_ = 0, look_us_total_ = 0;
  std::atomic<std::int64_t> looked_at_ms_{0};
};

}  // namespace ringfence
