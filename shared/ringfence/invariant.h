// INVARIANT(cond): states what only a bug of ours can break, and stops the program when it is broken.
//
// In every build, optimised ones too. Bad input is never an INVARIANT: that is a Result (result.h).
// Cost     one predictable branch.
// Errors   prints the condition and its place on stderr, then aborts.
#pragma once

namespace ringfence {

[[noreturn]] void invariant_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace ringfence

#define INVARIANT(cond) \
  (static_cast<bool>(cond) ? static_cast<void>(0) : ::ringfence::invariant_failed(#cond, __FILE__, __LINE__))
