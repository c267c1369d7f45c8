#include "monitoring/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <cstdio>
#include <cstdlib>

namespace ringfence {
namespace {

std::uint64_t rss_bytes() noexcept {
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[128];
  const ssize_t size = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (size <= 0) return 0;
  text[size] = '\0';
  char* rest = nullptr;
  (void)std::strtoull(text, &rest, 10);  // of virtual pages
  return std::strtoull(rest, nullptr, 10) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t descriptors() noexcept {
  struct stat folder{};
  if (::stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0) return static_cast<std::uint64_t>(folder.st_size);
  DIR* const entries = ::opendir("/proc/self/fd");
  if (!entries) return 0;
  std::uint64_t count = 0;
  while (const dirent* const entry = ::readdir(entries))
    if (entry->d_name[0] != '.') ++count;
  ::closedir(entries);
  return count - 1;  // that of the folder itself
}

}  // namespace

ProcessStats read_process() noexcept {
  ProcessStats stats;
  stats.rss_bytes = rss_bytes();
#if defined(__GLIBC__)
#if __GLIBC_PREREQ(2, 33)
  const auto heap = ::mallinfo2();
  stats.heap_used_bytes = heap.uordblks + heap.hblkhd;
  stats.heap_free_bytes = heap.fordblks;
#endif
#endif
  stats.descriptors = descriptors();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.descriptors_max = limit.rlim_cur;
  return stats;
}

}  // namespace ringfence
