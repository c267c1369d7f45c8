// RINGFENCE_COLD: for a function that runs once where its neighbours run for each record. A browser loads it: small, not fast.
#pragma once

#if defined(__clang__)
#define RINGFENCE_COLD __attribute__((cold, noinline, minsize))
#elif defined(__GNUC__)
#define RINGFENCE_COLD __attribute__((cold, noinline))
#else
#define RINGFENCE_COLD
#endif
