// History: the record log of one channel, bounded by records, bytes and age. Full: the oldest records leave, counted
// by reason. What readers hold on to stays alive and counted in the pool, but is no longer part of the history.
//
// Records lie in segments of a SegmentPool. A segment starts at 512 B and grows with what the history holds, to a
// quarter of it, so that a quiet channel is small and a busy one has few segments.
// Owns     references to its segments. Move-only. The pool must outlive it.
// Threads  no locking: one thread at a time, reads included. Slices may be read and released on any thread.
// Bounds   size() <= records_max; allocated_bytes() + charged_bytes() <= bytes_max, which counts whole segments with their
//          headers, so records leave by bytes a segment (at most 64 KiB, at most an eighth of bytes_max) at a time.
// Cost     append: O(1) amortised, one copy. read, lower_bound, position: O(log segments) and a walk over the
//          headers in one segment. Memory beside the segments: sizeof(History) and 8 B a segment.
// Refs     a RecordView from at() is valid until the next append, expire, clear or evict_segment; a Slice as long as it lives.
// Errors   create(): bad_capacity. append: record_too_large, memory_full (the pool is full; nothing is evicted for that
//          beyond the history's own bounds: the caller decides), held (see hold()). push: seq_exhausted too. A refused
//          record is not taken in any part.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <ringfence/batch.h>
#include <ringfence/segment_pool.h>

namespace ringfence {

struct HistoryLimits {
  static constexpr std::int64_t kNoAgeLimit = std::numeric_limits<std::int64_t>::max();

  std::uint32_t records_max = 1000;
  std::uint64_t bytes_max = 1024 * 1024;  // >= kBytesMin
  std::int64_t age_max_us = kNoAgeLimit;  // > 0

  static constexpr std::uint64_t kBytesMin = 4096;
};

// Consecutive records in one segment, shared with the history: what one section of a batch sends.
struct Slice {
  SegmentRef segment;
  const std::byte* data = nullptr;
  std::uint32_t bytes = 0;
  std::uint32_t count = 0;  // 0: nothing behind the cursor
  std::uint64_t prev_seq = 0;
  std::uint64_t last_seq = 0;
};

// Records that a cursor can no longer get. Inclusive; `missed` counts them, where that is known.
struct Gap {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::uint64_t missed = 0;
  bool known = true;
  bool lost = false;  // never in this history: lose_to()
};

struct AppendCounts {
  std::uint32_t appended = 0;
  std::uint32_t duplicates = 0;  // seq at or below last_seq(): skipped
  std::uint32_t refused = 0;     // too large for this history, or no memory
  std::uint32_t left = 0;        // not looked at, for a hold: to be given again
  std::span<const std::byte> left_records;
};

// Of a local record (record.h).
enum class Numbering : std::uint8_t {
  own,     // the next seq
  behind,  // the seq of the record before it, with an ordinal: last_seq() stays
};

class History {
 public:
  static Result<History> create(SegmentPool& pool, const HistoryLimits& limits);
  // The largest record, padding included, that a history with this bytes_max takes.
  static std::uint64_t record_bytes_max(std::uint64_t bytes_max) noexcept;

  History(History&&) noexcept = default;
  History& operator=(History&&) noexcept = default;

  // Takes the record under next_seq(), and returns that. `time_us` is "now", and expires what is too old.
  Result<std::uint64_t> append(std::int64_t time_us, std::string_view type, std::string_view payload);
  // The same under a seq that another has given, above last_seq(): nothing lay between.
  Result<std::uint64_t> append_at(std::uint64_t seq, std::int64_t time_us, std::string_view type,
                                  std::string_view payload);
  // Takes the records of a validated section under their own seq. Never fails half-way unnoticed: see AppendCounts.
  AppendCounts append_section(const Section& section);
  // Takes the entry of a value that lies elsewhere, and counts `charge_bytes` for that to bytes_max: one of these leaves by
  // itself, not with its segment. Returns its position.
  Result<std::uint64_t> push(std::int64_t time_us, std::string_view type, std::string_view text,
                             std::uint32_t charge_bytes, Numbering numbering);
  // What append() asks of the pool for a record of `stride` bytes that its last segment has no room for.
  std::uint64_t next_segment_bytes(std::uint64_t stride) const noexcept;
  // The next record comes behind `seq` (>= last_seq()): records between are missed, not evicted.
  void skip_to(std::uint64_t seq);
  // The same, and readers are to be told of it: hole() finds it between the segments. Where nothing is held it is as if
  // they had been evicted.
  void lose_to(std::uint64_t seq);

  std::uint64_t next_seq() const noexcept { return last_seq_ + 1; }
  std::uint64_t last_seq() const noexcept { return last_seq_; }
  // record_key() of the record that was appended or pushed last, or of the seq skipped to since.
  double last_key() const noexcept;
  // Of the oldest record held; next_seq() if none.
  std::uint64_t first_seq() const noexcept;
  std::uint64_t size() const noexcept { return end_position_ - first_position_; }
  bool empty() const noexcept { return size() == 0; }
  // The seq before the oldest record held; a cursor below it has missed records.
  std::uint64_t evicted_through() const noexcept { return evicted_through_; }

  // Records behind `after` (a seq), from one segment and at most `bytes_max` (but at least one record). A cursor
  // below evicted_through() reads from the oldest held: ask gap() first.
  Slice read(std::uint64_t after, std::uint32_t bytes_max) const;
  // What a cursor at `after` has missed; exact where seqs are consecutive.
  std::optional<Gap> gap(std::uint64_t after) const noexcept;
  // What lose_to() has left out right behind a cursor that has missed nothing else. Its `missed` counts seqs.
  std::optional<Gap> hole(std::uint64_t after) const noexcept;
  // True if lose_to() has left out anything behind it; if anything that it left out has been evicted ahead of it.
  bool holes_behind(std::uint64_t after) const noexcept;
  bool hole_evicted(std::uint64_t after) const noexcept { return after < evicted_hole_to_; }
  // True if the record of this seq is here, has been here, or is one of those that lose_to() left out.
  bool accounts_for(std::uint64_t seq) const noexcept;

  // Positions count records since creation, without holes: [first_position(), end_position()) is held. They do not
  // move when the oldest leave.
  std::uint64_t first_position() const noexcept { return first_position_; }
  std::uint64_t end_position() const noexcept { return end_position_; }
  RecordView at(std::uint64_t position) const;  // INVARIANT: held
  // Visits [position, position + count), clipped to what is held, in order: one search, then a walk.
  template <typename Visit>
  void visit(std::uint64_t position, std::uint64_t count, Visit&& visit) const;
  // The position of the first record with seq >= `seq`; end_position() if none.
  std::uint64_t lower_bound(std::uint64_t seq) const noexcept;
  // By record_key().
  std::uint64_t lower_bound_key(double key) const;
  // The position of the first record with time >= `time_us`; end_position() if none. Times are as the publisher's
  // clock gave them; where that ran backwards, the answer is that of a binary search by segments.
  std::uint64_t find_time(std::int64_t time_us) const noexcept;
  // The cursor (a seq) behind which the last `count` records lie.
  std::uint64_t cursor_before_last(std::uint64_t count) const;

  // Records from `position` on are kept from eviction by the bounds, for somebody who has yet to see them: what would
  // evict them is refused with `held`, and wanted() is where the hold must be for it to go on. kNoHold: no hold. Only ever
  // moved forward by who holds; clear, reset and evict_segment pay no heed to it.
  void hold(std::uint64_t position) noexcept { hold_ = position; }
  std::uint64_t wanted() const noexcept { return wanted_; }
  static constexpr std::uint64_t kNoHold = std::numeric_limits<std::uint64_t>::max();

  // Evicts what is older than age_max_us, up to a hold. Returns how many; wanted() > hold means that there is more.
  std::uint64_t expire(std::int64_t now_us);
  // Evicts the oldest segment, for memory that others need. Returns how many records went; 0 if there was none.
  std::uint64_t evict_segment();
  // Evicts all. Positions and seqs go on.
  void clear();
  // Evicts all and begins another epoch: the next seq is 1 again. Positions go on.
  void reset();

  const HistoryLimits& limits() const noexcept { return limits_; }
  std::uint64_t evicted(Eviction reason) const noexcept { return evicted_[static_cast<std::size_t>(reason)]; }
  std::uint64_t evicted_total() const noexcept { return first_position_; }
  std::uint64_t held_bytes() const noexcept { return held_bytes_; }            // of records held, padding included
  std::uint64_t allocated_bytes() const noexcept { return allocated_bytes_; }  // of segments held
  std::uint64_t charged_bytes() const noexcept { return charged_bytes_; }      // for values of local records
  std::uint64_t high_water_mark() const noexcept { return high_water_mark_; }  // of size()
  std::uint64_t high_water_mark_bytes() const noexcept { return high_water_mark_bytes_; }  // of both

 private:
  struct Place {
    std::size_t segment;  // index into segments_
    std::uint32_t offset;
    std::uint64_t position;
    std::uint64_t prev_seq;
  };

  History(SegmentPool& pool, const HistoryLimits& limits);

  Result<std::uint64_t> put(std::uint64_t seq, std::int64_t time_us, std::string_view type, std::string_view payload);
  Result<void> make_room(std::uint64_t stride, std::uint32_t charge_bytes = 0);
  Result<void> evict_for_bytes();
  Result<void> may_evict_to(std::uint64_t position);
  void note_size() noexcept;
  std::uint64_t charges_in_head(std::uint32_t end_offset) const noexcept;
  void drop_head_segment(Eviction reason);
  void drop_head_records(std::uint64_t count, Eviction reason);
  void count_evicted(Eviction reason, std::uint64_t count) noexcept;
  Place place_of_position(std::uint64_t position) const;  // INVARIANT: held
  Place place_behind(std::uint64_t after) const;          // INVARIANT: one is held with seq > after

  SegmentPool* pool_;
  HistoryLimits limits_;
  std::vector<SegmentRef> segments_;  // [head_, end) are held, oldest first
  std::uint32_t head_ = 0;
  std::uint32_t head_offset_bytes_ = 0;  // of the oldest record held in segments_[head_]
  std::uint64_t first_position_ = 0;
  std::uint64_t end_position_ = 0;
  std::uint64_t last_seq_ = 0;
  std::uint64_t evicted_through_ = 0;
  std::uint64_t held_bytes_ = 0;
  std::uint64_t allocated_bytes_ = 0;
  std::uint64_t charged_bytes_ = 0;
  std::uint64_t high_water_mark_ = 0;
  std::uint64_t high_water_mark_bytes_ = 0;
  std::uint64_t hold_ = kNoHold;
  std::uint64_t wanted_ = 0;
  std::uint64_t evicted_hole_to_ = 0;
  bool sealed_ = false;        // a hole stands behind the last segment: the next record begins another
  std::uint32_t ordinal_ = 0;  // of the last local record behind last_seq_
  std::array<std::uint64_t, kEvictionCount> evicted_{};
};

template <typename Visit>
void History::visit(std::uint64_t position, std::uint64_t count, Visit&& visit) const {
  if (position < first_position_) {
    const std::uint64_t gone = first_position_ - position;
    if (count <= gone) return;
    count -= gone;
    position = first_position_;
  }
  if (position >= end_position_) return;
  if (count > end_position_ - position) count = end_position_ - position;
  if (count == 0) return;
  Place place = place_of_position(position);
  for (std::uint64_t done = 0; done < count; ++done) {
    if (place.offset == segments_[place.segment]->used_bytes) {
      ++place.segment;
      place.offset = 0;
    }
    const RecordView record = view_record(segments_[place.segment]->data() + place.offset);
    visit(record);
    place.offset += record.stride_bytes;
  }
}

}  // namespace ringfence
