#include <ringfence/flat_map.h>

#include <map>
#include <memory>

#include "support/catch.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE("FlatMap keeps the value that a key has", "[flat_map]") {
  FlatMap<int, std::unique_ptr<int>> map;
  CHECK(*map.emplace(5, std::make_unique<int>(50))->second == 50);
  CHECK(*map.emplace(5, std::make_unique<int>(51))->second == 50);
  CHECK(map.size() == 1);
  CHECK(map.find(4) == map.end());
}

TEST_CASE("FlatMap does what std::map does", "[flat_map]") {
  auto random = seeded_random();
  FlatMap<int, int> map;
  std::map<int, int> model;
  for (int step = 0; step < 5000; ++step) {
    const int key = static_cast<int>(pick(random, 0, 60));
    switch (pick(random, 0, 3)) {
      case 0: {
        const auto found = map.find(key);
        REQUIRE((found != map.end()) == model.contains(key));
        if (found != map.end()) map.erase(found);
        model.erase(key);
        break;
      }
      case 1: {
        const auto odd = [key](const auto& entry) { return entry.first % 7 == key % 7; };
        if (pick(random, 0, 20) != 0) break;
        map.erase_if(odd);
        std::erase_if(model, odd);
        break;
      }
      default: map.emplace(key, step); model.emplace(key, step);
    }
    REQUIRE(map.size() == model.size());
    REQUIRE(std::equal(map.begin(), map.end(), model.begin(), model.end(),
                       [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; }));
  }
}
