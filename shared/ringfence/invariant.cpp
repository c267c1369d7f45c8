#include <ringfence/invariant.h>

#include <cstdio>
#include <cstdlib>

namespace ringfence {

void invariant_failed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "ringfence: invariant broken: %s (%s:%d)\n", condition, file, line);
  std::abort();
}

}  // namespace ringfence
