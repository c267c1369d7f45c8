// What the leak monitor knows, as JSON: docs/schemas/ has the schema of each.
//
// Every number is finite; times are RFC 3339, UTC.
#pragma once

#include <cstdint>
#include <string>

#include "monitoring/memory_leak_monitor.h"

namespace ringfence {

std::string memory_leaks_json(const MemoryLeakMonitor& monitor, const MonitorOptions& options);  // of the last look
std::string memory_json(const MemoryLeakMonitor& monitor, std::uint64_t budget_bytes);           // of the last look
std::string alerts_json(const AlertBook& alerts);

}  // namespace ringfence
