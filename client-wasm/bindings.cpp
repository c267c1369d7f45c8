// The core as JavaScript sees it: numbers in, numbers out. No decisions are made here and nothing throws.
//
// A function that can fail returns 0 for success, else 1 + the number of its Error; error_name() names it.
// Owns     a Core owns its Replica, its staging block and its tables. JavaScript owns each Core and each Handle, and
//          gives them back with delete(), which runs their destructors.
// Bounds   one staging block of at most batch_bytes_max; a table of kRowsMax rows; kNumbers numbers.
// Refs     addresses are valid until the next call of anything: JavaScript makes its views of memory anew each time.
#include <emscripten/bind.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <new>
#include <string>
#include <utility>

#include <ringfence/invariant.h>
#include <ringfence/replica.h>

namespace {

using namespace ringfence;
using emscripten::val;

constexpr std::uint32_t kOk = 0;
std::uint32_t number(Error error) { return 1 + static_cast<std::uint32_t>(error); }
std::string error_name(std::uint32_t number) {
  return number >= 1 && number <= kErrorCount ? std::string(error_code(static_cast<Error>(number - 1))) : std::string();
}

// What window() tells of one record. Read by TypeScript at these offsets.
struct Row {
  double seq;
  double time_us;
  std::uint32_t type;
  std::uint32_t type_bytes;
  std::uint32_t payload;
  std::uint32_t payload_bytes;
};
static_assert(sizeof(Row) == 32);

std::uint32_t address(const void* pointer) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(pointer));
}

// Memory kept back for bookkeeping: what may allocate begins with refill(), and is refused with memory_full if segments
// and listeners have taken everything, instead of running dry half-way.
class Reserve {
 public:
  static bool refill() {
    if (!block_) block_ = std::malloc(kBytes);
    return block_ != nullptr;
  }
  // The new handler: called when operator new finds nothing.
  static void spend() {
    INVARIANT(block_ != nullptr);
    std::free(std::exchange(block_, nullptr));
  }

 private:
  static constexpr std::size_t kBytes = 64 * 1024;  // more than any one call takes: a table of kHistoriesMax, rehashed
  inline static void* block_ = nullptr;
};

class Handle {
 public:
  explicit Handle(Subscription subscription) : subscription_(std::move(subscription)) {}
  bool active() const { return subscription_.active(); }

 private:
  Subscription subscription_;
};

class Core {
 public:
  // Of the last call that made a Handle or a history; valid until the next one.
  std::uint32_t error() const { return error_; }

  // kOk, or why there is no replica: the Core is of no use then.
  std::uint32_t start(double memory_bytes, std::uint32_t batch_bytes_max) {
    std::set_new_handler(Reserve::spend);
    if (!Reserve::refill()) return number(Error::memory_full);
    auto replica = Replica::create(static_cast<std::uint64_t>(memory_bytes));
    if (!replica) return number(replica.error());
    replica_ = std::move(replica).value();
    batch_bytes_max_ = batch_bytes_max;
    return kOk;
  }

  // The address of `bytes` bytes to put a batch in; 0 if that is more than there may be, or no memory is left.
  std::uint32_t staging(std::uint32_t bytes) {
    if (bytes > batch_bytes_max_) return 0;
    if (bytes > staging_bytes_ || !staging_) {
      const std::uint32_t wanted = std::min(batch_bytes_max_, std::max(bytes + bytes / 2, kStagingBytesMin));
      staging_.reset();
      staging_bytes_ = 0;
      staging_.reset(static_cast<std::byte*>(std::malloc(wanted)));
      if (!staging_) return 0;
      staging_bytes_ = wanted;
    }
    return address(staging_.get());
  }

  std::uint32_t ingest(std::uint32_t bytes, SourceId source) {
    if (bytes > staging_bytes_) return number(Error::batch_too_large);
    if (!Reserve::refill()) return number(Error::memory_full);
    const auto taken = replica_->ingest({staging_.get(), bytes}, source);
    return taken ? kOk : number(taken.error());
  }

  // The id; 0 with error() set if refused. `age_max_us` 0: no limit.
  std::uint32_t add_history(const std::string& name, std::uint32_t records_max, double bytes_max, double age_max_us) {
    HistoryLimits limits{records_max, static_cast<std::uint64_t>(bytes_max), HistoryLimits::kNoAgeLimit};
    if (age_max_us > 0) limits.age_max_us = static_cast<std::int64_t>(age_max_us);
    if (!has_room()) return 0;
    const auto id = take(replica_->add_history(name, limits));
    return id ? *id : 0;
  }
  bool remove_history(HistoryId id) { return replica_->remove_history(id); }

  Handle* attach(std::uint32_t channel_id, HistoryId id, bool new_epoch, double after, SourceId source) {
    if (!has_room()) return nullptr;
    return handle(replica_->attach(channel_id, id, new_epoch, static_cast<std::uint64_t>(after), source));
  }
  void note_gap(std::uint32_t channel_id, double to, SourceId source) {
    replica_->note_gap(channel_id, static_cast<std::uint64_t>(to), source);
  }

  // `callback` must not throw: nothing here could catch it.
  Handle* on_change(HistoryId id, val callback) {
    if (!has_room()) return nullptr;
    return handle(replica_->on_change(id, [callback = std::move(callback)] { callback(); }));
  }
  void mark_changed(HistoryId id) { replica_->mark_changed(id); }
  bool has_changes() const { return replica_->has_changes(); }
  std::uint32_t notify() { return static_cast<std::uint32_t>(replica_->notify()); }

  std::uint32_t expire(HistoryId id, double now_us) {
    History* const history = replica_->history(id);
    const auto count = history ? history->expire(static_cast<std::int64_t>(now_us)) : 0;
    if (count > 0) replica_->mark_changed(id);
    return static_cast<std::uint32_t>(count);
  }
  void clear(HistoryId id) {
    if (History* const history = replica_->history(id)) history->clear();
    replica_->mark_changed(id);
  }

  double lower_bound(HistoryId id, double seq) {
    History* const history = replica_->history(id);
    return history ? static_cast<double>(history->lower_bound(static_cast<std::uint64_t>(seq))) : 0;
  }

  // Fills the table with what is held of [position, position + count); at most kRowsMax. Returns how many.
  std::uint32_t window(HistoryId id, double position, std::uint32_t count) {
    History* const history = replica_->history(id);
    if (!history) return 0;
    std::uint32_t filled = 0;
    history->visit(static_cast<std::uint64_t>(position), std::min(count, kRowsMax), [&](const RecordView& record) {
      rows_[filled++] = {static_cast<double>(record.seq), static_cast<double>(record.time_us),
                         address(record.type.data()),     static_cast<std::uint32_t>(record.type.size()),
                         address(record.payload.data()),  static_cast<std::uint32_t>(record.payload.size())};
    });
    return filled;
  }
  std::uint32_t rows_address() const { return address(rows_.data()); }

  // Each fills the numbers, in the order written here.
  std::uint32_t numbers_address() const { return address(numbers_.data()); }
  void read_place(HistoryId id) {
    next_ = 0;
    History* const history = replica_->history(id);
    if (!history) return put_all(std::array<std::uint64_t, 6>{});
    put_all(std::array{history->first_position(), history->end_position(), history->first_seq(), history->last_seq(),
                       replica_->counts(id)->holes, history->evicted_through()});
  }
  void read_history(HistoryId id) {
    next_ = 0;
    History* const history = replica_->history(id);
    if (!history) return put_all(std::array<std::uint64_t, 14>{});
    const HistoryCounts& counts = *replica_->counts(id);
    put_all(std::array{history->size(), history->held_bytes(), history->allocated_bytes(),
                       history->high_water_mark_bytes(), counts.records, counts.duplicates, counts.refused,
                       counts.holes, replica_->listeners(id)});
    for (std::size_t reason = 0; reason < kEvictionCount; ++reason)
      put_all(std::array{history->evicted(static_cast<Eviction>(reason))});
  }
  void read_store() {
    next_ = 0;
    const IngestCounts& totals = replica_->totals();
    SegmentPool& pool = replica_->pool();
    put_all(std::array{pool.used_bytes(), pool.capacity_bytes(), pool.account().high_water_mark_bytes(),
                       replica_->declared_bytes(), totals.batches, totals.records, totals.bytes,
                       totals.unrouted_records, totals.duplicate_records, totals.refused_records, totals.holes,
                       totals.refused_batches, replica_->histories(), replica_->listeners(), replica_->routes()});
  }
  double refused_by(std::uint32_t error_number) const {
    if (error_number < 1 || error_number > kErrorCount) return 0;
    return static_cast<double>(replica_->refused_by(static_cast<Error>(error_number - 1)));
  }

 private:
  static constexpr std::uint32_t kRowsMax = 256;
  static constexpr std::uint32_t kNumbers = 16;
  static constexpr std::uint32_t kStagingBytesMin = 4096;

  struct Free {
    void operator()(std::byte* block) const { std::free(block); }
  };

  bool has_room() {
    error_ = Reserve::refill() ? kOk : number(Error::memory_full);
    return error_ == kOk;
  }
  template <typename T>
  std::optional<T> take(Result<T> result) {
    error_ = result ? kOk : number(result.error());
    if (!result) return std::nullopt;
    return std::move(result).value();
  }
  Handle* handle(Result<Subscription> result) {
    auto subscription = take(std::move(result));
    return subscription ? new Handle(std::move(*subscription)) : nullptr;
  }
  template <std::size_t N>
  void put_all(const std::array<std::uint64_t, N>& values) {
    for (const std::uint64_t value : values) numbers_[next_++] = static_cast<double>(value);
  }

  std::unique_ptr<Replica> replica_;
  std::unique_ptr<std::byte[], Free> staging_;
  std::uint32_t staging_bytes_ = 0;
  std::uint32_t batch_bytes_max_ = 0;
  std::uint32_t error_ = kOk;
  std::uint32_t next_ = 0;
  std::array<double, kNumbers> numbers_{};
  std::array<Row, kRowsMax> rows_{};
};

}  // namespace

EMSCRIPTEN_BINDINGS(ringfence) {
  using namespace emscripten;
  function("errorName", &error_name);
  class_<Handle>("Handle").function("active", &Handle::active);
  class_<Core>("Core")
      .constructor<>()
      .function("start", &Core::start)
      .function("error", &Core::error)
      .function("staging", &Core::staging)
      .function("ingest", &Core::ingest)
      .function("addHistory", &Core::add_history)
      .function("removeHistory", &Core::remove_history)
      .function("attach", &Core::attach, allow_raw_pointers())
      .function("noteGap", &Core::note_gap)
      .function("onChange", &Core::on_change, allow_raw_pointers())
      .function("markChanged", &Core::mark_changed)
      .function("hasChanges", &Core::has_changes)
      .function("notify", &Core::notify)
      .function("expire", &Core::expire)
      .function("clear", &Core::clear)
      .function("lowerBound", &Core::lower_bound)
      .function("window", &Core::window)
      .function("rowsAddress", &Core::rows_address)
      .function("numbersAddress", &Core::numbers_address)
      .function("readPlace", &Core::read_place)
      .function("readHistory", &Core::read_history)
      .function("readStore", &Core::read_store)
      .function("refusedBy", &Core::refused_by);
}
