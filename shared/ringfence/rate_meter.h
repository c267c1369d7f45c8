// RateMeter: how many of each type came lately, in a ring of kBuckets buckets for each type.
//
// Against a count and a timer: nothing has to run while nothing comes, and the times are those of the records, so that what
// is replayed after a reconnect counts where it belongs.
// Owns     its buckets. Move-only.
// Threads  no locking: one thread at a time.
// Bounds   kTypesMax types by name; further ones are counted together, under the empty name. memory_bytes() at the most.
// Cost     add: O(types) to find the type, O(1) if it is that of the last one; a step forward clears the buckets between.
//          rate: O(types + kBuckets). No allocation after construction.
// Errors   create(): bad_capacity for a width that is not positive.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include <ringfence/bytes.h>
#include <ringfence/result.h>

namespace ringfence {

class RateMeter {
 public:
  static constexpr std::size_t kBuckets = 60;
  static constexpr std::size_t kTypesMax = 32;

  static Result<RateMeter> create(std::int64_t bucket_us);
  static constexpr std::uint64_t memory_bytes() noexcept { return (kTypesMax + 1) * sizeof(Row); }

  void add(std::string_view type, std::int64_t time_us) noexcept {
    // The usual case: of the type and in the bucket of the last one.
    if (last_count_ != nullptr && time_us >= last_from_us_ && time_us - last_from_us_ < bucket_us_ &&
        same_text(rows_[last_].name(), type))
      ++*last_count_;
    else
      add_elsewhere(type, time_us);
  }

  struct Rate {
    std::string_view type;  // valid as long as this
    std::uint64_t count = 0;
  };
  // In the order in which they first came.
  std::size_t types() const noexcept { return types_; }
  // Of the index-th type, in the kBuckets buckets up to the one of `now_us`, or of the newest time if that is later.
  Rate rate(std::size_t index, std::int64_t now_us) const noexcept;

 private:
  struct Row {
    std::int64_t newest = 0;  // number of the newest bucket
    std::array<std::uint32_t, kBuckets> counts{};
    std::uint8_t type_bytes = 0;
    std::array<char, 255> type{};

    std::string_view name() const noexcept { return {type.data(), type_bytes}; }
  };

  explicit RateMeter(std::int64_t bucket_us) : bucket_us_(bucket_us), rows_(new Row[kTypesMax + 1]) {}
  void add_elsewhere(std::string_view type, std::int64_t time_us) noexcept;
  std::int64_t bucket_of(std::int64_t time_us) const noexcept;
  Row& row_of(std::string_view type, std::int64_t bucket) noexcept;

  std::int64_t bucket_us_;
  std::unique_ptr<Row[]> rows_;
  std::size_t types_ = 0;
  std::size_t last_ = 0;  // of the last add: its type, its count and the begin of its bucket
  std::uint32_t* last_count_ = nullptr;
  std::int64_t last_from_us_ = 0;
};

}  // namespace ringfence
