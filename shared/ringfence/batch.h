// Batch: the binary message of protocol.md, sections of records under a header.
//
// The server never builds one in memory: it sends the headers that encode_*() write and the segments' own bytes as one
// gather write. A receiver calls validate_batch() on all of the bytes, then walks them with BatchCursor.
// Owns     nothing; views point into the bytes given.
// Cost     validate_batch: one pass over the headers of the records, no allocation.
// Errors   batch_truncated, batch_bad_magic, batch_bad_version, batch_bad_section, batch_bad_record, batch_bad_order
//          (seq does not rise), batch_trailing_bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <ringfence/record.h>

namespace ringfence {

inline constexpr std::uint32_t kBatchHeaderBytes = 8;
inline constexpr std::uint32_t kSectionHeaderBytes = 24;

struct Section {
  std::uint32_t channel_id = 0;
  std::uint32_t count = 0;             // records, >= 1
  std::uint64_t prev_seq = 0;          // of the record before the first one, 0 if none
  std::span<const std::byte> records;  // whole records, one after another
};

struct BatchTotals {
  std::uint32_t sections = 0;
  std::uint64_t records = 0;
};

void encode_batch_header(std::byte* out, std::uint16_t sections) noexcept;  // kBatchHeaderBytes
void encode_section_header(std::byte* out, std::uint32_t channel_id, std::uint32_t count, std::uint64_t prev_seq,
                           std::uint32_t records_bytes) noexcept;  // kSectionHeaderBytes

Result<BatchTotals> validate_batch(std::span<const std::byte> bytes) noexcept;

// Walks the sections of a batch that passed validate_batch().
class BatchCursor {
 public:
  explicit BatchCursor(std::span<const std::byte> bytes) noexcept;
  std::optional<Section> next() noexcept;

 private:
  std::span<const std::byte> rest_;
  std::uint32_t sections_left_;
};

}  // namespace ringfence
