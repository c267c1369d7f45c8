// MemoryLeakMonitor: its rules, and what its alerts say.
#include <algorithm>
#include <cstdio>

#include "monitoring/memory_leak_monitor.h"

namespace ringfence {
namespace {

constexpr AlertRule kShare{"share", 1, 1};
constexpr AlertRule kRefused{"refused", 1, MemoryLeakMonitor::kCalmLooks};
constexpr AlertRule kGrowth{"growth", 2, MemoryLeakMonitor::kCalmLooks};
// Two, because a handshake under way is an entry that no session stands behind yet.
constexpr AlertRule kOrphans{"orphans", 2, 1};
constexpr AlertRule kMemory{"memory", 2, 1};
constexpr AlertRule kClosedIds{"closed_ids", 1, 1};
constexpr AlertRule kCache{"cache", 1, 1};

// Above the threshold bad, at nine tenths of it or below good.
Finding against(double value, double threshold, bool at_it) {
  if (value > threshold || (at_it && value == threshold)) return Finding::bad;
  return value <= 0.9 * threshold ? Finding::good : Finding::between;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, value < 10 ? "%.2g" : "%.0f", value);
  return text;
}

std::string ending(const Structure& structure) {
  std::string text;
  if (!structure.most.empty()) text += " (" + structure.most + ")";
  return text + ". Look at " + std::string(structure.look_at);
}

}  // namespace

void MemoryLeakMonitor::judge(const Look& look) {
  for (const Structure& structure : look.structures) {
    judge_share(structure, look.time_us);
    judge_growth(structure, look.time_us);
    judge_orphans(structure, look.time_us);
    judge_reference(structure, look.time_us);
  }
  judge_memory(look);
  alerts_.end_look(look.time_us);
}

void MemoryLeakMonitor::judge_share(const Structure& structure, std::int64_t now_us) {
  if (structure.bound == 0) return;
  if (structure.when_full == WhenFull::evicts) {
    const auto [held, added] = refused_.try_emplace(structure.name, structure.refused);
    const std::uint64_t since = structure.refused - held->second;
    held->second = structure.refused;
    alerts_.found(
        kRefused, structure.name, since > 0 ? Finding::bad : Finding::good, static_cast<double>(since),
        [&] {
          return "refused " + std::to_string(since) + " times since the last look: there was nothing left to evict" +
                 ending(structure);
        },
        now_us);
    return;
  }
  // What was taken whole at the start says nothing by being full.
  const Structure* const before = looks_ == 0 ? &structure : first_.find(structure.name);
  if (before && before->size >= before->bound) return;
  const double percent = 100 * static_cast<double>(structure.size) / static_cast<double>(structure.bound);
  alerts_.found(
      kShare, structure.name, against(percent, options_.share_percent, true), percent,
      [&] {
        return number(percent) + " % of its bound: " + std::to_string(structure.size) + " of " +
               std::to_string(structure.bound) + " " + std::string(structure.unit) + "; when it is full it refuses, " +
               std::to_string(structure.refused) + " times so far" + ending(structure);
      },
      now_us);
}

void MemoryLeakMonitor::judge_growth(const Structure& structure, std::int64_t now_us) {
  if (!structure.load) return;
  auto at = trends_.find(structure.name);
  if (at == trends_.end()) {
    if (trends_.size() >= kTrendsMax) return;
    at = trends_.emplace(structure.name, Tracked{TrendDetector::create({kWindow, lag_}).value(), {}}).first;
  }
  Tracked& tracked = at->second;
  tracked.trends.add(static_cast<double>(structure.size), static_cast<double>(*structure.load));
  const Trend& trend = tracked.last = tracked.trends.trend();
  std::uint32_t percent = options_.growth_percent;
  if (structure.name == "event subscriptions" && options_.subscription_growth_percent > 0)
    percent = options_.subscription_growth_percent;
  if (structure.name == "running tasks" && options_.task_growth_percent > 0) percent = options_.task_growth_percent;
  const bool grows = trend.grows(kSignificance, std::max(kGrowthMin, trend.level * percent / 100));
  // Without a verdict, as while load moves, nothing is cleared either.
  const Finding finding = grows                                         ? Finding::bad
                          : trend.samples < TrendDetector::kCapacityMin ? Finding::between
                                                                        : Finding::good;
  alerts_.found(
      kGrowth, structure.name, finding, trend.growth,
      [&] {
        char p[16];
        std::snprintf(p, sizeof p, "%.1g", std::max(trend.p, 1e-99));
        return "grew by " + number(trend.growth) + " " + std::string(structure.unit) + " to " +
               std::to_string(structure.size) + " in " + std::to_string(trend.samples) +
               " looks at an equal number of " + std::string(structure.load_name) + " (p = " + p + ")" +
               ending(structure);
      },
      now_us);
}

void MemoryLeakMonitor::judge_orphans(const Structure& structure, std::int64_t now_us) {
  alerts_.found(
      kOrphans, structure.name, structure.orphans > 0 ? Finding::bad : Finding::good,
      static_cast<double>(structure.orphans),
      [&] {
        return std::to_string(structure.orphans) + " " + std::string(structure.unit) + " belong to nobody any more" +
               ending(structure);
      },
      now_us);
}

void MemoryLeakMonitor::judge_memory(const Look& look) {
  const ProcessStats& was = looks_ == 0 ? look.process : first_.process;
  const ProcessStats& is = look.process;
  // What the allocator keeps for later is no growth; nor is what the accounts hold, who count rather too much.
  const std::uint64_t before = was.rss_bytes - std::min(was.rss_bytes, was.heap_free_bytes) + look.accounted_bytes;
  const std::uint64_t now = is.rss_bytes - std::min(is.rss_bytes, is.heap_free_bytes);
  unexplained_bytes_ = now > before ? now - before : 0;
  alerts_.found(
      kMemory, "process",
      against(static_cast<double>(unexplained_bytes_), static_cast<double>(options_.unexplained_bytes), false),
      static_cast<double>(unexplained_bytes_),
      [&] {
        return "RSS is " + std::to_string(is.rss_bytes >> 20) + " MiB, " + std::to_string(unexplained_bytes_ >> 20) +
               " MiB more than at the start and all accounts together explain. Look at GET /v1/monitoring/memory: if "
               "heap_used_bytes has grown, handlers and other code of the embedding program; else fragmentation, or "
               "memory that is mapped past the allocator";
      },
      look.time_us);
}

void MemoryLeakMonitor::judge_reference(const Structure& structure, std::int64_t now_us) {
  if (options_.closed_ids > 0 && structure.name == "remembered closed ids")
    alerts_.found(
        kClosedIds, structure.name, against(static_cast<double>(structure.size), options_.closed_ids, false),
        static_cast<double>(structure.size),
        [&] {
          return std::to_string(structure.size) + " closed connections are remembered, more than --alert-closed-ids " +
                 std::to_string(options_.closed_ids) + ending(structure);
        },
        now_us);
  if (options_.cache_percent == 0 || !structure.name.starts_with("cache ") || structure.bound == 0) return;
  const double percent = 100 * static_cast<double>(structure.size) / static_cast<double>(structure.bound);
  alerts_.found(
      kCache, structure.name, against(percent, options_.cache_percent, false), percent,
      [&] {
        return number(percent) + " % of its entries are used, more than --alert-cache-percent " +
               std::to_string(options_.cache_percent) + ending(structure);
      },
      now_us);
}

}  // namespace ringfence
