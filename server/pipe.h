// ringfence-server pipe: publishes each line of an input over the WebSocket protocol.
//
// A line that is JSON is published as it is, another one as {"text": line}. Many lines are under way at a time, each
// with an id, and one is `sent` once the server has acknowledged it. `overloaded` makes it wait and publish again; of
// the lines under way at that time, some may change places. When a connection is lost it connects again; what was under
// way then is `unknown`, unless the server closed in order: what it did not answer it did not take.
// Owns     its connection and io_context; not the input.
// Threads  one.
// Bounds   window_lines and window_bytes of lines under way: when full, the input is not read. A line above the
//          server's message_bytes, or not in UTF-8, is refused here, without holding it.
// Errors   see the exit status: kExitRuntime if a line was refused, unknown or not sent, or no server was reached.
#pragma once

#include <cstdio>

#include "options.h"

namespace ringfence {

// Until the end of `input` (a descriptor), SIGINT or SIGTERM. Prints `sent N, refused M` and what else there is to say
// as one line to `report`.
int run_pipe(const PipeOptions& options, int input = 0, std::FILE* report = stderr);

}  // namespace ringfence
