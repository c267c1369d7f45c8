// libFuzzer target: a replica takes any bytes as a batch. It must refuse or take all of it, keep to its bounds, and
// give back what it holds.
#include <cstddef>
#include <cstdint>

#include <ringfence/replica.h>

using namespace ringfence;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint32_t kRecordsMax = 5;
  constexpr std::uint64_t kBytesMax = 8192;
  const auto replica = Replica::create(2 * kBytesMax).value();
  const HistoryId a = replica->add_history("a", {kRecordsMax, kBytesMax, HistoryLimits::kNoAgeLimit}).value();
  const HistoryId b = replica->add_history("b", {kRecordsMax, kBytesMax, HistoryLimits::kNoAgeLimit}).value();
  const auto first = replica->attach(1, a, false, 0).value();
  const auto second = replica->attach(2, b, false, 0).value();

  const std::span bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto totals = validate_batch(bytes);
  const bool taken = replica->ingest(bytes).ok();
  INVARIANT(taken == totals.ok());
  if (!taken) {
    INVARIANT(replica->history(a)->empty() && replica->history(b)->empty() && !replica->has_changes());
    return 0;
  }
  const IngestCounts& counts = replica->totals();
  INVARIANT(counts.records + counts.unrouted_records + counts.duplicate_records + counts.refused_records ==
            totals->records);
  std::uint64_t checksum = 0;
  for (const HistoryId id : {a, b}) {
    const History& history = *replica->history(id);
    INVARIANT(history.size() <= kRecordsMax && history.allocated_bytes() <= kBytesMax);
    std::uint64_t last_seq = 0;
    history.visit(0, ~std::uint64_t{0}, [&](const RecordView& record) {
      INVARIANT(record.seq > last_seq);
      last_seq = record.seq;
      for (const char c : record.type) checksum += static_cast<unsigned char>(c);
      for (const char c : record.payload) checksum += static_cast<unsigned char>(c);
    });
  }
  volatile std::uint64_t sink = checksum;  // every byte was read
  (void)sink;
  return 0;
}
