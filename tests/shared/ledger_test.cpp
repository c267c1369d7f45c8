#include <ringfence/ledger.h>

#include "support/catch.h"

using namespace ringfence;

TEST_CASE("Ledger refuses a capacity of zero and a name twice", "[ledger]") {
  Ledger ledger;
  CHECK(ledger.open("a", 0).error() == Error::bad_capacity);
  auto first = ledger.open("a", 1).value();
  CHECK(ledger.open("a", 1).error() == Error::duplicate_name);
}

TEST_CASE("Account refuses what would pass its capacity, and counts it", "[ledger]") {
  Ledger ledger;
  auto account = ledger.open("a", 10).value();
  CHECK(account.try_add(10));
  CHECK_FALSE(account.try_add(1));
  CHECK_FALSE(account.try_add(~std::uint64_t{0}));
  account.sub(4);
  CHECK(account.used_bytes() == 6);
  CHECK(account.high_water_mark_bytes() == 10);
  CHECK(account.refused() == 2);
}

TEST_CASE("Account takes its row out of the ledger when it ends, also when moved", "[ledger]") {
  Ledger ledger;
  {
    auto account = ledger.open("a", 10).value();
    auto moved = std::move(account);
    CHECK(ledger.rows().size() == 1);
    auto other = ledger.open("b", 5).value();
    moved = std::move(other);
    REQUIRE(ledger.rows().size() == 1);
    CHECK(ledger.rows()[0].name == "b");
  }
  CHECK(ledger.rows().empty());
}

TEST_CASE("Ledger proves the sum of the bounds against a budget and says why it fails", "[ledger]") {
  Ledger ledger;
  auto small = ledger.open("small", 1024).value();
  auto large = ledger.open("large", 3 * 1024).value();
  CHECK(ledger.worst_case_bytes() == 4096);
  CHECK(ledger.check(4096).ok());
  CHECK(ledger.check(4095).error() == Error::over_budget);
  const std::string table = ledger.table(4095);
  CHECK(table.find("large") < table.find("small"));
  CHECK(table.find("EXCEEDED") != std::string::npos);
  CHECK(ledger.table(4096).find("EXCEEDED") == std::string::npos);
}

TEST_CASE("Ledger saturates rather than wrap round", "[ledger]") {
  Ledger ledger;
  auto a = ledger.open("a", ~std::uint64_t{0}).value();
  auto b = ledger.open("b", ~std::uint64_t{0}).value();
  CHECK(ledger.worst_case_bytes() == ~std::uint64_t{0});
}

TEST_CASE("Ledger rows give evictions by reason", "[ledger]") {
  Ledger ledger;
  auto account = ledger.open("a", 10).value();
  account.count_evicted(Eviction::age, 3);
  account.count_evicted(Eviction::records, 1);
  const auto rows = ledger.rows();
  CHECK(rows[0].evicted[static_cast<std::size_t>(Eviction::age)] == 3);
  CHECK(rows[0].evicted[static_cast<std::size_t>(Eviction::records)] == 1);
  CHECK(rows[0].evicted[static_cast<std::size_t>(Eviction::pressure)] == 0);
}
