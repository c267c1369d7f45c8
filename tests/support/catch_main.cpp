// The main of every test program: Catch2's, and one last line that ./dev adds up.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using ListenerBase = Catch::EventListenerBase;
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
using ListenerBase = Catch::TestEventListenerBase;
#endif

#include <cstdio>
#include <ctime>

#if __has_include(<sys/resource.h>) && !defined(__EMSCRIPTEN__)
#include <sys/resource.h>
#endif

namespace {

struct Totals : ListenerBase {
  using ListenerBase::ListenerBase;
  void testRunEnded(Catch::TestRunStats const& stats) override { cases = stats.totals.testCases; }
  static inline Catch::Counts cases;
};
CATCH_REGISTER_LISTENER(Totals)

// Thousands of clients in one process need more descriptors than a shell usually gives.
void raise_open_files() {
#if defined(RLIMIT_NOFILE)
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
#endif
}

}  // namespace

int main(int argc, char* argv[]) {
  raise_open_files();
  Catch::Session session;
  session.configData().rngSeed = static_cast<unsigned>(std::time(nullptr));  // --rng-seed repeats a run
  if (int status = session.applyCommandLine(argc, argv); status != 0) return status;
  const unsigned seed = session.configData().rngSeed;
  std::printf("catch2 seed: %u\n", seed);
  std::fflush(stdout);
  const int status = session.run();
  if (session.configData().showHelp) return status;
  std::printf("\ntest cases: %llu passed, %llu failed (--rng-seed %u)\n",
              static_cast<unsigned long long>(Totals::cases.passed),
              static_cast<unsigned long long>(Totals::cases.total() - Totals::cases.passed), seed);
  std::fflush(stdout);
  return Totals::cases.total() == 0 ? 1 : status;
}
