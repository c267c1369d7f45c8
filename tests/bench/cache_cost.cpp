// cache_cost: what put and get of LruCache cost, beside what is usually written instead, in turn in one run.
//
//   cache_cost [--rounds N]        prints JSON: of each round, ns
//
// put   10,000 entries with a TTL, half of which have expired; then 2,000 puts of new keys, each timed by itself. Beside
//       it the reference system's put: a sweep over all entries for those that have expired, then the oldest leaves.
// get   10,000 entries, 2,000,000 lookups of random keys, all of them hits. Beside it unordered_map and list without a TTL.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ringfence/lru_cache.h>

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kEntries = 10'000;
constexpr std::size_t kPuts = 2'000;
constexpr std::size_t kGets = 2'000'000;

double ns(Clock::duration took) {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(took).count());
}

std::string key(std::size_t number) { return "player:" + std::to_string(number); }

// The reference system's put, in C++.
class SweepingCache {
 public:
  explicit SweepingCache(std::size_t capacity) : capacity_(capacity) {}
  void put(std::string name, std::uint64_t value, std::int64_t now_ms, std::int64_t ttl_ms) {
    for (auto at = order_.begin(); at != order_.end();) {
      if (now_ms < at->expires_at_ms) {
        ++at;
        continue;
      }
      map_.erase(at->name);
      at = order_.erase(at);
    }
    if (const auto found = map_.find(name); found != map_.end()) {
      order_.erase(found->second);
      map_.erase(found);
    } else if (map_.size() >= capacity_) {
      map_.erase(order_.back().name);
      order_.pop_back();
    }
    order_.push_front({name, value, now_ms + ttl_ms});
    map_.emplace(std::move(name), order_.begin());
  }

 private:
  struct Entry {
    std::string name;
    std::uint64_t value;
    std::int64_t expires_at_ms;
  };
  std::size_t capacity_;
  std::list<Entry> order_;
  std::unordered_map<std::string, std::list<Entry>::iterator> map_;
};

// The LRU cache of every textbook.
class PlainCache {
 public:
  void put(std::string name, std::uint64_t value) {
    order_.push_front({name, value});
    map_.emplace(std::move(name), order_.begin());
  }
  const std::uint64_t* get(const std::string& name) {
    const auto found = map_.find(name);
    if (found == map_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &found->second->second;
  }

 private:
  using Entries = std::list<std::pair<std::string, std::uint64_t>>;
  Entries order_;
  std::unordered_map<std::string, Entries::iterator> map_;
};

double percentile_999(std::vector<double>& values) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() * 999 / 1000);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

// `put(key, now, ttl)`: half of the entries expire at 1,000, the others much later.
template <typename Put>
double time_puts(Put&& put) {
  for (std::size_t i = 0; i < kEntries; ++i) put(key(i), 0, i % 2 == 0 ? 1'000 : 1'000'000);
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < kPuts; ++i) keys.push_back(key(kEntries + i));
  std::vector<double> took;
  took.reserve(kPuts);
  for (std::string& name : keys) {
    const auto began = Clock::now();
    put(std::move(name), 2'000, 1'000'000);
    took.push_back(ns(Clock::now() - began));
  }
  return percentile_999(took);
}

template <typename Get>
double time_gets(const std::vector<std::string>& keys, Get&& get) {
  std::uint64_t sum = 0, state = 1;
  const auto began = Clock::now();
  for (std::size_t i = 0; i < kGets; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t* const value = get(keys[(state >> 33) % kEntries]);
    if (!value) std::abort();
    sum += *value;
  }
  const double took = ns(Clock::now() - began) / static_cast<double>(kGets);
  if (sum == 0) std::abort();
  return took;
}

using Cache = ringfence::LruCache<std::string, std::uint64_t>;

Cache made() { return std::move(Cache::create({.entries = kEntries})).value(); }

double our_put() {
  Cache cache = made();
  return time_puts([&](std::string name, std::int64_t now, std::int64_t ttl) {
    if (!cache.put_for(std::move(name), 1, now, ttl).ok()) std::abort();
  });
}
double their_put() {
  SweepingCache cache(kEntries);
  return time_puts(
      [&](std::string name, std::int64_t now, std::int64_t ttl) { cache.put(std::move(name), 1, now, ttl); });
}
double our_get(const std::vector<std::string>& keys) {
  Cache cache = made();
  for (const std::string& name : keys)
    if (!cache.put_for(name, 1, 0, 1'000'000).ok()) std::abort();
  std::int64_t now = 0;
  return time_gets(keys, [&](const std::string& name) { return cache.get(name, ++now / 4096); });
}
double their_get(const std::vector<std::string>& keys) {
  PlainCache cache;
  for (const std::string& name : keys) cache.put(name, 1);
  return time_gets(keys, [&](const std::string& name) { return cache.get(name); });
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 11;
  for (int i = 1; i + 1 < argc; ++i)
    if (std::string(argv[i]) == "--rounds") rounds = std::max(1, std::atoi(argv[i + 1]));
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < kEntries; ++i) keys.push_back(key(i));
  (void)our_get(keys);
  (void)their_get(keys);
  std::printf("[");
  for (int round = 0; round < rounds; ++round) {
    double put[2] = {}, get[2] = {};
    for (int turn = 0; turn < 2; ++turn) {
      const bool ours = (turn + round) % 2 == 0;
      put[ours] = ours ? our_put() : their_put();
      get[ours] = ours ? our_get(keys) : their_get(keys);
    }
    std::printf("%s{\"put_ns\":%.0f,\"sweep_put_ns\":%.0f,\"get_ns\":%.1f,\"plain_get_ns\":%.1f}", round ? "," : "",
                put[1], put[0], get[1], get[0]);
  }
  std::printf("]\n");
}
