// The server, for a program that embeds it: see ringfence-server/server.h.
#pragma once

#include <ringfence-server/server.h>
