#include "bus/dead_letters.h"

#include "support/catch.h"

using namespace ringfence;

namespace {

NatsOutgoing message(std::size_t bytes, const std::string& subject = "a") {
  return {.subject = subject, .data = std::string(bytes - subject.size(), 'x')};
}
constexpr std::int64_t kSecond = 1'000'000;

}  // namespace

TEST_CASE("DeadLetters gives each message once, oldest first", "[dead_letters]") {
  Ledger ledger;
  DeadLetters letters(ledger, 10, 100'000, 60 * kSecond);
  letters.add(message(10, "first"), "why", 0);
  letters.add(message(10, "second"), "why", 1);
  const auto one = letters.take(1, 2);
  REQUIRE(one.size() == 1);
  CHECK(one[0].message.subject == "first");
  CHECK(one[0].reason == "why");
  CHECK(letters.take(10, 2).size() == 1);
  CHECK(letters.take(10, 2).empty());
  CHECK(letters.bytes() == 0);
  CHECK(letters.total() == 2);
  CHECK(letters.evicted() == 0);
}

TEST_CASE("DeadLetters is bounded by count, bytes and age, each counted", "[dead_letters]") {
  Ledger ledger;
  constexpr std::uint64_t kEach = 100 + DeadLetters::kOverheadBytes;
  DeadLetters letters(ledger, 3, 4 * kEach, 60 * kSecond);
  for (int i = 0; i < 4; ++i) letters.add(message(100), "", i * kSecond);
  CHECK(letters.size() == 3);
  const auto row = [&] { return ledger.rows().at(0); };
  CHECK(row().name == "nats dead letters");
  CHECK(row().evicted[static_cast<std::size_t>(Eviction::records)] == 1);
  letters.add(message(100 + kEach), "", 4 * kSecond);  // as large as two
  CHECK(letters.size() == 3);
  letters.add(message(100 + kEach), "", 5 * kSecond);
  CHECK(letters.size() == 2);
  CHECK(row().evicted[static_cast<std::size_t>(Eviction::bytes)] == 1);
  letters.add(message(100), "", 6 * kSecond);
  CHECK(letters.size() == 2);
  CHECK(row().evicted[static_cast<std::size_t>(Eviction::bytes)] == 2);
  letters.add(message(5 * kEach), "", 6 * kSecond);  // larger than all of it
  CHECK(letters.size() == 2);
  CHECK(row().evicted[static_cast<std::size_t>(Eviction::bytes)] == 3);
  letters.expire(65 * kSecond);
  CHECK(letters.size() == 1);
  letters.expire(66 * kSecond);
  CHECK(letters.size() == 0);
  CHECK(row().evicted[static_cast<std::size_t>(Eviction::age)] == 2);
  CHECK(letters.total() == 8);
  CHECK(letters.bytes() == 0);
}
