// ringfence-server pipe: publishes each line of an input over the WebSocket protocol.
//
// A line that is JSON is published as it is, another one as {"text": line}. Many lines are under way at a time, each
// with an id, and one is `sent` once the server has acknowledged it. `overloaded` makes it wait and publish again; of
// the lines under way at that time, some may change places. When a connection is lost it connects again; what was under
// way then is `unknown`, unless the server closed in order: what it did not answer it did not take.
// At SIGINT or SIGTERM it reads no more and has 5 s for what it has read; without a connection, at a second signal, or when
// the connection is lost then, it ends at once. Every line read is in the report: sent, refused, unknown or not sent. Half
// a line is one at the end of the input, and `not sent` at a signal or when reading fails. What was not read stays in the
// input, and the report says that the end was not reached if it says that anything went wrong.
// Owns     its connection and io_context; not the input.
// Threads  one.
// Bounds   window_lines and window_bytes of lines under way: when full, the input is not read. A line above the
//          server's message_bytes, or not in UTF-8, is refused here, without holding it.
// Errors   see the exit status: kExitRuntime if a line was refused, unknown or not sent, no server was reached, or the
//          input could not be read.
#pragma once

#include <cstdio>

#include "options.h"

namespace ringfence {

// Until the end of `input` (a descriptor), SIGINT or SIGTERM. Prints `sent N, refused M` and what else there is to say
// as one line to `report`.
int run_pipe(const PipeOptions& options, int input = 0, std::FILE* report = stderr);

}  // namespace ringfence
