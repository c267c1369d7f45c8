// The options of the broker, as rows of the one table.
#pragma once

#include <vector>

#include "bus/nats_options.h"
#include "options_row.h"

namespace ringfence {

void add_nats_rows(std::vector<Row>& rows, NatsOptions& options);

}  // namespace ringfence
