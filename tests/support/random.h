// seeded_random(): the generator of the model tests. The seed is printed, and RINGFENCE_TEST_SEED=n runs it again.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace ringfence::test {

inline std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* given = std::getenv("RINGFENCE_TEST_SEED");
    const std::uint64_t chosen = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::printf("seed: RINGFENCE_TEST_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    std::fflush(stdout);
    return chosen;
  }();
  return seed;
}

inline std::mt19937_64 seeded_random() { return std::mt19937_64(test_seed()); }

// Uniform in [low, high].
inline std::uint64_t pick(std::mt19937_64& random, std::uint64_t low, std::uint64_t high) {
  return std::uniform_int_distribution<std::uint64_t>(low, high)(random);
}

inline std::string random_text(std::mt19937_64& random, std::uint64_t length_max) {
  std::string text(pick(random, 0, length_max), '\0');
  for (char& c : text) c = static_cast<char>('a' + static_cast<char>(pick(random, 0, 25)));
  return text;
}

}  // namespace ringfence::test
