// Record: one event as bytes, the same in a history, on the wire and in the browser (protocol.md, "Record").
//
// Bounds   type: 1 to 255 bytes; a record: at most kRecordBytesMax.
// Cost     encode: one copy of type and payload. view, check: no copy.
// Errors   check_record() never trusts a length: batch_truncated or batch_bad_record, and reads nothing past its span.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <ringfence/result.h>

namespace ringfence {

inline constexpr std::uint32_t kRecordHeaderBytes = 24;
inline constexpr std::uint32_t kRecordBytesMax = 16 * 1024 * 1024;
inline constexpr std::uint64_t kSeqMax = (std::uint64_t{1} << 53) - 1;  // what a JavaScript number holds exactly
inline constexpr std::uint16_t kCriticalFlags = 0x00ff;

struct RecordView {
  std::uint64_t seq = 0;
  std::int64_t time_us = 0;  // since 1970-01-01T00:00:00Z
  std::string_view type;     // these two point into the record
  std::string_view payload;
  std::uint32_t stride_bytes = 0;  // to the next record: size and padding
  bool local = false;              // pushed here: below
  std::uint32_t ordinal = 0;       // of a local record: how many stand between the record with its seq and this one
  std::uint32_t charge_bytes = 0;  // of a local record: what its value takes elsewhere
};

// A local record is the entry of a value that lies elsewhere (a JavaScript object). Its payload is text to search,
// as JSON writes the inside of a string. Its mark is what check_record() refuses, so none can come by the wire.
//
// Its ordinal is 0 where it has its seq to itself. Else its seq is that of the record before it, whose place it must not
// take, and it is the ordinal-th local record behind that.
inline constexpr std::uint32_t kLocalHeaderBytes = 8;  // ordinal and charge, ahead of the text

// Bytes that a record takes, padding included.
constexpr std::uint64_t record_stride_bytes(std::uint64_t type_bytes, std::uint64_t payload_bytes) noexcept {
  return (kRecordHeaderBytes + type_bytes + payload_bytes + 7) & ~std::uint64_t{7};
}

// True for 1 to 255 bytes without control characters (UTF-8 is the caller's to check).
bool valid_type(std::string_view type) noexcept;

// Writes record_stride_bytes() at `out`. `type` has passed valid_type() and the record kRecordBytesMax (INVARIANT).
void encode_record(std::byte* out, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                   std::string_view payload) noexcept;

void encode_local_record(std::byte* out, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                         std::uint32_t ordinal, std::uint32_t charge_bytes, std::string_view text) noexcept;

// Orders all records of a history: the seq and, for the ordinal, a fraction below 1. Exact as a double.
double record_key(const RecordView& record) noexcept;
// How many local records may stand behind one seq, so that their keys differ: 2^20, less above 2^32.
std::uint32_t ordinals_max(std::uint64_t seq) noexcept;

// The stride of the first record of bytes that may hold anything, once all of it is found valid.
Result<std::uint32_t> check_record(std::span<const std::byte> bytes) noexcept;

// A record known to be valid: one of a history, or of a batch that passed validate_batch().
RecordView view_record(const std::byte* record) noexcept;
std::uint64_t record_seq(const std::byte* record) noexcept;
std::int64_t record_time_us(const std::byte* record) noexcept;
std::uint32_t record_stride_bytes(const std::byte* record) noexcept;

}  // namespace ringfence
