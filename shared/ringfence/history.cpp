#include <ringfence/history.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace ringfence {

Result<History> History::create(SegmentPool& pool, const HistoryLimits& limits) {
  if (limits.records_max == 0 || limits.bytes_max < HistoryLimits::kBytesMin || limits.age_max_us <= 0)
    return Error::bad_capacity;
  return History(pool, limits);
}

History::History(SegmentPool& pool, const HistoryLimits& limits) : pool_(&pool), limits_(limits) {}

std::uint64_t History::record_bytes_max(std::uint64_t bytes_max) noexcept {
  return std::min<std::uint64_t>(bytes_max - SegmentPool::kHeaderBytes, kRecordBytesMax);
}

std::uint64_t History::first_seq() const noexcept {
  if (empty()) return next_seq();
  return record_seq(segments_[head_]->data() + head_offset_bytes_);
}

Result<std::uint64_t> History::append(std::int64_t time_us, std::string_view type, std::string_view payload) {
  return put(last_seq_ + 1, time_us, type, payload);
}

Result<std::uint64_t> History::append_at(std::uint64_t seq, std::int64_t time_us, std::string_view type,
                                         std::string_view payload) {
  INVARIANT(seq > last_seq_);
  return put(seq, time_us, type, payload);
}

Result<std::uint64_t> History::put(std::uint64_t seq, std::int64_t time_us, std::string_view type,
                                   std::string_view payload) {
  INVARIANT(seq <= kSeqMax);
  expire(time_us);
  const std::uint64_t stride = ringfence::record_stride_bytes(type.size(), payload.size());
  if (size() == limits_.records_max)
    if (auto free = may_evict_to(first_position_ + 1); !free) return free.error();
  if (auto room = make_room(stride); !room) return room.error();
  Segment& tail = *segments_.back();
  encode_record(tail.data() + tail.used_bytes, seq, time_us, type, payload);
  tail.used_bytes += static_cast<std::uint32_t>(stride);
  tail.count += 1;
  tail.last_seq = last_seq_ = seq;
  ordinal_ = 0;
  held_bytes_ += stride;
  ++end_position_;
  if (size() > limits_.records_max) drop_head_records(1, Eviction::records);
  note_size();
  return last_seq_;
}

AppendCounts History::append_section(const Section& section) {
  AppendCounts counts;
  std::span<const std::byte> rest = section.records;
  while (!rest.empty()) {
    const std::uint32_t stride = ringfence::record_stride_bytes(rest.data());
    if (record_seq(rest.data()) <= last_seq_) {
      ++counts.duplicates;
      rest = rest.subspan(stride);
      continue;
    }
    // How many may come until one that is held would have to leave.
    std::uint64_t run_max = kNoHold;
    if (hold_ != kNoHold) {
      const std::uint64_t free = std::clamp(hold_, first_position_, end_position_) - first_position_;
      run_max = limits_.records_max - size() + free;
      const std::uint32_t left = section.count - counts.appended - counts.duplicates - counts.refused;
      if (run_max == 0) wanted_ = first_position_ + std::min<std::uint64_t>(left, size());
      counts.left = run_max == 0 ? left : 0;
    }
    if (counts.left == 0) {
      const auto room = make_room(stride);
      if (!room && room.error() == Error::held)
        counts.left = section.count - counts.appended - counts.duplicates - counts.refused;
      else if (!room) {
        ++counts.refused;
        rest = rest.subspan(stride);
        continue;
      }
    }
    if (counts.left > 0) {
      counts.left_records = rest;
      break;
    }
    // All whole records that fit behind the first one go in one copy.
    Segment& tail = *segments_.back();
    const std::size_t room = tail.capacity_bytes() - tail.used_bytes;
    std::size_t run_bytes = 0;
    std::uint32_t run = 0;
    while (run_bytes < rest.size() && run < run_max) {
      const std::uint32_t next = ringfence::record_stride_bytes(rest.data() + run_bytes);
      if (run_bytes + next > room) break;
      tail.last_seq = record_seq(rest.data() + run_bytes);
      run_bytes += next;
      ++run;
    }
    std::memcpy(tail.data() + tail.used_bytes, rest.data(), run_bytes);
    tail.used_bytes += static_cast<std::uint32_t>(run_bytes);
    tail.count += run;
    last_seq_ = tail.last_seq;
    ordinal_ = 0;
    held_bytes_ += run_bytes;
    end_position_ += run;
    counts.appended += run;
    rest = rest.subspan(run_bytes);
    if (size() > limits_.records_max) drop_head_records(size() - limits_.records_max, Eviction::records);
    note_size();
  }
  return counts;
}

void History::skip_to(std::uint64_t seq) {
  INVARIANT(seq >= last_seq_ && seq <= kSeqMax);
  if (seq > last_seq_) ordinal_ = 0;
  last_seq_ = seq;
  if (empty()) evicted_through_ = seq;
}

void History::lose_to(std::uint64_t seq) {
  sealed_ = sealed_ || (seq > last_seq_ && !empty());
  skip_to(seq);
  if (empty()) evicted_hole_to_ = evicted_through_;
}

Slice History::read(std::uint64_t after, std::uint32_t bytes_max) const {
  Slice slice;
  if (empty() || after >= segments_.back()->last_seq) return slice;  // last_seq_ may be skipped past what is held
  Place place = place_behind(after);
  const SegmentRef& segment = segments_[place.segment];
  slice.segment = segment;
  slice.data = segment->data() + place.offset;
  slice.prev_seq = place.prev_seq;
  const std::uint32_t available = segment->used_bytes - place.offset;
  // The usual case, a reader that keeps up, takes the rest of the segment without a walk.
  if (available <= bytes_max) {
    slice.bytes = available;
    slice.count = static_cast<std::uint32_t>(segment->first_position + segment->count - place.position);
    slice.last_seq = segment->last_seq;
    return slice;
  }
  while (slice.bytes < available) {
    const std::byte* record = slice.data + slice.bytes;
    const std::uint32_t stride = ringfence::record_stride_bytes(record);
    if (slice.count > 0 && (stride > bytes_max || slice.bytes > bytes_max - stride)) break;
    slice.last_seq = record_seq(record);
    slice.bytes += stride;
    ++slice.count;
  }
  return slice;
}

std::optional<Gap> History::gap(std::uint64_t after) const noexcept {
  if (after >= evicted_through_) return std::nullopt;
  return Gap{after + 1, evicted_through_, evicted_through_ - after};
}

std::optional<Gap> History::hole(std::uint64_t after) const noexcept {
  if (after < evicted_through_) return std::nullopt;
  const auto begin = segments_.begin() + static_cast<std::ptrdiff_t>(head_);
  const auto found = std::partition_point(begin, segments_.end(),
                                          [after](const SegmentRef& segment) { return segment->last_seq <= after; });
  std::uint64_t to = 0;
  if (found != segments_.end())
    to = (*found)->prev_seq;
  else if (sealed_)
    to = last_seq_;
  if (to <= after) return std::nullopt;
  return Gap{.from = after + 1, .to = to, .missed = to - after, .lost = true};
}

bool History::holes_behind(std::uint64_t after) const noexcept {
  std::uint64_t last_seq = evicted_through_;
  for (std::size_t i = head_; i < segments_.size(); ++i) {
    if (segments_[i]->prev_seq > std::max(last_seq, after)) return true;
    last_seq = segments_[i]->last_seq;
  }
  return sealed_ && last_seq_ > std::max(last_seq, after);
}

bool History::accounts_for(std::uint64_t seq) const noexcept {
  if (seq <= evicted_through_) return true;
  if (seq > last_seq_) return false;
  if (empty() || seq > segments_.back()->last_seq) return sealed_;
  const Place place = place_behind(seq - 1);
  const Segment& segment = *segments_[place.segment];
  return seq <= segment.prev_seq || record_seq(segment.data() + place.offset) == seq;
}

RecordView History::at(std::uint64_t position) const {
  const Place place = place_of_position(position);
  return view_record(segments_[place.segment]->data() + place.offset);
}

std::uint64_t History::lower_bound(std::uint64_t seq) const noexcept {
  if (empty() || seq > last_seq_) return end_position_;
  if (seq == 0) return first_position_;
  if (seq - 1 >= segments_.back()->last_seq) return end_position_;  // skipped past what is held
  return place_behind(seq - 1).position;
}

std::uint64_t History::find_time(std::int64_t time_us) const noexcept {
  if (empty()) return end_position_;
  const auto first_record = [this](std::size_t index) {
    return segments_[index]->data() + (index == head_ ? head_offset_bytes_ : 0);
  };
  // The last segment that begins before the time holds the place, or the next one begins with it.
  std::size_t low = head_;
  std::size_t high = segments_.size();
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    (record_time_us(first_record(middle)) < time_us ? low : high) = middle;
  }
  std::uint64_t position = low == head_ ? first_position_ : segments_[low]->first_position;
  const std::byte* record = first_record(low);
  const std::byte* end = segments_[low]->data() + segments_[low]->used_bytes;
  for (; record != end; record += ringfence::record_stride_bytes(record), ++position)
    if (record_time_us(record) >= time_us) break;
  return position;
}

std::uint64_t History::cursor_before_last(std::uint64_t count) const {
  if (count == 0 || empty()) return last_seq_;
  if (count >= size()) return place_of_position(first_position_).prev_seq;
  return place_of_position(end_position_ - count).prev_seq;
}

std::uint64_t History::expire(std::int64_t now_us) {
  if (limits_.age_max_us == HistoryLimits::kNoAgeLimit) return 0;
  const std::int64_t oldest_us = now_us - limits_.age_max_us;
  const std::uint64_t before = first_position_;
  while (!empty() && record_time_us(segments_[head_]->data() + head_offset_bytes_) < oldest_us) {
    if (first_position_ >= hold_) {
      for (wanted_ = first_position_; wanted_ < end_position_ && at(wanted_).time_us < oldest_us;) ++wanted_;
      break;
    }
    drop_head_records(1, Eviction::age);
  }
  return first_position_ - before;
}

std::uint64_t History::evict_segment() {
  const std::uint64_t before = first_position_;
  if (!empty()) drop_head_segment(Eviction::pressure);
  return first_position_ - before;
}

void History::clear() {
  while (!empty()) drop_head_segment(Eviction::cleared);
  if (sealed_) evicted_hole_to_ = last_seq_;
  sealed_ = false;
  segments_.clear();
  segments_.shrink_to_fit();
  head_ = 0;
  evicted_through_ = last_seq_;
}

void History::reset() {
  clear();
  last_seq_ = 0;
  ordinal_ = 0;
  evicted_through_ = 0;
  evicted_hole_to_ = 0;
}

// A quarter of what is held, so that the segments' slack stays in proportion; a power of two, so that malloc wastes none.
std::uint64_t History::next_segment_bytes(std::uint64_t stride) const noexcept {
  const std::uint64_t largest = std::clamp<std::uint64_t>(std::bit_floor(limits_.bytes_max / 8),
                                                          SegmentPool::kSegmentBytesMin, SegmentPool::kSegmentBytesMax);
  const std::uint64_t grown =
      std::clamp<std::uint64_t>(std::bit_ceil(held_bytes_ / 4 + 1), SegmentPool::kSegmentBytesMin, largest);
  return std::max(grown, SegmentPool::kHeaderBytes + stride);
}

// Makes segments_.back() one with room for a record.
Result<void> History::make_room(std::uint64_t stride, std::uint32_t charge_bytes) {
  const auto taken = [&] { return allocated_bytes_ + charged_bytes_ + charge_bytes; };
  if (charge_bytes > 0) {
    if (SegmentPool::kHeaderBytes + stride + charge_bytes > limits_.bytes_max) return Error::record_too_large;
    while (taken() > limits_.bytes_max)
      if (auto free = evict_for_bytes(); !free) return free;
  }
  if (!empty() && !sealed_) {
    const Segment& tail = *segments_.back();
    if (stride <= tail.capacity_bytes() - tail.used_bytes) return {};
  }
  if (stride > record_bytes_max(limits_.bytes_max)) return Error::record_too_large;
  std::uint64_t bytes = next_segment_bytes(stride);
  while (!empty() && taken() + bytes > limits_.bytes_max)
    if (auto free = evict_for_bytes(); !free) return free;
  // Alone, beside a large charge: no larger than it must be.
  if (taken() + bytes > limits_.bytes_max) bytes = SegmentPool::kHeaderBytes + stride;
  SegmentRef segment = pool_->acquire(bytes);
  if (!segment) return Error::memory_full;
  segment->first_position = end_position_;
  segment->prev_seq = last_seq_;
  segment->last_seq = last_seq_;
  allocated_bytes_ += bytes;
  segments_.push_back(std::move(segment));
  sealed_ = false;
  note_size();
  return {};
}

// The oldest segment, or the oldest record where values of local records are charged.
Result<void> History::evict_for_bytes() {
  const Segment& head = *segments_[head_];
  const bool one = charged_bytes_ > 0;
  if (auto free = may_evict_to(one ? first_position_ + 1 : head.first_position + head.count); !free) return free;
  if (one)
    drop_head_records(1, Eviction::bytes);
  else
    drop_head_segment(Eviction::bytes);
  return {};
}

Result<void> History::may_evict_to(std::uint64_t position) {
  if (position <= hold_) return {};
  wanted_ = position;
  return Error::held;
}

void History::note_size() noexcept {
  high_water_mark_ = std::max(high_water_mark_, size());
  high_water_mark_bytes_ = std::max(high_water_mark_bytes_, allocated_bytes_ + charged_bytes_);
}

void History::drop_head_segment(Eviction reason) {
  INVARIANT(head_ < segments_.size());
  const Segment& segment = *segments_[head_];
  const std::uint64_t end = segment.first_position + segment.count;
  count_evicted(reason, end - first_position_);
  if (segment.prev_seq > evicted_through_) evicted_hole_to_ = segment.prev_seq;
  first_position_ = end;
  evicted_through_ = segment.last_seq;
  held_bytes_ -= segment.used_bytes - head_offset_bytes_;
  charged_bytes_ -= charges_in_head(segment.used_bytes);
  allocated_bytes_ -= segment.allocated_bytes();
  segments_[head_].reset();
  head_offset_bytes_ = 0;
  ++head_;
  // Give the vector's front back once it is the larger part: amortised O(1).
  if (head_ == segments_.size()) {
    segments_.clear();
    head_ = 0;
  } else if (head_ >= 16 && head_ > segments_.size() / 2) {
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

void History::drop_head_records(std::uint64_t count, Eviction reason) {
  while (count > 0) {
    const Segment& segment = *segments_[head_];
    const std::uint64_t held = segment.first_position + segment.count - first_position_;
    if (count >= held) {
      drop_head_segment(reason);
      count -= held;
      continue;
    }
    count_evicted(reason, count);
    if (segment.prev_seq > evicted_through_) evicted_hole_to_ = segment.prev_seq;
    first_position_ += count;
    std::uint32_t end_offset = head_offset_bytes_;
    if (charged_bytes_ > 0) {
      for (std::uint64_t left = count; left > 0; --left)
        end_offset += ringfence::record_stride_bytes(segment.data() + end_offset);
      charged_bytes_ -= charges_in_head(end_offset);
    }
    for (; count > 0; --count) {
      const std::byte* record = segment.data() + head_offset_bytes_;
      evicted_through_ = record_seq(record);
      const std::uint32_t stride = ringfence::record_stride_bytes(record);
      head_offset_bytes_ += stride;
      held_bytes_ -= stride;
    }
  }
}

void History::count_evicted(Eviction reason, std::uint64_t count) noexcept {
  evicted_[static_cast<std::size_t>(reason)] += count;
  pool_->account().count_evicted(reason, count);
}

History::Place History::place_of_position(std::uint64_t position) const {
  INVARIANT(position >= first_position_ && position < end_position_);
  const auto begin = segments_.begin() + static_cast<std::ptrdiff_t>(head_);
  const auto after = std::partition_point(
      begin, segments_.end(), [position](const SegmentRef& segment) { return segment->first_position <= position; });
  Place place;
  place.segment = static_cast<std::size_t>(after - segments_.begin()) - 1;
  const Segment& segment = *segments_[place.segment];
  const bool trimmed = place.segment == head_ && head_offset_bytes_ > 0;
  place.offset = trimmed ? head_offset_bytes_ : 0;
  place.position = trimmed ? first_position_ : segment.first_position;
  place.prev_seq = trimmed ? evicted_through_ : segment.prev_seq;
  while (place.position < position) {
    const std::byte* record = segment.data() + place.offset;
    place.prev_seq = record_seq(record);
    place.offset += ringfence::record_stride_bytes(record);
    ++place.position;
  }
  return place;
}

History::Place History::place_behind(std::uint64_t after) const {
  const auto begin = segments_.begin() + static_cast<std::ptrdiff_t>(head_);
  const auto found = std::partition_point(begin, segments_.end(),
                                          [after](const SegmentRef& segment) { return segment->last_seq <= after; });
  INVARIANT(found != segments_.end());
  Place place;
  place.segment = static_cast<std::size_t>(found - segments_.begin());
  const Segment& segment = **found;
  const bool trimmed = place.segment == head_ && head_offset_bytes_ > 0;
  place.offset = trimmed ? head_offset_bytes_ : 0;
  place.position = trimmed ? first_position_ : segment.first_position;
  place.prev_seq = trimmed ? evicted_through_ : segment.prev_seq;
  for (;;) {
    const std::byte* record = segment.data() + place.offset;
    const std::uint64_t seq = record_seq(record);
    if (seq > after) return place;
    place.prev_seq = seq;
    place.offset += ringfence::record_stride_bytes(record);
    ++place.position;
  }
}

}  // namespace ringfence
