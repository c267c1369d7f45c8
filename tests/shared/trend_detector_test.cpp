// The statistical tests run on generators of their own with fixed seeds, the same on every platform: they print what they
// found, and cannot fail by chance.
#include <ringfence/trend_detector.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "support/catch.h"

using namespace ringfence;

namespace {

constexpr double kSignificance = 1e-5;  // as the monitor asks for, as are the next three
constexpr double kGrowthShare = 0.02;
constexpr double kGrowthMin = 5;
constexpr int kInARow = 2;

struct Dice {
  explicit Dice(std::uint64_t seed) : state(seed * 0x9e3779b97f4a7c15u + 1) {}
  std::uint64_t next() {
    std::uint64_t x = state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  double even() { return static_cast<double>(next() >> 11) / 9007199254740992.0; }
  double normal() {  // Irwin-Hall
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += even();
    return sum;
  }
  double count(double expected) {  // Poisson's mean and variance
    return std::max(0.0, std::round(expected + std::sqrt(expected) * normal()));
  }
  std::uint64_t state;
};

TrendDetector detector(std::size_t lag = 4) { return TrendDetector::create({64, lag}).value(); }

// What the monitor makes of it: bad looks in a row.
struct Judge {
  explicit Judge(std::size_t lag = 4) : trends(detector(lag)) {}
  bool add(double size, double load) {
    trends.add(size, load);
    const Trend trend = trends.trend();
    in_a_row = trend.grows(kSignificance, std::max(kGrowthMin, kGrowthShare * trend.level)) ? in_a_row + 1 : 0;
    return in_a_row >= kInARow;
  }
  TrendDetector trends;
  int in_a_row = 0;
};

// 30 minutes, a sample every 30 s: even, up to three times as much, even, down again.
double triples_and_falls_back(int sample) {
  sample %= 60;
  if (sample < 10) return 1;
  if (sample < 25) return 1 + 2.0 * (sample - 10) / 15;
  if (sample < 35) return 3;
  if (sample < 50) return 3 - 2.0 * (sample - 35) / 15;
  return 1;
}

}  // namespace

TEST_CASE("TrendDetector refuses a window that is too small or too large, and a lag that is too long",
          "[trend_detector]") {
  CHECK(TrendDetector::create({7, 0}).error() == Error::bad_capacity);
  CHECK(TrendDetector::create({257, 0}).error() == Error::bad_capacity);
  CHECK(TrendDetector::create({8, 17}).error() == Error::bad_capacity);
  CHECK(TrendDetector::create({8, 16}).ok());
  CHECK(TrendDetector::create({256, 0}).ok());
}

TEST_CASE("TrendDetector tells growth and level of a straight rise at constant load", "[trend_detector]") {
  auto trends = detector();
  for (int i = 0; i < 7; ++i) trends.add(100 + 10 * i, 50);
  CHECK(trends.trend().p == 1);
  trends.add(170, 50);
  const Trend trend = trends.trend();
  CHECK(trend.samples == 8);
  CHECK(trend.level == 135);
  CHECK(std::abs(trend.growth - 70) < 1e-9);
  CHECK(trend.p < 1e-9);
  CHECK(trend.grows(1e-5, 70 - 1e-6));
  CHECK_FALSE(trend.grows(1e-5, 71));
}

TEST_CASE("TrendDetector finds nothing in what is constant, falls, steps, or is load's own rise", "[trend_detector]") {
  auto constant = detector(), falls = detector(), steps = detector(), follows = detector(), empty = detector();
  for (int i = 0; i < 64; ++i) {
    constant.add(5, 50);
    falls.add(1000 - i, 50);
    steps.add(i < 32 ? 100 : 200, 50);
    follows.add(2.0 * (1000 + i % 3), 1000 + i % 3);
    CHECK(steps.trend().p > 1e-3);
  }
  CHECK(constant.trend().p == 1);
  CHECK(falls.trend().p == 1);
  CHECK(follows.trend().p == 1);
  CHECK(empty.trend().p == 1);
  CHECK(empty.trend().samples == 0);
}

TEST_CASE("TrendDetector has no verdict while load moves, nor before load has been even for the lag",
          "[trend_detector]") {
  auto trends = detector(4);
  for (int i = 0; i < 20; ++i) trends.add(100 + 10 * i, 1000);
  CHECK(trends.trend().samples == 20);
  for (int i = 0; i < 5; ++i) {
    trends.add(300 + 10 * i, 2000);
    CHECK(trends.trend().p == 1);
  }
  for (int i = 0; i < 7; ++i) trends.add(350 + 10 * i, 2000);
  // Those at 1,000, and those whose lag reaches back to it, are left out.
  CHECK(trends.trend().samples == 8);
  CHECK(trends.trend().p < 1e-5);
}

TEST_CASE("TrendDetector takes what is not finite for nothing, and stays finite", "[trend_detector]") {
  auto trends = TrendDetector::create({8, 2}).value();
  for (const double value : {std::numeric_limits<double>::infinity(), std::nan(""), -1.0, 0.0, 1.0, 2.0, 3.0, 1e300}) {
    trends.add(value, value);
    trends.add(value, 1);
    for (const double number : {trends.trend().level, trends.trend().p}) CHECK(std::isfinite(number));
  }
  CHECK(trends.size() == 8);
}

TEST_CASE("TrendDetector's p is the chance of a random walk without drift", "[trend_detector]") {
  for (const int samples : {8, 16, 64}) {
    Dice dice(static_cast<std::uint64_t>(samples));
    constexpr int kWalks = 40'000;
    int below_hundredth = 0, below_thousandth = 0;
    for (int walk = 0; walk < kWalks; ++walk) {
      // The line and the scatter by their textbook formulas.
      std::vector<double> at(static_cast<std::size_t>(samples));
      double sum = 0, moment = 0, position = 0;
      for (int i = 0; i < samples; ++i) {
        at[static_cast<std::size_t>(i)] = position;
        sum += position;
        moment += position * i;
        position += dice.normal();
      }
      const double n = samples, middle = (n - 1) / 2;
      const double rise = (moment - middle * sum) / (n * (n * n - 1) / 12);
      double squares = 0;
      for (int i = 0; i < samples; ++i) {
        const double off = at[static_cast<std::size_t>(i)] - sum / n - rise * (i - middle);
        squares += off * off;
      }
      const double p =
          TrendDetector::p_of(rise * (n - 1) / std::sqrt(squares / (n - 2)), static_cast<std::size_t>(samples));
      below_hundredth += p < 1e-2;
      below_thousandth += p < 1e-3;
    }
    INFO(samples << " samples: " << below_hundredth << " and " << below_thousandth << " of " << kWalks);
    CHECK(below_hundredth > kWalks / 150);
    CHECK(below_hundredth < kWalks / 70);
    CHECK(below_thousandth < kWalks / 500);
  }
  CHECK(TrendDetector::p_of(0, 64) == 1);
  CHECK(TrendDetector::p_of(100, 7) == 1);
}

// Structures of a server under a load that triples and falls back in 30 minutes, twice over.
TEST_CASE("TrendDetector raises nothing while load triples and falls back", "[trend_detector]") {
  int alarms = 0, runs = 0;
  for (std::uint64_t seed = 0; seed < 250; ++seed) {
    Dice dice(seed);
    const double base = std::pow(10, 1 + 3 * dice.even()), noise = 0.01 * static_cast<double>(seed % 4);
    const double each = 1 + std::floor(5 * dice.even());
    std::vector<Judge> judges(9);
    std::vector<bool> alarmed(judges.size());
    std::vector<double> loads;
    double smoothed = -1, wandering = 100;
    for (int sample = 0; sample < 120; ++sample) {
      const double expected = base * triples_and_falls_back(sample);
      loads.push_back(
          std::max(0.0, std::round(seed % 2 ? dice.count(expected) : expected * (1 + noise * dice.normal()))));
      const auto load = [&](int late) { return loads[static_cast<std::size_t>(std::max(0, sample - late))]; };
      smoothed = smoothed < 0 ? load(0) : smoothed + (load(0) - smoothed) / 3;
      wandering = 0.95 * wandering + 5 + dice.normal();
      const double sizes[] = {
          each * load(0),                                // subscriptions
          each * load(1),                                // 30 s late
          each * load(3),                                // 90 s late
          each * std::max({load(0), load(1), load(2)}),  // a grace of a minute
          500 + each * smoothed,                         // that fades
          each * load(0) * (1 + 0.05 * dice.normal()),   // noise of its own
          50 * std::sqrt(load(2)),                       // shared by several
          dice.count(0.3 * load(0)),                     // in flight
          wandering,                                     // of no load
      };
      for (std::size_t i = 0; i < judges.size(); ++i)
        if (judges[i].add(std::round(sizes[i]), load(0))) alarmed[i] = true;
    }
    runs += static_cast<int>(judges.size());
    alarms += static_cast<int>(std::count(alarmed.begin(), alarmed.end(), true));
  }
  std::printf("TrendDetector: %d false alarms in %d hours of structures\n", alarms, runs);
  CHECK(alarms == 0);
}

TEST_CASE("TrendDetector tells a leak of one in a hundred within ten samples", "[trend_detector]") {
  int told = 0, told_later = 0, runs = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Dice dice(seed + 1000);
    // So many connections, of which a tenth is replaced between two samples; each has two subscriptions. Besides, as many
    // are made and ended again, one in a hundred of which is left.
    double connections = 50 + std::floor(450 * dice.even());
    const double made = std::max(300.0, connections);
    const double level = connections;
    double leaked = 0, carried = 0;
    Judge judge;
    for (int sample = 0; sample < 40; ++sample) {
      carried += dice.count(made);
      leaked += std::floor(carried / 100);
      carried = std::fmod(carried, 100);
      connections = std::max(0.0, connections + dice.count(level / 10) - dice.count(connections / 10));
      if (!judge.add(2 * connections + leaked, connections)) continue;
      told += sample < 10;
      ++told_later;
      break;
    }
    ++runs;
  }
  std::printf("TrendDetector: %d of %d leaks told within 10 samples, %d within 40\n", told, runs, told_later);
  CHECK(told >= runs * 9 / 10);
  CHECK(told_later == runs);
}

TEST_CASE("TrendDetector tells a leak also once load has tripled and fallen back", "[trend_detector]") {
  Judge judge;
  double leaked = 0;
  int told_at = -1;
  for (int sample = 0; sample < 120 && told_at < 0; ++sample) {
    const double load = std::round(1000 * triples_and_falls_back(sample));
    leaked += load / 100;
    if (judge.add(std::floor(2 * load + leaked), load)) told_at = sample;
  }
  CHECK(told_at >= 0);
}
