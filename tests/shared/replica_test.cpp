#include <ringfence/replica.h>

#include "support/batches.h"
#include "support/catch.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;
const HistoryLimits kLimits{100, kMiB, HistoryLimits::kNoAgeLimit};

std::unique_ptr<Replica> make(std::uint64_t bytes = 8 * kMiB) { return Replica::create(bytes).value(); }

}  // namespace

TEST_CASE("Replica refuses histories that do not fit in its memory together", "[replica]") {
  CHECK(Replica::create(0).error() == Error::bad_capacity);
  auto replica = make(2 * kMiB);
  const HistoryId first = replica->add_history("a", kLimits).value();
  CHECK(replica->add_history("a", kLimits).error() == Error::duplicate_name);
  CHECK(replica->add_history("b", {0, kMiB, 1}).error() == Error::bad_capacity);
  CHECK(replica->add_history("b", kLimits).ok());
  CHECK(replica->add_history("c", {1, 4096, 1}).error() == Error::over_budget);
  CHECK(replica->remove_history(first));
  CHECK_FALSE(replica->remove_history(first));
  CHECK(replica->add_history("c", kLimits).value() > first);
}

TEST_CASE("Replica puts each section where its channel is attached", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  const HistoryId b = replica->add_history("b", kLimits).value();
  auto first = replica->attach(7, a, false, 0).value();
  auto second = replica->attach(8, b, false, 10).value();
  const Bytes batch =
      BatchBuilder().section(7, 0).record(1).record(2).section(8, 10).record(11).section(9, 0).record(1).build();
  REQUIRE(replica->ingest(batch).ok());
  CHECK(replica->history(a)->size() == 2);
  CHECK(replica->history(b)->first_seq() == 11);
  CHECK(replica->totals().records == 3);
  CHECK(replica->totals().unrouted_records == 1);
  CHECK(replica->totals().holes == 0);
}

TEST_CASE("Replica leaves every history as it was when a batch does not validate", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  auto route = replica->attach(7, a, false, 0).value();
  Bytes batch = BatchBuilder().section(7, 0).record(1).section(7, 1).record(2).build();
  batch.resize(batch.size() - 8);
  CHECK_FALSE(replica->ingest(batch).ok());
  CHECK(replica->history(a)->empty());
  CHECK_FALSE(replica->has_changes());
  CHECK(replica->totals().refused_batches == 1);
  CHECK(replica->refused_by(Error::batch_truncated) == 1);
}

TEST_CASE("Replica ends a route with its handle, and forgets it", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  for (std::uint32_t channel = 1; channel <= 10'000; ++channel) {
    auto route = replica->attach(channel, a, false, 0).value();
    CHECK(replica->attach(channel, a, false, 0).error() == Error::already_attached);
    REQUIRE(replica->routes() == 1);
  }
  CHECK(replica->routes() == 0);
  REQUIRE(replica->ingest(BatchBuilder().section(10'000, 0).record(1).build()).ok());
  CHECK(replica->history(a)->empty());
  CHECK(replica->totals().unrouted_records == 1);
}

TEST_CASE("Replica survives a route and a listener that outlive their history and itself", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  auto route = replica->attach(1, a, false, 0).value();
  auto listener = replica->on_change(a, [] {}).value();
  CHECK(replica->remove_history(a));
  CHECK_FALSE(route.active());
  CHECK_FALSE(listener.active());
  REQUIRE(replica->ingest(BatchBuilder().section(1, 0).record(1).build()).ok());
  const HistoryId b = replica->add_history("b", kLimits).value();
  auto other = replica->attach(1, b, false, 0).value();
  replica.reset();
  CHECK_FALSE(other.active());
}

TEST_CASE("Replica counts a hole that nobody announced, and not one that was", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  auto route = replica->attach(1, a, false, 5).value();
  replica->note_gap(1, 8);
  REQUIRE(replica->ingest(BatchBuilder().section(1, 8).record(9).build()).ok());
  CHECK(replica->totals().holes == 0);
  REQUIRE(replica->ingest(BatchBuilder().section(1, 12).record(13).build()).ok());
  CHECK(replica->totals().holes == 3);
  REQUIRE(replica->ingest(BatchBuilder().section(1, 8).record(9).build()).ok());
  CHECK(replica->totals().duplicate_records == 1);
  CHECK(replica->history(a)->size() == 2);
}

TEST_CASE("Replica counts by history what the batches brought", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  const HistoryId b = replica->add_history("b", kLimits).value();
  CHECK(replica->declared_bytes() == 2 * kMiB);
  auto first = replica->attach(7, a, false, 0).value();
  auto second = replica->attach(8, b, false, 0).value();
  auto listener = replica->on_change(a, [] {}).value();
  CHECK(replica->listeners(a) == 1);
  CHECK(replica->listeners(b) == 0);
  const Bytes batch = BatchBuilder().section(7, 0).record(1).record(2).section(8, 4).record(5).build();
  REQUIRE(replica->ingest(batch).ok());
  REQUIRE(replica->ingest(batch).ok());
  CHECK(replica->counts(a)->records == 2);
  CHECK(replica->counts(a)->duplicates == 2);
  CHECK(replica->counts(a)->holes == 0);
  CHECK(replica->counts(b)->records == 1);
  CHECK(replica->counts(b)->holes == 4);
  CHECK(replica->counts(99) == nullptr);
}

TEST_CASE("Replica begins a new epoch with an empty history", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  {
    auto route = replica->attach(1, a, true, 0).value();
    CHECK_FALSE(replica->has_changes());  // there was nothing to reset
    REQUIRE(replica->ingest(BatchBuilder().section(1, 0).record(1).record(2).build()).ok());
  }
  auto route = replica->attach(2, a, true, 0).value();
  CHECK(replica->history(a)->empty());
  CHECK(replica->has_changes());
  REQUIRE(replica->ingest(BatchBuilder().section(2, 0).record(1).build()).ok());
  CHECK(replica->history(a)->last_seq() == 1);
}

TEST_CASE("Replica notifies once however many changes there were", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  auto route = replica->attach(1, a, false, 0).value();
  int calls = 0;
  auto listener = replica->on_change(a, [&] { ++calls; }).value();
  REQUIRE(replica->ingest(BatchBuilder().section(1, 0).record(1).build()).ok());
  REQUIRE(replica->ingest(BatchBuilder().section(1, 1).record(2).build()).ok());
  CHECK(replica->notify() == 1);
  CHECK(replica->notify() == 0);
  CHECK(calls == 1);
  CHECK(replica->listeners() == 1);
  listener.end();
  CHECK(replica->listeners() == 0);
}

TEST_CASE("Replica lets a listener remove its history", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  int calls = 0;
  auto first = replica
                   ->on_change(a,
                               [&] {
                                 ++calls;
                                 replica->remove_history(a);
                               })
                   .value();
  auto second = replica->on_change(a, [&] { ++calls; }).value();
  replica->mark_changed(a);
  CHECK(replica->notify() == 1);
  CHECK(calls == 1);
  CHECK(replica->history(a) == nullptr);
}

TEST_CASE("Replica keeps the channels of two sources apart", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  const HistoryId b = replica->add_history("b", kLimits).value();
  auto first = replica->attach(1, a, false, 0, 1).value();
  auto second = replica->attach(1, b, false, 0, 2).value();
  REQUIRE(replica->ingest(BatchBuilder().section(1, 0).record(1).build(), 2).ok());
  replica->note_gap(1, 5, 1);
  CHECK(replica->history(a)->empty());
  CHECK(replica->history(a)->last_seq() == 5);
  CHECK(replica->history(b)->last_seq() == 1);
  REQUIRE(replica->ingest(BatchBuilder().section(1, 0).record(1).build(), 3).ok());
  CHECK(replica->totals().unrouted_records == 1);
}

TEST_CASE("Replica does not count a record that was too large as a hole", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", {100, 4096, HistoryLimits::kNoAgeLimit}).value();
  auto route = replica->attach(1, a, false, 0).value();
  REQUIRE(replica->ingest(BatchBuilder().section(1, 0).record(1).record(2, std::string(5000, 'x')).build()).ok());
  CHECK(replica->history(a)->last_seq() == 2);
  REQUIRE(replica->ingest(BatchBuilder().section(1, 2).record(3).build()).ok());
  CHECK(replica->totals().refused_records == 1);
  CHECK(replica->totals().holes == 0);
  CHECK(replica->history(a)->size() == 2);
}

TEST_CASE("Replica stops before what is held would leave, and goes on where it was", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", {2, kMiB, HistoryLimits::kNoAgeLimit}).value();
  const HistoryId b = replica->add_history("b", kLimits).value();
  auto first = replica->attach(7, a, false, 0).value();
  auto second = replica->attach(8, b, false, 0).value();
  replica->history(a)->hold(0);
  const Bytes batch =
      BatchBuilder().section(7, 0).record(1).record(2).record(3).record(4).section(8, 0).record(1).build();
  REQUIRE(replica->ingest(batch).ok());
  CHECK(replica->blocked() == a);
  CHECK(replica->history(a)->last_seq() == 2);
  CHECK(replica->history(b)->empty());
  replica->history(a)->hold(replica->history(a)->wanted());
  replica->resume();
  CHECK(replica->blocked() == 0);
  CHECK(replica->history(a)->last_seq() == 4);
  CHECK(replica->history(a)->size() == 2);
  CHECK(replica->history(b)->size() == 1);
  CHECK(replica->totals().records == 5);
  CHECK(replica->totals().duplicate_records == 0);
  CHECK(replica->totals().holes == 0);
}

TEST_CASE("Replica goes on without a history that has gone while it was stopped for it", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", {1, kMiB, HistoryLimits::kNoAgeLimit}).value();
  auto route = replica->attach(7, a, false, 0).value();
  replica->history(a)->hold(0);
  const Bytes batch = BatchBuilder().section(7, 0).record(1).record(2).record(3).build();
  REQUIRE(replica->ingest(batch).ok());
  REQUIRE(replica->blocked() == a);
  replica->remove_history(a);
  replica->resume();
  CHECK(replica->blocked() == 0);
  CHECK(replica->totals().unrouted_records == 2);
  CHECK(replica->ingest(batch).ok());
}

TEST_CASE("Replica keeps what was pushed before the first record of a channel", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", kLimits).value();
  REQUIRE(replica->push(a, 1, "t", "", 0, Numbering::behind).ok());
  auto route = replica->attach(7, a, true, 10).value();
  REQUIRE(replica->ingest(BatchBuilder().section(7, 10).record(11).build()).ok());
  CHECK(replica->history(a)->size() == 2);
  CHECK(replica->push(99, 1, "t", "", 0, Numbering::own).error() == Error::not_subscribed);
}

TEST_CASE("Replica keeps views current with every append, push, clear and epoch", "[replica]") {
  auto replica = make();
  const HistoryId a = replica->add_history("a", {2, kMiB, HistoryLimits::kNoAgeLimit}).value();
  const ViewId view = replica->add_view(a, {}, 10, 1'000'000).value();
  auto route = replica->attach(7, a, false, 0).value();
  for (std::uint64_t seq = 1; seq <= 4; ++seq)
    REQUIRE(replica->ingest(BatchBuilder().section(7, seq - 1).record(seq).build()).ok());
  CHECK(replica->view(view)->total() == 4);  // though only two are held
  CHECK(replica->view(view)->size() == 2);
  CHECK(replica->view(view)->unseen() == 0);
  REQUIRE(replica->push(a, 1, "t", "", 0, Numbering::behind).ok());
  CHECK(replica->view(view)->total() == 5);
  replica->clear(a);
  CHECK(replica->view(view)->size() == 0);
  CHECK(replica->view(view)->unread() == 0);
}

TEST_CASE("Replica sets the memory of views aside, and gives it back with them or their history", "[replica]") {
  auto replica = make(2 * kMiB);
  const HistoryId a = replica->add_history("a", kLimits).value();
  CHECK(replica->add_view(99, {}, 10, 1).error() == Error::not_subscribed);
  CHECK(replica->add_view(a, {}, 0, 1).error() == Error::bad_capacity);
  CHECK(replica->add_view(a, {"a\n", "", ""}, 10, 1).error() == Error::bad_field);
  CHECK(replica->declared_bytes() == kMiB);
  CHECK(replica->add_view(a, {}, 200'000, 1).error() == Error::over_budget);
  CHECK(replica->add_view(a, {}, 1'000'000, 1).error() == Error::bad_capacity);  // with no history there, either
  CHECK(replica->set_aside(2 * kMiB + 1).error() == Error::bad_capacity);
  CHECK(replica->set_aside(kMiB + 1).error() == Error::over_budget);
  CHECK(replica->declared_bytes() == kMiB);
  const ViewId first = replica->add_view(a, {}, 1000, 1).value();
  REQUIRE(replica->add_view(a, {}, 1000, 1).ok());
  CHECK(replica->declared_bytes() == kMiB + 2 * View::memory_bytes(1000));
  CHECK(replica->remove_view(first));
  CHECK_FALSE(replica->remove_view(first));
  CHECK(replica->view(first) == nullptr);
  CHECK(replica->remove_history(a));
  CHECK(replica->declared_bytes() == 0);
  CHECK(replica->views() == 0);
}
