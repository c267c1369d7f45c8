#include "bus/circuit_breaker.h"

#include "bus/backoff.h"
#include "support/catch.h"

using namespace ringfence;
using State = CircuitBreaker::State;

namespace {

void fail_times(CircuitBreaker& breaker, int times, std::int64_t now_ms) {
  for (int i = 0; i < times; ++i) breaker.failed(breaker.enter(now_ms).value(), now_ms);
}

}  // namespace

TEST_CASE("CircuitBreaker opens after so many failures in a row, and a success starts the count anew",
          "[circuit_breaker]") {
  CircuitBreaker breaker({5, 60'000, 2});
  fail_times(breaker, 4, 0);
  breaker.succeeded(breaker.enter(0).value(), 0);
  fail_times(breaker, 4, 0);
  CHECK(breaker.state() == State::closed);
  fail_times(breaker, 1, 0);
  CHECK(breaker.state() == State::open);
  CHECK(breaker.opened() == 1);
  CHECK_FALSE(breaker.enter(59'999));
  CHECK(breaker.enter(60'000));
  CHECK(breaker.state() == State::half_open);
}

TEST_CASE("CircuitBreaker half-open lets as many in as must succeed, and closes when they have", "[circuit_breaker]") {
  CircuitBreaker breaker({1, 1'000, 2});
  fail_times(breaker, 1, 0);
  const auto first = breaker.enter(1'000), second = breaker.enter(1'000);
  REQUIRE((first && second));
  CHECK_FALSE(breaker.enter(1'000));
  breaker.succeeded(*first, 1'001);
  CHECK(breaker.state() == State::half_open);
  CHECK_FALSE(breaker.enter(1'001));  // one has succeeded, one is under way: no third is needed
  breaker.succeeded(*second, 1'002);
  CHECK(breaker.state() == State::closed);
}

TEST_CASE("CircuitBreaker half-open counts from nothing each time", "[circuit_breaker]") {
  CircuitBreaker breaker({1, 1'000, 2});
  fail_times(breaker, 1, 0);
  breaker.succeeded(breaker.enter(1'000).value(), 1'000);  // one of two
  breaker.failed(breaker.enter(1'000).value(), 1'000);
  CHECK(breaker.state() == State::open);
  CHECK(breaker.opened() == 2);
  CHECK_FALSE(breaker.enter(1'999));
  breaker.succeeded(breaker.enter(2'000).value(), 2'000);
  CHECK(breaker.state() == State::half_open);  // the success before the failure counts for nothing
  breaker.succeeded(breaker.enter(2'000).value(), 2'000);
  CHECK(breaker.state() == State::closed);
}

TEST_CASE("CircuitBreaker takes no outcome of a time before its last change", "[circuit_breaker]") {
  CircuitBreaker breaker({1, 1'000, 1});
  const auto slow_failure = breaker.enter(0), slow_success = breaker.enter(0);
  fail_times(breaker, 1, 0);
  breaker.succeeded(*slow_success, 10);
  CHECK(breaker.state() == State::open);
  breaker.look(1'000);
  REQUIRE(breaker.state() == State::half_open);
  breaker.failed(*slow_failure, 1'000);
  CHECK(breaker.state() == State::half_open);
  const auto trial = breaker.enter(1'000);
  breaker.gave_up(*trial);
  CHECK(breaker.enter(1'000));  // its place is free again
}

TEST_CASE("CircuitBreaker that is told to try need not wait", "[circuit_breaker]") {
  CircuitBreaker breaker({1, 60'000, 1});
  fail_times(breaker, 1, 0);
  breaker.try_now();
  breaker.succeeded(breaker.enter(1).value(), 1);
  CHECK(breaker.state() == State::closed);
  breaker.try_now();
  CHECK(breaker.state() == State::closed);
}

TEST_CASE("backoff_ms doubles, varies by a quarter and keeps to its longest", "[circuit_breaker]") {
  CHECK(backoff_ms(0, 1'000, 30'000, 0.5) == 1'000);
  CHECK(backoff_ms(3, 1'000, 30'000, 0.5) == 8'000);
  CHECK(backoff_ms(0, 1'000, 30'000, 0.0) == 750);
  CHECK(backoff_ms(0, 1'000, 30'000, 0.9999) == 1'249);
  CHECK(backoff_ms(10, 1'000, 30'000, 0.9999) == 30'000);
  CHECK(backoff_ms(4'000'000'000, 1'000, 30'000, 0.5) == 30'000);
  CHECK(backoff_ms(0, 1, 1, 0.0) == 1);
}
