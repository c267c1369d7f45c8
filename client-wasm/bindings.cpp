// The core as JavaScript sees it: functions with numbers in and a number out. No decisions are made here and nothing throws.
//
// A function that can fail returns 0 for success, else 1 + the number of its Error; error_name() names it.
// Owns     a Core owns its Replica, its staging block and its tables. JavaScript owns each Core and each Handle, and
//          gives them back with delete(), which runs their destructors.
// Bounds   one staging block of at most batch_bytes_max; a table of kRowsMax rows; kNumbers numbers.
// Refs     addresses are valid until the next call of anything: JavaScript makes its views of memory anew each time.
#include <emscripten.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ringfence/invariant.h>
#include <ringfence/key_table.h>
#include <ringfence/replica.h>

// Of src/instance.ts: calls the listener of that number; puts a text on the console.
extern "C" void ringfence_changed(std::uint32_t listener);
extern "C" void ringfence_report(const char* text);
// Of invariant.cpp.
extern "C" void ringfence_failed(const char* text) { ringfence_report(text); }

namespace {

using namespace ringfence;

constexpr std::uint32_t kOk = 0;
std::uint32_t number(Error error) { return 1 + static_cast<std::uint32_t>(error); }
// Static and ended by a zero.
const char* error_name(std::uint32_t number) {
  return number >= 1 && number <= kErrorCount ? error_code(static_cast<Error>(number - 1)).data() : "";
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

  // Where texts are put for the call that follows: kTextBytes.
  std::uint32_t text_address() const { return address(text_.data()); }
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
  std::uint32_t add_history(std::uint32_t name_bytes, std::uint32_t records_max, double bytes_max, double age_max_us) {
    HistoryLimits limits{records_max, static_cast<std::uint64_t>(bytes_max), HistoryLimits::kNoAgeLimit};
    if (age_max_us > 0) limits.age_max_us = static_cast<std::int64_t>(age_max_us);
    if (!has_room()) return 0;
    const auto id = take(replica_->add_history(text(name_bytes), limits));
    return id ? *id : 0;
  }
  bool remove_history(HistoryId id) { return replica_->remove_history(id); }

  Subscription* attach(std::uint32_t channel_id, HistoryId id, bool new_epoch, double after, SourceId source) {
    if (!has_room()) return nullptr;
    return handle(replica_->attach(channel_id, id, new_epoch, static_cast<std::uint64_t>(after), source));
  }
  void note_gap(std::uint32_t channel_id, double to, SourceId source) {
    replica_->note_gap(channel_id, static_cast<std::uint64_t>(to), source);
  }

  // ringfence_changed(listener) is called; it must not throw: nothing here could catch it.
  Subscription* on_change(HistoryId id, std::uint32_t listener) {
    if (!has_room()) return nullptr;
    return handle(replica_->on_change(id, [listener] { ringfence_changed(listener); }));
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
  void clear(HistoryId id) { replica_->clear(id); }
  void set_channel(HistoryId id, std::uint32_t bytes) { replica_->set_channel(id, text(bytes)); }

  // Of the pushes from here on.
  void set_push_type(std::uint32_t bytes) { push_type_ = text(bytes); }
  // The position; below 0: the error's number, negated. The text lies in the block of texts.
  double push(HistoryId id, double time_us, std::uint32_t charge, std::uint32_t text_bytes, bool own) {
    if (!Reserve::refill()) return -static_cast<double>(number(Error::memory_full));
    const auto position = replica_->push(id, static_cast<std::int64_t>(time_us), push_type_, text(text_bytes), charge,
                                         own ? Numbering::own : Numbering::behind);
    return position ? static_cast<double>(*position) : -static_cast<double>(number(position.error()));
  }
  double first_position(HistoryId id) {
    History* const history = replica_->history(id);
    return history ? static_cast<double>(history->first_position()) : 0;
  }
  double last_key(HistoryId id) {
    History* const history = replica_->history(id);
    return history ? history->last_key() : 0;
  }

  void hold(HistoryId id, double position) {
    History* const history = replica_->history(id);
    if (history) history->hold(position < 0 ? History::kNoHold : static_cast<std::uint64_t>(position));
  }
  double wanted(HistoryId id) {
    History* const history = replica_->history(id);
    return history ? static_cast<double>(history->wanted()) : 0;
  }
  HistoryId blocked() const { return replica_->blocked(); }
  void resume() { replica_->resume(); }

  // The names of types, those of channels, divided by line feeds, and the text follow one another in the block of texts.
  // 0 with error() set if refused.
  std::uint32_t add_view(HistoryId id, std::uint32_t types_bytes, std::uint32_t channels_bytes,
                         std::uint32_t text_bytes, std::uint32_t capacity, double rate_bucket_us) {
    const std::uint64_t bytes = View::memory_bytes(std::min(capacity, View::kCapacityMax));
    if (!has_room(bytes > replica_->pool().capacity_bytes() ? 0 : bytes)) return 0;
    std::string_view rest = text(types_bytes + channels_bytes + text_bytes);
    ViewFilter filter;
    filter.types = rest.substr(0, types_bytes);
    filter.channels = rest.substr(types_bytes, channels_bytes);
    filter.text = rest.substr(types_bytes + channels_bytes);
    const auto view =
        take(replica_->add_view(id, std::move(filter), capacity, static_cast<std::int64_t>(rate_bucket_us)));
    return view ? *view : 0;
  }
  void remove_view(ViewId id) { replica_->remove_view(id); }
  void read_view(ViewId id) {
    next_ = 0;
    const View* const view = replica_->view(id);
    if (!view) return put_all(std::array<std::uint64_t, 8>{});
    put_all(std::array{view->total(), view->size(), view->unread(), view->scanned(), view->unseen(),
                       view->evicted_by_capacity(), view->evicted_with_history(), view->high_water_mark()});
  }
  // Fills the numbers with the positions of matches; at most kNumbers. Returns how many.
  std::uint32_t view_positions(ViewId id, double match, std::uint32_t count) {
    next_ = 0;
    const View* const view = replica_->view(id);
    if (!view) return 0;
    for (std::uint64_t at = std::max(static_cast<std::uint64_t>(match), view->first());
         at < view->total() && next_ < std::min(count, kNumbers); ++at)
      put_all(std::array{view->position(at)});
    return next_;
  }
  // Up to the seq, inclusive.
  bool mark_read(ViewId id, HistoryId history_id, double seq) {
    View* const view = replica_->view(id);
    History* const history = replica_->history(history_id);
    if (!view || !history) return false;
    std::uint64_t position = history->lower_bound_key(seq);
    if (position < history->end_position() && record_key(history->at(position)) == seq) ++position;
    return view->mark_read(position);
  }
  // Fills the table: the count as seq, and the type. Returns how many.
  std::uint32_t view_rates(ViewId id, double now_us) {
    const View* const view = replica_->view(id);
    if (!view) return 0;
    const auto types = static_cast<std::uint32_t>(view->rates().types());
    for (std::uint32_t index = 0; index < types; ++index) {
      const RateMeter::Rate rate = view->rates().rate(index, static_cast<std::int64_t>(now_us));
      rows_[index] = {static_cast<double>(rate.count),
                      0,
                      address(rate.type.data()),
                      static_cast<std::uint32_t>(rate.type.size()),
                      0,
                      0};
    }
    return types;
  }

  // Null with error() set if refused. `bytes_max` 0: no bound. JavaScript owns it.
  KeyTable* add_keyed(std::uint32_t entries, double bytes_max) {
    LruLimits limits{entries};
    if (bytes_max > 0) limits.cost = static_cast<std::uint64_t>(bytes_max);
    const std::uint64_t bytes = KeyTable::memory_bytes(limits);
    if (const auto aside = replica_->set_aside(bytes); !aside) return error_ = number(aside.error()), nullptr;
    auto table = has_room(KeyTable::memory_bytes({entries})) ? take(KeyTable::create(limits)) : std::nullopt;
    if (table) return table->release();
    replica_->give_back(bytes);
    return nullptr;
  }
  void remove_keyed(KeyTable* table) {
    replica_->give_back(table->memory_bytes());
    delete table;
  }
  // Fills the numbers with what left in the last call, from the `from`th on: eight times the number, and the reason; at
  // most kNumbers. Returns how many.
  std::uint32_t keyed_left(const KeyTable& table, std::uint32_t from) {
    next_ = 0;
    for (std::size_t at = from; at < table.left().size() && next_ < kNumbers; ++at)
      put_all(std::array{std::uint64_t{table.left()[at].number} << 3 |
                         static_cast<std::uint64_t>(table.left()[at].reason)});
    return next_;
  }
  void read_keyed(KeyTable& table, double now_ms) {
    next_ = 0;
    const LruStats stats = table.stats(static_cast<std::int64_t>(now_ms));
    put_all(std::array<std::uint64_t, 5>{table.high_water_mark(), stats.cost, stats.hits, stats.misses, stats.refused});
    for (std::size_t reason = 0; reason < KeyTable::kReasons; ++reason)
      put_all(std::array{table.left(static_cast<KeyTable::Reason>(reason))});
  }

  double lower_bound(HistoryId id, double seq) {
    History* const history = replica_->history(id);
    return history ? static_cast<double>(history->lower_bound_key(seq)) : 0;
  }

  // Fills the table with what is held of [position, position + count); at most kRowsMax. Returns how many.
  std::uint32_t window(HistoryId id, double position, std::uint32_t count) {
    History* const history = replica_->history(id);
    if (!history) return 0;
    std::uint32_t filled = 0;
    history->visit(static_cast<std::uint64_t>(position), std::min(count, kRowsMax), [&](const RecordView& record) {
      rows_[filled++] = {record_key(record),
                         static_cast<double>(record.time_us),
                         address(record.type.data()),
                         static_cast<std::uint32_t>(record.type.size()),
                         address(record.payload.data()),
                         static_cast<std::uint32_t>(record.payload.size())};
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
    if (!history->empty()) numbers_[2] = record_key(history->at(history->first_position()));
  }
  void read_history(HistoryId id) {
    next_ = 0;
    History* const history = replica_->history(id);
    if (!history) return put_all(std::array<std::uint64_t, 16>{});
    const HistoryCounts& counts = *replica_->counts(id);
    put_all(std::array{history->size(), history->held_bytes(), history->allocated_bytes(),
                       history->high_water_mark_bytes(), counts.records, counts.duplicates, counts.refused,
                       counts.holes, replica_->listeners(id)});
    for (std::size_t reason = 0; reason < kEvictionCount; ++reason)
      put_all(std::array{history->evicted(static_cast<Eviction>(reason))});
    put_all(std::array{history->high_water_mark(), history->charged_bytes()});
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
  static constexpr std::uint32_t kNumbers = 64;
  static constexpr std::uint32_t kTextBytes = 32 * 1024;  // of a view's filter: at most 64 types and 64 channels
  static constexpr std::uint32_t kStagingBytesMin = 4096;
  static constexpr std::uint32_t kBlocksBytes = 1024;  // what lies between blocks

  struct Free {
    void operator()(std::byte* block) const { std::free(block); }
  };

  // Of `bytes` in a few blocks, beside the reserve.
  bool has_room(std::uint64_t bytes = 0) {
    void* const tried = std::malloc(static_cast<std::size_t>(bytes + kBlocksBytes));
    std::free(tried);
    error_ = tried && Reserve::refill() ? kOk : number(Error::memory_full);
    return error_ == kOk;
  }
  template <typename T>
  std::optional<T> take(Result<T> result) {
    error_ = result ? kOk : number(result.error());
    if (!result) return std::nullopt;
    return std::move(result).value();
  }
  Subscription* handle(Result<Subscription> result) {
    auto subscription = take(std::move(result));
    return subscription ? new Subscription(std::move(*subscription)) : nullptr;
  }
  std::string_view text(std::uint32_t bytes) const {
    INVARIANT(bytes <= text_.size());
    return {text_.data(), bytes};
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
  std::string push_type_;
  std::array<char, kTextBytes> text_{};
  std::array<double, kNumbers> numbers_{};
  std::array<Row, kRowsMax> rows_{};
};

// Each store has a WASM instance of its own, and this is its core.
std::unique_ptr<Core> core;

}  // namespace

extern "C" {
// The tables of std::function name it; the library's own would bring printf with it.
[[noreturn]] void __cxa_pure_virtual() { std::abort(); }

#define EXPORT EMSCRIPTEN_KEEPALIVE
EXPORT std::uint32_t rf_start(double memory_bytes, std::uint32_t batch_bytes_max) {
  core = std::make_unique<Core>();
  return core->start(memory_bytes, batch_bytes_max);
}
EXPORT void rf_delete() { core.reset(); }
EXPORT const char* rf_error_name(std::uint32_t error) { return error_name(error); }
EXPORT std::uint32_t rf_error() { return core->error(); }
// What attach and on_change give. It may outlive the core.
EXPORT void rf_end(Subscription* subscription) { delete subscription; }
EXPORT bool rf_active(const Subscription* subscription) { return subscription->active(); }

EXPORT std::uint32_t rf_text_address() { return core->text_address(); }
EXPORT std::uint32_t rf_rows_address() { return core->rows_address(); }
EXPORT std::uint32_t rf_numbers_address() { return core->numbers_address(); }

EXPORT std::uint32_t rf_staging(std::uint32_t bytes) { return core->staging(bytes); }
EXPORT std::uint32_t rf_ingest(std::uint32_t bytes, SourceId source) { return core->ingest(bytes, source); }
EXPORT HistoryId rf_blocked() { return core->blocked(); }
EXPORT void rf_resume() { core->resume(); }

EXPORT std::uint32_t rf_add_history(std::uint32_t name_bytes, std::uint32_t records_max, double bytes_max,
                                    double age_max_us) {
  return core->add_history(name_bytes, records_max, bytes_max, age_max_us);
}
EXPORT void rf_remove_history(HistoryId id) { core->remove_history(id); }
EXPORT Subscription* rf_attach(std::uint32_t channel_id, HistoryId id, bool new_epoch, double after, SourceId source) {
  return core->attach(channel_id, id, new_epoch, after, source);
}
EXPORT void rf_note_gap(std::uint32_t channel_id, double to, SourceId source) {
  core->note_gap(channel_id, to, source);
}
EXPORT Subscription* rf_on_change(HistoryId id, std::uint32_t listener) { return core->on_change(id, listener); }
EXPORT void rf_mark_changed(HistoryId id) { core->mark_changed(id); }
EXPORT bool rf_has_changes() { return core->has_changes(); }
EXPORT void rf_notify() { core->notify(); }
EXPORT std::uint32_t rf_expire(HistoryId id, double now_us) { return core->expire(id, now_us); }
EXPORT void rf_clear(HistoryId id) { core->clear(id); }
EXPORT void rf_set_channel(HistoryId id, std::uint32_t bytes) { core->set_channel(id, bytes); }
EXPORT void rf_hold(HistoryId id, double position) { core->hold(id, position); }
EXPORT double rf_wanted(HistoryId id) { return core->wanted(id); }
EXPORT void rf_set_push_type(std::uint32_t bytes) { core->set_push_type(bytes); }
EXPORT double rf_push(HistoryId id, double time_us, std::uint32_t charge, std::uint32_t text_bytes, bool own) {
  return core->push(id, time_us, charge, text_bytes, own);
}
EXPORT double rf_first_position(HistoryId id) { return core->first_position(id); }
EXPORT double rf_last_key(HistoryId id) { return core->last_key(id); }
EXPORT double rf_lower_bound(HistoryId id, double seq) { return core->lower_bound(id, seq); }
EXPORT std::uint32_t rf_window(HistoryId id, double position, std::uint32_t count) {
  return core->window(id, position, count);
}

EXPORT std::uint32_t rf_add_view(HistoryId id, std::uint32_t types_bytes, std::uint32_t channels_bytes,
                                 std::uint32_t text_bytes, std::uint32_t capacity, double rate_bucket_us) {
  return core->add_view(id, types_bytes, channels_bytes, text_bytes, capacity, rate_bucket_us);
}
EXPORT void rf_remove_view(ViewId id) { core->remove_view(id); }
EXPORT std::uint32_t rf_view_positions(ViewId id, double match, std::uint32_t count) {
  return core->view_positions(id, match, count);
}
EXPORT bool rf_mark_read(ViewId id, HistoryId history, double seq) { return core->mark_read(id, history, seq); }
EXPORT std::uint32_t rf_view_rates(ViewId id, double now_us) { return core->view_rates(id, now_us); }

EXPORT KeyTable* rf_add_keyed(std::uint32_t entries, double bytes_max) { return core->add_keyed(entries, bytes_max); }
EXPORT void rf_remove_keyed(KeyTable* table) { core->remove_keyed(table); }
EXPORT std::uint32_t rf_keyed_set(KeyTable* table, std::uint32_t entry, double now_ms, double ttl_ms, double bytes) {
  const std::int64_t ttl = ttl_ms > 0 ? static_cast<std::int64_t>(ttl_ms) : LruLimits::kNever;
  const auto set = table->set(entry, static_cast<std::int64_t>(now_ms), ttl, static_cast<std::uint64_t>(bytes));
  return set ? kOk : number(set.error());
}
EXPORT bool rf_keyed_touch(KeyTable* table, std::uint32_t entry, double now_ms) {
  return table->touch(entry, static_cast<std::int64_t>(now_ms));
}
EXPORT bool rf_keyed_erase(KeyTable* table, std::uint32_t entry, double now_ms) {
  return table->erase(entry, static_cast<std::int64_t>(now_ms));
}
EXPORT void rf_keyed_expire(KeyTable* table, double now_ms) { table->expire(static_cast<std::int64_t>(now_ms)); }
EXPORT void rf_keyed_clear(KeyTable* table, double now_ms) { table->clear(static_cast<std::int64_t>(now_ms)); }
EXPORT std::uint32_t rf_keyed_left(const KeyTable* table, std::uint32_t from) { return core->keyed_left(*table, from); }
EXPORT void rf_read_keyed(KeyTable* table, double now_ms) { core->read_keyed(*table, now_ms); }

EXPORT void rf_read_place(HistoryId id) { core->read_place(id); }
EXPORT void rf_read_history(HistoryId id) { core->read_history(id); }
EXPORT void rf_read_store() { core->read_store(); }
EXPORT void rf_read_view(ViewId id) { core->read_view(id); }
EXPORT double rf_refused_by(std::uint32_t error) { return core->refused_by(error); }
#undef EXPORT
}
