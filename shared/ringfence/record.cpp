#include <ringfence/record.h>

#include <ringfence/bytes.h>

namespace ringfence {
namespace {

// Offsets of protocol.md, "Record".
constexpr std::size_t kSize = 0;
constexpr std::size_t kFlags = 4;
constexpr std::size_t kTypeLen = 6;
constexpr std::size_t kReserved = 7;
constexpr std::size_t kSeq = 8;
constexpr std::size_t kTime = 16;

const char* chars(const std::byte* bytes) noexcept { return reinterpret_cast<const char*>(bytes); }

constexpr std::uint32_t padded(std::uint32_t size) noexcept { return (size + 7) & ~std::uint32_t{7}; }

}  // namespace

bool valid_type(std::string_view type) noexcept {
  if (type.empty() || type.size() > 255) return false;
  for (const char c : type)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  return true;
}

void encode_record(std::byte* out, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                   std::string_view payload) noexcept {
  const std::uint64_t stride = record_stride_bytes(type.size(), payload.size());
  INVARIANT(!type.empty() && type.size() <= 255 && stride <= kRecordBytesMax);
  const auto size = static_cast<std::uint32_t>(kRecordHeaderBytes + type.size() + payload.size());
  store<std::uint64_t>(out + stride - 8, 0);  // the padding, before the data that may overlap it
  store<std::uint32_t>(out + kSize, size);
  store<std::uint16_t>(out + kFlags, 0);
  store<std::uint8_t>(out + kTypeLen, static_cast<std::uint8_t>(type.size()));
  store<std::uint8_t>(out + kReserved, 0);
  store<std::uint64_t>(out + kSeq, seq);
  store<std::int64_t>(out + kTime, time_us);
  std::memcpy(out + kRecordHeaderBytes, type.data(), type.size());
  if (!payload.empty()) std::memcpy(out + kRecordHeaderBytes + type.size(), payload.data(), payload.size());
}

Result<RecordView> parse_record(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < kRecordHeaderBytes) return Error::batch_truncated;
  const std::byte* record = bytes.data();
  const auto size = load<std::uint32_t>(record + kSize);
  const auto type_len = load<std::uint8_t>(record + kTypeLen);
  if (size > kRecordBytesMax || type_len == 0 || size < kRecordHeaderBytes + type_len) return Error::batch_bad_record;
  if (padded(size) > bytes.size()) return Error::batch_truncated;
  const auto seq = load<std::uint64_t>(record + kSeq);
  if (seq == 0 || seq > kSeqMax) return Error::batch_bad_record;
  if ((load<std::uint16_t>(record + kFlags) & kCriticalFlags) != 0) return Error::batch_bad_record;
  if (load<std::uint8_t>(record + kReserved) != 0) return Error::batch_bad_record;
  for (std::uint32_t i = size; i < padded(size); ++i)
    if (record[i] != std::byte{0}) return Error::batch_bad_record;
  return view_record(record);
}

RecordView view_record(const std::byte* record) noexcept {
  const auto size = load<std::uint32_t>(record + kSize);
  const auto type_len = load<std::uint8_t>(record + kTypeLen);
  RecordView view;
  view.seq = load<std::uint64_t>(record + kSeq);
  view.time_us = load<std::int64_t>(record + kTime);
  view.type = std::string_view(chars(record + kRecordHeaderBytes), type_len);
  view.payload = std::string_view(chars(record + kRecordHeaderBytes + type_len), size - kRecordHeaderBytes - type_len);
  view.stride_bytes = padded(size);
  return view;
}

std::uint64_t record_seq(const std::byte* record) noexcept { return load<std::uint64_t>(record + kSeq); }
std::int64_t record_time_us(const std::byte* record) noexcept { return load<std::int64_t>(record + kTime); }
std::uint32_t record_stride_bytes(const std::byte* record) noexcept {
  return padded(load<std::uint32_t>(record + kSize));
}

}  // namespace ringfence
