// CircuitBreaker: after so many failures in a row, no more tries for a while; then a few, and only if they all succeed
// it is as before.
//
//   if (const auto ticket = breaker.enter(now_ms)) ...  breaker.succeeded(*ticket, now_ms) or failed(*ticket, now_ms)
//
// closed: all enter. open: none, until open_ms are over. half_open: as many as must succeed, no more at a time; the first
// failure opens it again, and what succeeded before that counts for nothing.
// A ticket belongs to the state in which it was given: an outcome that comes after a change is not counted.
// Threads  one at a time. No clock: time is an argument.
// Bounds   a few numbers.
// Errors   none; zero bounds are ours (INVARIANT).
#pragma once

#include <cstdint>
#include <optional>

#include <ringfence/invariant.h>

namespace ringfence {

class CircuitBreaker {
 public:
  enum class State : std::uint8_t { closed, open, half_open };
  struct Bounds {
    std::uint32_t failures = 5;
    std::uint32_t open_ms = 60'000;
    std::uint32_t successes = 2;
  };
  using Ticket = std::uint64_t;

  explicit CircuitBreaker(const Bounds& bounds) : bounds_(bounds) {
    INVARIANT(bounds.failures > 0 && bounds.open_ms > 0 && bounds.successes > 0);
  }

  std::optional<Ticket> enter(std::int64_t now_ms) {
    look(now_ms);
    if (state_ == State::open) return std::nullopt;
    if (state_ == State::half_open && succeeded_ + under_way_ >= bounds_.successes) return std::nullopt;
    ++under_way_;
    return period_;
  }
  void succeeded(Ticket ticket, std::int64_t) {
    if (!leave(ticket)) return;
    failed_ = 0;
    if (state_ == State::half_open && ++succeeded_ >= bounds_.successes) become(State::closed);
  }
  void failed(Ticket ticket, std::int64_t now_ms) {
    if (!leave(ticket)) return;
    if (state_ == State::closed && ++failed_ < bounds_.failures) return;
    become(State::open);
    opened_ms_ = now_ms;
    ++opened_;
  }
  // Neither: it was not tried after all.
  void gave_up(Ticket ticket) { (void)leave(ticket); }
  // Half-open, if it was open for long enough; enter() does it too.
  void look(std::int64_t now_ms) {
    if (state_ == State::open && now_ms - opened_ms_ >= bounds_.open_ms) become(State::half_open);
  }
  // There is reason to think that it works again: what is open need not wait.
  void try_now() {
    if (state_ == State::open) become(State::half_open);
  }

  State state() const noexcept { return state_; }
  std::uint64_t opened() const noexcept { return opened_; }

 private:
  bool leave(Ticket ticket) {
    if (ticket != period_) return false;
    INVARIANT(under_way_ > 0);
    --under_way_;
    return true;
  }
  void become(State state) {
    state_ = state;
    failed_ = succeeded_ = under_way_ = 0;
    ++period_;
  }

  Bounds bounds_;
  State state_ = State::closed;
  Ticket period_ = 1;
  std::uint32_t failed_ = 0, succeeded_ = 0, under_way_ = 0;
  std::int64_t opened_ms_ = 0;
  std::uint64_t opened_ = 0;
};

}  // namespace ringfence
