#include <ringfence/history.h>

#include <array>
#include <deque>
#include <string>
#include <utility>

#include "support/batches.h"
#include "support/catch.h"
#include "support/pools.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

History make(TestPool& test, std::uint32_t records_max, std::uint64_t bytes_max = kMiB,
             std::int64_t age_max_us = HistoryLimits::kNoAgeLimit) {
  return History::create(test.pool, {records_max, bytes_max, age_max_us}).value();
}

// All payloads behind `after`, read as a subscriber would, in slices of at most `bytes_max`.
std::vector<std::string> read_all(const History& history, std::uint64_t after, std::uint32_t bytes_max) {
  std::vector<std::string> payloads;
  for (;;) {
    const Slice slice = history.read(after, bytes_max);
    if (slice.count == 0) return payloads;
    const std::byte* at = slice.data;
    for (std::uint32_t i = 0; i < slice.count; ++i) {
      const RecordView record = view_record(at);
      payloads.emplace_back(record.payload);
      at += record.stride_bytes;
    }
    REQUIRE(at == slice.data + slice.bytes);
    after = slice.last_seq;
  }
}

}  // namespace

TEST_CASE("History refuses bounds of zero", "[history]") {
  TestPool test;
  CHECK(History::create(test.pool, {0, kMiB, 1}).error() == Error::bad_capacity);
  CHECK(History::create(test.pool, {1, HistoryLimits::kBytesMin - 1, 1}).error() == Error::bad_capacity);
  CHECK(History::create(test.pool, {1, kMiB, 0}).error() == Error::bad_capacity);
}

TEST_CASE("History numbers records from 1 and evicts the oldest past its records bound", "[history]") {
  TestPool test;
  History history = make(test, 2);
  CHECK(history.first_seq() == 1);
  CHECK(history.append(10, "t", "a").value() == 1);
  CHECK(history.append(11, "t", "b").value() == 2);
  CHECK(history.append(12, "t", "c").value() == 3);
  CHECK(history.size() == 2);
  CHECK(history.first_seq() == 2);
  CHECK(history.evicted(Eviction::records) == 1);
  CHECK(history.at(1).payload == "b");
}

TEST_CASE("History never holds more segment bytes than its bound", "[history]") {
  TestPool test;
  History history = make(test, 1'000'000, 64 * 1024);
  const std::string payload(300, 'x');
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(history.append(0, "t", payload).ok());
    REQUIRE(history.allocated_bytes() <= 64 * 1024);
    REQUIRE(test.pool.used_bytes() == history.allocated_bytes());
  }
  CHECK(history.evicted(Eviction::bytes) == 5000 - history.size());
  // Segments are at most an eighth of the bound, so at least three quarters of it hold records.
  CHECK(history.held_bytes() >= 48 * 1024);
}

TEST_CASE("History evicts what is too old, on append and when asked", "[history]") {
  TestPool test;
  History history = make(test, 100, kMiB, 1000);
  REQUIRE(history.append(0, "t", "a").ok());
  REQUIRE(history.append(500, "t", "b").ok());
  REQUIRE(history.append(1001, "t", "c").ok());
  CHECK(history.first_seq() == 2);
  CHECK(history.expire(2001) == 1);
  CHECK(history.expire(2002) == 1);
  CHECK(history.empty());
  CHECK(history.evicted(Eviction::age) == 3);
  CHECK(history.next_seq() == 4);
  CHECK(test.pool.used_bytes() == 0);
}

TEST_CASE("History refuses a record larger than its bound and goes on", "[history]") {
  TestPool test;
  History history = make(test, 10, 8192);
  REQUIRE(history.append(0, "t", "small").ok());
  CHECK(history.append(0, "t", std::string(8192, 'x')).error() == Error::record_too_large);
  CHECK(history.size() == 1);
  const std::string largest(History::record_bytes_max(8192) - kRecordHeaderBytes - 1, 'x');
  CHECK(history.append(0, "t", largest).value() == 2);
  CHECK(history.size() == 1);  // it needed all of the room
  CHECK(history.at(history.first_position()).payload == largest);
}

TEST_CASE("History refuses when the pool is full, and evicts nothing for it", "[history]") {
  TestPool test(4096);
  History history = make(test, 100, kMiB);
  const std::string payload(300, 'x');
  std::uint64_t appended = 0;
  while (history.append(0, "t", payload).ok()) ++appended;
  CHECK(appended > 5);
  CHECK(history.append(0, "t", payload).error() == Error::memory_full);
  CHECK(history.size() == appended);
  CHECK(history.evict_segment() > 0);
  CHECK(history.evicted(Eviction::pressure) == appended - history.size());
  CHECK(history.append(0, "t", payload).value() == appended + 1);
}

TEST_CASE("History keeps a quiet channel in one segment of 512 bytes", "[history]") {
  TestPool test;
  History history = make(test, 1000);
  REQUIRE(history.append(0, "message", std::string(300, 'x')).ok());
  CHECK(test.pool.used_bytes() == 512);
}

TEST_CASE("History does not move sealed bytes: a slice outlives the eviction of its records", "[history]") {
  TestPool test;
  History history = make(test, 3);
  REQUIRE(history.append(0, "t", "first").ok());
  const Slice slice = history.read(0, 1024);
  const std::uint64_t used = test.pool.used_bytes();
  history.clear();
  for (int i = 0; i < 100; ++i) REQUIRE(history.append(0, "t", "other").ok());
  CHECK(view_record(slice.data).payload == "first");
  CHECK(test.pool.used_bytes() >= used);
}

TEST_CASE("History tells a cursor exactly what it has missed", "[history]") {
  TestPool test;
  History history = make(test, 5);
  for (int i = 0; i < 12; ++i) REQUIRE(history.append(0, "t", "x").ok());
  CHECK_FALSE(history.gap(12));
  CHECK_FALSE(history.gap(7));
  const auto gap = history.gap(3);
  REQUIRE(gap);
  CHECK(gap->from == 4);
  CHECK(gap->to == 7);
  CHECK(gap->missed == 4);
}

TEST_CASE("History reads at least one record, however small the limit", "[history]") {
  TestPool test;
  History history = make(test, 5);
  REQUIRE(history.append(0, "t", std::string(1000, 'x')).ok());
  REQUIRE(history.append(0, "t", "y").ok());
  CHECK(history.read(0, 1).count == 1);
  CHECK(history.read(2, 1000).count == 0);
  CHECK(history.read(99, 1000).count == 0);
}

TEST_CASE("History takes a section under its own seqs and skips what it has", "[history]") {
  TestPool test;
  History history = make(test, 100);
  const Bytes batch = BatchBuilder().section(1, 4).record(5, "5").record(6, "6").record(9, "9").build();
  BatchCursor cursor(batch);
  const Section section = *cursor.next();
  history.skip_to(4);
  CHECK(history.append_section(section).appended == 3);
  CHECK(history.append_section(section).duplicates == 3);
  CHECK(history.size() == 3);
  CHECK(history.first_seq() == 5);
  CHECK(history.last_seq() == 9);
  CHECK(history.lower_bound(7) == 2);
  CHECK(history.read(6, 1000).prev_seq == 6);
}

TEST_CASE("History reads nothing behind what it holds where it was told to skip on", "[history]") {
  TestPool test;
  History history = make(test, 100);
  REQUIRE(history.append(0, "t", "1").ok());
  history.skip_to(9);
  CHECK(read_all(history, 0, 1000) == std::vector<std::string>{"1"});
  CHECK(history.read(1, 1000).count == 0);
  CHECK(history.read(5, 1000).count == 0);
}

TEST_CASE("History takes records under another's seqs, each behind the one before it", "[history]") {
  TestPool test;
  History history = make(test, 3);
  for (const std::uint64_t seq : {5, 9, 20, 21})
    CHECK(history.append_at(seq, 0, "t", std::to_string(seq)).value() == seq);
  CHECK(history.evicted_through() == 5);
  CHECK(history.next_seq() == 22);
  CHECK(history.read(5, 4096).prev_seq == 5);
  CHECK(history.read(9, 4096).prev_seq == 9);
  CHECK(history.read(12, 4096).count == 2);  // a cursor between two of them
  CHECK_FALSE(history.hole(9).has_value());
  CHECK_FALSE(history.holes_behind(5));
}

TEST_CASE("History tells a reader of what was lost, where it stands", "[history]") {
  TestPool test;
  History history = make(test, 4);
  REQUIRE(history.append(0, "t", "1").ok());
  REQUIRE(history.append(0, "t", "2").ok());
  history.lose_to(7);
  CHECK_FALSE(history.hole(1).has_value());
  CHECK(history.holes_behind(1));
  REQUIRE(history.hole(2).has_value());  // before anything stands behind it
  CHECK(history.hole(2)->to == 7);
  REQUIRE(history.append(0, "t", "8").ok());
  REQUIRE(history.append(0, "t", "9").ok());
  CHECK(history.read(0, 4096).last_seq == 2);  // no slice reaches over it
  const auto hole = history.hole(2);
  REQUIRE(hole.has_value());
  CHECK(hole->from == 3);
  CHECK(hole->to == 7);
  CHECK(hole->missed == 5);
  CHECK(history.hole(4)->missed == 3);
  CHECK_FALSE(history.hole(7).has_value());
  CHECK_FALSE(history.holes_behind(7));
  CHECK(history.read(7, 4096).prev_seq == 7);
  CHECK_FALSE(history.hole_evicted(2));

  REQUIRE(history.append(0, "t", "10").ok());
  REQUIRE(history.append(0, "t", "11").ok());  // 1 and 2 have left: the hole is at the head
  CHECK_FALSE(history.gap(2).has_value());
  CHECK(history.hole(2)->to == 7);
  CHECK(history.holes_behind(2));
  CHECK_FALSE(history.hole_evicted(2));
  REQUIRE(history.append(0, "t", "12").ok());
  CHECK(history.gap(2)->to == 8);
  CHECK_FALSE(history.hole(2).has_value());  // the gap covers it
  CHECK(history.hole_evicted(2));
  CHECK_FALSE(history.hole_evicted(7));

  history.lose_to(20);
  while (history.evict_segment() > 0) continue;
  CHECK(history.gap(2)->to == 12);
  CHECK(history.hole(12)->to == 20);
  REQUIRE(history.append(0, "t", "21").ok());
  CHECK(history.hole(12)->to == 20);
  history.clear();
  CHECK_FALSE(history.holes_behind(0));
  history.lose_to(30);  // nothing is held: as if evicted
  CHECK(history.gap(21)->to == 30);
  CHECK_FALSE(history.hole(30).has_value());
}

TEST_CASE("History tells a record that it never had from one that it had, or was told to leave out", "[history]") {
  TestPool test;
  History history = make(test, 3);
  for (const std::uint64_t seq : {2, 5, 6, 9}) REQUIRE(history.append_at(seq, 0, "t", "x").ok());  // 2 has left
  for (const std::uint64_t seq : {1, 2, 5, 6, 9}) CHECK(history.accounts_for(seq));
  for (const std::uint64_t seq : {3, 4, 7, 8, 10}) CHECK_FALSE(history.accounts_for(seq));
  history.lose_to(12);
  for (const std::uint64_t seq : {10, 11, 12}) CHECK(history.accounts_for(seq));
  CHECK_FALSE(history.accounts_for(13));
  REQUIRE(history.append_at(15, 0, "t", "x").ok());
  for (const std::uint64_t seq : {9, 10, 12, 15}) CHECK(history.accounts_for(seq));
  for (const std::uint64_t seq : {8, 13, 14, 16}) CHECK_FALSE(history.accounts_for(seq));
  history.lose_to(20);
  while (history.evict_segment() > 0) continue;
  for (const std::uint64_t seq : {14, 15, 16, 20}) CHECK(history.accounts_for(seq));
  CHECK_FALSE(history.accounts_for(21));
}

TEST_CASE("History skips only records of a section that are too large, and counts them", "[history]") {
  TestPool test;
  History history = make(test, 100, 4096);
  const Bytes batch =
      BatchBuilder().section(1, 0).record(1, "1").record(2, std::string(5000, 'x')).record(3, "3").build();
  BatchCursor cursor(batch);
  const AppendCounts counts = history.append_section(*cursor.next());
  CHECK(counts.appended == 2);
  CHECK(counts.refused == 1);
  CHECK(read_all(history, 0, 1000) == std::vector<std::string>{"1", "3"});
}

TEST_CASE("History begins another epoch empty, with positions that go on", "[history]") {
  TestPool test;
  History history = make(test, 100);
  for (int i = 0; i < 3; ++i) REQUIRE(history.append(0, "t", "x").ok());
  history.reset();
  CHECK(history.empty());
  CHECK(history.next_seq() == 1);
  CHECK(history.first_position() == 3);
  CHECK(history.evicted(Eviction::cleared) == 3);
  CHECK(history.append(0, "t", "y").value() == 1);
  CHECK(history.at(3).payload == "y");
}

TEST_CASE("History finds records by time", "[history]") {
  TestPool test;
  History history = make(test, 2000);
  CHECK(history.find_time(5) == 0);
  for (int i = 0; i < 3000; ++i) REQUIRE(history.append(10 * i, "t", "x").ok());
  CHECK(history.find_time(0) == history.first_position());
  CHECK(history.find_time(20'000) == 2000);
  CHECK(history.find_time(20'001) == 2001);
  CHECK(history.find_time(1'000'000) == history.end_position());
}

TEST_CASE("History does what a bounded deque of records does", "[history]") {
  auto random = seeded_random();
  struct Kept {
    std::uint64_t seq;
    std::int64_t time_us;
    std::string payload;
    std::uint64_t prev_seq;
  };
  for (int round = 0; round < 20; ++round) {
    TestPool test;
    const auto records_max = static_cast<std::uint32_t>(pick(random, 1, 60));
    const std::int64_t age_max_us = pick(random, 0, 1) ? HistoryLimits::kNoAgeLimit : 500;
    History history = make(test, records_max, 16 * 1024, age_max_us);
    std::deque<Kept> model;
    std::uint64_t seq = 0;
    std::uint64_t gone = 0;
    std::uint64_t gone_through = 0;
    std::int64_t now_us = 0;
    const auto leave = [&] {
      gone_through = model.front().seq;
      model.pop_front();
      ++gone;
    };
    std::array<std::uint64_t, kEvictionCount> evicted{};
    for (int step = 0; step < 600; ++step) {
      now_us += static_cast<std::int64_t>(pick(random, 0, 40));
      const auto dice = pick(random, 0, 99);
      if (dice < 70) {
        const std::string payload = random_text(random, pick(random, 0, 9) == 0 ? 2000 : 120);
        REQUIRE(history.append(now_us, "t", payload).value() == seq + 1);
        model.push_back({seq + 1, now_us, payload, seq});
        ++seq;
      } else if (dice < 85) {
        BatchBuilder builder;
        std::uint64_t next = seq + pick(random, 0, 3);
        std::uint64_t previous = next;
        builder.section(1, next);
        const auto count = pick(random, 1, 20);
        for (std::uint64_t i = 0; i < count; ++i) {
          next += pick(random, 1, 2);
          const std::string payload = random_text(random, 200);
          builder.record(next, payload, "t", now_us);
          model.push_back({next, now_us, payload, previous});
          previous = next;
        }
        const Bytes batch = builder.build();
        BatchCursor cursor(batch);
        const Section section = *cursor.next();
        if (section.prev_seq > history.last_seq()) history.skip_to(section.prev_seq);
        REQUIRE(history.append_section(section).appended == count);
        seq = next;
      } else if (dice < 90) {
        history.expire(now_us);
      } else if (dice < 92) {
        history.evict_segment();
      } else if (dice < 93) {
        history.clear();
      }
      const std::uint64_t in_all = model.size();
      // What leaves by bytes or with a segment is the history's to choose; it must be the oldest, and all else held.
      if (age_max_us != HistoryLimits::kNoAgeLimit && dice < 70)
        while (!model.empty() && model.front().time_us < now_us - age_max_us) leave();
      // No more of it than it had to: what each reason took is what that bound asked for.
      std::array<std::uint64_t, kEvictionCount> took{};
      for (std::size_t i = 0; i < kEvictionCount; ++i)
        took[i] = history.evicted(static_cast<Eviction>(i)) -
                  std::exchange(evicted[i], history.evicted(static_cast<Eviction>(i)));
      const auto taken_by = [&](Eviction reason) { return took[static_cast<std::size_t>(reason)]; };
      if (taken_by(Eviction::bytes) + taken_by(Eviction::pressure) + taken_by(Eviction::cleared) == 0) {
        const std::uint64_t left = in_all - taken_by(Eviction::age);
        REQUIRE(taken_by(Eviction::records) == (left > records_max ? left - records_max : 0));
      }
      if (taken_by(Eviction::bytes) > 0 && taken_by(Eviction::records) == 0)
        REQUIRE(history.allocated_bytes() > 10 * 1024);
      REQUIRE(taken_by(Eviction::pressure) == (dice >= 90 && dice < 92 ? in_all - history.size() : 0));
      REQUIRE(taken_by(Eviction::cleared) == (dice == 92 ? in_all : 0));
      if (dice >= 85 && dice < 90) {
        std::uint64_t expired = 0;
        if (age_max_us != HistoryLimits::kNoAgeLimit)
          while (expired < model.size() && model[expired].time_us < now_us - age_max_us) ++expired;
        REQUIRE(taken_by(Eviction::age) == expired);
      }
      while (model.size() > history.size()) leave();
      REQUIRE(history.size() == model.size());
      REQUIRE(history.size() <= records_max);
      REQUIRE(history.allocated_bytes() <= 16 * 1024);
      REQUIRE(test.pool.used_bytes() == history.allocated_bytes());
      REQUIRE(history.first_position() == gone);
      REQUIRE(history.last_seq() == seq);
      std::uint64_t by_reason = 0;
      for (std::size_t i = 0; i < kEvictionCount; ++i) by_reason += history.evicted(static_cast<Eviction>(i));
      REQUIRE(by_reason == gone);

      std::uint64_t held_bytes = 0;
      std::uint64_t position = history.first_position();
      for (const Kept& kept : model) {
        const RecordView record = history.at(position);
        REQUIRE(record.seq == kept.seq);
        REQUIRE(record.time_us == kept.time_us);
        REQUIRE(record.payload == kept.payload);
        REQUIRE(history.lower_bound(kept.seq) == position);
        held_bytes += record.stride_bytes;
        ++position;
      }
      REQUIRE(history.held_bytes() == held_bytes);
      REQUIRE(history.first_seq() == (model.empty() ? seq + 1 : model.front().seq));

      const std::uint64_t after = pick(random, 0, seq + 1);
      std::vector<std::string> expected;
      for (const Kept& kept : model)
        if (kept.seq > after) expected.push_back(kept.payload);
      REQUIRE(read_all(history, after, static_cast<std::uint32_t>(pick(random, 1, 4000))) == expected);
      std::vector<std::string> visited;
      history.visit(0, ~std::uint64_t{0}, [&](const RecordView& record) { visited.emplace_back(record.payload); });
      REQUIRE(visited.size() == model.size());
      const auto last = pick(random, 0, model.size());
      std::vector<std::string> tail;
      for (std::size_t i = model.size() - last; i < model.size(); ++i) tail.push_back(model[i].payload);
      REQUIRE(read_all(history, history.cursor_before_last(last), 1 << 20) == tail);
    }
  }
}
