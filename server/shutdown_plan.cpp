#include "shutdown_plan.h"

#include <exception>
#include <utility>

#include "log.h"

namespace ringfence {

using Clock = std::chrono::steady_clock;

void ShutdownPlan::add(std::string owner, std::chrono::milliseconds limit, Stop stop) {
  steps_.push_back({std::move(owner), limit, std::move(stop)});
}

std::size_t ShutdownPlan::run() {
  std::size_t left_of_all = 0;
  for (const Step& step : steps_) {
    const auto began = Clock::now();
    const ShutdownDeadline deadline{hastened() ? began : began + step.limit, [this] { return hastened(); }};
    ShutdownLeft left;
    try {
      left = step.stop(deadline);
    } catch (const std::exception& error) {
      left = {1, error.what()};
    }
    left_of_all += left.count;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began).count();
    const std::string what = left.what.empty() ? "nothing left" : left.what;
    if (left.count > 0)
      logger("server")->warn("stopping {}: {} left after {} ms of {}: {}", step.owner, left.count, ms,
                             step.limit.count(), what);
    else
      logger("server")->info("stopping {}: done after {} ms of {}: {}", step.owner, ms, step.limit.count(), what);
  }
  return left_of_all;
}

}  // namespace ringfence
