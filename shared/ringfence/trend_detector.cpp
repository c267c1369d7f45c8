#include <ringfence/trend_detector.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace ringfence {
namespace {

// Loads this near to one another are equal: a tenth, or what counting makes of them by chance.
constexpr double kBandShare = 0.1;
constexpr double kBandDeviations = 3;  // of a count, whose deviation is its square root
// Sizes are whole numbers: less than a step's deviation is no scatter.
constexpr double kScatterMin = 0.3;
// A lag is taken for the structure's own if it leaves less scatter by this factor.
constexpr double kBetter = 1.5;
// Load jitters from this roughness on.
constexpr double kRough = 0.3;

using Values = std::array<double, TrendDetector::kCapacityMax>;
using Span = std::span<const double>;

double mean(Span values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// Rise for a unit of x.
double slope(Span x, Span y) {
  const double x_mean = mean(x), y_mean = mean(y);
  double xy = 0, xx = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - x_mean) * (y[i] - y_mean);
    xx += (x[i] - x_mean) * (x[i] - x_mean);
  }
  return xx > 0 ? xy / xx : 0;
}

// Of the squares of what is off a line with this rise.
double squares_about(Span x, Span y, double rise) {
  const double x_mean = mean(x), y_mean = mean(y);
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double off = y[i] - y_mean - rise * (x[i] - x_mean);
    sum += off * off;
  }
  return sum;
}

// The mean square of the steps over the variance: 2 if each value is by itself, near 0 along a curve (von Neumann).
double roughness(Span time, Span values) {
  const double middle = mean(values);
  double steps = 0, count = 0, squares = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    squares += (values[i] - middle) * (values[i] - middle);
    if (i == 0 || time[i] - time[i - 1] != 1) continue;
    steps += (values[i] - values[i - 1]) * (values[i] - values[i - 1]);
    ++count;
  }
  if (squares == 0) return 2;
  return count == 0 ? 0 : steps / count * static_cast<double>(values.size()) / squares;
}

// What a unit of load does to the size from one sample to the next, where both were seen.
double load_coefficient(Span time, Span size, Span load) {
  Values sizes, loads;
  std::size_t count = 0;
  for (std::size_t i = 1; i < time.size(); ++i) {
    if (time[i] - time[i - 1] != 1) continue;
    sizes[count] = size[i] - size[i - 1];
    loads[count] = load[i] - load[i - 1];
    ++count;
  }
  return count < 3 ? 0 : slope({loads.data(), count}, {sizes.data(), count});
}

}  // namespace

Result<TrendDetector> TrendDetector::create(const Window& window) {
  if (window.capacity < kCapacityMin || window.capacity > kCapacityMax || window.lag > kLagMax)
    return Error::bad_capacity;
  return TrendDetector(RingBuffer<Sample>::create(window.capacity).value(), window.lag);
}

void TrendDetector::add(double size, double load) {
  samples_.push({std::isfinite(size) ? size : 0, std::isfinite(load) ? load : 0});
}

double TrendDetector::p_of(double scatters, std::size_t samples) noexcept {
  if (scatters <= 0 || samples < kCapacityMin) return 1;
  // Fitted to simulated walks (a test compares): one decade in 5.55, and slower far out where there are few samples.
  constexpr double kDecade = 5.55, kFar = 3 * kDecade;
  const double few = 30 / static_cast<double>(samples - 4);
  const double decades = scatters <= kFar ? scatters / kDecade : 3 + (scatters - kFar) / (kDecade + few);
  return std::pow(10.0, -decades);
}

// The samples that can be compared with the newest, the oldest first.
std::size_t TrendDetector::comparable(std::array<std::uint16_t, kCapacityMax>& indices) const {
  double low = 0, high = 0;
  std::size_t count = 0;
  for (std::size_t i = samples_.size(); i-- > 0;) {
    double least = samples_[i].load, most = least;
    for (std::size_t late = 1; late <= lag_; ++late) {
      least = std::min(least, load_at(i, late));
      most = std::max(most, load_at(i, late));
    }
    if (count == 0) {
      const double middle = (least + most) / 2;
      const double slack = std::max(kBandShare * middle, kBandDeviations * std::sqrt(std::max(0.0, middle)));
      low = middle - slack;
      high = middle + slack;
      if (least < low) return 0;  // it moves
    }
    if (least >= low && most <= high) indices[count++] = static_cast<std::uint16_t>(i);
  }
  std::reverse(indices.begin(), indices.begin() + count);
  return count;
}

Trend TrendDetector::line_through(std::span<const std::uint16_t> indices) const {
  // In the line each sample is one step behind the last that counts, however long load was elsewhere in between: else the
  // few on the far side of a gap would draw the line through themselves.
  Values times, places, sizes, loads, rests;
  const std::size_t count = indices.size();
  const Span time(times.data(), count), place(places.data(), count), size(sizes.data(), count),
      load(loads.data(), count), rest(rests.data(), count);
  for (std::size_t i = 0; i < count; ++i) {
    times[i] = indices[i];
    places[i] = static_cast<double>(i);
    sizes[i] = samples_[indices[i]].size;
  }
  Trend trend;
  trend.samples = count;
  trend.level = mean(size);
  const double span = place.back();
  double least_scatter = 0;
  for (std::size_t late = 0; late <= lag_; ++late) {
    for (std::size_t i = 0; i < count; ++i) loads[i] = load_at(indices[i], late);
    // Load that jitters shows what it does, and how late. Where it goes along a curve, so does all that follows it, late or
    // not, and nothing can be told.
    if (roughness(time, load) < kRough) {
      if (late == 0) return trend;
      continue;
    }
    // At most proportional: nothing that we count shrinks with load, and load explains no more than all of it.
    const double load_mean = mean(load);
    const double proportional = load_mean > 0 ? trend.level / load_mean : 0;
    const double coefficient = std::clamp(load_coefficient(time, size, load), 0.0, proportional);
    for (std::size_t i = 0; i < count; ++i) rests[i] = sizes[i] - coefficient * (loads[i] - load_mean);
    const double rise = slope(place, rest);
    const double scatter =
        std::max(kScatterMin, std::sqrt(squares_about(place, rest, rise) / static_cast<double>(count - 2)));
    if (late > 0 && scatter * kBetter >= least_scatter) continue;
    least_scatter = scatter;
    trend.growth = rise * span - (proportional - coefficient) * std::max(0.0, slope(place, load) * span);
    trend.p = p_of(trend.growth / scatter, count);
  }
  return trend;
}

Trend TrendDetector::trend() const {
  std::array<std::uint16_t, kCapacityMax> indices;
  const std::size_t comparables = comparable(indices);
  Trend best;
  best.samples = comparables;
  double looks = 0;
  for (std::size_t count = kCapacityMin; count <= comparables;) {
    const Trend trend = line_through({indices.data() + comparables - count, count});
    if (++looks == 1 || trend.p < best.p) best = trend;
    count = count == comparables ? count + 1 : std::min(2 * count, comparables);
  }
  best.p = std::min(1.0, best.p * std::max(1.0, looks));
  return best;
}

}  // namespace ringfence
