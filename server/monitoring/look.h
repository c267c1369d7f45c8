// Look: what the monitor sees of a server at one time: every structure with its size, its bound and its load.
//
// ServerLook is the list of what there is to see. Every account of the ledger is in it; those that follow a load, or that
// evict by design, are named in look.cpp, which a test compares with the ledger of a running server.
// Owns     plain values.
// Threads  ServerLook::look: any thread. Takes the short locks of connection manager, bus, tasks and caches.
// Bounds   a structure for each account, cache, and a few more: kStructuresMax, further caches are left out.
// Cost     O(structures), and what read_process() takes. Nothing is walked that grows with connections or channels.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ringfence/ledger.h>

#include "monitoring/process_stats.h"
#include "services.h"

namespace ringfence {

enum class WhenFull : std::uint8_t { refuses, evicts };

struct Structure {
  std::string name;
  std::string_view unit;  // "bytes", or what is counted
  std::uint64_t size = 0;
  std::uint64_t bound = 0;  // 0: none of its own
  WhenFull when_full = WhenFull::refuses;
  std::uint64_t refused = 0;            // since the start
  std::optional<std::uint64_t> load{};  // what its size may follow; none: its growth is not judged
  std::string_view load_name{};
  std::uint64_t orphans = 0;
  std::string_view look_at{};  // where to look if something is wrong with it
  std::string most{};          // who has most of it, where that is known
};

struct Look {
  std::int64_t time_us = 0;
  std::vector<Structure> structures;
  std::uint64_t accounted_bytes = 0;  // what all accounts together hold
  ProcessStats process;

  const Structure* find(std::string_view name) const;
};

class ServerLook {
 public:
  static constexpr std::size_t kStructuresMax = 256;

  // Both outlive it.
  ServerLook(const Ledger& ledger, const Services& services) : ledger_(ledger), services_(services) {}
  Look look() const;

 private:
  const Ledger& ledger_;
  const Services& services_;
};

// Whether look.cpp knows an account of this name; of one that it does not know, share of the bound is told, and no growth.
bool known_account(std::string_view name) noexcept;

}  // namespace ringfence
