// LastValues: the latest record of each `conflate` channel, kept beside its history. What was evicted there by age or for
// others' memory before a slow subscriber could take it is still to be had here: "the latest" is never nothing.
//
// Owns     copies of records, in the cache "last_values": the least recently published leave first.
// Threads  any. keep() is called under the channel's mutex, so that the order of its records holds.
// Bounds   --last-value-memory.
// Cost     keep: an allocation and a copy of the record, for `conflate` channels only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "caching/cache_manager.h"

namespace ringfence {

struct LastRecord {
  std::uint64_t seq;
  std::string bytes;  // as encode_record() writes them
};
using LastRecordPtr = std::shared_ptr<const LastRecord>;

class LastValues {
 public:
  static constexpr std::uint64_t kBytesAnEntry = 1024;  // of the bound: what a record may have on the average
  // duplicate_name, over_budget: as CacheManager.
  static Result<std::unique_ptr<LastValues>> create(CacheManager& caches, std::uint64_t memory_bytes);

  void keep(std::uint32_t channel_id, std::uint64_t seq, std::int64_t time_us, std::string_view type,
            std::string_view payload);
  // Null if it is not held, or no longer.
  LastRecordPtr find(std::uint32_t channel_id);

 private:
  using Records = Cache<std::uint32_t, LastRecordPtr>;
  explicit LastValues(std::shared_ptr<Records> records) : records_(std::move(records)) {}
  std::shared_ptr<Records> records_;
};

}  // namespace ringfence
