// Hub::Evictions: what left the histories during one step, told to the event bus once the hub's locks are free.
//
//   Hub::Evictions evictions(events);          // before the lock
//   const std::lock_guard lock(channel.mutex);
//   const Hub::Evictions::Look look(evictions, channel);
//   channel.history.expire(now_us);
//
// Owns     up to Hub::kEvictionsToldMax entries; the rest is one sum for each reason.
// Threads  one; made before the locks are taken and so destroyed after they are given back.
// Cost     nothing but a relaxed load while nobody is subscribed to Evicted.
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "events/event_bus.h"
#include "events/server_events.h"
#include "realtime/hub.h"

namespace ringfence {

class Hub::Evictions {
 public:
  explicit Evictions(EventBus* events) : events_(events && events->wanted<Evicted>() ? events : nullptr) {}
  Evictions(const Evictions&) = delete;
  Evictions& operator=(const Evictions&) = delete;
  ~Evictions() {
    if (!events_) return;
    for (std::size_t i = 0; i < kEvictionCount; ++i)
      if (rest_[i] > 0) told_.push_back({{}, static_cast<Eviction>(i), rest_[i]});
    // Refused: counted and logged by the bus.
    for (Evicted& event : told_) (void)events_->publish(std::move(event));
  }

  // Around a change of a channel's history, under the channel's mutex.
  class Look {
   public:
    Look(Evictions& evictions, const Channel& channel) : evictions_(evictions), channel_(channel) {
      if (evictions_.events_) before_ = counts();
    }
    Look(const Look&) = delete;
    Look& operator=(const Look&) = delete;
    ~Look() {
      if (!evictions_.events_) return;
      const auto after = counts();
      for (std::size_t i = 0; i < kEvictionCount; ++i)
        if (after[i] > before_[i]) evictions_.add(channel_, i, after[i] - before_[i]);
    }

   private:
    std::array<std::uint64_t, kEvictionCount> counts() const {
      std::array<std::uint64_t, kEvictionCount> counts{};
      for (std::size_t i = 0; i < kEvictionCount; ++i) counts[i] = channel_.history.evicted(static_cast<Eviction>(i));
      return counts;
    }
    Evictions& evictions_;
    const Channel& channel_;
    std::array<std::uint64_t, kEvictionCount> before_{};
  };

 private:
  void add(const Channel& channel, std::size_t reason, std::uint64_t records) {
    if (told_.size() < kEvictionsToldMax)
      told_.push_back({channel.name(), static_cast<Eviction>(reason), records});
    else
      rest_[reason] += records;
  }

  EventBus* const events_;
  std::vector<Evicted> told_;
  std::array<std::uint64_t, kEvictionCount> rest_{};
};

}  // namespace ringfence
