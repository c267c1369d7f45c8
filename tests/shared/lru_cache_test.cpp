#include <ringfence/lru_cache.h>

#include <memory>
#include <string>
#include <vector>

#include "support/catch.h"

using namespace ringfence;

namespace {

using Cache = LruCache<int, std::string>;

Cache make(std::size_t entries, std::int64_t ttl_ms = Cache::kNever, std::uint64_t cost = LruLimits::kAnyCost) {
  return Cache::create({entries, cost, ttl_ms}).value();
}

std::vector<int> keys(const Cache& cache, std::int64_t now_ms) {
  std::vector<int> keys;
  cache.for_each(now_ms, [&](int key, const std::string&) { keys.push_back(key); });
  return keys;
}

}  // namespace

TEST_CASE("LruCache refuses capacity zero, cost zero and a TTL that is not positive", "[lru_cache]") {
  CHECK(Cache::create({0}).error() == Error::bad_capacity);
  CHECK(Cache::create({Cache::kCapacityMax + 1}).error() == Error::bad_capacity);
  CHECK(Cache::create({1, 0}).error() == Error::bad_capacity);
  CHECK(Cache::create({1, 1, 0}).error() == Error::bad_capacity);
  CHECK(Cache::create({1, 1, -1}).error() == Error::bad_capacity);
  CHECK(Cache::create({1, 1, 1}).ok());
}

TEST_CASE("LruCache evicts what was not used for the longest time", "[lru_cache]") {
  Cache cache = make(2);
  CHECK(cache.put(1, "a", 0).ok());
  CHECK(cache.put(2, "b", 0).ok());
  REQUIRE(cache.get(1, 0) != nullptr);
  CHECK(cache.put(3, "c", 0).ok());
  CHECK(keys(cache, 0) == std::vector<int>{3, 1});
  CHECK(cache.get(2, 0) == nullptr);
  CHECK(cache.stats(0).evictions == 1);
}

TEST_CASE("LruCache peeks without a count and without a use", "[lru_cache]") {
  Cache cache = make(2);
  (void)cache.put(1, "a", 0);
  (void)cache.put(2, "b", 0);
  REQUIRE(cache.peek(1, 0) != nullptr);
  CHECK(cache.peek(9, 0) == nullptr);
  CHECK(cache.stats(0).hits + cache.stats(0).misses == 0);
  (void)cache.put(3, "c", 0);
  CHECK(cache.peek(1, 0) == nullptr);
}

TEST_CASE("LruCache drops what has expired before it evicts what lives", "[lru_cache]") {
  Cache cache = make(3);
  (void)cache.put(1, "oldest, lives", 0);
  (void)cache.put_for(2, "expires", 0, 10);
  (void)cache.put_for(3, "expires", 0, 10);
  (void)cache.get(2, 5);
  (void)cache.put(4, "new", 10);
  (void)cache.put(5, "new", 10);
  CHECK(keys(cache, 10) == std::vector<int>{5, 4, 1});
  CHECK(cache.stats(10).expired == 2);
  CHECK(cache.stats(10).evictions == 0);
}

TEST_CASE("LruCache has an entry expire at its put and its TTL, to the millisecond", "[lru_cache]") {
  Cache cache = make(4, 300'000);
  (void)cache.put(1, "a", 1'000);
  CHECK(cache.get(1, 300'999) != nullptr);
  CHECK(cache.get(1, 301'000) == nullptr);
  (void)cache.put(1, "b", 301'000);
  (void)cache.put(1, "c", 400'000);  // starts its time anew
  CHECK(*cache.get(1, 699'999) == "c");
  (void)cache.put_for(1, "d", 699'999, Cache::kNever);
  CHECK(*cache.get(1, Cache::kNever - 1) == "d");
}

TEST_CASE("LruCache counts nothing that has expired, in size, items or statistics", "[lru_cache]") {
  Cache cache = make(100, 10);
  for (int key = 0; key < 100; ++key) (void)cache.put(key, "x", 0);
  CHECK(cache.size(9) == 100);
  CHECK(keys(cache, 10).empty());
  CHECK(cache.peek(5, 10) == nullptr);
  CHECK(cache.size(10) == 0);
  const LruStats stats = cache.stats(10);
  CHECK(stats.size == 0);
  CHECK(stats.expired == 100);
  CHECK(stats.capacity_utilization() == 0);
  CHECK(stats.expiration_rate() == 1);
}

TEST_CASE("LruCache destroys what has expired a little at a time, and all of it on expire()", "[lru_cache]") {
  auto cache = LruCache<int, std::shared_ptr<int>>::create({100, LruLimits::kAnyCost, 10}).value();
  const auto alive = std::make_shared<int>(1);
  for (int key = 0; key < 50; ++key) (void)cache.put(key, alive, 0);
  CHECK(alive.use_count() == 51);
  CHECK(cache.get(1000, 10) == nullptr);
  CHECK(alive.use_count() == 49);
  CHECK(cache.expire(10) == 48);
  CHECK(alive.use_count() == 1);
  CHECK(cache.cost() == 0);
  CHECK(cache.stats(10).expired == 50);
}

TEST_CASE("LruCache takes time that goes back as the latest that it has seen", "[lru_cache]") {
  Cache cache = make(2, 10);
  (void)cache.put(1, "a", 100);
  CHECK(cache.get(1, 110) == nullptr);
  (void)cache.put(2, "b", 50);  // as at 110
  CHECK(cache.get(2, 0) != nullptr);
  CHECK(cache.peek(2, 0) != nullptr);
  CHECK(cache.get(2, 120) == nullptr);
}

TEST_CASE("LruCache takes a cached null for a hit", "[lru_cache]") {
  auto cache = LruCache<int, std::shared_ptr<int>>::create({2}).value();
  (void)cache.put(1, nullptr, 0);
  auto* found = cache.get(1, 0);
  REQUIRE(found != nullptr);
  CHECK(*found == nullptr);
  CHECK(cache.stats(0).hits == 1);
  int computed = 0;
  const auto got = cache.get_or_compute(1, 0, [&]() -> Result<std::shared_ptr<int>> {
    ++computed;
    return std::make_shared<int>(7);
  });
  CHECK(got.value() == nullptr);
  CHECK(computed == 0);
}

TEST_CASE("LruCache computes once, and keeps no error", "[lru_cache]") {
  Cache cache = make(2, 10);
  int computed = 0;
  const auto compute = [&]() -> Result<std::string> {
    if (++computed == 1) return Error::overloaded;
    return std::string("made");
  };
  CHECK(cache.get_or_compute(1, 0, compute).error() == Error::overloaded);
  CHECK(cache.size(0) == 0);
  CHECK(cache.get_or_compute(1, 0, compute).value() == "made");
  CHECK(cache.get_or_compute(1, 9, compute).value() == "made");
  CHECK(computed == 2);
  CHECK(cache.get_or_compute(1, 10, compute).value() == "made");
  CHECK(computed == 3);
}

TEST_CASE("LruCache lets a computation use the cache", "[lru_cache]") {
  Cache cache = make(2);
  const auto got = cache.get_or_compute(1, 0, [&]() -> Result<std::string> {
    (void)cache.put(1, "inner", 0);
    (void)cache.put(2, "other", 0);
    return std::string("outer");
  });
  CHECK(got.value() == "outer");
  CHECK(*cache.get(1, 0) == "outer");
  CHECK(cache.size(0) == 2);
}

TEST_CASE("LruCache keeps the sum of costs within its bound", "[lru_cache]") {
  Cache cache = make(10, Cache::kNever, 100);
  (void)cache.put(1, "a", 0, 40);
  (void)cache.put(2, "b", 0, 40);
  (void)cache.put(3, "c", 0, 40);
  CHECK(keys(cache, 0) == std::vector<int>{3, 2});
  CHECK(cache.cost() == 80);
  (void)cache.put(2, "grown", 0, 70);  // of itself and of 3 there is room for one
  CHECK(keys(cache, 0) == std::vector<int>{2});
  CHECK(cache.cost() == 70);
  (void)cache.put(4, "all", 0, 100);
  CHECK(keys(cache, 0) == std::vector<int>{4});
  CHECK(cache.stats(0).evictions == 3);
}

TEST_CASE("LruCache refuses an entry above its whole cost, and lets the outdated one go", "[lru_cache]") {
  Cache cache = make(10, Cache::kNever, 100);
  (void)cache.put(1, "old", 0, 1);
  (void)cache.put(2, "other", 0, 1);
  CHECK(cache.put(1, "new", 0, 101).error() == Error::cost_too_large);
  CHECK(cache.get(1, 0) == nullptr);
  CHECK(cache.get(2, 0) != nullptr);
  CHECK(cache.stats(0).refused == 1);
  CHECK(cache.cost() == 1);
}

TEST_CASE("LruCache erases, clears, and keeps its counters", "[lru_cache]") {
  Cache cache = make(4, 10);
  (void)cache.put(1, "a", 0);
  (void)cache.put(2, "b", 0);
  CHECK(cache.erase(1, 0));
  CHECK_FALSE(cache.erase(1, 0));
  CHECK(cache.get(2, 0) != nullptr);
  CHECK_FALSE(cache.erase(2, 10));  // has expired
  (void)cache.put(3, "c", 10);
  cache.clear();
  CHECK(cache.size(10) == 0);
  CHECK(cache.stats(10).hits == 1);
  CHECK(cache.stats(10).expired == 1);
  (void)cache.put(3, "again", 11);
  CHECK(*cache.get(3, 20) == "again");
}

TEST_CASE("LruStats has finite rates from the start, and no ratio to nothing", "[lru_cache]") {
  Cache cache = make(1, 10);
  LruStats stats = cache.stats(0);
  CHECK(stats.hit_rate() == 0);
  CHECK(stats.expiration_rate() == 0);
  CHECK_FALSE(stats.expired_vs_lru_ratio().has_value());
  (void)cache.put(1, "a", 0);
  (void)cache.get(2, 10);
  stats = cache.stats(10);
  CHECK(stats.expired == 1);
  CHECK_FALSE(stats.expired_vs_lru_ratio().has_value());  // not infinite
  (void)cache.put(1, "a", 10);
  (void)cache.put(2, "b", 10);
  (void)cache.get(2, 10);
  stats = cache.stats(10);
  CHECK(stats.expired_vs_lru_ratio().value() == 1);
  CHECK(stats.hit_rate() == 0.5);
  CHECK(stats.capacity_utilization() == 1);
  CHECK(stats.max_size == 1);
}

TEST_CASE("LruCache looks strings up by any kind of string, and holds what can only be moved", "[lru_cache]") {
  auto cache = LruCache<std::string, std::unique_ptr<int>>::create({2}).value();
  (void)cache.put("key", std::make_unique<int>(7), 0);
  CHECK(**cache.get(std::string_view("key"), 0) == 7);
  CHECK(**cache.get("key", 0) == 7);
  auto moved = std::move(cache);
  CHECK(**moved.get("key", 0) == 7);
}

TEST_CASE("LruCache has the memory that memory_bytes() says, whatever it holds", "[lru_cache]") {
  Cache cache = make(1000, 10);
  const std::uint64_t bytes = cache.memory_bytes();
  CHECK(bytes == Cache::memory_bytes(1000));
  for (int key = 0; key < 100'000; ++key) (void)cache.put(key, "x", key / 100);
  CHECK(cache.memory_bytes() == bytes);
  CHECK(cache.size(1000) <= 1000);
}
