#include "shutdown_plan.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "log.h"
#include "support/catch.h"

using namespace ringfence;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

TEST_CASE("ShutdownPlan stops owners in the order in which they were added, and adds up what was left",
          "[shutdown_plan]") {
  set_up_logs("off");
  ShutdownPlan plan;
  std::vector<std::string> order;
  plan.add("a", 100ms, [&](const auto&) {
    order.push_back("a");
    return ShutdownLeft{2, "two of a"};
  });
  plan.add("b", 100ms, [&](const auto&) -> ShutdownLeft {
    order.push_back("b");
    throw std::runtime_error("no");
  });
  plan.add("c", 100ms, [&](const auto&) {
    order.push_back("c");
    return ShutdownLeft{0, "worth a word"};
  });
  CHECK(plan.run() == 3);
  CHECK(order == std::vector<std::string>{"a", "b", "c"});
}

TEST_CASE("ShutdownPlan gives each owner its own limit, and none once it is hastened", "[shutdown_plan]") {
  set_up_logs("off");
  ShutdownPlan plan;
  const auto before = Clock::now();
  plan.add("long", 600s, [&](const ShutdownDeadline& by) {
    CHECK(by.until >= before + 600s);
    CHECK_FALSE(by.hastened());
    plan.hasten();
    CHECK(by.hastened());
    return ShutdownLeft{};
  });
  plan.add("next", 600s, [&](const ShutdownDeadline& by) {
    CHECK(by.until <= Clock::now());
    CHECK(by.hastened());
    return ShutdownLeft{};
  });
  CHECK(plan.run() == 0);
}
