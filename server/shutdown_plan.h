// ShutdownPlan: the owners of a server in the order in which they stop, each with a time limit.
//
//   plan.add("event bus", 1000ms, [&](const ShutdownDeadline& by) -> ShutdownLeft { ... });
//
// Owns     the steps. What they stop outlives the plan.
// Threads  one thread adds and runs; hasten: any thread.
// Bounds   a step is asked to keep to its limit, and logged when it did not: only its owner can keep it.
// Errors   a step that throws is logged and counted as one thing left; the next ones run all the same.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace ringfence {

struct ShutdownDeadline {
  std::chrono::steady_clock::time_point until;
  std::function<bool()> hastened;  // looked at while waiting: end at once
};

struct ShutdownLeft {
  std::size_t count = 0;  // what was not ended in order; 0: nothing
  std::string what;       // for the log; may say more than what counts
};

class ShutdownPlan {
 public:
  using Stop = std::function<ShutdownLeft(const ShutdownDeadline&)>;

  void add(std::string owner, std::chrono::milliseconds limit, Stop stop);
  // Runs the steps in the order in which they were added, each logged with what was left. Returns the sum of that.
  std::size_t run();
  // Every step, the one under way too, has no time left from now on.
  void hasten() noexcept { hastened_.store(true); }
  bool hastened() const noexcept { return hastened_.load(); }

 private:
  struct Step {
    std::string owner;
    std::chrono::milliseconds limit;
    Stop stop;
  };
  std::vector<Step> steps_;
  std::atomic<bool> hastened_{false};
};

}  // namespace ringfence
