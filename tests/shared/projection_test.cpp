#include <ringfence/projection.h>

#include <string>
#include <vector>

#include "support/catch.h"
#include "support/pools.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

std::string join(std::string state, const RecordView& record) { return state.append(record.payload); }
std::string join_marked(std::string state, const RecordView& record) {
  return state.append("<").append(record.payload).append(">");
}

// As a caller does: what is held is folded first, then evicted.
void append(History& history, Projection<std::string>& projection, const std::string& payload) {
  for (;;) {
    const auto seq = history.append(1, "t", payload);
    if (seq) return;
    REQUIRE(seq.error() == Error::held);
    projection.make_way(history, history.wanted());
  }
}

}  // namespace

TEST_CASE("Projection keeps in its state what the history has evicted", "[projection]") {
  TestPool test;
  History history = History::create(test.pool, {3, 1024 * 1024, HistoryLimits::kNoAgeLimit}).value();
  Projection<std::string> projection(history, "", join);
  history.hold(projection.checkpointed());
  for (const char* payload : {"a", "b", "c", "d", "e"}) append(history, projection, payload);
  CHECK(history.size() == 3);
  CHECK(projection.update(history) == "abcde");
  CHECK(projection.checkpointed() == history.first_position());
  CHECK(projection.missed() == 0);

  projection.rebuild(history, join_marked);
  CHECK(projection.state() == "ab<c><d><e>");
  projection.reset(history, "-");
  append(history, projection, "f");
  CHECK(projection.update(history) == "-<f>");
  CHECK(history.size() == 3);
}

TEST_CASE("Projection goes on from its state when the history is cleared", "[projection]") {
  TestPool test;
  History history = History::create(test.pool, {3, 1024 * 1024, HistoryLimits::kNoAgeLimit}).value();
  Projection<std::string> projection(history, "", join);
  append(history, projection, "a");
  projection.update(history);
  append(history, projection, "b");
  history.clear();  // before b was folded
  append(history, projection, "c");
  CHECK(projection.update(history) == "ac");
  CHECK(projection.missed() == 1);
  projection.rebuild(history, join_marked);
  CHECK(projection.state() == "a<c>");
}

TEST_CASE("Projection is the fold of all records there ever were", "[projection]") {
  auto random = seeded_random();
  for (int round = 0; round < 20; ++round) {
    TestPool test;
    History history =
        History::create(test.pool, {static_cast<std::uint32_t>(pick(random, 1, 20)), 4096, HistoryLimits::kNoAgeLimit})
            .value();
    Projection<std::string> projection(history, "", join);
    history.hold(0);
    std::vector<std::string> all;
    for (int step = 0; step < 200; ++step) {
      all.push_back(random_text(random, 60));
      append(history, projection, all.back());
      if (pick(random, 0, 3) == 0) projection.update(history);
    }
    std::string expected;
    for (const auto& one : all) expected += one;
    REQUIRE(projection.update(history) == expected);
    projection.rebuild(history, join_marked);
    expected.clear();
    for (std::size_t i = 0; i < all.size(); ++i)
      expected += i < history.first_position() ? all[i] : std::string("<").append(all[i]).append(">");
    REQUIRE(projection.state() == expected);
    REQUIRE(projection.missed() == 0);
  }
}
