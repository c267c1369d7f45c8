// The checks of a server's own parts, for GET /v1/health (protocol.md, "Health"). Each looks at numbers that are there.
#pragma once

#include <functional>

#include "services.h"

namespace ringfence {

// Adds them to services.health, which must not outlive what they look at. `stopping`: the server's.
void add_server_checks(const Services& services, std::function<bool()> stopping);

}  // namespace ringfence
