// events_bus: what it costs to publish one event to 10 handlers, by EventBus and by Boost.Signals2, in turn in one run.
//
//   events_bus [--rounds N]        prints JSON: ns an event, of each round and measure
//
// publish   what the publisher pays until it goes on: EventBus takes the event into its queue; signals2 calls all slots.
// delivered until every handler was called, over the number of events: for signals2 the same as publish.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <boost/signals2/signal.hpp>

#include "events/event_bus.h"
#include "log.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kHandlers = 10;
constexpr std::uint64_t kEvents = 200'000;
constexpr std::uint64_t kBurst = 4'096;  // within the queue: the publisher never waits

struct Moved {
  static constexpr std::string_view kName = "bench_moved";
  std::uint64_t player = 0;
  double x = 0;
  double y = 0;
};

double ns(Clock::duration took, std::uint64_t events) {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(took).count()) /
         static_cast<double>(events);
}

struct Figures {
  double publish;
  double delivered;
};

std::uint64_t sums[kHandlers];  // what the handlers do is the same for both

Figures measure_bus() {
  ringfence::Ledger ledger;
  ringfence::EventBus bus(ledger, {2 * kBurst, 1 << 20, 64});
  bus.start();
  const auto owner = bus.owner("bench").value();
  std::vector<ringfence::EventSubscription> held;
  for (int i = 0; i < kHandlers; ++i)
    held.push_back(bus.subscribe<Moved>([sum = &sums[i]](const Moved& event) { *sum += event.player; }, owner).value());
  Clock::duration publishing{};
  const auto began = Clock::now();
  for (std::uint64_t done = 0; done < kEvents; done += kBurst) {
    const auto burst = Clock::now();
    for (std::uint64_t i = 0; i < kBurst; ++i)
      if (!bus.publish(Moved{i, 1, 2}).ok()) std::abort();
    publishing += Clock::now() - burst;
    if (!bus.drain(Clock::now() + std::chrono::seconds(60))) std::abort();
  }
  const std::uint64_t events = (kEvents + kBurst - 1) / kBurst * kBurst;
  return {ns(publishing, events), ns(Clock::now() - began, events)};
}

Figures measure_signals() {
  boost::signals2::signal<void(const Moved&)> signal;
  for (int i = 0; i < kHandlers; ++i) signal.connect([sum = &sums[i]](const Moved& event) { *sum += event.player; });
  const auto began = Clock::now();
  for (std::uint64_t i = 0; i < kEvents; ++i) signal(Moved{i, 1, 2});
  const double each = ns(Clock::now() - began, kEvents);
  return {each, each};
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 7;
  for (int i = 1; i + 1 < argc; ++i)
    if (std::string(argv[i]) == "--rounds") rounds = std::max(1, std::atoi(argv[i + 1]));
  ringfence::set_up_logs("warn");
  (void)measure_bus();
  (void)measure_signals();
  std::printf("[");
  for (int round = 0; round < rounds; ++round) {
    const bool bus_first = round % 2 == 0;
    const Figures first = bus_first ? measure_bus() : measure_signals();
    const Figures second = bus_first ? measure_signals() : measure_bus();
    const Figures& bus = bus_first ? first : second;
    const Figures& signals = bus_first ? second : first;
    std::printf("%s{\"bus_publish_ns\":%.1f,\"bus_delivered_ns\":%.1f,\"signals2_ns\":%.1f}", round ? "," : "",
                bus.publish, bus.delivered, signals.publish);
  }
  std::printf("]\n");
  for (const std::uint64_t sum : sums)
    if (sum == 0) return 1;
}
