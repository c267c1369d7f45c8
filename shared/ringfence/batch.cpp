#include <ringfence/batch.h>

#include <ringfence/bytes.h>

namespace ringfence {
namespace {

constexpr std::uint32_t kMagic = 0x31424652;  // "RFB1"
constexpr std::uint8_t kVersion = 1;

// Offsets of protocol.md, "Batch header" and "Section header".
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kBatchReserved = 5;
constexpr std::size_t kSections = 6;
constexpr std::size_t kChannelId = 0;
constexpr std::size_t kCount = 4;
constexpr std::size_t kPrev = 8;
constexpr std::size_t kBytes = 16;
constexpr std::size_t kSectionReserved = 20;

// The last seq of a section's records, all of them checked.
Result<std::uint64_t> validate_records(std::span<const std::byte> records, std::uint32_t count,
                                       std::uint64_t prev_seq) noexcept {
  std::uint64_t last_seq = prev_seq;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto stride = check_record(records);
    if (!stride) return stride.error();
    const std::uint64_t seq = record_seq(records.data());
    if (seq <= last_seq) return Error::batch_bad_order;
    last_seq = seq;
    records = records.subspan(*stride);
  }
  if (!records.empty()) return Error::batch_bad_section;
  return last_seq;
}

}  // namespace

void encode_batch_header(std::byte* out, std::uint16_t sections) noexcept {
  store<std::uint32_t>(out, kMagic);
  store<std::uint8_t>(out + kVersionAt, kVersion);
  store<std::uint8_t>(out + kBatchReserved, 0);
  store<std::uint16_t>(out + kSections, sections);
}

void encode_section_header(std::byte* out, std::uint32_t channel_id, std::uint32_t count, std::uint64_t prev_seq,
                           std::uint32_t records_bytes) noexcept {
  store<std::uint32_t>(out + kChannelId, channel_id);
  store<std::uint32_t>(out + kCount, count);
  store<std::uint64_t>(out + kPrev, prev_seq);
  store<std::uint32_t>(out + kBytes, records_bytes);
  store<std::uint32_t>(out + kSectionReserved, 0);
}

Result<BatchTotals> validate_batch(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < kBatchHeaderBytes) return Error::batch_truncated;
  if (load<std::uint32_t>(bytes.data()) != kMagic) return Error::batch_bad_magic;
  if (load<std::uint8_t>(bytes.data() + kVersionAt) != kVersion) return Error::batch_bad_version;
  if (load<std::uint8_t>(bytes.data() + kBatchReserved) != 0) return Error::batch_bad_version;
  BatchTotals totals;
  totals.sections = load<std::uint16_t>(bytes.data() + kSections);
  if (totals.sections == 0) return Error::batch_bad_section;
  bytes = bytes.subspan(kBatchHeaderBytes);
  for (std::uint32_t i = 0; i < totals.sections; ++i) {
    if (bytes.size() < kSectionHeaderBytes) return Error::batch_truncated;
    const auto count = load<std::uint32_t>(bytes.data() + kCount);
    const auto prev_seq = load<std::uint64_t>(bytes.data() + kPrev);
    const auto records_bytes = load<std::uint32_t>(bytes.data() + kBytes);
    if (count == 0 || records_bytes % 8 != 0 || prev_seq > kSeqMax) return Error::batch_bad_section;
    if (load<std::uint32_t>(bytes.data() + kSectionReserved) != 0) return Error::batch_bad_section;
    bytes = bytes.subspan(kSectionHeaderBytes);
    if (records_bytes > bytes.size()) return Error::batch_truncated;
    const auto last_seq = validate_records(bytes.first(records_bytes), count, prev_seq);
    if (!last_seq) return last_seq.error() == Error::batch_truncated ? Error::batch_bad_section : last_seq.error();
    totals.records += count;
    bytes = bytes.subspan(records_bytes);
  }
  if (!bytes.empty()) return Error::batch_trailing_bytes;
  return totals;
}

BatchCursor::BatchCursor(std::span<const std::byte> bytes) noexcept
    : rest_(bytes.subspan(kBatchHeaderBytes)), sections_left_(load<std::uint16_t>(bytes.data() + kSections)) {}

std::optional<Section> BatchCursor::next() noexcept {
  if (sections_left_ == 0) return std::nullopt;
  --sections_left_;
  Section section;
  section.channel_id = load<std::uint32_t>(rest_.data() + kChannelId);
  section.count = load<std::uint32_t>(rest_.data() + kCount);
  section.prev_seq = load<std::uint64_t>(rest_.data() + kPrev);
  const auto bytes = load<std::uint32_t>(rest_.data() + kBytes);
  section.records = rest_.subspan(kSectionHeaderBytes, bytes);
  rest_ = rest_.subspan(kSectionHeaderBytes + bytes);
  return section;
}

}  // namespace ringfence
