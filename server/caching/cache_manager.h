// CacheManager: the named caches of a server, within one bound of memory.
//
// Owns     its caches, together with whoever holds a handle; the account "caches" of the ledger.
// Threads  every function: any thread.
// Bounds   the sum of what the caches can hold at most, tables included, <= memory_bytes (--cache-memory).
// Cost     create, find, list: a mutex; a handle, once found, needs neither.
// Errors   create(): bad_field for an empty name, duplicate_name, bad_capacity for 0 entries or bytes or a TTL that is not
//          positive, over_budget if what is left does not hold the worst case of it. Each is logged with its reason.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <ringfence/ledger.h>

#include "caching/cache.h"

namespace ringfence {

// Text by name, such as JSON: what the default caches hold.
using TextCache = Cache<std::string, std::string>;

class CacheManager {
 public:
  using Clock = std::function<std::int64_t()>;

  // `now_ms` never goes back; the ledger must outlive the manager and every handle.
  CacheManager(Ledger& ledger, std::uint64_t memory_bytes, Clock now_ms);

  template <typename K, typename V>
  Result<std::shared_ptr<Cache<K, V>>> create(CacheOptions<K, V> options) {
    const std::string name = options.name;
    const std::lock_guard lock(mutex_);
    if (const auto free = admit(name, options.entries, options.bytes, options.ttl_ms); !free.ok()) return free.error();
    auto entries = LruCache<K, V>::create({options.entries, options.bytes, options.ttl_ms});
    if (!entries.ok()) return refuse(name, entries.error());
    if (!promise(Cache<K, V>::promise(options))) return refuse(name, Error::over_budget);
    auto cache = std::make_shared<Cache<K, V>>(std::move(options), std::move(entries).value(), now_ms_, memory_);
    caches_.emplace(name, cache);
    return cache;
  }

  // Null if there is none of that name and type.
  template <typename K, typename V>
  std::shared_ptr<Cache<K, V>> find(std::string_view name) const {
    return std::dynamic_pointer_cast<Cache<K, V>>(find_base(name));
  }
  std::shared_ptr<TextCache> text(std::string_view name) const { return find<std::string, std::string>(name); }

  // rooms 5,000, npc_definitions 1,000, npc_spawn_rules 1,000, professions 100, and players 500 with a TTL of 300 s; each
  // with 1 KiB an entry. The first refusal, if any.
  Result<void> create_defaults();

  std::vector<std::shared_ptr<CacheBase>> list() const;  // by name
  // Destroys what has expired, in all of them. Returns the bytes of it.
  std::uint64_t expire();
  // `GET /v1/monitoring/caches`: {"caches": {name: {...}}, "used_bytes", "promised_bytes", "capacity_bytes"}. Every number
  // is finite; expired_vs_lru_ratio is null while nothing was evicted, ttl_ms where there is none.
  std::string stats_json() const;

 private:
  Result<void> admit(const std::string& name, std::size_t entries, std::uint64_t bytes, std::int64_t ttl_ms) const;
  Error refuse(const std::string& name, Error error) const;
  bool promise(std::uint64_t bytes);
  std::shared_ptr<CacheBase> find_base(std::string_view name) const;

  const Clock now_ms_;
  const std::shared_ptr<detail::CacheMemory> memory_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<CacheBase>, std::less<>> caches_;  // under `mutex_`
};

}  // namespace ringfence
