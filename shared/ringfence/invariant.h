// INVARIANT(cond): states what only a bug of ours can break, and stops the program when it is broken.
//
// In every build, optimised ones too. Bad input is never an INVARIANT: that is a Result (result.h).
// Cost     one predictable branch.
// Errors   prints the condition and its place on stderr, then aborts.
#pragma once

namespace ringfence {

[[noreturn]] void invariant_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace ringfence

// A page loads no text of conditions: the place tells them.
#ifdef __EMSCRIPTEN__
#define RINGFENCE_CONDITION(cond) ""
#else
#define RINGFENCE_CONDITION(cond) #cond
#endif

#define INVARIANT(cond)                           \
  (static_cast<bool>(cond) ? static_cast<void>(0) \
                           : ::ringfence::invariant_failed(RINGFENCE_CONDITION(cond), __FILE__, __LINE__))
