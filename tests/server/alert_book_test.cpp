#include "monitoring/alert_book.h"

#include <chrono>
#include <string>
#include <vector>

#include "events/event_bus.h"
#include "events/server_events.h"
#include "log.h"
#include "support/catch.h"

using namespace ringfence;

namespace {

constexpr AlertRule kAtOnce{"share", 1, 1};
constexpr AlertRule kSlow{"growth", 2, 3};

struct Book {
  Book() { set_up_logs("off"); }
  void look(const AlertRule& rule, Finding finding, double value = 1, std::string_view structure = "users") {
    alerts.found(
        rule, structure, finding, value, [&] { return "value " + std::to_string(static_cast<int>(value)); }, ++now_us);
    alerts.end_look(now_us);
  }
  std::size_t raised() const { return alerts.raised().size(); }
  Ledger ledger;
  AlertBook alerts{ledger, nullptr};
  std::int64_t now_us = 0;
};

}  // namespace

TEST_CASE("AlertBook raises after so many bad looks in a row and clears after so many good ones", "[alert_book]") {
  Book book;
  book.look(kSlow, Finding::bad);
  CHECK(book.raised() == 0);
  book.look(kSlow, Finding::good);
  book.look(kSlow, Finding::bad);
  book.look(kSlow, Finding::between);
  book.look(kSlow, Finding::bad);
  CHECK(book.raised() == 0);
  book.look(kSlow, Finding::bad, 7);
  REQUIRE(book.raised() == 1);
  CHECK(book.alerts.raised()[0].kind == "growth");
  CHECK(book.alerts.raised()[0].structure == "users");
  CHECK(book.alerts.raised()[0].text == "value 7");
  CHECK(book.alerts.raised()[0].raised_us == 6);
  for (const Finding finding : {Finding::good, Finding::good, Finding::between, Finding::good, Finding::good})
    book.look(kSlow, finding);
  CHECK(book.raised() == 1);
  book.look(kSlow, Finding::good, 3);
  CHECK(book.raised() == 0);
  CHECK(book.alerts.counts().raised == 1);
  CHECK(book.alerts.counts().cleared == 1);
}

TEST_CASE("AlertBook does not flicker around a threshold", "[alert_book]") {
  Book book;
  for (int i = 0; i < 100; ++i) book.look(kAtOnce, i % 2 == 0 ? Finding::bad : Finding::between);
  CHECK(book.alerts.counts().raised == 1);
  CHECK(book.alerts.counts().cleared == 0);
  CHECK(book.alerts.history().size() == 1);
}

TEST_CASE("AlertBook clears what no rule speaks of any more", "[alert_book]") {
  Book book;
  book.look(kAtOnce, Finding::bad, 1, "cache gone");
  book.look(kAtOnce, Finding::bad, 1, "users");
  REQUIRE(book.raised() == 1);
  CHECK(book.alerts.raised()[0].structure == "users");
  const auto history = book.alerts.history();
  REQUIRE(history.size() == 3);
  CHECK(history[2].raised == false);
  CHECK(history[2].structure == "cache gone");
}

TEST_CASE("AlertBook keeps the last changes, refuses alerts past its bound and cuts what is long, counted",
          "[alert_book]") {
  Book book;
  for (std::size_t i = 0; i < AlertBook::kEntriesMax + 3; ++i)
    book.alerts.found(
        kAtOnce, "structure " + std::to_string(i), Finding::bad, 1,
        [] { return std::string(AlertBook::kTextBytesMax - 1, 'x') + "\xc3\xa4"; }, 1);
  CHECK(book.raised() == AlertBook::kEntriesMax);
  CHECK(book.alerts.counts().refused == 3);
  CHECK(book.alerts.raised()[0].text == std::string(AlertBook::kTextBytesMax - 1, 'x'));  // no half letter
  book.alerts.end_look(2);
  book.alerts.end_look(3);
  CHECK(book.raised() == 0);
  CHECK(book.alerts.history().size() == AlertBook::kHistoryMax);
  CHECK(book.alerts.counts().forgotten == 2 * AlertBook::kEntriesMax - AlertBook::kHistoryMax);
  CHECK_FALSE(book.alerts.history().front().raised);
  book.look(kAtOnce, Finding::bad, 1, std::string(1'000, 'n'));
  CHECK(book.alerts.raised()[0].structure.size() == AlertBook::kNameBytesMax);
}

TEST_CASE("AlertBook tells of each raise and clear as an event, and is in the ledger", "[alert_book]") {
  set_up_logs("off");
  Ledger ledger;
  EventBus bus(ledger, {64, 1 << 16, 8});
  bus.start();
  const EventOwner owner = bus.owner("test").value();
  std::vector<Alert> heard;
  const auto kept = bus.subscribe<Alert>([&](const Alert& alert) { heard.push_back(alert); }, owner).value();
  AlertBook alerts(ledger, &bus);
  alerts.found(kAtOnce, "users", Finding::bad, 95, [] { return std::string("95 % of its bound"); }, 1);
  alerts.found(kAtOnce, "users", Finding::bad, 96, [] { return std::string("96 % of its bound"); }, 2);
  alerts.found(kAtOnce, "users", Finding::good, 10, [] { return std::string(); }, 3);
  REQUIRE(bus.drain(std::chrono::steady_clock::now() + std::chrono::seconds(30)));
  REQUIRE(heard.size() == 2);
  CHECK(heard[0].raised);
  CHECK(heard[0].kind == "share");
  CHECK(heard[0].structure == "users");
  CHECK(heard[0].value == 95);
  CHECK(heard[0].text == "95 % of its bound");
  CHECK_FALSE(heard[1].raised);
  CHECK(heard[1].value == 10);
  bool found = false;
  for (const auto& row : ledger.rows())
    found = found || (row.name == "alerts" && row.used_bytes == AlertBook::kBytesMax);
  CHECK(found);
}
