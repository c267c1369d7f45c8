// TrendDetector: whether a structure grows by more than its load explains, told from its last sizes.
//
// Only what was at equal load is compared: of the samples in the window those count whose load, and all loads up to `lag`
// samples before it, lay where load lies now. So a structure may follow its load late, by a grace or an expiry, and after
// load has risen and fallen nothing is left to be seen. While load moves there is no verdict. From the sizes is taken what
// load did to them from one sample to the next; through the rest goes a straight line (least squares), and from its rise
// is taken what a growth in proportion to load would still explain.
//
// Significance: what is left of the rise, against how far the sizes stray from the line. A healthy structure may wander,
// at worst like a random walk without a drift, and then it rises in some windows; but it strays as well. p is the chance of
// such a walk to rise by so many times its scatter (p_of). A leak is straight; a step or noise about a level strays.
//
// What it cannot tell: a structure that is filling up to a bound from a leak (judge those by their bound), a leak beneath a
// load that swings all the time, and a habit that changes (more subscriptions for each connection) from a leak.
//
// Owns     its samples.
// Threads  no locking: one thread at a time.
// Bounds   kCapacityMin <= capacity <= kCapacityMax samples, the oldest leaves; lag <= kLagMax.
// Cost     add: O(1). trend: O(capacity * lag). No allocation after create().
// Errors   create(): bad_capacity. A sample that is not finite counts as 0.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <ringfence/ring_buffer.h>

namespace ringfence {

struct Trend {
  std::size_t samples = 0;  // that could be compared; 0 while load moves
  double level = 0;         // mean size over them
  double growth = 0;        // over them, without what load explains
  double p = 1;             // that a structure without a drift shows as much; 1 if there are too few

  // At the significance asked for, and large enough to matter.
  bool grows(double p_max, double growth_min) const noexcept { return p <= p_max && growth >= growth_min; }
};

class TrendDetector {
 public:
  static constexpr std::size_t kCapacityMin = 8;
  static constexpr std::size_t kCapacityMax = 256;
  static constexpr std::size_t kLagMax = 16;

  struct Window {
    std::size_t capacity = 64;
    std::size_t lag = 4;  // samples by which a structure may follow its load
  };
  static Result<TrendDetector> create(const Window& window);

  // At even intervals. `load` is what the size may follow; a constant if it follows nothing.
  void add(double size, double load);
  Trend trend() const;

  std::size_t size() const noexcept { return samples_.size(); }
  std::uint64_t memory_bytes() const noexcept { return memory_bytes(samples_.capacity()); }
  static constexpr std::uint64_t memory_bytes(std::size_t capacity) noexcept {
    return capacity * sizeof(Sample) + sizeof(TrendDetector);
  }

  // The chance that a random walk of so many samples rises by `scatters` times its scatter or more; where it is below
  // 1e-3, rather above it than below.
  static double p_of(double scatters, std::size_t samples) noexcept;

 private:
  struct Sample {
    double size = 0;
    double load = 0;
  };

  TrendDetector(RingBuffer<Sample> samples, std::size_t lag) : samples_(std::move(samples)), lag_(lag) {}

  double load_at(std::size_t index, std::size_t late) const { return samples_[index < late ? 0 : index - late].load; }
  std::size_t comparable(std::array<std::uint16_t, kCapacityMax>& indices) const;
  Trend line_through(std::span<const std::uint16_t> indices) const;

  RingBuffer<Sample> samples_;
  std::size_t lag_;
};

}  // namespace ringfence
