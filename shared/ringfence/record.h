// Record: one event as bytes, the same in a history, on the wire and in the browser (protocol.md, "Record").
//
// Bounds   type: 1 to 255 bytes; a record: at most kRecordBytesMax.
// Cost     encode: one copy of type and payload. view, parse: no copy.
// Errors   parse_record() never trusts a length: batch_truncated or batch_bad_record, and reads nothing past its span.
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
};

// Bytes that a record takes, padding included.
constexpr std::uint64_t record_stride_bytes(std::uint64_t type_bytes, std::uint64_t payload_bytes) noexcept {
  return (kRecordHeaderBytes + type_bytes + payload_bytes + 7) & ~std::uint64_t{7};
}

// True for 1 to 255 bytes without control characters (UTF-8 is the caller's to check).
bool valid_type(std::string_view type) noexcept;

// Writes record_stride_bytes() at `out`. `type` has passed valid_type() and the record kRecordBytesMax (INVARIANT).
void encode_record(std::byte* out, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                   std::string_view payload) noexcept;

// The first record of bytes that may hold anything.
Result<RecordView> parse_record(std::span<const std::byte> bytes) noexcept;

// A record known to be valid: one of a history, or of a batch that passed validate_batch().
RecordView view_record(const std::byte* record) noexcept;
std::uint64_t record_seq(const std::byte* record) noexcept;
std::int64_t record_time_us(const std::byte* record) noexcept;
std::uint32_t record_stride_bytes(const std::byte* record) noexcept;

}  // namespace ringfence
