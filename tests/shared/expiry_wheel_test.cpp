#include <ringfence/expiry_wheel.h>

#include <limits>
#include <map>
#include <set>

#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE("ExpiryWheel makes a slot due at its time and not before", "[expiry_wheel]") {
  ExpiryWheel wheel(4);
  CHECK(wheel.advance(1'000) == 0);
  wheel.set(0, 1'001);
  wheel.set(1, 1'000'000'000);
  CHECK(wheel.advance(1'000) == 0);
  CHECK(wheel.advance(1'001) == 1);
  CHECK(wheel.pop_due() == 0);
  CHECK(wheel.pop_due() == ExpiryWheel::kNone);
  CHECK(wheel.advance(999'999'999) == 0);
  CHECK(wheel.advance(1'000'000'000) == 1);
  CHECK(wheel.pop_due() == 1);
  CHECK(wheel.waiting() == 0);
}

TEST_CASE("ExpiryWheel takes a time already reached as due, and time that goes back as no time", "[expiry_wheel]") {
  ExpiryWheel wheel(2);
  wheel.advance(50);
  wheel.set(0, 50);
  CHECK(wheel.due() == 1);
  wheel.set(1, 60);
  CHECK(wheel.advance(10) == 0);
  CHECK(wheel.now() == 50);
  CHECK(wheel.advance(60) == 1);
}

TEST_CASE("ExpiryWheel lets a slot be cancelled, due or not, and set again", "[expiry_wheel]") {
  ExpiryWheel wheel(2);
  wheel.advance(0);
  wheel.set(0, 10);
  wheel.set(1, 10);
  wheel.cancel(0);
  CHECK_FALSE(wheel.is_set(0));
  CHECK(wheel.advance(10) == 1);
  wheel.cancel(1);
  wheel.cancel(1);
  CHECK(wheel.due() == 0);
  wheel.set(1, 11);
  CHECK(wheel.advance(11) == 1);
}

TEST_CASE("ExpiryWheel takes the least and the greatest times", "[expiry_wheel]") {
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  ExpiryWheel wheel(3);
  wheel.set(0, kMin);
  CHECK(wheel.due() == 1);
  wheel.set(1, -1);
  wheel.set(2, kMax);
  CHECK(wheel.advance(-2) == 0);
  CHECK(wheel.advance(0) == 1);
  CHECK(wheel.advance(kMax - 1) == 0);
  CHECK(wheel.advance(kMax) == 1);
}

TEST_CASE("ExpiryWheel does what a sorted multimap does", "[expiry_wheel]") {
  auto random = seeded_random();
  for (int round = 0; round < 40; ++round) {
    const auto capacity = static_cast<std::uint32_t>(pick(random, 1, 200));
    const int spread_bits = static_cast<int>(pick(random, 1, 40));  // of times set, and of steps
    ExpiryWheel wheel(capacity);
    std::map<std::uint32_t, std::int64_t> model;
    std::int64_t now = static_cast<std::int64_t>(pick(random, 0, std::uint64_t{1} << 41)) - (std::int64_t{1} << 40);
    wheel.advance(now);
    for (int step = 0; step < 2000; ++step) {
      const auto slot = static_cast<std::uint32_t>(pick(random, 0, capacity - 1));
      switch (pick(random, 0, 3)) {
        case 0:
        case 1:
          if (model.count(slot)) break;
          model[slot] =
              now + static_cast<std::int64_t>(pick(random, 0, std::uint64_t{1} << pick(random, 0, spread_bits)));
          wheel.set(slot, model[slot]);
          break;
        case 2:
          wheel.cancel(slot);
          model.erase(slot);
          break;
        case 3: {
          now += static_cast<std::int64_t>(pick(random, 0, std::uint64_t{1} << pick(random, 0, spread_bits)));
          wheel.advance(now);
          std::size_t due = 0;
          for (const auto& [one, at] : model) due += at <= now;
          REQUIRE(wheel.due() == due);
          for (std::size_t left = pick(random, 0, due); left > 0; --left) {
            const std::uint32_t popped = wheel.pop_due();
            REQUIRE(model.count(popped) == 1);
            REQUIRE(model[popped] <= now);
            model.erase(popped);
          }
        }
      }
      REQUIRE(wheel.due() + wheel.waiting() == model.size());
    }
  }
}
