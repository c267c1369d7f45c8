// The table of options: a row for each, of each command.
//
// Refs     the rows point into what they are made of, which must outlive them.
#pragma once

#include <vector>

#include "options.h"
#include "options_row.h"

namespace ringfence {

std::vector<Row> serve_rows(Options& options);
std::vector<Row> pipe_rows(PipeOptions& options);
std::vector<Row> hash_key_rows(HashKeyOptions& options);

}  // namespace ringfence
