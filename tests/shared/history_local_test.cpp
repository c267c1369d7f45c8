#include <ringfence/history.h>

#include <deque>
#include <string>

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

Section section_of(const Bytes& batch) { return BatchCursor(batch).next().value(); }

}  // namespace

TEST_CASE("Record marks what is local, and refuses the mark from outside", "[record]") {
  Bytes bytes(record_stride_bytes(1, kLocalHeaderBytes + 4));
  encode_local_record(bytes.data(), 7, 5, "t", 3, 99, "text");
  const RecordView record = view_record(bytes.data());
  CHECK(record.local);
  CHECK(record.ordinal == 3);
  CHECK(record.charge_bytes == 99);
  CHECK(record.payload == "text");
  CHECK(record.stride_bytes == bytes.size());
  CHECK(check_record(bytes).error() == Error::batch_bad_record);
}

TEST_CASE("Record keys rise with seq and ordinal, exactly, up to the last seq", "[record]") {
  for (const std::uint64_t seq : {std::uint64_t{0}, std::uint64_t{41}, std::uint64_t{1} << 40, kSeqMax - 1}) {
    RecordView record;
    record.seq = seq;
    const std::uint32_t most = ordinals_max(seq);
    double last = record_key(record);
    CHECK(last == static_cast<double>(seq));
    for (const std::uint32_t ordinal : {1u, 2u, most - 1, most}) {
      if (ordinal == 0 || ordinal > most) continue;
      record.ordinal = ordinal;
      const double key = record_key(record);
      CHECK(key >= last);
      CHECK(key < static_cast<double>(seq + 1));
      CHECK(key != static_cast<double>(seq));
      last = key;
    }
  }
  CHECK(ordinals_max(1) == (1u << 20) - 1);
  CHECK(ordinals_max(kSeqMax) == 0);
}

TEST_CASE("History numbers pushed values by itself, or behind the record before", "[history_local]") {
  TestPool test;
  History history = make(test, 10);
  CHECK(history.push(1, "t", "", 0, Numbering::own).value() == 0);
  CHECK(history.push(1, "t", "", 0, Numbering::own).value() == 1);
  CHECK(history.last_seq() == 2);
  history.reset();
  const Bytes batch = BatchBuilder().section(1, 0).record(5).build();
  CHECK(history.append_section(section_of(batch)).appended == 1);
  REQUIRE(history.push(1, "t", "", 0, Numbering::behind).ok());
  REQUIRE(history.push(1, "t", "", 0, Numbering::behind).ok());
  CHECK(history.last_seq() == 5);  // the cursor of the channel
  const Bytes next = BatchBuilder().section(1, 5).record(6).build();
  CHECK(history.append_section(section_of(next)).appended == 1);
  const std::uint64_t first = history.first_position();
  for (std::uint64_t position = first; position < history.end_position(); ++position) {
    CHECK(history.lower_bound_key(record_key(history.at(position))) == position);
    if (position > first) CHECK(record_key(history.at(position)) > record_key(history.at(position - 1)));
  }
  CHECK(history.lower_bound_key(5.9) == first + 3);
  CHECK(history.lower_bound_key(6.5) == history.end_position());
  CHECK(history.lower_bound_key(-1) == first);
}

TEST_CASE("History refuses a pushed value that no key is left for", "[history_local]") {
  TestPool test;
  History history = make(test, 10);
  history.skip_to(kSeqMax);
  CHECK(history.push(1, "t", "", 0, Numbering::behind).error() == Error::seq_exhausted);
  CHECK(history.push(1, "t", "", 0, Numbering::own).error() == Error::seq_exhausted);
  CHECK(history.empty());
}

TEST_CASE("History counts what values are charged, and lets one go at a time for it", "[history_local]") {
  TestPool test;
  History history = make(test, 1000, 64 * 1024);
  for (int i = 0; i < 100; ++i) REQUIRE(history.push(1, "t", "", 1000, Numbering::own).ok());
  CHECK(history.charged_bytes() + history.allocated_bytes() <= 64 * 1024);
  CHECK(history.charged_bytes() == history.size() * 1000);
  CHECK(history.size() >= 55);
  CHECK(history.evicted(Eviction::bytes) == 100 - history.size());
  CHECK(history.push(1, "t", "", 64 * 1024, Numbering::own).error() == Error::record_too_large);
  CHECK(history.push(1, "t", "", 65000, Numbering::own).ok());  // alone
  CHECK(history.size() == 1);
  history.clear();
  CHECK(history.charged_bytes() == 0);
  CHECK(history.high_water_mark() >= 55);
}

TEST_CASE("History does not evict what is held, says where the hold must be, and goes on from there",
          "[history_local]") {
  TestPool test;
  History history = make(test, 4);
  history.hold(0);
  const Bytes batch = BatchBuilder().section(1, 0).record(1).record(2).record(3).record(4).record(5).record(6).build();
  AppendCounts counts = history.append_section(section_of(batch));
  CHECK(counts.appended == 4);
  CHECK(counts.left == 2);
  CHECK(history.wanted() == 2);
  CHECK(history.append(1, "t", "x").error() == Error::held);
  CHECK(history.push(1, "t", "x", 0, Numbering::own).error() == Error::held);
  CHECK(history.wanted() == 1);
  history.hold(2);
  counts = history.append_section(Section{1, counts.left, 4, counts.left_records});
  CHECK(counts.appended == 2);
  CHECK(counts.left == 0);
  CHECK(history.size() == 4);
  CHECK(history.last_seq() == 6);
  CHECK(history.first_position() == 2);
}

TEST_CASE("History keeps what is held from its age, and by bytes", "[history_local]") {
  TestPool test;
  History history = make(test, 1000, 4096, 100);
  history.hold(1);
  for (int i = 0; i < 3; ++i) REQUIRE(history.append(10, "t", "x").ok());
  CHECK(history.expire(1000) == 1);
  CHECK(history.wanted() == 3);
  history.hold(3);
  CHECK(history.expire(1000) == 2);
  const std::string large(700, 'x');
  Result<std::uint64_t> last = history.append(1000, "t", large);
  while (last) last = history.append(1000, "t", large);
  CHECK(last.error() == Error::held);
  CHECK(history.wanted() > 3);
  CHECK(history.first_position() == 3);
  history.hold(history.wanted());
  CHECK(history.append(1000, "t", large).ok());
}

TEST_CASE("History does with pushes, records and holds what a bounded deque does", "[history_local]") {
  auto random = seeded_random();
  for (int round = 0; round < 20; ++round) {
    TestPool test;
    const auto records_max = static_cast<std::uint32_t>(pick(random, 1, 60));
    const std::uint64_t bytes_max = pick(random, 4096, 40'000);
    History history = make(test, records_max, bytes_max);
    std::deque<std::uint64_t> charges;  // of what is held
    std::uint64_t evicted = 0;
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t before = history.first_position();
      const auto charge = static_cast<std::uint32_t>(pick(random, 0, 3) ? 0 : pick(random, 0, 3000));
      const auto what = pick(random, 0, 9);
      if (what == 0) {
        history.clear();
      } else if (what < 4) {
        REQUIRE(history.append(1, "t", random_text(random, 200)).ok());
        charges.push_back(0);
      } else {
        const auto numbering = pick(random, 0, 1) ? Numbering::own : Numbering::behind;
        REQUIRE(history.push(1, "type", random_text(random, 100), charge, numbering).ok());
        charges.push_back(charge);
      }
      for (std::uint64_t gone = history.first_position() - before; gone > 0; --gone, ++evicted) charges.pop_front();
      REQUIRE(history.size() == charges.size());
      REQUIRE(history.evicted_total() == evicted);
      REQUIRE(history.size() <= records_max);
      REQUIRE(history.charged_bytes() + history.allocated_bytes() <= bytes_max);
      std::uint64_t sum = 0;
      for (const std::uint64_t one : charges) sum += one;
      REQUIRE(history.charged_bytes() == sum);
      if (!history.empty()) {
        const std::uint64_t position = pick(random, history.first_position(), history.end_position() - 1);
        REQUIRE(history.lower_bound_key(record_key(history.at(position))) == position);
      }
    }
  }
}
