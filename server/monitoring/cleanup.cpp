#include "monitoring/cleanup.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <limits>

#include <nlohmann/json.hpp>

#include "caching/cache_manager.h"
#include "monitoring/process_stats.h"
#include "realtime/clock.h"
#include "realtime/connection_manager.h"
#include "realtime/hub.h"

namespace ringfence {
namespace {

std::uint64_t aged_records(const Ledger& ledger) {
  for (const LedgerRow& row : ledger.rows())
    if (row.name == "record memory") return row.evicted[static_cast<std::size_t>(Eviction::age)];
  return 0;
}

}  // namespace

CleanedUp clean_up(const Services& services, const Ledger& ledger) {
  CleanedUp done;
  done.rss_bytes_before = read_process().rss_bytes;
  for (const auto& cache : services.caches->list()) {
    const std::uint64_t before = cache->shown_stats().expired;  // stats() would count what is due
    done.cache_bytes += cache->expire();
    done.cache_entries += cache->stats().expired - before;
  }
  const std::uint64_t aged = aged_records(ledger);
  for (unsigned shard = 0; shard < services.hub->shards(); ++shard)
    done.channels += services.hub->sweep_channels(shard, std::numeric_limits<std::uint32_t>::max());
  done.records = aged_records(ledger) - aged;
  const ConnectionManager::Cleaned connections = services.connections->clean_up(steady_ms());
  done.users = connections.users;
  done.closed_ids = connections.closed_ids;
  done.attempt_windows = connections.attempt_windows;
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
  done.rss_bytes_after = read_process().rss_bytes;
  return done;
}

std::string cleaned_up_json(const CleanedUp& done) {
  return nlohmann::ordered_json{{"cache_entries", done.cache_entries},
                                {"cache_bytes", done.cache_bytes},
                                {"records", done.records},
                                {"channels", done.channels},
                                {"users", done.users},
                                {"closed_ids", done.closed_ids},
                                {"attempt_windows", done.attempt_windows},
                                {"rss_bytes_before", done.rss_bytes_before},
                                {"rss_bytes_after", done.rss_bytes_after}}
      .dump();
}

}  // namespace ringfence
