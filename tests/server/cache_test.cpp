#include "caching/cache.h"

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "caching/cache_manager.h"
#include "support/catch.h"

using namespace ringfence;

namespace {

constexpr std::uint64_t kMemoryBytes = 1 << 20;

// A manager whose clock the test sets.
struct Caches {
  Ledger ledger;
  std::atomic<std::int64_t> now_ms{1'000};
  CacheManager manager{ledger, kMemoryBytes, [this] { return now_ms.load(); }};

  std::shared_ptr<TextCache> make(std::int64_t ttl_ms = LruLimits::kNever, std::int64_t wait_ms_max = 60'000) {
    CacheOptions<std::string, std::string> options;
    options.name = "texts";
    options.entries = 10;
    options.bytes = 1000;
    options.ttl_ms = ttl_ms;
    options.wait_ms_max = wait_ms_max;
    return manager.create(std::move(options)).value();
  }
  std::uint64_t used_bytes() const { return ledger.used_bytes(); }
};

template <typename Done>
bool eventually(Done&& done) {
  for (const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
       std::chrono::steady_clock::now() < until;) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

}  // namespace

TEST_CASE("Cache holds, expires and erases, and its bytes are in the ledger", "[cache]") {
  Caches caches;
  const auto cache = caches.make(300'000);
  const std::uint64_t fixed_bytes = caches.used_bytes();
  CHECK(fixed_bytes == cache->stats().fixed_bytes);
  CHECK(cache->put("key", "value").ok());
  CHECK(caches.used_bytes() == fixed_bytes + 8);
  CHECK(cache->get("key") == "value");
  CHECK(cache->get(std::string_view("other")) == std::nullopt);
  caches.now_ms += 300'000;
  CHECK(cache->get("key") == std::nullopt);
  CHECK(caches.used_bytes() == fixed_bytes);
  CHECK(cache->put_for("key", "value", 10).ok());
  CHECK(cache->erase("key"));
  CHECK_FALSE(cache->erase("key"));
  CHECK(caches.used_bytes() == fixed_bytes);
}

TEST_CASE("Cache shows its statistics as of its last use, without its lock", "[cache]") {
  Caches caches;
  const auto cache = caches.make(10);
  CHECK(cache->put("a", "1").ok());
  CHECK(cache->get("a") == "1");
  CHECK(cache->get("b") == std::nullopt);
  CHECK_FALSE(cache->put("big", std::string(1001, 'x')).ok());
  cache->for_each([&](const std::string&, const std::string&) {  // which holds the lock
    const CacheStats shown = cache->shown_stats();
    CHECK(shown.size == 1);
    CHECK(shown.max_size == 10);
    CHECK(shown.cost == 2);
    CHECK(shown.cost_max == 1000);
    CHECK(shown.hits == 1);
    CHECK(shown.misses == 1);
    CHECK(shown.refused == 1);
    CHECK(shown.ttl_ms == 10);
  });
  caches.now_ms += 10;
  CHECK(cache->shown_stats().expired == 0);
  CHECK(cache->get("a") == std::nullopt);
  CHECK(cache->shown_stats().expired == 1);
  CHECK(cache->shown_stats().size == 0);
}

TEST_CASE("Cache refuses what is above its bytes, and never holds more", "[cache]") {
  Caches caches;
  const auto cache = caches.make();
  const std::uint64_t fixed_bytes = caches.used_bytes();
  CHECK(cache->put("k", std::string(1000, 'x')).error() == Error::cost_too_large);
  CHECK(cache->put("k", std::string(999, 'x')).ok());
  CHECK(cache->put("l", std::string(500, 'x')).ok());
  CHECK(cache->get("k") == std::nullopt);
  CHECK(caches.used_bytes() == fixed_bytes + 501);
  CHECK(cache->stats().refused == 1);
  CHECK(cache->stats().evictions == 1);
}

TEST_CASE("Cache computes once while eight threads ask", "[cache]") {
  Caches caches;
  const auto cache = caches.make();
  constexpr int kThreads = 8;
  std::atomic<int> computed{0};
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      const auto value = cache->get_or_compute("key", [&]() -> Result<std::string> {
        ++computed;
        // Until everybody else waits for it.
        eventually([&] { return cache->stats().waited == kThreads - 1; });
        return std::string("made");
      });
      if (value.ok() && *value == "made") ++right;
    });
  for (auto& thread : threads) thread.join();
  CHECK(computed == 1);
  CHECK(right == kThreads);
  CHECK(cache->stats().computed == 1);
  CHECK(cache->stats().computing == 0);
  CHECK(cache->get("key") == "made");
}

TEST_CASE("Cache gives a failed computation to those who waited for it and to nobody afterwards", "[cache]") {
  Caches caches;
  const auto cache = caches.make();
  std::atomic<bool> computing{false};
  std::atomic<bool> told{false};
  std::thread first([&] {
    const auto failed = cache->get_or_compute("key", [&]() -> Result<std::string> {
      computing = true;
      eventually([&] { return cache->stats().waited == 1; });
      return Error::overloaded;
    });
    told = !failed.ok() && failed.error() == Error::overloaded;
  });
  CHECK(eventually([&] { return computing.load(); }));
  const auto never = []() -> Result<std::string> { return std::string("not called"); };
  CHECK(cache->get_or_compute("key", never).error() == Error::overloaded);
  first.join();
  CHECK(told);
  CHECK(cache->get_or_compute("key", []() -> Result<std::string> { return std::string("now"); }).value() == "now");
  CHECK(cache->stats().compute_failed == 1);
}

TEST_CASE("Cache throws to everybody what a computation throws, and can be asked again", "[cache]") {
  Caches caches;
  const auto cache = caches.make();
  std::atomic<bool> computing{false};
  std::atomic<int> caught{0};
  const auto ask = [&](auto compute) {
    try {
      (void)cache->get_or_compute("key", compute);
    } catch (const std::runtime_error&) {
      ++caught;
    }
  };
  std::thread first([&] {
    ask([&]() -> Result<std::string> {
      computing = true;
      eventually([&] { return cache->stats().waited == 1; });
      throw std::runtime_error("thrown");
    });
  });
  CHECK(eventually([&] { return computing.load(); }));
  ask([]() -> Result<std::string> { return std::string("not called"); });
  first.join();
  CHECK(caught == 2);
  CHECK(cache->stats().computing == 0);
  CHECK(cache->get_or_compute("key", []() -> Result<std::string> { return std::string("now"); }).value() == "now");
}

TEST_CASE("Cache refuses a computation that asks for its own key, and a wait that is too long", "[cache]") {
  Caches caches;
  const auto cache = caches.make(LruLimits::kNever, 20);
  std::optional<Error> other;
  const auto value = cache->get_or_compute("key", [&]() -> Result<std::string> {
    const auto inner = cache->get_or_compute("key", []() -> Result<std::string> { return std::string("inner"); });
    CHECK(inner.error() == Error::cache_busy);
    CHECK(cache->get_or_compute("another", []() -> Result<std::string> { return std::string("inner"); }).ok());
    std::thread([&] {
      other = cache->get_or_compute("key", []() -> Result<std::string> { return std::string("late"); }).error();
    }).join();
    return std::string("outer");
  });
  CHECK(value.value() == "outer");
  CHECK(other == Error::cache_busy);
}

TEST_CASE("Cache keeps no value that was erased, replaced or cleared while it was computed", "[cache]") {
  Caches caches;
  const auto cache = caches.make();
  const auto with = [&](auto meanwhile) {
    const auto got = cache->get_or_compute("key", [&]() -> Result<std::string> {
      meanwhile();
      return std::string("stale");
    });
    CHECK(got.value() == "stale");
  };
  with([&] { cache->erase("key"); });
  CHECK(cache->get("key") == std::nullopt);
  with([&] { cache->clear(); });
  CHECK(cache->get("key") == std::nullopt);
  with([&] { (void)cache->put("key", "fresh"); });
  CHECK(cache->get("key") == "fresh");
}

TEST_CASE("Cache keeps a computed value for as long as the value says", "[cache]") {
  Caches caches;
  const auto cache = caches.make(300'000);
  int computed = 0;
  const auto compute = [&](std::int64_t ttl_ms) {
    return cache->get_or_compute("token", [&, ttl_ms]() -> Result<Timed<std::string>> {
      ++computed;
      return Timed<std::string>{"decoded", ttl_ms};
    });
  };
  CHECK(compute(50).value() == "decoded");
  caches.now_ms += 49;
  CHECK(compute(50).ok());
  CHECK(computed == 1);
  caches.now_ms += 1;
  CHECK(compute(0).value() == "decoded");  // has expired: told, not kept
  CHECK(compute(50).ok());
  CHECK(computed == 3);
}

TEST_CASE("Cache keeps its account right while threads put, get, erase and expire", "[cache]") {
  Caches caches;
  const auto cache = caches.make(5);
  const std::uint64_t fixed_bytes = caches.used_bytes();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 2'000; ++i) {
        const std::string key = std::to_string((i * 7 + thread) % 23);
        switch (i % 5) {
          case 0: cache->erase(key); break;
          case 1: (void)cache->get(key); break;
          case 2: caches.now_ms += 1; break;
          case 3:
            (void)cache->get_or_compute(key, [&]() -> Result<std::string> { return std::string(i % 300, 'x'); });
            break;
          default: (void)cache->put(key, std::string(i % 300, 'y'));
        }
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(caches.used_bytes() == fixed_bytes + cache->stats().cost);
  CHECK(cache->stats().cost <= 1000);
  cache->clear();
  CHECK(caches.used_bytes() == fixed_bytes);
}
