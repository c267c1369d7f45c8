// Replica: the receiving end. Holds the histories of a client, and puts the sections of each batch where they belong.
//
// A batch is checked whole before any of it is taken: one that does not validate leaves every history as it was.
// Owns     its pool, its histories, their views and its ledger. A history lives until its HistoryId is removed, a view until
//          its ViewId is, or its history.
// Threads  no locking: one thread.
// Bounds   all histories together: the pool's limit, and the sum of their bytes_max and of what else is set aside never
//          passes it, so an append does not fail for memory. Histories: kHistoriesMax. Routes: one a history. Views: kViewsMax.
// Cost     ingest: one validating pass and one copy of the records; no allocation but for segments.
// Errors   add_view: not_subscribed (no such history), those of set_aside() and of view.h. add_history: bad_capacity,
//          over_budget, duplicate_name. attach: already_attached, not_subscribed (no such history). ingest: those of batch.h.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ringfence/flat_map.h>
#include <ringfence/history.h>
#include <ringfence/topic.h>
#include <ringfence/view.h>

namespace ringfence {

using HistoryId = std::uint32_t;  // 1 and up, never reused
using ViewId = std::uint32_t;     // 1 and up, never reused
using SourceId = std::uint32_t;   // who sends batches: a channel id means something only with its server's connection

struct IngestCounts {
  std::uint64_t batches = 0;
  std::uint64_t records = 0;            // taken
  std::uint64_t bytes = 0;              // of batches taken
  std::uint64_t unrouted_records = 0;   // of channels that nobody is subscribed to any more
  std::uint64_t duplicate_records = 0;  // at or below what the history has
  std::uint64_t refused_records = 0;    // too large for their history
  std::uint64_t holes = 0;              // records that should have come before, and were not announced as missed
  std::uint64_t refused_batches = 0;    // did not validate
};

// What the batches brought to one history.
struct HistoryCounts {
  std::uint64_t records = 0;     // taken
  std::uint64_t duplicates = 0;  // at or below what the history had
  std::uint64_t refused = 0;     // too large for it
  std::uint64_t holes = 0;       // as in IngestCounts
};

class Replica {
 public:
  static constexpr std::uint32_t kHistoriesMax = 4096;
  static constexpr std::uint32_t kListenersMax = 4096;  // a history
  static constexpr std::uint32_t kViewsMax = 4096;

  // `memory_bytes`: the limit on all segments. bad_capacity below HistoryLimits::kBytesMin.
  static Result<std::unique_ptr<Replica>> create(std::uint64_t memory_bytes);
  ~Replica();

  Result<HistoryId> add_history(std::string_view name, const HistoryLimits& limits);
  // Ends its listeners and its route. False if there is none.
  bool remove_history(HistoryId id);
  History* history(HistoryId id) noexcept;                   // null if there is none
  const HistoryCounts* counts(HistoryId id) const noexcept;  // null if there is none

  // Sends the sections of `channel_id` of that source into a history until the handle ends. One channel feeds one
  // history and the other way round. Delivery begins behind `after`; a new epoch resets the history first.
  Result<Subscription> attach(std::uint32_t channel_id, HistoryId id, bool new_epoch, std::uint64_t after,
                              SourceId source = 0);
  // The server told that [from, to] is gone: the next section begins behind `to`.
  void note_gap(std::uint32_t channel_id, std::uint64_t to, SourceId source = 0);

  // Takes all of the batch, or refuses all of it; totals() says what became of its records.
  //
  // Where a history holds records (History::hold), it may stop on the way: then blocked() is the history whose hold has to
  // move to its wanted(), and resume() goes on. Until that is done the batch must stay where it is, and no other may come
  // (INVARIANT).
  Result<void> ingest(std::span<const std::byte> batch, SourceId source = 0);
  HistoryId blocked() const noexcept { return blocked_; }  // 0: none
  void resume();
  const IngestCounts& totals() const noexcept { return totals_; }
  std::uint64_t refused_by(Error error) const noexcept { return refused_by_[static_cast<std::size_t>(error)]; }

  // Takes the entry of a value that lies elsewhere: History::push().
  Result<std::uint64_t> push(HistoryId id, std::int64_t time_us, std::string_view type, std::string_view text,
                             std::uint32_t charge_bytes, Numbering numbering);
  // Clears the history, so that its views see it.
  void clear(HistoryId id);

  // Kept current with every append. Its memory is set aside beside the histories'.
  Result<ViewId> add_view(HistoryId id, ViewFilter filter, std::uint32_t capacity, std::int64_t rate_bucket_us);
  bool remove_view(ViewId id);  // false if there is none, or its history has gone
  // Brought up to date first; null if there is none.
  View* view(ViewId id);
  // The channel that feeds a history, for the filters of views.
  void set_channel(HistoryId id, std::string_view channel);

  // Bytes for what else lies in the same memory. bad_capacity: more than there ever is; over_budget: than there is now.
  Result<void> set_aside(std::uint64_t bytes) noexcept;
  void give_back(std::uint64_t bytes) noexcept;

  // Calls back after a change of the history, once a notify() however many changes there were.
  Result<Subscription> on_change(HistoryId id, std::function<void()> callback);
  void mark_changed(HistoryId id);
  bool has_changes() const noexcept { return !changed_.empty(); }
  // Returns the number of callbacks called.
  std::size_t notify();

  std::uint64_t listeners() const noexcept;              // live, of all histories
  std::uint64_t listeners(HistoryId id) const noexcept;  // live, of one
  std::uint64_t routes() const noexcept;                 // live
  std::uint64_t histories() const noexcept { return histories_.size(); }
  std::uint64_t views() const noexcept { return views_.size(); }
  std::uint64_t declared_bytes() const noexcept { return declared_bytes_; }  // set aside: bytes_max, views, others
  SegmentPool& pool() noexcept { return pool_; }
  Ledger& ledger() noexcept { return ledger_; }

 private:
  struct Held;   // a history, its listeners, whether it changed
  struct Route;  // a channel's

  explicit Replica(std::uint64_t memory_bytes);
  static std::uint64_t route_key(SourceId source, std::uint32_t channel_id) noexcept {
    return std::uint64_t{source} << 32 | channel_id;
  }
  void take(HistoryId id, const Section& section);
  void update_views(Held& held);
  std::size_t view_index(ViewId id) const noexcept;  // views_.size() if there is none

  struct Watching {  // a view, and whose it is
    ViewId id;
    HistoryId history;
    std::unique_ptr<View> view;
  };
  // A batch that is being taken.
  struct Ingest {
    BatchCursor sections;
    SourceId source;
    std::optional<Section> section;  // stopped in here
  };

  Ledger ledger_;
  SegmentPool pool_;
  std::uint64_t declared_bytes_ = 0;
  HistoryId next_id_ = 1;
  FlatMap<HistoryId, std::unique_ptr<Held>> histories_;
  FlatMap<std::uint64_t, std::unique_ptr<Route>> routes_;  // by route_key()
  std::vector<HistoryId> changed_;
  std::vector<Watching> views_;  // their ids rise
  ViewId next_view_ = 1;
  std::optional<Ingest> ingest_;
  HistoryId blocked_ = 0;
  IngestCounts totals_;
  std::array<std::uint64_t, kErrorCount> refused_by_{};
};

}  // namespace ringfence
