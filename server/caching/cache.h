// Cache<K, V>: a named LruCache that any thread may use. get_or_compute computes once: who comes meanwhile waits for it.
//
// Owns     its entries. What it holds is counted in the manager's account "caches": its table from the start, the bytes of
//          keys and values as they come and go. Handles are shared; the memory is given back with the last one.
// Threads  every function: any thread. Computations run without the lock, so they may use this cache and others, but for
//          the key that they compute.
// Bounds   0 < entries; the bytes of keys and values <= bytes (`bytes_of`, by default what strings hold and sizeof).
//          Computations under way: one for each caller. A wait for another's: wait_ms_max.
// Cost     a mutex, and LruCache's. Values are returned as copies: make them small, or a shared_ptr to const. A wait blocks
//          the thread: on a shard's, compute only what is quick.
// Errors   put: cost_too_large, then nothing is held under the key. get_or_compute: the computation's own, which everybody
//          gets who waited for it and nobody afterwards; what it throws is thrown to all of them in the same way;
//          cache_busy if another's computation did not end in time, or asks for its own key. An erase, put or clear that
//          comes while a value is computed keeps that value out of the cache: it may be out of date.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include <ringfence/ledger.h>
#include <ringfence/lru_cache.h>

namespace ringfence {

struct CacheStats : LruStats {
  std::uint64_t fixed_bytes = 0;  // of its table
  std::int64_t ttl_ms = LruLimits::kNever;
  std::uint64_t computed = 0;
  std::uint64_t compute_failed = 0;  // by an error or an exception
  std::uint64_t waited = 0;          // for another's computation
  std::uint64_t computing = 0;       // now
};

// What the manager and the monitor need to know of a cache.
class CacheBase {
 public:
  explicit CacheBase(std::string name) : name_(std::move(name)) {}
  CacheBase(const CacheBase&) = delete;
  CacheBase& operator=(const CacheBase&) = delete;
  virtual ~CacheBase() = default;

  const std::string& name() const noexcept { return name_; }
  virtual CacheStats stats() = 0;
  // The same as of the cache's last use, without its lock and without what is being computed: for those who look often,
  // while others work with the cache. Each number is right, a set of them may be mid-change.
  virtual CacheStats shown_stats() const = 0;
  // Destroys what has expired. Returns the bytes of it.
  virtual std::uint64_t expire() = 0;
  virtual void clear() = 0;

 private:
  const std::string name_;
};

// A value and how long it lives; a TTL that is not positive is given to the caller and not kept.
template <typename V>
struct Timed {
  V value;
  std::int64_t ttl_ms;
};

namespace detail {
// The manager's account, and what the caches have been promised of it: never more than its capacity.
struct CacheMemory {
  explicit CacheMemory(Account its_account) : account(std::move(its_account)) {}
  std::mutex mutex;
  Account account;
  std::uint64_t promised_bytes = 0;  // under `mutex`
};

template <typename T>
std::uint64_t bytes_held(const T& value) {
  if constexpr (std::is_same_v<T, std::string>)
    return value.size();
  else
    return sizeof(T);
}
}  // namespace detail

template <typename K, typename V>
struct CacheOptions {
  std::string name;
  std::size_t entries = 1000;
  std::uint64_t bytes = 1 << 20;  // of keys and values
  std::int64_t ttl_ms = LruLimits::kNever;
  std::int64_t wait_ms_max = 10'000;
  std::function<std::uint64_t(const K&, const V&)> bytes_of = [](const K& key, const V& value) {
    return detail::bytes_held(key) + detail::bytes_held(value);
  };
};

template <typename K, typename V>
class Cache final : public CacheBase {
 public:
  using Clock = std::function<std::int64_t()>;
  using Memory = std::shared_ptr<detail::CacheMemory>;

  // Made by CacheManager::create, which has checked the options and promised the memory.
  Cache(CacheOptions<K, V> options, LruCache<K, V> entries, Clock now_ms, Memory memory)
      : CacheBase(options.name),
        options_(std::move(options)),
        now_ms_(std::move(now_ms)),
        memory_(std::move(memory)),
        entries_(std::move(entries)) {
    count(entries_.memory_bytes());
  }
  ~Cache() override {
    memory_->account.sub(entries_.memory_bytes() + counted_bytes_);
    const std::lock_guard lock(memory_->mutex);
    memory_->promised_bytes -= promise(options_);
  }

  // The most that a cache with these options can hold.
  static std::uint64_t promise(const CacheOptions<K, V>& options) {
    return LruCache<K, V>::memory_bytes(options.entries) + options.bytes;
  }

  template <typename Q>
  std::optional<V> get(const Q& key) {
    const Use use(*this);
    const V* found = entries_.get(key, now_ms_());
    return found ? std::optional<V>(*found) : std::nullopt;
  }

  Result<void> put(K key, V value) { return put_for(std::move(key), std::move(value), options_.ttl_ms); }
  Result<void> put_for(K key, V value, std::int64_t ttl_ms) {
    const std::uint64_t bytes = options_.bytes_of(key, value);
    const Use use(*this);
    supersede(key);
    const auto placed = entries_.put_for(std::move(key), std::move(value), now_ms_(), ttl_ms, bytes);
    return placed.ok() ? Result<void>() : Result<void>(placed.error());
  }

  // `compute() -> Result<V>`, or `Result<Timed<V>>` where the value knows how long it lives.
  template <typename Compute>
  Result<V> get_or_compute(const K& key, Compute&& compute) {
    const auto flight = std::make_shared<Flight>();
    {
      Use use(*this);
      if (const V* found = entries_.get(key, now_ms_())) return V(*found);
      if (const auto under_way = flights_.find(key); under_way != flights_.end())
        return wait(use.lock, std::shared_ptr<Flight>(under_way->second));
      flights_.emplace(key, flight);
    }
    Result<Timed<V>> made = Error::cache_busy;
    std::exception_ptr thrown;
    try {
      made = timed(std::forward<Compute>(compute)());
    } catch (...) {
      thrown = std::current_exception();
    }
    return land(key, flight, std::move(made), thrown);
  }

  template <typename Q>
  bool erase(const Q& key) {
    const Use use(*this);
    supersede(key);
    return entries_.erase(key, now_ms_());
  }
  void clear() override {
    const Use use(*this);
    for (auto& [key, flight] : flights_) flight->keep = false;
    entries_.clear();
  }
  std::uint64_t expire() override {
    const Use use(*this);
    const std::uint64_t before = entries_.cost();
    entries_.expire(now_ms_());
    return before - entries_.cost();
  }
  // f(key, value) for each that lives, the most recently used first, under the cache's lock.
  template <typename F>
  void for_each(F&& f) {
    const Use use(*this);
    entries_.for_each(now_ms_(), std::forward<F>(f));
  }

  CacheStats shown_stats() const override {
    CacheStats stats;
    const auto get = [](const auto& number) { return number.load(std::memory_order_relaxed); };
    stats.size = get(shown_.size);
    stats.max_size = options_.entries;
    stats.cost = get(shown_.cost);
    stats.cost_max = options_.bytes;
    stats.hits = get(shown_.hits);
    stats.misses = get(shown_.misses);
    stats.evictions = get(shown_.evictions);
    stats.expired = get(shown_.expired);
    stats.refused = get(shown_.refused);
    stats.fixed_bytes = entries_.memory_bytes();
    stats.ttl_ms = options_.ttl_ms;
    return stats;
  }
  CacheStats stats() override {
    const Use use(*this);
    CacheStats stats = counts_;
    static_cast<LruStats&>(stats) = entries_.stats(now_ms_());
    stats.fixed_bytes = entries_.memory_bytes();
    stats.ttl_ms = options_.ttl_ms;
    stats.computing = flights_.size();
    return stats;
  }

 private:
  // One computation: who waits for it, and what came of it.
  struct Flight {
    const std::thread::id by = std::this_thread::get_id();
    bool keep = true;  // false: superseded
    bool landed = false;
    std::optional<Result<V>> result;
    std::exception_ptr thrown;
    std::condition_variable done;
  };

  // The lock, and the account brought up to what the entries hold.
  struct Use {
    explicit Use(Cache& its_cache) : cache(its_cache), lock(its_cache.mutex_) {}
    ~Use() { cache.settle(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    Cache& cache;
    std::unique_lock<std::mutex> lock;
  };

  static Result<Timed<V>> timed(Result<Timed<V>> made) { return made; }
  Result<Timed<V>> timed(Result<V> made) const {
    if (!made.ok()) return made.error();
    return Timed<V>{std::move(made).value(), options_.ttl_ms};
  }

  void count(std::uint64_t bytes) {
    const bool added = memory_->account.try_add(bytes);
    INVARIANT(added);  // it was promised
  }
  void settle() {
    const std::uint64_t before = std::exchange(counted_bytes_, entries_.cost());
    if (counted_bytes_ > before) count(counted_bytes_ - before);
    if (counted_bytes_ < before) memory_->account.sub(before - counted_bytes_);
    const LruStats stats = entries_.last_stats();
    const auto set = [](auto& number, auto value) { number.store(value, std::memory_order_relaxed); };
    set(shown_.size, stats.size);
    set(shown_.cost, stats.cost);
    set(shown_.hits, stats.hits);
    set(shown_.misses, stats.misses);
    set(shown_.evictions, stats.evictions);
    set(shown_.expired, stats.expired);
    set(shown_.refused, stats.refused);
  }
  template <typename Q>
  void supersede(const Q& key) {
    if (flights_.empty()) return;
    if (const auto under_way = flights_.find(K(key)); under_way != flights_.end()) under_way->second->keep = false;
  }

  Result<V> wait(std::unique_lock<std::mutex>& lock, const std::shared_ptr<Flight>& flight) {
    if (flight->by == std::this_thread::get_id()) return Error::cache_busy;
    ++counts_.waited;
    const auto limit = std::chrono::milliseconds(options_.wait_ms_max);
    if (!flight->done.wait_for(lock, limit, [&] { return flight->landed; })) return Error::cache_busy;
    if (flight->thrown) std::rethrow_exception(flight->thrown);
    return *flight->result;
  }

  Result<V> land(const K& key, const std::shared_ptr<Flight>& flight, Result<Timed<V>> made,
                 const std::exception_ptr& thrown) {
    Result<V> result = made.ok() ? Result<V>(made->value) : Result<V>(thrown ? Error::cache_busy : made.error());
    {
      const Use use(*this);
      ++counts_.computed;
      if (!made.ok()) ++counts_.compute_failed;
      if (made.ok() && flight->keep && made->ttl_ms > 0) {
        const std::uint64_t bytes = options_.bytes_of(key, made->value);
        // Refused (counted): the caller has it all the same.
        (void)entries_.put_for(key, std::move(made->value), now_ms_(), made->ttl_ms, bytes);
      }
      flight->result.emplace(result);
      flight->thrown = thrown;
      flight->landed = true;
      flights_.erase(key);
    }
    flight->done.notify_all();
    if (thrown) std::rethrow_exception(thrown);
    return result;
  }

  const CacheOptions<K, V> options_;
  const Clock now_ms_;
  const Memory memory_;
  std::mutex mutex_;  // of all below
  LruCache<K, V> entries_;
  std::unordered_map<K, std::shared_ptr<Flight>, LruHash<K>, std::equal_to<>> flights_;
  CacheStats counts_;
  std::uint64_t counted_bytes_ = 0;  // of the entries' cost, in the account
  struct Shown {
    std::atomic<std::size_t> size{0};
    std::atomic<std::uint64_t> cost{0}, hits{0}, misses{0}, evictions{0}, expired{0}, refused{0};
  };
  Shown shown_;  // changed under the lock
};

}  // namespace ringfence
