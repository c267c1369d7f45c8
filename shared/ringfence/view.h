// View: the records of a history that match a filter by type, channel and text, as a ring of their positions. Each record
// is looked at once, by the update() that follows it.
//
// Owns     the ring and the filter. It keeps no reference to its history: give it the same one each time.
// Threads  no locking: one thread at a time.
// Bounds   0 < capacity <= kCapacityMax matches: full, the oldest leaves, counted. What the history lets go of leaves too.
//          Types and channels: kNamesMax each. All memory, but for the filter's names, is within memory_bytes().
// Cost     update: O(new records), of which text is by far the dearest (text_match.h); O(1) if there is nothing new.
//          mark_read: O(log size()).
// Errors   create(): bad_capacity, bad_field for a filter out of its bounds.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <ringfence/history.h>
#include <ringfence/rate_meter.h>
#include <ringfence/ring_buffer.h>
#include <ringfence/text_match.h>

namespace ringfence {

// All that is given must hold.
struct ViewFilter {
  static constexpr std::size_t kNamesMax = 64;

  std::string types;     // one of these, divided by line feeds, which no name has
  std::string channels;  // one of these, likewise; "room:*" is all that begin with "room:"
  std::string text;      // text_match.h
};

class View {
 public:
  static constexpr std::uint32_t kCapacityMax = 1'000'000;

  static Result<std::unique_ptr<View>> create(ViewFilter filter, std::uint32_t capacity, std::int64_t rate_bucket_us);
  static constexpr std::uint64_t memory_bytes(std::uint32_t capacity) noexcept {
    return std::uint64_t{capacity} * sizeof(std::uint64_t) + RateMeter::memory_bytes() + sizeof(View);
  }

  // Takes in what has come to and gone from the history. `channel` feeds it. True if anything of the view has changed.
  bool update(const History& history, std::string_view channel);

  std::uint32_t capacity() const noexcept { return static_cast<std::uint32_t>(ring_.capacity()); }
  std::uint64_t size() const noexcept { return ring_.size(); }
  std::uint64_t total() const noexcept { return total_; }  // matches since creation: [total - size, total) are held
  // The position in the history of a match. INVARIANT: held.
  std::uint64_t position(std::uint64_t match) const { return ring_[static_cast<std::size_t>(match - first())]; }
  std::uint64_t first() const noexcept { return total_ - ring_.size(); }

  // Marks all matches below that position of the history as read. Never goes back. True if that changed anything.
  bool mark_read(std::uint64_t position);
  // Matches behind the mark, held or not. A history that is cleared marks all of them.
  std::uint64_t unread() const noexcept { return total_ - read_; }

  const RateMeter& rates() const noexcept { return rates_; }

  std::uint64_t scanned() const noexcept { return scanned_; }
  std::uint64_t unseen() const noexcept { return unseen_; }  // gone before the view could look
  std::uint64_t evicted_by_capacity() const noexcept { return ring_.evicted(); }
  std::uint64_t evicted_with_history() const noexcept { return evicted_with_history_; }
  std::uint64_t high_water_mark() const noexcept { return high_water_mark_; }

 private:
  View(ViewFilter&& filter, std::uint32_t capacity, std::int64_t rate_bucket_us);
  bool matches(const RecordView& record) const noexcept;

  ViewFilter filter_;
  std::array<std::uint16_t, ViewFilter::kNamesMax> type_ends_{};  // in filter_.types, so that none is looked for anew
  std::uint32_t types_ = 0;
  std::optional<TextMatch> text_;
  RingBuffer<std::uint64_t> ring_;
  RateMeter rates_;
  std::uint64_t next_ = 0;  // position looked at next
  std::uint64_t total_ = 0;
  std::uint64_t read_ = 0;  // matches marked, of total_
  std::uint64_t cleared_ = 0;
  std::uint64_t scanned_ = 0;
  std::uint64_t unseen_ = 0;
  std::uint64_t evicted_with_history_ = 0;
  std::uint64_t high_water_mark_ = 0;
};

}  // namespace ringfence
