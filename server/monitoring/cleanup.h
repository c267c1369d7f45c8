// clean_up(): what time does by itself, done now, for POST /v1/monitoring/cleanup.
//
// Only what is over goes: expired cache entries, records past their age, channels that are empty and idle, users past
// their grace, ids of closed connections, windows of attempts. Nothing that lives is touched.
// Threads  any.
// Cost     O(channels + what goes): each stripe of the channel table is locked in turn. Gives free memory back to the kernel
//          (malloc_trim), which may take tens of milliseconds of the calling thread.
#pragma once

#include <cstdint>
#include <string>

#include <ringfence/ledger.h>

#include "services.h"

namespace ringfence {

struct CleanedUp {
  std::uint64_t cache_entries = 0, cache_bytes = 0;
  std::uint64_t records = 0;   // past their age
  std::uint64_t channels = 0;  // forgotten
  std::uint64_t users = 0;     // whose grace was over
  std::uint64_t closed_ids = 0;
  std::uint64_t attempt_windows = 0;
  std::uint64_t rss_bytes_before = 0, rss_bytes_after = 0;
};

CleanedUp clean_up(const Services& services, const Ledger& ledger);
std::string cleaned_up_json(const CleanedUp& done);

}  // namespace ringfence
