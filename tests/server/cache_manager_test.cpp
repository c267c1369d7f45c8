#include "caching/cache_manager.h"

#include <nlohmann/json.hpp>

#include "options.h"
#include "support/catch.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

CacheOptions<std::string, std::string> options(std::string name, std::size_t entries = 10, std::uint64_t bytes = 1000) {
  CacheOptions<std::string, std::string> made;
  made.name = std::move(name);
  made.entries = entries;
  made.bytes = bytes;
  return made;
}

struct Caches {
  explicit Caches(std::uint64_t memory_bytes = 12 << 20) : manager(ledger, memory_bytes, [this] { return now_ms; }) {}
  Ledger ledger;
  std::int64_t now_ms = 0;
  CacheManager manager;
};

void check_numbers(const Json& json) {
  for (const auto& one : json) {
    if (one.is_structured()) check_numbers(one);
    if (one.is_number_float()) CHECK(std::isfinite(one.get<double>()));
  }
}

}  // namespace

TEST_CASE("CacheManager refuses a name twice, no name, and no capacity", "[cache_manager]") {
  Caches caches;
  CHECK(caches.manager.create(options("a")).ok());
  CHECK(caches.manager.create(options("a")).error() == Error::duplicate_name);
  CHECK(caches.manager.create(options("")).error() == Error::bad_field);
  CHECK(caches.manager.create(options("b", 0)).error() == Error::bad_capacity);
  CHECK(caches.manager.create(options("b", 1, 0)).error() == Error::bad_capacity);
  auto no_ttl = options("b");
  no_ttl.ttl_ms = 0;
  CHECK(caches.manager.create(std::move(no_ttl)).error() == Error::bad_capacity);
  CHECK(caches.manager.list().size() == 1);
}

TEST_CASE("CacheManager promises no more than its memory, and takes back what is let go", "[cache_manager]") {
  const std::uint64_t one = TextCache::promise(options("a"));
  Caches caches(2 * one);
  CHECK(caches.manager.create(options("a")).ok());
  CHECK(caches.manager.create(options("b", 10, 1001)).error() == Error::over_budget);
  CHECK(caches.manager.create(options("b")).ok());
  CHECK(caches.manager.create(options("c", 1, 1)).error() == Error::over_budget);
  CHECK(caches.ledger.rows().at(0).name == "caches");
  CHECK(caches.ledger.rows().at(0).capacity_bytes == 2 * one);
}

TEST_CASE("CacheManager finds a cache by its name and type", "[cache_manager]") {
  Caches caches;
  const auto made = caches.manager.create(options("a")).value();
  CHECK(caches.manager.text("a") == made);
  CHECK(caches.manager.text("b") == nullptr);
  CHECK(caches.manager.find<int, int>("a") == nullptr);
}

TEST_CASE("CacheManager has the defaults of the reference", "[cache_manager]") {
  Caches caches;
  REQUIRE(caches.manager.create_defaults().ok());
  const std::pair<const char*, std::size_t> expected[] = {
      {"rooms", 5000}, {"npc_definitions", 1000}, {"npc_spawn_rules", 1000}, {"professions", 100}, {"players", 500}};
  CHECK(caches.manager.list().size() == 5);
  for (const auto& [name, entries] : expected) {
    REQUIRE(caches.manager.text(name) != nullptr);
    CHECK(caches.manager.text(name)->stats().max_size == entries);
  }
  const auto players = caches.manager.text("players");
  CHECK(players->put("p", "{}").ok());
  CHECK(caches.manager.text("rooms")->put("r", "{}").ok());
  caches.now_ms = 299'999;
  CHECK(players->get("p").has_value());
  caches.now_ms = 300'000;
  CHECK_FALSE(players->get("p").has_value());
  CHECK(caches.manager.text("rooms")->get("r").has_value());
}

TEST_CASE("CacheManager's statistics are those of the reference, and JSON whatever has happened", "[cache_manager]") {
  Caches caches;
  auto small = options("small", 1);
  small.ttl_ms = 10;
  const auto cache = caches.manager.create(std::move(small)).value();
  check_numbers(Json::parse(caches.manager.stats_json()));  // before anything
  (void)cache->put("a", "1");
  (void)cache->get("a");
  caches.now_ms = 10;
  (void)cache->get("a");
  Json json = Json::parse(caches.manager.stats_json());
  check_numbers(json);
  Json& stats = json["caches"]["small"];
  CHECK(stats["size"] == 0);
  CHECK(stats["max_size"] == 1);
  CHECK(stats["hits"] == 1);
  CHECK(stats["misses"] == 1);
  CHECK(stats["hit_rate"] == 0.5);
  CHECK(stats["expired_count"] == 1);
  CHECK(stats["expiration_rate"] == 1.0);
  CHECK(stats["expired_vs_lru_ratio"].is_null());  // by nothing: the reference had inf here
  CHECK(stats["capacity_utilization"] == 0.0);
  CHECK(stats["ttl_ms"] == 10);
  (void)cache->put("a", "1");
  (void)cache->put("b", "1");
  json = Json::parse(caches.manager.stats_json());
  CHECK(json["caches"]["small"]["evictions"] == 1);
  CHECK(json["caches"]["small"]["expired_vs_lru_ratio"] == 1.0);
  CHECK(json["used_bytes"] == caches.ledger.used_bytes());
  CHECK(json["capacity_bytes"] == 12 << 20);
}

TEST_CASE("CacheManager destroys all that has expired when it is asked to", "[cache_manager]") {
  Caches caches;
  auto timed = options("timed");
  timed.ttl_ms = 10;
  const auto cache = caches.manager.create(std::move(timed)).value();
  for (const char* key : {"a", "b", "c", "d", "e"}) (void)cache->put(key, "1234");
  const std::uint64_t used_bytes = caches.ledger.used_bytes();
  CHECK(caches.manager.expire() == 0);
  caches.now_ms = 10;
  CHECK(caches.manager.expire() == 25);
  CHECK(caches.ledger.used_bytes() == used_bytes - 25);
}

TEST_CASE("A server has the default caches within --cache-memory, whose least holds them", "[cache_manager]") {
  TestServer test([](Options& options) { options.cache_memory_bytes = 12 << 20; });
  REQUIRE(test.server.caches().text("rooms") != nullptr);
  CHECK(test.server.caches().text("rooms")->put("r", "{}").ok());
  const auto rows = test.server.ledger().rows();
  CHECK(std::any_of(rows.begin(), rows.end(), [](const LedgerRow& row) {
    return row.name == "caches" && row.capacity_bytes == 12 << 20 && row.used_bytes > 0;
  }));
}
