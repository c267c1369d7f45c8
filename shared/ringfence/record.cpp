#include <ringfence/record.h>

#include <algorithm>
#include <bit>

#include <ringfence/bytes.h>

namespace ringfence {
namespace {

// Offsets of protocol.md, "Record".
constexpr std::size_t kSize = 0;
constexpr std::size_t kFlags = 4;
constexpr std::size_t kTypeLen = 6;
constexpr std::size_t kMark = 7;
constexpr std::size_t kSeq = 8;
constexpr std::size_t kTime = 16;

constexpr std::uint8_t kLocalMark = 1;

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
  store<std::uint8_t>(out + kMark, 0);
  store<std::uint64_t>(out + kSeq, seq);
  store<std::int64_t>(out + kTime, time_us);
  std::memcpy(out + kRecordHeaderBytes, type.data(), type.size());
  if (!payload.empty()) std::memcpy(out + kRecordHeaderBytes + type.size(), payload.data(), payload.size());
}

void encode_local_record(std::byte* out, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                         std::uint32_t ordinal, std::uint32_t charge_bytes, std::string_view text) noexcept {
  const std::uint64_t stride = record_stride_bytes(type.size(), kLocalHeaderBytes + text.size());
  INVARIANT(!type.empty() && type.size() <= 255 && stride <= kRecordBytesMax);
  const auto size = static_cast<std::uint32_t>(kRecordHeaderBytes + type.size() + kLocalHeaderBytes + text.size());
  store<std::uint64_t>(out + stride - 8, 0);
  store<std::uint32_t>(out + kSize, size);
  store<std::uint16_t>(out + kFlags, 0);
  store<std::uint8_t>(out + kTypeLen, static_cast<std::uint8_t>(type.size()));
  store<std::uint8_t>(out + kMark, kLocalMark);
  store<std::uint64_t>(out + kSeq, seq);
  store<std::int64_t>(out + kTime, time_us);
  std::byte* at = out + kRecordHeaderBytes;
  std::memcpy(at, type.data(), type.size());
  at += type.size();
  store<std::uint32_t>(at, ordinal);
  store<std::uint32_t>(at + 4, charge_bytes);
  if (!text.empty()) std::memcpy(at + kLocalHeaderBytes, text.data(), text.size());
}

namespace {

// Bits of a double's 53 that are left for ordinals behind a seq.
int ordinal_bits(std::uint64_t seq) noexcept { return std::min(20, 53 - static_cast<int>(std::bit_width(seq))); }

}  // namespace

double record_key(const RecordView& record) noexcept {
  const auto seq = static_cast<double>(record.seq);
  if (record.ordinal == 0) return seq;
  return seq + static_cast<double>(record.ordinal) / static_cast<double>(std::uint64_t{1} << ordinal_bits(record.seq));
}

std::uint32_t ordinals_max(std::uint64_t seq) noexcept {
  return static_cast<std::uint32_t>((std::uint64_t{1} << ordinal_bits(seq)) - 1);
}

Result<std::uint32_t> check_record(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < kRecordHeaderBytes) return Error::batch_truncated;
  const std::byte* record = bytes.data();
  const auto size = load<std::uint32_t>(record + kSize);
  const auto type_len = load<std::uint8_t>(record + kTypeLen);
  if (size > kRecordBytesMax || type_len == 0 || size < kRecordHeaderBytes + type_len) return Error::batch_bad_record;
  const std::uint32_t stride = padded(size);
  if (stride > bytes.size()) return Error::batch_truncated;
  const auto seq = load<std::uint64_t>(record + kSeq);
  if (seq == 0 || seq > kSeqMax) return Error::batch_bad_record;
  if ((load<std::uint16_t>(record + kFlags) & kCriticalFlags) != 0) return Error::batch_bad_record;
  if (load<std::uint8_t>(record + kMark) != 0) return Error::batch_bad_record;
  // The padding is what the last 8 bytes hold behind the data: their high bytes.
  const std::uint32_t data_bits = 8 * (8 - (stride - size));
  if (data_bits < 64 && load<std::uint64_t>(record + stride - 8) >> data_bits != 0) return Error::batch_bad_record;
  return stride;
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
  if (load<std::uint8_t>(record + kMark) == kLocalMark) {
    view.local = true;
    const std::byte* local = record + kRecordHeaderBytes + type_len;
    view.ordinal = load<std::uint32_t>(local);
    view.charge_bytes = load<std::uint32_t>(local + 4);
    view.payload.remove_prefix(kLocalHeaderBytes);
  }
  return view;
}

std::uint64_t record_seq(const std::byte* record) noexcept { return load<std::uint64_t>(record + kSeq); }
std::int64_t record_time_us(const std::byte* record) noexcept { return load<std::int64_t>(record + kTime); }
std::uint32_t record_stride_bytes(const std::byte* record) noexcept {
  return padded(load<std::uint32_t>(record + kSize));
}

}  // namespace ringfence
