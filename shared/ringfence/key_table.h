// KeyTable: which numbered entries of somebody else's map stay. The keys and values lie elsewhere (in the browser: with
// JavaScript); this decides by an LruCache what is held, and tells by its number and reason what has left.
//
// Owns     the cache, and the list of what left in the last call.
// Threads  no locking: one thread at a time.
// Bounds   those of LruCache. left() has at most capacity() entries. memory_bytes() is fixed at construction.
// Cost     as LruCache: O(1) amortised; clear and expire: O(what leaves). No allocation after construction.
// Refs     left() is valid until the next call that is not const.
// Errors   create(): bad_capacity as LruCache's. set(): cost_too_large, counted as refused; the entry that was there is gone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <ringfence/lru_cache.h>
#include <ringfence/result.h>

namespace ringfence {

class KeyTable {
 public:
  // Why an entry left.
  enum class Reason : std::uint8_t {
    age,       // its TTL
    capacity,  // the bound on entries, which took the one that was not used for the longest time
    bytes,     // the bound on cost, likewise
    cleared,   // clear()
    removed,   // erase(), or set() with a cost above the bound
  };
  static constexpr std::size_t kReasons = 5;

  struct Left {
    std::uint32_t number;
    Reason reason;
  };

  static Result<std::unique_ptr<KeyTable>> create(const LruLimits& limits);
  KeyTable(const KeyTable&) = delete;
  KeyTable& operator=(const KeyTable&) = delete;

  // Each call that takes the time begins with the expired: whatever is due leaves.

  // Puts an entry, or renews one: the most recently used then.
  Result<void> set(std::uint32_t number, std::int64_t now_ms, std::int64_t ttl_ms, std::uint64_t cost);
  // Uses an entry. False, counted as a miss, if it is not held.
  bool touch(std::uint32_t number, std::int64_t now_ms);
  bool erase(std::uint32_t number, std::int64_t now_ms);
  void expire(std::int64_t now_ms);
  void clear(std::int64_t now_ms);

  // What the last call that is not const made leave, in that order.
  std::span<const Left> left() const noexcept { return left_; }

  std::size_t size() const noexcept { return held_; }
  std::size_t high_water_mark() const noexcept { return high_water_mark_; }
  std::uint64_t cost() const noexcept { return cache_.cost(); }
  std::uint64_t left(Reason reason) const noexcept { return counts_[static_cast<std::size_t>(reason)]; }
  LruStats stats(std::int64_t now_ms) { return cache_.stats(now_ms); }

  // Its own memory, and the cost of what it decides about where that has a bound.
  static constexpr std::uint64_t memory_bytes(const LruLimits& limits) noexcept {
    const std::uint64_t own = Cache::memory_bytes(limits.entries) + limits.entries * sizeof(Left) + sizeof(KeyTable);
    return limits.cost > LruLimits::kAnyCost - own ? own : own + limits.cost;
  }
  std::uint64_t memory_bytes() const noexcept { return memory_bytes({cache_.capacity(), cache_.cost_capacity()}); }

 private:
  // A value whose destructor tells that it left, once it is in the cache.
  struct Leaving {
    KeyTable* table = nullptr;
    std::uint32_t number = 0;

    explicit Leaving(std::uint32_t its_number) : number(its_number) {}
    Leaving(Leaving&& other) noexcept : table(std::exchange(other.table, nullptr)), number(other.number) {}
    Leaving& operator=(Leaving&& other) noexcept {
      table = std::exchange(other.table, nullptr);
      number = other.number;
      return *this;
    }
    ~Leaving() {
      if (table) table->leave(number);
    }
  };
  using Cache = LruCache<std::uint32_t, Leaving>;

  explicit KeyTable(Cache&& cache);
  void begin(std::int64_t now_ms);
  void leave(std::uint32_t number);

  std::vector<Left> left_;
  std::array<std::uint64_t, kReasons> counts_{};
  Reason reason_ = Reason::age;  // of what leaves now
  std::size_t held_ = 0;
  std::size_t high_water_mark_ = 0;
  Cache cache_;  // last: its entries tell the rest when they go
};

}  // namespace ringfence
