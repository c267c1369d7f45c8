// What tests of the event bus share: two types of events, a bus that runs, a handler that can be held.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>

#include <ringfence/ledger.h>

#include "events/event_bus.h"
#include "log.h"
#include "support/catch.h"

namespace ringfence::test {

struct Tick {
  static constexpr std::string_view kName = "test_tick";
  int n = 0;
};
struct Word {
  static constexpr std::string_view kName = "test_word";
  std::string text;
  std::size_t data_bytes() const noexcept { return text.size(); }
};

inline std::string tag(std::string stem, int number) {
  stem += std::to_string(number);
  return stem;
}

inline auto soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }

// A bus that runs, and an owner of subscriptions.
struct EventBench {
  explicit EventBench(const EventBus::Bounds& bounds = {64, 4096, 32})
      : bus(ledger, bounds), owner(bus.owner("test").value()) {
    set_up_logs("off");
    bus.start();
  }
  void settle() { REQUIRE(bus.drain(soon())); }
  EventTypeStats type(std::string_view name) const {
    for (const EventTypeStats& row : bus.stats().types)
      if (row.name == name) return row;
    return {};
  }
  Ledger ledger;
  EventBus bus;
  EventOwner owner;
};

// A handler that can be held: it says when it is in, and stays until it is let go.
struct Gate {
  void pass() {
    std::unique_lock lock(mutex);
    ++entered;
    changed.notify_all();
    changed.wait(lock, [this] { return open; });
  }
  void wait_entered(int count = 1) {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return entered >= count; }));
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  ~Gate() { let_go(); }
  std::mutex mutex;
  std::condition_variable changed;
  int entered = 0;
  bool open = false;
};

// Made after the subscriptions, so that a test that fails does not wait for a handler that nobody lets go.
struct Opener {
  Gate& gate;
  ~Opener() { gate.let_go(); }
};

}  // namespace ringfence::test
