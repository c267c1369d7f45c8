#include <ringfence/rate_meter.h>

#include <algorithm>
#include <cstring>

namespace ringfence {
namespace {

constexpr auto kSpan = static_cast<std::int64_t>(RateMeter::kBuckets);

// Where a bucket lies in the ring; buckets before 1970 have negative numbers.
std::size_t place(std::int64_t bucket) noexcept { return static_cast<std::size_t>(((bucket % kSpan) + kSpan) % kSpan); }

}  // namespace

Result<RateMeter> RateMeter::create(std::int64_t bucket_us) {
  if (bucket_us <= 0) return Error::bad_capacity;
  return RateMeter(bucket_us);
}

std::int64_t RateMeter::bucket_of(std::int64_t time_us) const noexcept {
  const std::int64_t whole = time_us / bucket_us_;
  return time_us % bucket_us_ < 0 ? whole - 1 : whole;
}

RateMeter::Row& RateMeter::row_of(std::string_view type, std::int64_t bucket) noexcept {
  if (last_ < types_ && same_text(rows_[last_].name(), type)) return rows_[last_];
  // Types beyond the last named one share the row behind it, whose name is empty.
  for (last_ = 0; last_ < types_; ++last_)
    if (last_ == kTypesMax || same_text(rows_[last_].name(), type)) return rows_[last_];
  Row& row = rows_[types_++];
  row.newest = bucket;
  if (last_ < kTypesMax) {
    row.type_bytes = static_cast<std::uint8_t>(std::min(type.size(), row.type.size()));
    std::memcpy(row.type.data(), type.data(), row.type_bytes);
  }
  return row;
}

void RateMeter::add_elsewhere(std::string_view type, std::int64_t time_us) noexcept {
  const std::int64_t bucket = bucket_of(time_us);
  Row& row = row_of(type, bucket);
  if (bucket > row.newest) {
    const std::int64_t steps = std::min(bucket - row.newest, kSpan);
    for (std::int64_t step = 0; step < steps; ++step) row.counts[place(bucket - step)] = 0;
    row.newest = bucket;
  }
  last_count_ = nullptr;
  if (row.newest - bucket >= kSpan) return;  // older than the ring: nothing asks for it any more
  last_count_ = &row.counts[place(bucket)];
  last_from_us_ = bucket * bucket_us_;
  ++*last_count_;
}

RateMeter::Rate RateMeter::rate(std::size_t index, std::int64_t now_us) const noexcept {
  INVARIANT(index < types_);
  std::int64_t now = bucket_of(now_us);
  for (std::size_t other = 0; other < types_; ++other) now = std::max(now, rows_[other].newest);
  const Row& row = rows_[index];
  Rate rate{row.name(), 0};
  for (std::int64_t bucket = row.newest; bucket > row.newest - kSpan && bucket > now - kSpan; --bucket)
    rate.count += row.counts[place(bucket)];
  return rate;
}

}  // namespace ringfence
