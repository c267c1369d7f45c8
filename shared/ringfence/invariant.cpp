#include <ringfence/invariant.h>

#include <cstdio>
#include <cstdlib>

namespace ringfence {

void invariant_failed(const char* condition, const char* file, int line) noexcept {
  // By hand: printf is 4 KB of what a browser loads.
  char digits[12] = {};
  std::size_t at = sizeof digits - 1;
  do digits[--at] = static_cast<char>('0' + line % 10);
  while ((line /= 10) > 0 && at > 0);
  const char* const parts[] = {"ringfence: invariant broken: ", condition, " (", file, ":", &digits[at], ")\n"};
  for (const char* const part : parts) std::fputs(part, stderr);
  std::abort();
}

}  // namespace ringfence
