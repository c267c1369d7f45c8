// The monitor's rules, on looks that are made up; and a server of which something leaks.
#include "monitoring/memory_leak_monitor.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "log.h"
#include "support/catch.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

Structure made(std::string name, std::uint64_t size, std::uint64_t bound = 0) {
  Structure structure;
  structure.name = std::move(name);
  structure.unit = "things";
  structure.size = size;
  structure.bound = bound;
  structure.look_at = "the test";
  return structure;
}

struct Watched {
  explicit Watched(const MonitorOptions& options = {}, std::uint32_t lag_ms = 30'000)
      : monitor(options, lag_ms, ledger, nullptr, [this] {
          ++next.time_us;
          return next;
        }) {
    set_up_logs("off");
  }
  void look(std::vector<Structure> structures) {
    next.structures = std::move(structures);
    monitor.look();
  }
  void look(Structure structure) { look(std::vector<Structure>{std::move(structure)}); }
  std::vector<std::string> raised() const {
    std::vector<std::string> names;
    for (const RaisedAlert& alert : monitor.alerts().raised()) names.push_back(alert.kind + ":" + alert.structure);
    return names;
  }
  std::string text() const { return monitor.alerts().raised().at(0).text; }

  Ledger ledger;
  Look next;
  MemoryLeakMonitor monitor;
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("MemoryLeakMonitor raises at the share of a bound, and clears at nine tenths of that", "[monitor]") {
  Watched watched;
  watched.look(made("users", 89, 100));
  CHECK(watched.raised().empty());
  watched.look(made("users", 90, 100));
  CHECK(watched.raised() == Names{"share:users"});
  CHECK(watched.text().find("90 of 100 things") != std::string::npos);
  CHECK(watched.text().find("Look at the test") != std::string::npos);
  CHECK(watched.monitor.health().health == Health::degraded);
  CHECK(watched.monitor.health().reason == "alerts: share of users");
  watched.look(made("users", 82, 100));
  CHECK(watched.raised() == Names{"share:users"});
  watched.look(made("users", 81, 100));
  CHECK(watched.raised().empty());
  CHECK(watched.monitor.health().health == Health::healthy);
}

TEST_CASE("MemoryLeakMonitor does not take for full what was taken whole at the start", "[monitor]") {
  Watched watched;
  watched.look(made("fixed", 100, 100));
  watched.look(made("fixed", 100, 100));
  CHECK(watched.raised().empty());
}

TEST_CASE("MemoryLeakMonitor lets a ring be full, and tells when it refuses all the same", "[monitor]") {
  Watched watched;
  const auto ring = [](std::uint64_t size, std::uint64_t refused) {
    Structure structure = made("ring", size, 100);
    structure.when_full = WhenFull::evicts;
    structure.refused = refused;
    return structure;
  };
  for (std::uint64_t size = 0; size <= 100; ++size) watched.look(ring(size, 0));
  CHECK(watched.raised().empty());
  watched.look(ring(100, 2));
  CHECK(watched.raised() == Names{"refused:ring"});
  CHECK(watched.text().find("refused 2 times") != std::string::npos);
  for (int i = 1; i < MemoryLeakMonitor::kCalmLooks; ++i) watched.look(ring(100, 2));
  CHECK(watched.raised() == Names{"refused:ring"});
  watched.look(ring(100, 2));
  CHECK(watched.raised().empty());
}

TEST_CASE("MemoryLeakMonitor tells orphans that are there twice in a row", "[monitor]") {
  Watched watched;
  const auto with = [](std::uint64_t orphans) {
    Structure structure = made("connection entries", 10);
    structure.orphans = orphans;
    return structure;
  };
  watched.look(with(1));
  watched.look(with(0));
  watched.look(with(2));
  CHECK(watched.raised().empty());
  watched.look(with(2));
  CHECK(watched.raised() == Names{"orphans:connection entries"});
  watched.look(with(0));
  CHECK(watched.raised().empty());
}

TEST_CASE("MemoryLeakMonitor tells a leak within ten looks, names who has most, and clears when it has ended",
          "[monitor]") {
  Watched watched;
  const auto with = [](std::uint64_t size) {
    Structure structure = made("event subscriptions", size, 1'000'000);
    structure.load = 100;
    structure.load_name = "connections";
    structure.most = "billing has 7";
    return structure;
  };
  int looks = 0;
  for (; looks < 10 && watched.raised().empty(); ++looks)
    watched.look(with(static_cast<std::uint64_t>(200 + 5 * looks)));
  CHECK(looks <= 10);
  REQUIRE(watched.raised() == Names{"growth:event subscriptions"});
  CHECK(watched.text().find("billing has 7") != std::string::npos);
  for (int i = 0; i < 2 * static_cast<int>(MemoryLeakMonitor::kWindow) && !watched.raised().empty(); ++i)
    watched.look(with(245));
  CHECK(watched.raised().empty());
}

TEST_CASE("MemoryLeakMonitor raises nothing over 30 minutes of load that triples and falls back", "[monitor]") {
  Watched watched;
  for (int i = 0; i < 60; ++i) {
    const double times = i < 10   ? 1
                         : i < 25 ? 1 + 2.0 * (i - 10) / 15
                         : i < 35 ? 3
                         : i < 50 ? 3 - 2.0 * (i - 35) / 15
                                  : 1;
    static double before = 1;
    const auto load = static_cast<std::uint64_t>(std::lround(1000 * times));
    const auto late = static_cast<std::uint64_t>(std::lround(1000 * std::max(before, times)));
    before = times;
    std::vector<Structure> structures;
    for (const auto& [name, size] : {std::pair<const char*, std::uint64_t>{"subscriptions", 2 * load},
                                     {"users", late},
                                     {"event subscriptions", 12},
                                     {"descriptors", 40 + load}}) {
      structures.push_back(made(name, size, 100'000));
      structures.back().load = load;
    }
    Structure ring =
        made("remembered closed ids", std::min<std::uint64_t>(1000, static_cast<std::uint64_t>(40 * i)), 1000);
    ring.when_full = WhenFull::evicts;
    structures.push_back(ring);
    watched.next.accounted_bytes = load * 24'000;
    watched.next.process.rss_bytes = (30 << 20) + load * 7'000;
    watched.look(std::move(structures));
    REQUIRE(watched.raised().empty());
  }
}

TEST_CASE("MemoryLeakMonitor does not judge the growth of what follows no load", "[monitor]") {
  Watched watched;
  for (std::uint64_t i = 0; i < 60; ++i) watched.look(made("channels", 100 + i, 10'000));
  CHECK(watched.raised().empty());
}

TEST_CASE("MemoryLeakMonitor tells memory of the process that no account explains", "[monitor]") {
  MonitorOptions options;
  options.unexplained_bytes = 10 << 20;
  Watched watched(options);
  const auto with = [&](std::uint64_t rss, std::uint64_t kept_free, std::uint64_t accounted) {
    watched.next.process.rss_bytes = rss << 20;
    watched.next.process.heap_free_bytes = kept_free << 20;
    watched.next.accounted_bytes = accounted << 20;
    watched.look(std::vector<Structure>{});
  };
  with(50, 0, 0);
  with(80, 0, 30);
  with(90, 25, 15);
  with(90, 0, 30);
  with(90, 0, 30);
  CHECK(watched.raised().empty());
  with(91, 0, 30);
  with(91, 0, 30);
  CHECK(watched.raised() == Names{"memory:process"});
  CHECK(watched.monitor.report().unexplained_bytes == 11 << 20);
  with(90, 0, 30);
  CHECK(watched.raised() == Names{"memory:process"});
  with(89, 0, 30);
  CHECK(watched.raised().empty());
}

TEST_CASE("MemoryLeakMonitor takes the reference system's thresholds", "[monitor]") {
  MonitorOptions options;
  options.closed_ids = 50;
  options.cache_percent = 80;
  options.subscription_growth_percent = 50;
  Watched watched(options);
  const auto at = [](std::uint64_t closed, std::uint64_t cached, std::uint64_t subscriptions) {
    std::vector<Structure> structures{made("remembered closed ids", closed, 100), made("cache rooms", cached, 100),
                                      made("event subscriptions", subscriptions)};
    structures[0].when_full = structures[1].when_full = WhenFull::evicts;
    structures[2].load = 100;
    return structures;
  };
  watched.look(at(50, 80, 200));
  CHECK(watched.raised().empty());
  watched.look(at(51, 81, 205));
  CHECK(watched.raised().size() == 2);
  for (std::uint64_t i = 2; i < 12; ++i) watched.look(at(45, 72, 200 + 5 * i));
  CHECK(watched.raised().empty());  // it grows, but not by half
}

TEST_CASE("MemoryLeakMonitor judges no more structures than it has room for", "[monitor]") {
  Watched watched;
  for (int i = 0; i < 3; ++i) {
    std::vector<Structure> structures;
    for (std::size_t k = 0; k < ServerLook::kStructuresMax; ++k) {
      structures.push_back(made(numbered("structure ", k), 1));
      structures.back().load = 1;
    }
    watched.look(std::move(structures));
  }
  CHECK(watched.monitor.report().growth.size() == MemoryLeakMonitor::kTrendsMax);
}

TEST_CASE("Every account of a server is known to the monitor", "[monitor]") {
  const TestServer test([](Options& options) { options.log_channel = "log"; });
  for (const auto& row : test.server.ledger().rows()) {
    INFO("account '" << row.name << "': add it to the table in server/monitoring/look.cpp");
    CHECK(known_account(row.name));
  }
}

TEST_CASE("The monitor of a server owns a task, has looked once it has started, and counts what it costs",
          "[monitor]") {
  TestServer test;
  const auto report = test.server.monitor().report();
  CHECK(report.looks == 1);
  CHECK(report.look_us_total >= report.look_us_max);
  CHECK(report.last.process.rss_bytes > 0);
  CHECK(report.last.process.descriptors > 3);
  const TaskStats tasks = test.server.tasks().stats();
  REQUIRE(tasks.tasks.size() == 1);
  CHECK(tasks.tasks[0].name == "memory_leak_monitor");
  CHECK(tasks.tasks[0].owner == "monitoring");
  CHECK(test.server.stop() == 0);
  CHECK(test.server.tasks().live() == 0);
  CHECK(test.server.monitor().report().looks == 2);  // the difference at the end
}

TEST_CASE("The monitor's task looks every --monitor-sample-s", "[monitor]") {
  TestServer test([](Options& options) {
    options.monitor.sample_s = 1;
    options.monitor.log_s = 1;
  });
  CHECK(test.eventually([&](const HubStats&) { return test.server.monitor().report().looks >= 3; }));
}

// An embedding program that subscribes for each of its players, and forgets to end one in a hundred.
TEST_CASE("A program that leaks one subscription in a hundred is told of it within ten looks, by its owner's name",
          "[monitor]") {
  TestServer test([](Options& options) { options.monitor.sample_s = 3'600; });  // the test looks by itself
  std::vector<Alert> heard;
  const EventOwner listener = test.server.events().owner("test").value();
  const auto alerts =
      test.server.events().subscribe<Alert>([&](const Alert& alert) { heard.push_back(alert); }, listener);
  const EventOwner leaky = test.server.events().owner("leaky players").value();
  std::vector<WsClient> clients;
  std::vector<EventSubscription> held, leaked;
  const auto join = [&] { return test.server.events().subscribe<Published>([](const Published&) {}, leaky).value(); };
  for (int i = 0; i < 20; ++i) held.push_back(join());
  int made = 0, looks = 0;
  for (; looks < 10 && test.server.monitor().alerts().raised_count() == 0; ++looks) {
    for (int i = 0; i < 400; ++i) {
      EventSubscription subscription = join();
      if (++made % 100 == 0) leaked.push_back(std::move(subscription));
    }
    test.server.monitor().look();
  }
  CHECK(looks <= 10);
  const auto raised = test.server.monitor().alerts().raised();
  REQUIRE(raised.size() == 1);
  CHECK(raised[0].kind == "growth");
  CHECK(raised[0].structure == "event subscriptions");
  CHECK(raised[0].text.find("leaky players has " + std::to_string(held.size() + leaked.size())) != std::string::npos);
  CHECK(raised[0].text.find("/v1/monitoring/eventbus") != std::string::npos);
  REQUIRE(test.server.events().drain(std::chrono::steady_clock::now() + std::chrono::seconds(30)));
  REQUIRE(heard.size() == 1);
  CHECK(heard[0].raised);
}

// The same without the leak: as many made and ended.
TEST_CASE("A program that ends what it subscribes to is told of nothing", "[monitor]") {
  TestServer test([](Options& options) { options.monitor.sample_s = 3'600; });
  const EventOwner owner = test.server.events().owner("players").value();
  for (int looks = 0; looks < 64; ++looks) {
    for (int i = 0; i < 400; ++i)
      (void)test.server.events().subscribe<Published>([](const Published&) {}, owner).value();
    test.server.monitor().look();
    REQUIRE(test.server.monitor().alerts().raised_count() == 0);
  }
}
