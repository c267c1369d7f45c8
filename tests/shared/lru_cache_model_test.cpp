// LruCache against the obvious one: a vector in order of use, swept whole.
#include <ringfence/lru_cache.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

struct Model {
  struct Entry {
    int key;
    int value;
    std::int64_t expires_at_ms;
    std::uint64_t cost;
  };
  LruLimits limits;
  std::vector<Entry> entries;  // the most recently used last
  std::uint64_t evictions = 0;
  std::uint64_t expired = 0;

  void sweep(std::int64_t now) {
    expired += std::erase_if(entries, [now](const Entry& entry) { return entry.expires_at_ms <= now; });
  }
  auto find(int key) {
    return std::find_if(entries.begin(), entries.end(), [key](const Entry& entry) { return entry.key == key; });
  }
  std::uint64_t cost() const {
    std::uint64_t sum = 0;
    for (const Entry& entry : entries) sum += entry.cost;
    return sum;
  }
  const int* get(int key) {
    const auto found = find(key);
    if (found == entries.end()) return nullptr;
    std::rotate(found, found + 1, entries.end());
    return &entries.back().value;
  }
  bool erase(int key) {
    const auto found = find(key);
    if (found == entries.end()) return false;
    entries.erase(found);
    return true;
  }
  bool put(int key, int value, std::int64_t expires_at_ms, std::uint64_t cost_of_it) {
    erase(key);
    if (cost_of_it > limits.cost) return false;
    while (entries.size() == limits.entries || cost() + cost_of_it > limits.cost) {
      entries.erase(entries.begin());
      ++evictions;
    }
    entries.push_back({key, value, expires_at_ms, cost_of_it});
    return true;
  }
};

}  // namespace

TEST_CASE("LruCache does what a swept vector in order of use does", "[lru_cache]") {
  auto random = seeded_random();
  for (int round = 0; round < 60; ++round) {
    Model model;
    model.limits = {static_cast<std::size_t>(pick(random, 1, 30)),
                    pick(random, 0, 1) ? pick(random, 1, 60) : LruLimits::kAnyCost,
                    pick(random, 0, 2) ? static_cast<std::int64_t>(pick(random, 1, 300)) : LruLimits::kNever};
    // Values on the heap: whatever is destroyed twice or not at all, the sanitizers see.
    auto cache = LruCache<int, std::unique_ptr<int>>::create(model.limits).value();
    std::int64_t now = static_cast<std::int64_t>(pick(random, 0, 1'000'000));
    for (int step = 0; step < 3000; ++step) {
      now += static_cast<std::int64_t>(pick(random, 0, 3) == 0 ? pick(random, 0, 40) : 0);
      if (pick(random, 0, 500) == 0) now += 100'000;
      const int key = static_cast<int>(pick(random, 0, 40));
      model.sweep(now);
      switch (pick(random, 0, 6)) {
        case 0:
        case 1: {
          const auto* held = cache.get(key, now);
          const int* expected = model.get(key);
          REQUIRE((held == nullptr) == (expected == nullptr));
          if (held) REQUIRE(**held == *expected);
          break;
        }
        case 2: REQUIRE(cache.erase(key, now) == model.erase(key)); break;
        case 3:
          if (pick(random, 0, 20) == 0) cache.expire(now);
          break;
        default: {
          const bool own_ttl = pick(random, 0, 1) == 1;
          const std::int64_t ttl = own_ttl ? static_cast<std::int64_t>(pick(random, 1, 5000)) : model.limits.ttl_ms;
          const std::int64_t at = ttl == LruLimits::kNever ? ttl : now + ttl;
          const std::uint64_t cost = pick(random, 0, 20);
          auto value = std::make_unique<int>(step);
          const bool put = own_ttl ? cache.put_for(key, std::move(value), now, ttl, cost).ok()
                                   : cache.put(key, std::move(value), now, cost).ok();
          REQUIRE(put == model.put(key, step, at, cost));
        }
      }
      const LruStats stats = cache.stats(now);
      REQUIRE(stats.size == model.entries.size());
      REQUIRE(stats.evictions == model.evictions);
      REQUIRE(stats.expired == model.expired);
      REQUIRE(cache.cost() <= model.limits.cost);
      std::vector<int> keys;
      cache.for_each(now, [&](int held_key, const std::unique_ptr<int>&) { keys.push_back(held_key); });
      REQUIRE(std::equal(keys.begin(), keys.end(), model.entries.rbegin(), model.entries.rend(),
                         [](int held_key, const Model::Entry& entry) { return held_key == entry.key; }));
    }
  }
}
