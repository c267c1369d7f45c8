#include "monitoring/memory_leak_monitor.h"

#include <time.h>

#include <algorithm>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "log.h"
#include "realtime/clock.h"
#include "tasks/task_registry.h"

namespace ringfence {
namespace {

namespace asio = boost::asio;

Account whole(Ledger& ledger, std::uint64_t bytes) {
  auto account = ledger.open("monitor", bytes);
  INVARIANT(account.ok() && account->try_add(bytes));
  return std::move(account).value();
}

std::uint64_t cpu_us() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

std::string mib(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

// The samples of a lag: those within it, and one more, as neither begins with a look.
MemoryLeakMonitor::MemoryLeakMonitor(const MonitorOptions& options, std::uint32_t lag_ms, Ledger& ledger,
                                     EventBus* events, LookAround look)
    : options_(options),
      lag_(std::min<std::size_t>(TrendDetector::kLagMax, 2 + lag_ms / (options.sample_s * 1000))),
      account_(whole(ledger, kBytesMax)),
      alerts_(ledger, events),
      look_around_(std::move(look)) {}

void MemoryLeakMonitor::start(TaskRegistry& tasks) {
  look();
  log_state();
  // Refused only where --tasks is too small for the server itself: logged and counted there, and told by health().
  (void)tasks.spawn({"memory_leak_monitor", TaskKind::periodic, "monitoring"}, [this]() -> asio::awaitable<void> {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    std::uint32_t unlogged_s = 0;
    for (;;) {
      timer.expires_after(std::chrono::seconds(options_.sample_s));
      co_await timer.async_wait(asio::use_awaitable);
      look();
      unlogged_s += options_.sample_s;
      if (unlogged_s < options_.log_s) continue;
      unlogged_s = 0;
      log_state();
    }
  });
}

void MemoryLeakMonitor::look() {
  const std::uint64_t began_us = cpu_us();
  Look seen = look_around_();
  const std::lock_guard lock(mutex_);
  judge(seen);
  if (looks_++ == 0) first_ = seen;
  last_ = std::move(seen);
  look_us_ = cpu_us() - began_us;
  look_us_max_ = std::max(look_us_max_, look_us_);
  look_us_total_ += look_us_;
  looked_at_ms_ = steady_ms();
}

HealthFinding MemoryLeakMonitor::health() const {
  const std::int64_t age_ms = steady_ms() - looked_at_ms_.load();
  if (looked_at_ms_ != 0 && age_ms > 3'000 * std::int64_t{options_.sample_s})
    return {Health::degraded, "the leak monitor last looked " + std::to_string(age_ms / 1000) + " s ago"};
  std::string names;
  for (const RaisedAlert& alert : alerts_.raised()) {
    names.append(names.empty() ? "" : ", ");
    names.append(alert.kind).append(" of ").append(alert.structure);
  }
  if (names.empty()) return {};
  return {Health::degraded, "alerts: " + names};
}

MemoryLeakMonitor::Report MemoryLeakMonitor::report() const {
  Report report;
  const std::lock_guard lock(mutex_);
  report.first = first_;
  report.last = last_;
  for (const auto& [name, tracked] : trends_) report.growth.push_back({name, tracked.last});
  report.looks = looks_;
  report.unexplained_bytes = unexplained_bytes_;
  report.look_us = look_us_;
  report.look_us_max = look_us_max_;
  report.look_us_total = look_us_total_;
  return report;
}

void MemoryLeakMonitor::log_state() {
  const Report report = this->report();
  const Look& now = report.last;
  std::string sizes;
  for (const Structure& structure : now.structures)
    if (structure.unit != "bytes" && structure.size > 0)
      sizes += ", " + structure.name + " " + std::to_string(structure.size);
  logger("monitor")->info("{} accounted for, RSS {}, heap {} used and {} free, {} alerts{}", mib(now.accounted_bytes),
                          mib(now.process.rss_bytes), mib(now.process.heap_used_bytes),
                          mib(now.process.heap_free_bytes), alerts_.raised_count(), sizes);
}

void MemoryLeakMonitor::log_difference() {
  look();
  const Report report = this->report();
  const auto difference = [](std::uint64_t first, std::uint64_t last) {
    std::string text(1, last >= first ? '+' : '-');
    text += std::to_string(last >= first ? last - first : first - last);
    return text;
  };
  std::string changes;
  for (const Structure& structure : report.last.structures) {
    const Structure* const before = report.first.find(structure.name);
    const std::uint64_t was = before ? before->size : 0;
    if (was != structure.size)
      changes +=
          ", " + structure.name + " " + difference(was, structure.size) + (structure.unit == "bytes" ? " B" : "");
  }
  logger("monitor")->info("since the start: RSS {} B, heap {} B{}; {} looks, {} alerts raised",
                          difference(report.first.process.rss_bytes, report.last.process.rss_bytes),
                          difference(report.first.process.heap_used_bytes, report.last.process.heap_used_bytes),
                          changes, report.looks, alerts_.counts().raised);
}

}  // namespace ringfence
