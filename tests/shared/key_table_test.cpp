#include <ringfence/key_table.h>

#include <algorithm>
#include <map>
#include <vector>

#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

using Reason = KeyTable::Reason;
constexpr std::int64_t kNever = LruLimits::kNever;

std::unique_ptr<KeyTable> make(std::size_t entries, std::uint64_t cost = LruLimits::kAnyCost) {
  return KeyTable::create({entries, cost}).value();
}

std::vector<std::pair<std::uint32_t, Reason>> left_of(const KeyTable& table) {
  std::vector<std::pair<std::uint32_t, Reason>> all;
  for (const auto& [number, reason] : table.left()) all.emplace_back(number, reason);
  return all;
}
using Leaves = std::vector<std::pair<std::uint32_t, Reason>>;

}  // namespace

TEST_CASE("KeyTable refuses what LruCache refuses", "[key_table]") {
  CHECK(KeyTable::create({0}).error() == Error::bad_capacity);
  CHECK(KeyTable::create({1, 0}).error() == Error::bad_capacity);
  CHECK(KeyTable::create({1}).ok());
}

TEST_CASE("KeyTable tells which entry left for a new one, and forgets it at the next call", "[key_table]") {
  auto table = make(2);
  CHECK(table->set(7, 0, kNever, 1).ok());
  CHECK(table->set(8, 0, kNever, 1).ok());
  CHECK(table->touch(7, 0));
  CHECK(table->left().empty());
  CHECK(table->set(9, 0, kNever, 1).ok());
  CHECK(left_of(*table) == Leaves{{8, Reason::capacity}});
  CHECK_FALSE(table->touch(8, 0));
  CHECK(table->left().empty());
  CHECK(table->size() == 2);
  CHECK(table->high_water_mark() == 2);
  CHECK(table->stats(0).hits == 1);
  CHECK(table->stats(0).misses == 1);
}

TEST_CASE("KeyTable tells of a renewed entry nothing", "[key_table]") {
  auto table = make(2);
  CHECK(table->set(1, 0, 10, 1).ok());
  CHECK(table->set(2, 0, kNever, 1).ok());
  CHECK(table->set(1, 5, 10, 3).ok());
  CHECK(table->left().empty());
  CHECK(table->size() == 2);
  CHECK(table->cost() == 4);
  table->expire(14);
  CHECK(table->left().empty());
  table->expire(15);
  CHECK(left_of(*table) == Leaves{{1, Reason::age}});
}

TEST_CASE("KeyTable lets the expired go before anything that lives", "[key_table]") {
  auto table = make(3);
  CHECK(table->set(1, 0, kNever, 1).ok());
  CHECK(table->set(2, 0, 10, 1).ok());
  CHECK(table->set(3, 0, 10, 1).ok());
  CHECK(table->set(4, 10, kNever, 1).ok());
  CHECK(table->left().size() == 2);
  for (const auto& [number, reason] : table->left()) CHECK(reason == Reason::age);
  CHECK(table->size() == 2);
  CHECK(table->left(Reason::age) == 2);
  CHECK(table->left(Reason::capacity) == 0);
}

TEST_CASE("KeyTable says whether the bound on entries or the one on cost took an entry", "[key_table]") {
  auto table = make(3, 100);
  for (std::uint32_t number : {1, 2, 3}) CHECK(table->set(number, 0, kNever, 30).ok());
  CHECK(table->set(4, 0, kNever, 70).ok());  // one for its place, then one more for its cost
  CHECK(left_of(*table) == Leaves{{1, Reason::capacity}, {2, Reason::bytes}});
  CHECK(table->set(3, 0, kNever, 40).ok());  // renewed, and dearer
  CHECK(left_of(*table) == Leaves{{4, Reason::bytes}});
  CHECK(table->cost() == 40);
}

TEST_CASE("KeyTable refuses a cost that never fits, and the entry that was there is gone", "[key_table]") {
  auto table = make(3, 100);
  CHECK(table->set(1, 0, kNever, 1).ok());
  CHECK(table->set(2, 0, kNever, 101).error() == Error::cost_too_large);
  CHECK(table->left().empty());
  CHECK(table->set(1, 0, kNever, 101).error() == Error::cost_too_large);
  CHECK(left_of(*table) == Leaves{{1, Reason::removed}});
  CHECK(table->size() == 0);
  CHECK(table->stats(0).refused == 2);
}

TEST_CASE("KeyTable tells what erase and clear take", "[key_table]") {
  auto table = make(4);
  for (std::uint32_t number : {1, 2, 3}) CHECK(table->set(number, 0, number == 3 ? 5 : kNever, 1).ok());
  CHECK(table->erase(2, 0));
  CHECK(left_of(*table) == Leaves{{2, Reason::removed}});
  CHECK_FALSE(table->erase(2, 0));
  table->clear(5);
  CHECK(left_of(*table) == Leaves{{3, Reason::age}, {1, Reason::cleared}});
  CHECK(table->size() == 0);
  CHECK(table->high_water_mark() == 3);
}

TEST_CASE("KeyTable counts its memory, and the cost of its entries where that has a bound", "[key_table]") {
  CHECK(KeyTable::memory_bytes({1000}) >= 1000 * (sizeof(std::uint32_t) + sizeof(KeyTable::Left)));
  CHECK(KeyTable::memory_bytes({1000, 5000}) == KeyTable::memory_bytes({1000}) + 5000);
  CHECK(KeyTable::memory_bytes({1000, LruLimits::kAnyCost - 1}) == KeyTable::memory_bytes({1000}));
  CHECK(make(1000, 5000)->memory_bytes() == KeyTable::memory_bytes({1000, 5000}));
}

TEST_CASE("KeyTable's numbers are those of a map that does what it is told", "[key_table]") {
  auto random = seeded_random();
  for (int round = 0; round < 30; ++round) {
    const std::size_t capacity = pick(random, 1, 20);
    const std::uint64_t cost_max = pick(random, 0, 1) ? pick(random, 20, 80) : LruLimits::kAnyCost;
    auto table = make(capacity, cost_max);
    std::map<std::uint32_t, std::uint64_t> held;  // cost by number
    std::uint64_t left = 0;
    std::int64_t now = 0;
    for (int step = 0; step < 2000; ++step) {
      now += static_cast<std::int64_t>(pick(random, 0, 5));
      const auto number = static_cast<std::uint32_t>(pick(random, 0, 30));
      const std::uint64_t cost = pick(random, 0, 20);
      bool put = false;
      switch (pick(random, 0, 9)) {
        case 0: REQUIRE(table->erase(number, now) <= held.contains(number)); break;
        case 1:
          if (pick(random, 0, 30) == 0) {
            table->clear(now);
            break;
          }
          [[fallthrough]];
        case 2: table->expire(now); break;
        case 3:
        case 4: REQUIRE(table->touch(number, now) <= held.contains(number)); break;
        default: put = table->set(number, now, pick(random, 0, 1) ? 50 : kNever, cost).ok();
      }
      for (const auto& [gone, reason] : table->left()) {
        (void)reason;
        REQUIRE(held.erase(gone) == 1);
        ++left;
      }
      if (put) held[number] = cost;
      REQUIRE(table->size() == held.size());
      REQUIRE(table->size() <= capacity);
      std::uint64_t sum = 0;
      for (const auto& [each, its_cost] : held) sum += its_cost;
      REQUIRE(table->cost() == sum);
      REQUIRE(sum <= cost_max);
    }
    std::uint64_t counted = 0;
    for (std::size_t reason = 0; reason < KeyTable::kReasons; ++reason)
      counted += table->left(static_cast<Reason>(reason));
    REQUIRE(counted == left);
  }
}
