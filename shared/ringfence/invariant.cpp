#include <ringfence/invariant.h>

#include <cstdlib>

#ifdef __EMSCRIPTEN__
// Where it is told: whoever links this may say. stdio would be 1.5 KB of what a browser loads.
extern "C" __attribute__((weak)) void ringfence_failed(const char* text);
#else
#include <cstdio>
#endif

namespace ringfence {

void invariant_failed(const char* condition, const char* file, int line) noexcept {
  // By hand: printf is 4 KB of what a browser loads.
  char digits[12] = {};
  std::size_t at = sizeof digits - 1;
  do digits[--at] = static_cast<char>('0' + line % 10);
  while ((line /= 10) > 0 && at > 0);
  const char* const parts[] = {"ringfence: invariant broken: ", condition, " (", file, ":", &digits[at], ")\n"};
  char text[512];
  std::size_t length = 0;
  for (const char* part : parts)
    while (*part && length < sizeof text - 1) text[length++] = *part++;
  text[length] = 0;
#ifdef __EMSCRIPTEN__
  if (ringfence_failed) ringfence_failed(text);
#else
  std::fputs(text, stderr);
#endif
  std::abort();
}

}  // namespace ringfence
