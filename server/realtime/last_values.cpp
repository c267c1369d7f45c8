#include "realtime/last_values.h"

#include <algorithm>

#include <ringfence/record.h>

namespace ringfence {
namespace {

constexpr std::uint64_t kOverheadBytes = sizeof(LastRecord) + 64;  // the counts of the pointer, malloc's own

}  // namespace

Result<std::unique_ptr<LastValues>> LastValues::create(CacheManager& caches, std::uint64_t memory_bytes) {
  CacheOptions<std::uint32_t, LastRecordPtr> options;
  options.name = "last_values";
  options.entries = static_cast<std::size_t>(std::max<std::uint64_t>(1, memory_bytes / kBytesAnEntry));
  options.bytes = memory_bytes;
  options.bytes_of = [](const std::uint32_t&, const LastRecordPtr& record) {
    return kOverheadBytes + record->bytes.capacity();
  };
  auto records = caches.create(std::move(options));
  if (!records.ok()) return records.error();
  return std::unique_ptr<LastValues>(new LastValues(std::move(records).value()));
}

void LastValues::keep(std::uint32_t channel_id, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                      std::string_view payload) {
  const auto record = std::make_shared<LastRecord>();
  record->seq = seq;
  record->bytes.resize(record_stride_bytes(type.size(), payload.size()));
  encode_record(reinterpret_cast<std::byte*>(record->bytes.data()), seq, time_us, type, payload);
  (void)records_->put(channel_id, record);  // too large: counted as refused by the cache
}

LastRecordPtr LastValues::find(std::uint32_t channel_id) { return records_->get(channel_id).value_or(nullptr); }

}  // namespace ringfence
