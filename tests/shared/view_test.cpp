#include <ringfence/view.h>

#include <deque>
#include <string>

#include "support/catch.h"
#include "support/pools.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

History make(TestPool& test, std::uint32_t records_max) {
  return History::create(test.pool, {records_max, 1024 * 1024, HistoryLimits::kNoAgeLimit}).value();
}

std::unique_ptr<View> make_view(ViewFilter filter, std::uint32_t capacity = 100) {
  return View::create(std::move(filter), capacity, 1'000'000).value();
}

// By push_back: g++ 12 warns of what it makes of "\"" + std::string.
std::string quoted(std::string_view text, std::string_view behind) {
  std::string json(1, '"');
  for (const char c : text) json.push_back(c);
  for (const char c : behind) json.push_back(c);
  json.push_back('"');
  return json;
}

bool in_json(std::string_view text, std::string_view payload) { return TextMatch::create(text).value().in(payload); }

}  // namespace

TEST_CASE("TextMatch finds values of JSON, whatever their case, and no names of members", "[text_match]") {
  const std::string json = R"({"Text" : "The Quick brown FOX","n":1234,"q":"say \"hi\"\nto","deep":{"fox_name":true}})";
  for (const char* found : {"quick", "QUICK", "fox", "The", "1234", "true", "say \"hi\"", "\nto", "x"})
    CHECK(in_json(found, json));
  for (const char* not_found : {"text", "deep", "fox_name", "quack", "nto", "hi\\"})
    CHECK_FALSE(in_json(not_found, json));
  CHECK(TextMatch::create("").error() == Error::bad_field);
  CHECK(TextMatch::create(std::string(513, 'a')).error() == Error::bad_field);
  CHECK(TextMatch::create("a\"b").value().in(R"(xA\"Bx)"));
}

TEST_CASE("TextMatch takes both cases of letters beyond ASCII", "[text_match]") {
  for (const auto& [small, large] : {std::pair{"über", "ÜBER"},
                                     {"łódź", "ŁÓDŹ"},
                                     {"άλφα", "ΆΛΦΑ"},
                                     {"привет", "ПРИВЕТ"},
                                     {"ёж", "ЁЖ"},
                                     {"ÿ", "Ÿ"},
                                     {"ґ", "Ґ"}}) {
    const std::string in = quoted(large, " and something behind it");
    CHECK(in_json(small, in));
    CHECK(in_json(large, quoted(small, "")));
  }
  CHECK_FALSE(in_json("р", "\"Ѡ\""));  // lead of one case and trail of the other
  CHECK_FALSE(in_json("×", "\"÷\""));
  CHECK(in_json("日本", "\"日本語\""));
}

TEST_CASE("TextMatch finds what a search byte by byte finds, at every place and length", "[text_match]") {
  auto random = seeded_random();
  for (int round = 0; round < 3000; ++round) {
    std::string text(pick(random, 0, 70), 'a');
    for (char& c : text) c = "abAB"[pick(random, 0, 3)];
    std::string needle(pick(random, 1, 6), 'a');
    for (char& c : needle) c = "abAB"[pick(random, 0, 3)];
    const auto lower = [](std::string of) {
      for (char& c : of) c = static_cast<char>(c | 0x20);
      return of;
    };
    const bool expected = lower(text).find(lower(needle)) != std::string::npos;
    REQUIRE(TextMatch::create(needle).value().in(text) == expected);
  }
}

TEST_CASE("RateMeter counts by type in the buckets up to now", "[rate_meter]") {
  CHECK(RateMeter::create(0).error() == Error::bad_capacity);
  RateMeter meter = RateMeter::create(1'000'000).value();
  for (int i = 0; i < 30; ++i) meter.add("chat", 10'000'000);
  meter.add("tick", 11'000'000);
  meter.add("tick", 50'000'000);
  const auto count = [&](std::size_t index, std::int64_t now_us) { return meter.rate(index, now_us).count; };
  REQUIRE(meter.types() == 2);
  CHECK(meter.rate(0, 0).type == "chat");
  CHECK(meter.rate(1, 0).type == "tick");
  CHECK(count(0, 60'000'000) == 30);
  CHECK(count(1, 60'000'000) == 2);
  CHECK(count(0, 69'900'000) == 30);
  CHECK(count(0, 70'000'000) == 0);
  CHECK(count(1, 70'500'000) == 2);
  CHECK(count(1, 71'500'000) == 1);
  CHECK(count(1, 200'000'000) == 0);
  meter.add("tick", -20'000'000);  // older than the ring
  CHECK(count(1, 60'000'000) == 2);
  CHECK(count(1, -5) == 2);  // the newest time counts as now
}

TEST_CASE("RateMeter counts types beyond its bound together", "[rate_meter]") {
  RateMeter meter = RateMeter::create(1000).value();
  for (std::size_t i = 0; i < RateMeter::kTypesMax + 5; ++i) meter.add(std::to_string(i), 0);
  CHECK(meter.types() == RateMeter::kTypesMax + 1);
  CHECK(meter.rate(0, 0).count == 1);
  CHECK(meter.rate(RateMeter::kTypesMax, 0).type == "");
  CHECK(meter.rate(RateMeter::kTypesMax, 0).count == 5);
}

TEST_CASE("View refuses filters and capacities out of bounds", "[view]") {
  CHECK(View::create({}, 0, 1).error() == Error::bad_capacity);
  CHECK(View::create({}, View::kCapacityMax + 1, 1).error() == Error::bad_capacity);
  CHECK(View::create({}, 1, 0).error() == Error::bad_capacity);
  CHECK(View::create({"a\n", "", ""}, 1, 1).error() == Error::bad_field);
  CHECK(View::create({std::string(64, '\n'), "", ""}, 1, 1).error() == Error::bad_field);
}

TEST_CASE("View filters by type, channel and text together", "[view]") {
  TestPool test;
  History history = make(test, 100);
  REQUIRE(history.append(1, "chat", R"({"text":"a dragon"})").ok());
  REQUIRE(history.append(1, "tick", R"({"text":"a dragon"})").ok());
  REQUIRE(history.append(1, "chat", R"({"text":"a mouse"})").ok());
  REQUIRE(history.push(1, "chat", "Dragon!", 0, Numbering::own).ok());
  const auto owned = make_view({"say\nchat", "room:*", "DRAGON"});
  View& view = *owned;
  CHECK(view.update(history, "room:1"));
  REQUIRE(view.size() == 2);
  CHECK(view.position(0) == 0);
  CHECK(view.position(1) == 3);
  CHECK_FALSE(view.update(history, "room:1"));
  const auto other_owned = make_view({"", "room\nhall:1", ""});
  View& other = *other_owned;
  CHECK_FALSE(other.update(history, "room:1"));
  CHECK(other.scanned() == 4);
}

TEST_CASE("View counts what is unread, gone or not, until it is marked or cleared", "[view]") {
  TestPool test;
  History history = make(test, 5);
  const auto owned = make_view({}, 3);
  View& view = *owned;
  for (int i = 0; i < 4; ++i) {
    REQUIRE(history.append(1, "t", "1").ok());
    view.update(history, "");
  }
  CHECK(view.unread() == 4);
  CHECK(view.size() == 3);
  CHECK(view.evicted_by_capacity() == 1);
  CHECK(view.mark_read(3));
  CHECK(view.unread() == 1);
  CHECK_FALSE(view.mark_read(1));
  CHECK(view.unread() == 1);
  history.clear();
  REQUIRE(history.append(1, "t", "1").ok());
  CHECK(view.update(history, ""));
  CHECK(view.unread() == 1);
  CHECK(view.size() == 1);
  CHECK(view.evicted_with_history() == 3);
  CHECK(view.high_water_mark() == 3);
}

TEST_CASE("View holds what a filter over all records holds", "[view]") {
  auto random = seeded_random();
  for (int round = 0; round < 10; ++round) {
    TestPool test;
    History history = make(test, static_cast<std::uint32_t>(pick(random, 1, 50)));
    const auto capacity = static_cast<std::uint32_t>(pick(random, 1, 30));
    const auto owned = make_view({"a", "", "x"}, capacity);
    View& view = *owned;
    std::uint64_t matched = 0;
    for (int step = 0; step < 300; ++step) {
      for (std::uint64_t count = pick(random, 0, 5); count > 0; --count) {
        const char* type = pick(random, 0, 2) ? "a" : "b";
        const std::string text = random_text(random, 20);
        REQUIRE(history.append(1, type, quoted(text, "")).ok());
        if (*type == 'a' && text.find('x') != std::string::npos) ++matched;
        view.update(history, "");
      }
      if (pick(random, 0, 40) == 0) history.clear();
      view.update(history, "");
      std::deque<std::uint64_t> expected;
      history.visit(history.first_position(), history.size(),
                    [&, at = history.first_position()](const auto& r) mutable {
                      if (r.type == "a" && r.payload.find('x') != std::string_view::npos) expected.push_back(at);
                      ++at;
                    });
      // What left for a newer match does not come back when the history lets go of that one.
      while (expected.size() > view.size()) expected.pop_front();
      REQUIRE(view.size() == expected.size());
      REQUIRE(view.size() <= capacity);
      REQUIRE(view.total() == matched);
      REQUIRE(view.unseen() == 0);
      for (std::size_t i = 0; i < expected.size(); ++i) REQUIRE(view.position(view.first() + i) == expected[i]);
    }
  }
}
