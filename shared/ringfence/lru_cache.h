// LruCache<K, V>: values by key, bounded by entries and by cost, each with a time to live. What has expired leaves
// before anything that lives; only then does the entry leave that was not used for the longest time.
//
// Against unordered_map + list + a sweep: no put looks at all entries, a pointer to a null value is still a hit, and
// expired entries are in no size and in no statistic but their own. Time is an argument; `now` never goes back: an earlier
// one counts as the latest seen. An entry has expired when now >= the time of its put + its TTL.
// Owns     its entries, in one block for capacity() of them, and a table of their hashes. Move-only.
// Threads  no locking: one thread at a time, reads included.
// Bounds   0 < capacity(); entries held, the expired ones not yet destroyed included, <= capacity(); the sum of their costs
//          <= cost_capacity(). memory_bytes() is fixed at construction; what K and V point to is theirs: give it as cost.
// Cost     get, put, erase: O(1) expected, amortised for expiry (expiry_wheel.h). Nothing sweeps: what expired is destroyed
//          two at a time by later calls, at once where a put needs the room, all of it by expire().
// Refs     pointers are valid until the next call that is not const.
// Errors   create(): bad_capacity for 0 entries, 0 cost, a TTL that is not positive. put(): cost_too_large, counted as
//          refused; the entry that had the key is gone then, as its value would be out of date. A hash, comparison, or
//          destructor must not call the cache.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ringfence/expiry_wheel.h>
#include <ringfence/lru_stats.h>
#include <ringfence/result.h>

namespace ringfence {

struct LruLimits {
  static constexpr std::uint64_t kAnyCost = std::numeric_limits<std::uint64_t>::max();
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

  std::size_t entries = 1000;
  std::uint64_t cost = kAnyCost;  // the sum over the entries
  std::int64_t ttl_ms = kNever;   // of an entry that brings none
};

// std::hash, and for strings one that takes any kind of string without making another.
template <typename K>
struct LruHash : std::hash<K> {};
template <>
struct LruHash<std::string> : std::hash<std::string_view> {};

template <typename K, typename V, typename Hash = LruHash<K>, typename Equal = std::equal_to<>>
class LruCache {
 public:
  static constexpr std::size_t kCapacityMax = std::size_t{1} << 26;
  static constexpr std::int64_t kNever = LruLimits::kNever;

  static Result<LruCache> create(const LruLimits& limits) {
    if (limits.entries == 0 || limits.entries > kCapacityMax || limits.cost == 0 || limits.ttl_ms <= 0)
      return Error::bad_capacity;
    return LruCache(limits);
  }
  LruCache(LruCache&& other) noexcept
      : limits_(other.limits_),
        wheel_(std::move(other.wheel_)),
        nodes_(std::move(other.nodes_)),
        table_(std::move(other.table_)),
        made_(std::exchange(other.made_, 0)),
        free_(std::exchange(other.free_, kNone)),
        newest_(std::exchange(other.newest_, kNone)),
        oldest_(std::exchange(other.oldest_, kNone)),
        held_(std::exchange(other.held_, 0)),
        cost_(std::exchange(other.cost_, 0)),
        counts_(other.counts_) {}
  LruCache& operator=(LruCache&&) = delete;
  ~LruCache() { clear(); }

  // The value, now the most recently used; null if there is none that lives. Counted as a hit or a miss.
  template <typename Q>
  V* get(const Q& key, std::int64_t now_ms) {
    step(now_ms);
    const std::uint32_t index = find(key, hash_of(key));
    if (index == kNone || expired(index)) {
      ++counts_.misses;
      return nullptr;
    }
    ++counts_.hits;
    touch(index);
    return &entry(index).value;
  }

  // The same without a trace: no count, no change of the order.
  template <typename Q>
  const V* peek(const Q& key, std::int64_t now_ms) const {
    const std::uint32_t index = find(key, hash_of(key));
    return index == kNone || entry(index).expires_at_ms <= std::max(now_ms, wheel_.now()) ? nullptr
                                                                                          : &entry(index).value;
  }

  // The value as it lies in the cache. A TTL that is not positive is a broken precondition (INVARIANT).
  Result<V*> put(K key, V value, std::int64_t now_ms, std::uint64_t cost = 1) {
    return put_for(std::move(key), std::move(value), now_ms, limits_.ttl_ms, cost);
  }
  // With a TTL of its own; kNever: none.
  Result<V*> put_for(K key, V value, std::int64_t now_ms, std::int64_t ttl_ms, std::uint64_t cost = 1) {
    INVARIANT(ttl_ms > 0);
    step(now_ms);
    const std::uint32_t hash = hash_of(key);
    std::uint32_t index = find(key, hash);
    if (index != kNone && (expired(index) || cost > limits_.cost)) {
      destroy(index);
      index = kNone;
    }
    if (cost > limits_.cost) {
      ++counts_.refused;
      return Error::cost_too_large;
    }
    if (index != kNone) {
      Entry& old = entry(index);
      old.value = std::move(value);
      cost_ -= std::exchange(old.cost, 0);
      wheel_.cancel(index);
      touch(index);  // the last that make_room would take
      make_room(cost, limits_.entries);
    } else {
      make_room(cost, limits_.entries - 1);
      index = take_node();
      ::new (static_cast<void*>(&nodes_[index])) Entry(std::move(key), std::move(value), hash);
      table_insert(index, hash);
      link_newest(index);
      ++held_;
    }
    Entry& placed = entry(index);
    placed.cost = cost;
    cost_ += cost;
    set_expiry(placed, index, ttl_ms);
    return &placed.value;
  }

  // The value, or what `compute() -> Result<V>` makes, which is then put. compute is called at most once, and not at all
  // on a hit; its error is passed on and not kept. It may use this cache.
  template <typename Compute>
  Result<V> get_or_compute(const K& key, std::int64_t now_ms, Compute&& compute, std::uint64_t cost = 1) {
    if (const V* found = get(key, now_ms)) return V(*found);
    Result<V> made = std::forward<Compute>(compute)();
    // Too costly to be kept: the caller has it all the same, and `refused` counts it.
    if (made.ok()) (void)put(key, *made, now_ms, cost);
    return made;
  }

  // True if it was there and alive.
  template <typename Q>
  bool erase(const Q& key, std::int64_t now_ms) {
    step(now_ms);
    const std::uint32_t index = find(key, hash_of(key));
    if (index == kNone || expired(index)) return false;
    destroy(index);
    return true;
  }

  // Destroys all that has expired by now. Returns how many entries that were.
  std::size_t expire(std::int64_t now_ms) {
    advance(now_ms);
    const std::size_t count = wheel_.due();
    while (destroy_due()) {
    }
    return count;
  }

  // Destroys every entry; the counters stay.
  void clear() {
    while (oldest_ != kNone) destroy(oldest_);
  }

  // f(key, value) for each that lives, the most recently used first. f must not call the cache.
  template <typename F>
  void for_each(std::int64_t now_ms, F&& f) const {
    const std::int64_t now = std::max(now_ms, wheel_.now());
    for (std::uint32_t index = newest_; index != kNone; index = entry(index).older)
      if (entry(index).expires_at_ms > now) f(entry(index).key, entry(index).value);
  }

  // Of those that live.
  std::size_t size(std::int64_t now_ms) {
    advance(now_ms);
    return held_ - wheel_.due();
  }
  std::size_t capacity() const noexcept { return limits_.entries; }
  std::uint64_t cost() const noexcept { return cost_; }  // of all that is held, expired or not
  std::uint64_t cost_capacity() const noexcept { return limits_.cost; }
  LruStats stats(std::int64_t now_ms) {
    advance(now_ms);
    return last_stats();
  }
  // As of the last call that was given a time.
  LruStats last_stats() const noexcept {
    LruStats stats = counts_;
    stats.size = held_ - wheel_.due();
    stats.max_size = limits_.entries;
    stats.cost = cost_;
    stats.cost_max = limits_.cost;
    return stats;
  }

  std::uint64_t memory_bytes() const noexcept { return memory_bytes(limits_.entries); }
  static constexpr std::uint64_t memory_bytes(std::size_t entries) noexcept {
    return entries * sizeof(Node) + table_size(entries) * sizeof(Place) + ExpiryWheel::memory_bytes(entries) +
           sizeof(LruCache);
  }

 private:
  static constexpr std::uint32_t kNone = ExpiryWheel::kNone;
  static constexpr int kDestroyedByACall = 2;  // more than one, so that they never pile up

  struct Entry {
    Entry(K&& k, V&& v, std::uint32_t h) : key(std::move(k)), value(std::move(v)), hash(h) {}
    K key;
    V value;
    std::int64_t expires_at_ms = kNever;
    std::uint64_t cost = 0;
    std::uint32_t hash;
    std::uint32_t newer = kNone;
    std::uint32_t older = kNone;
  };
  // An entry, or, in the list of the free, the index of the next one.
  union Node {
    Node() noexcept {}  // left as it is: pages that were never used cost nothing
    ~Node() {}
    Entry entry;
    std::uint32_t next_free;
  };
  // Of the open-addressing table, at most half full: a probe looks at the hash before it goes to the entry.
  struct Place {
    std::uint32_t hash = 0;
    std::uint32_t index = kNone;
  };

  explicit LruCache(const LruLimits& limits)
      : limits_(limits), wheel_(limits.entries), nodes_(new Node[limits.entries]), table_(table_size(limits.entries)) {}

  static constexpr std::size_t table_size(std::size_t entries) noexcept { return std::bit_ceil(2 * entries); }

  Entry& entry(std::uint32_t index) noexcept { return nodes_[index].entry; }
  const Entry& entry(std::uint32_t index) const noexcept { return nodes_[index].entry; }
  bool expired(std::uint32_t index) const noexcept { return entry(index).expires_at_ms <= wheel_.now(); }

  // std::hash of a number is the number: spread it, so that a run of keys is no run of places.
  template <typename Q>
  static std::uint32_t hash_of(const Q& key) {
    const auto wide = static_cast<std::uint64_t>(Hash()(key)) * 0x9e3779b97f4a7c15u;
    return static_cast<std::uint32_t>(wide >> 32) ^ static_cast<std::uint32_t>(wide);
  }

  void advance(std::int64_t now_ms) { counts_.expired += wheel_.advance(now_ms); }
  void step(std::int64_t now_ms) {
    advance(now_ms);
    for (int i = 0; i < kDestroyedByACall && destroy_due(); ++i) {
    }
  }
  bool destroy_due() {
    const std::uint32_t index = wheel_.pop_due();
    if (index == kNone) return false;
    destroy(index);
    return true;
  }

  void make_room(std::uint64_t cost, std::size_t entries_left) {
    while (held_ > entries_left || cost_ > limits_.cost - cost) {
      if (destroy_due()) continue;
      ++counts_.evictions;
      destroy(oldest_);
    }
  }

  void set_expiry(Entry& placed, std::uint32_t index, std::int64_t ttl_ms) {
    const std::int64_t now = wheel_.now();
    placed.expires_at_ms = now > 0 && ttl_ms > kNever - now ? kNever : now + ttl_ms;
    if (ttl_ms == kNever) placed.expires_at_ms = kNever;
    if (placed.expires_at_ms != kNever) wheel_.set(index, placed.expires_at_ms);
  }

  // --- Order of use

  void link_newest(std::uint32_t index) noexcept {
    entry(index).newer = kNone;
    entry(index).older = newest_;
    (newest_ == kNone ? oldest_ : entry(newest_).newer) = index;
    newest_ = index;
  }
  void unlink(std::uint32_t index) noexcept {
    const Entry& gone = entry(index);
    (gone.newer == kNone ? newest_ : entry(gone.newer).older) = gone.older;
    (gone.older == kNone ? oldest_ : entry(gone.older).newer) = gone.newer;
  }
  void touch(std::uint32_t index) noexcept {
    if (index == newest_) return;
    unlink(index);
    link_newest(index);
  }

  // --- Nodes

  std::uint32_t take_node() noexcept {
    if (free_ == kNone) return made_++;
    return std::exchange(free_, nodes_[free_].next_free);
  }
  void destroy(std::uint32_t index) noexcept {
    wheel_.cancel(index);
    unlink(index);
    table_erase(index, entry(index).hash);
    cost_ -= entry(index).cost;
    --held_;
    std::destroy_at(&nodes_[index].entry);
    nodes_[index].next_free = std::exchange(free_, index);
  }

  // --- Table

  template <typename Q>
  std::uint32_t find(const Q& key, std::uint32_t hash) const {
    const std::size_t mask = table_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
      const Place& place = table_[at];
      if (place.index == kNone) return kNone;
      if (place.hash == hash && Equal()(entry(place.index).key, key)) return place.index;
    }
  }
  void table_insert(std::uint32_t index, std::uint32_t hash) noexcept {
    const std::size_t mask = table_.size() - 1;
    std::size_t at = hash & mask;
    while (table_[at].index != kNone) at = (at + 1) & mask;
    table_[at] = {hash, index};
  }
  // Backward-shift deletion (Knuth, TAOCP 3, 6.4, algorithm R): probes never lengthen with churn.
  void table_erase(std::uint32_t index, std::uint32_t hash) noexcept {
    const std::size_t mask = table_.size() - 1;
    std::size_t hole = hash & mask;
    while (table_[hole].index != index) hole = (hole + 1) & mask;
    for (std::size_t at = (hole + 1) & mask; table_[at].index != kNone; at = (at + 1) & mask) {
      const std::size_t home = table_[at].hash & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      table_[hole] = table_[at];
      hole = at;
    }
    table_[hole] = {};
  }

  LruLimits limits_;
  ExpiryWheel wheel_;  // by index of the entry
  std::unique_ptr<Node[]> nodes_;
  std::vector<Place> table_;
  std::uint32_t made_ = 0;  // nodes from here on were never used
  std::uint32_t free_ = kNone;
  std::uint32_t newest_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::size_t held_ = 0;
  std::uint64_t cost_ = 0;
  LruStats counts_;
};

}  // namespace ringfence
