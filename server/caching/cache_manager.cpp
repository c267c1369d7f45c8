#include "caching/cache_manager.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "log.h"

namespace ringfence {
namespace {

using Json = nlohmann::json;

std::string_view meaning(Error error) noexcept {
  switch (error) {
    case Error::bad_field: return "it has no name";
    case Error::duplicate_name: return "there is a cache of this name";
    case Error::bad_capacity: return "entries, bytes and TTL must be above zero";
    case Error::over_budget: return "the worst case of it does not fit in what is left of --cache-memory";
    default: return "refused";
  }
}

Json stats_of(const CacheStats& stats) {
  const auto ratio = stats.expired_vs_lru_ratio();
  return Json{
      {"size", stats.size},
      {"max_size", stats.max_size},
      {"hits", stats.hits},
      {"misses", stats.misses},
      {"evictions", stats.evictions},
      {"hit_rate", stats.hit_rate()},
      {"expired_count", stats.expired},
      {"expiration_rate", stats.expiration_rate()},
      {"expired_vs_lru_ratio", ratio ? Json(*ratio) : Json()},
      {"capacity_utilization", stats.capacity_utilization()},
      {"ttl_ms", stats.ttl_ms == LruLimits::kNever ? Json() : Json(stats.ttl_ms)},
      {"bytes", stats.cost},
      {"max_bytes", stats.cost_max},
      {"fixed_bytes", stats.fixed_bytes},
      {"refused", stats.refused},
      {"computed", stats.computed},
      {"compute_failed", stats.compute_failed},
      {"computing", stats.computing},
      {"waited", stats.waited},
  };
}

}  // namespace

CacheManager::CacheManager(Ledger& ledger, std::uint64_t memory_bytes, Clock now_ms)
    : now_ms_(std::move(now_ms)),
      memory_(std::make_shared<detail::CacheMemory>(ledger.open("caches", memory_bytes).value())) {}

Result<void> CacheManager::admit(const std::string& name, std::size_t entries, std::uint64_t bytes,
                                 std::int64_t ttl_ms) const {
  if (name.empty()) return refuse(name, Error::bad_field);
  if (caches_.contains(name)) return refuse(name, Error::duplicate_name);
  if (entries == 0 || bytes == 0 || ttl_ms <= 0) return refuse(name, Error::bad_capacity);
  return {};
}

Error CacheManager::refuse(const std::string& name, Error error) const {
  logger("caches")->error("cache '{}' refused: {}: {}", name, error_code(error), meaning(error));
  return error;
}

bool CacheManager::promise(std::uint64_t bytes) {
  const std::lock_guard lock(memory_->mutex);
  if (bytes > memory_->account.capacity_bytes() - memory_->promised_bytes) return false;
  memory_->promised_bytes += bytes;
  return true;
}

std::shared_ptr<CacheBase> CacheManager::find_base(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = caches_.find(name);
  return found == caches_.end() ? nullptr : found->second;
}

Result<void> CacheManager::create_defaults() {
  struct Row {
    const char* name;
    std::size_t entries;
    std::int64_t ttl_ms;
  };
  static constexpr Row kRows[] = {{"rooms", 5000, LruLimits::kNever},
                                  {"npc_definitions", 1000, LruLimits::kNever},
                                  {"npc_spawn_rules", 1000, LruLimits::kNever},
                                  {"professions", 100, LruLimits::kNever},
                                  {"players", 500, 300'000}};
  for (const Row& row : kRows) {
    CacheOptions<std::string, std::string> options;
    options.name = row.name;
    options.entries = row.entries;
    options.bytes = row.entries * 1024;
    options.ttl_ms = row.ttl_ms;
    if (const auto made = create(std::move(options)); !made.ok()) return made.error();
  }
  return {};
}

std::vector<std::shared_ptr<CacheBase>> CacheManager::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<CacheBase>> list;
  for (const auto& [name, cache] : caches_) list.push_back(cache);
  return list;
}

std::uint64_t CacheManager::expire() {
  std::uint64_t bytes = 0;
  for (const auto& cache : list()) bytes += cache->expire();
  return bytes;
}

std::string CacheManager::stats_json() const {
  Json caches = Json::object();
  for (const auto& cache : list()) caches[cache->name()] = stats_of(cache->stats());
  std::uint64_t promised_bytes = 0;
  {
    const std::lock_guard lock(memory_->mutex);
    promised_bytes = memory_->promised_bytes;
  }
  return Json{{"caches", std::move(caches)},
              {"used_bytes", memory_->account.used_bytes()},
              {"promised_bytes", promised_bytes},
              {"capacity_bytes", memory_->account.capacity_bytes()}}
      .dump();
}

}  // namespace ringfence
