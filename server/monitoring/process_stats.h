// ProcessStats: what the kernel and the allocator say of this process.
//
// Threads  any.
// Cost     read_process(): some 20 us and what mallinfo2 takes to walk the free chunks of every arena (a few hundred us after
//          much churn). Descriptors are told by the kernel since Linux 6.2; before that they are counted, O(descriptors).
// Errors   what cannot be read is 0.
#pragma once

#include <cstdint>

namespace ringfence {

struct ProcessStats {
  std::uint64_t rss_bytes = 0;
  // glibc's heap; 0 under another allocator.
  std::uint64_t heap_used_bytes = 0;  // handed out, mapped chunks included
  std::uint64_t heap_free_bytes = 0;  // taken from the kernel and not handed out
  std::uint64_t descriptors = 0;
  std::uint64_t descriptors_max = 0;  // the soft limit
};

ProcessStats read_process() noexcept;

}  // namespace ringfence
