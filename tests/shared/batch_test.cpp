#include <ringfence/batch.h>

#include "support/batches.h"
#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

Error refusal(const Bytes& bytes) {
  const auto result = validate_batch(bytes);
  REQUIRE_FALSE(result.ok());
  return result.error();
}

}  // namespace

TEST_CASE("Record keeps what was encoded, padded to 8 bytes with zeros", "[record]") {
  for (std::size_t length = 0; length < 20; ++length) {
    const std::string payload(length, 'x');
    const Bytes bytes = record_bytes(42, -7, "chat", payload);
    CHECK(bytes.size() % 8 == 0);
    REQUIRE(check_record(bytes).value() == bytes.size());
    const RecordView record = view_record(bytes.data());
    CHECK(record.seq == 42);
    CHECK(record.time_us == -7);
    CHECK(record.type == "chat");
    CHECK(record.payload == payload);
    CHECK(record.stride_bytes == bytes.size());
  }
}

TEST_CASE("Record refuses each field that lies", "[record]") {
  const Bytes good = record_bytes(1, 0, "type", "payload!!");
  const auto with = [&good](std::size_t at, unsigned value) {
    Bytes bad = good;
    bad[at] = static_cast<std::byte>(value);
    return check_record(bad);
  };
  REQUIRE(check_record(good).ok());
  CHECK(with(0, 23).error() == Error::batch_bad_record);    // size below its header
  CHECK(with(0, 27).error() == Error::batch_bad_record);    // size below header and type
  CHECK(with(0, 200).error() == Error::batch_truncated);    // size past the end
  CHECK(with(3, 0xff).error() == Error::batch_bad_record);  // size past any record
  CHECK(with(4, 1).error() == Error::batch_bad_record);     // a flag that must be understood
  CHECK(with(5, 1).ok());                                   // one that may be ignored
  CHECK(with(6, 0).error() == Error::batch_bad_record);     // no type
  CHECK(with(6, 255).error() == Error::batch_bad_record);   // type past the record
  CHECK(with(7, 1).error() == Error::batch_bad_record);     // reserved
  CHECK(with(8, 0).error() == Error::batch_bad_record);     // seq 0
  CHECK(with(15, 1).error() == Error::batch_bad_record);    // seq above 2^53 - 1
  CHECK(with(39, 1).error() == Error::batch_bad_record);    // padding
}

TEST_CASE("Record refuses each byte of its padding that is not 0", "[record]") {
  for (std::size_t length = 0; length < 9; ++length) {
    const Bytes good = record_bytes(1, 0, "type", std::string(length, 'x'));
    for (std::size_t at = kRecordHeaderBytes + 4 + length; at < good.size(); ++at) {
      Bytes bad = good;
      bad[at] = std::byte{0x80};
      CHECK(check_record(bad).error() == Error::batch_bad_record);
    }
  }
}

TEST_CASE("Record types are 1 to 255 bytes without the control characters of ASCII", "[record]") {
  CHECK(valid_type("chat_message"));
  CHECK(valid_type("größe"));
  CHECK(valid_type(std::string(255, 'x')));
  CHECK_FALSE(valid_type(""));
  CHECK_FALSE(valid_type(std::string(256, 'x')));
  CHECK_FALSE(valid_type("a\nb"));
  CHECK_FALSE(valid_type("a\x7f"));
  CHECK(valid_type("a\xc2\x85"));  // U+0085
}

TEST_CASE("Batch gives back its sections and records", "[batch]") {
  const Bytes bytes = BatchBuilder().section(3, 0).record(1).record(2, "{\"a\":1}").section(9, 40).record(42).build();
  const auto totals = validate_batch(bytes).value();
  CHECK(totals.sections == 2);
  CHECK(totals.records == 3);
  BatchCursor cursor(bytes);
  const auto first = cursor.next();
  REQUIRE(first);
  CHECK(first->channel_id == 3);
  CHECK(first->count == 2);
  CHECK(first->prev_seq == 0);
  CHECK(view_record(first->records.data()).payload == "1");
  const auto second = cursor.next();
  REQUIRE(second);
  CHECK(second->channel_id == 9);
  CHECK(second->prev_seq == 40);
  CHECK(record_seq(second->records.data()) == 42);
  CHECK_FALSE(cursor.next());
}

TEST_CASE("Batch refuses what is not exactly a batch, by name", "[batch]") {
  const Bytes good = BatchBuilder().section(1, 0).record(1).record(2).build();
  const auto with = [&good](std::size_t at, unsigned value) {
    Bytes bad = good;
    bad[at] = static_cast<std::byte>(value);
    return refusal(bad);
  };
  CHECK(refusal({}) == Error::batch_truncated);
  CHECK(with(0, 'X') == Error::batch_bad_magic);
  CHECK(with(4, 2) == Error::batch_bad_version);
  CHECK(with(5, 1) == Error::batch_bad_version);
  CHECK(with(6, 0) == Error::batch_bad_section);        // no section
  CHECK(with(6, 2) == Error::batch_truncated);          // a section that is not there
  CHECK(with(8 + 4, 0) == Error::batch_bad_section);    // count 0
  CHECK(with(8 + 4, 1) == Error::batch_bad_section);    // fewer than there are
  CHECK(with(8 + 4, 3) == Error::batch_bad_section);    // more than there are
  CHECK(with(8 + 8, 1) == Error::batch_bad_order);      // prev not before the first record
  CHECK(with(8 + 16, 60) == Error::batch_bad_section);  // not a multiple of 8
  CHECK(with(8 + 17, 9) == Error::batch_truncated);     // longer than the message
  CHECK(with(8 + 20, 1) == Error::batch_bad_section);   // reserved
  Bytes trailing = good;
  trailing.resize(good.size() + 8);
  CHECK(refusal(trailing) == Error::batch_trailing_bytes);
  CHECK(refusal(BatchBuilder().section(1, 0).record(2).record(2).build()) == Error::batch_bad_order);
}

TEST_CASE("Batch refuses every truncation of a batch", "[batch]") {
  const Bytes good = BatchBuilder().section(1, 0).record(1).section(2, 5).record(6, "[1,2,3]").build();
  for (std::size_t length = 0; length < good.size(); ++length) {
    CHECK_FALSE(validate_batch(std::span(good).first(length)).ok());
  }
}

TEST_CASE("Batch validation reads nothing past its bytes and never accepts what does not add up", "[batch]") {
  auto random = seeded_random();
  const Bytes good =
      BatchBuilder().section(1, 0).record(1, "{}").record(2, "[true]").section(7, 9).record(11, "\"x\"").build();
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(pick(random, 0, good.size())));
    const auto flips = pick(random, 0, 3);
    for (std::uint64_t i = 0; i < flips && !bytes.empty(); ++i)
      bytes[pick(random, 0, bytes.size() - 1)] = static_cast<std::byte>(pick(random, 0, 255));
    const auto totals = validate_batch(bytes);
    if (!totals) continue;
    std::uint64_t sections = 0;
    std::uint64_t records = 0;
    std::size_t length = kBatchHeaderBytes;
    BatchCursor cursor(bytes);
    while (const auto section = cursor.next()) {
      ++sections;
      records += section->count;
      length += kSectionHeaderBytes + section->records.size();
    }
    REQUIRE(sections == totals->sections);
    REQUIRE(records == totals->records);
    REQUIRE(length == bytes.size());
  }
}
