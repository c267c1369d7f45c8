// Projection<State>: the fold of a history, of which each record is folded as it comes. What the history evicts stays in
// the state: it was folded into a checkpoint before.
//
// state = fold(checkpoint, records held). The checkpoint is the fold of all that was evicted, and exactly that, so that
// rebuild() can fold with another function whatever is still held. The history asks for no more than a hold: it refuses, with
// `held`, to evict what the checkpoint has not got; make_way() then folds that, and what was refused is done again.
//
// Owns     two states, the function. It keeps no reference to its history: give it the same one each time. The hold of the
//          history belongs to it: with several on one history, to the one whose checkpointed() is least.
// Threads  no locking: one thread at a time.
// Bounds   two States, whatever the history's length.
// Cost     each record is folded twice: once as it comes, once as it leaves. update: O(new records).
// Errors   none. A record that leaves by clear, reset or pressure before it was folded is counted as missed.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include <ringfence/history.h>

namespace ringfence {

template <typename State>
class Projection {
 public:
  using Fold = std::function<State(State, const RecordView&)>;

  // Begins with what the history holds now.
  Projection(const History& history, State initial, Fold fold)
      : fold_(std::move(fold)),
        state_(initial),
        checkpoint_(std::move(initial)),
        folded_(history.first_position()),
        checkpointed_(history.first_position()) {}

  // Folds what has come. The state is valid until the next call of anything.
  const State& update(const History& history) {
    if (const std::uint64_t first = history.first_position(); checkpointed_ < first) {
      // Cleared, or gone for pressure: what it leaves behind is the state so far.
      if (folded_ < first) missed_ += first - std::exchange(folded_, first);
      checkpoint_ = state_;
      checkpointed_ = folded_;
    }
    fold_up_to(history, history.end_position(), folded_, state_);
    return state_;
  }
  const State& state() const noexcept { return state_; }

  // Folds what lies below `position` into the checkpoint, so that it may be evicted: see History::wanted().
  void make_way(History& history, std::uint64_t position) {
    update(history);
    fold_up_to(history, std::min(position, history.end_position()), checkpointed_, checkpoint_);
    history.hold(checkpointed_);
  }

  // The state as if `fold` had folded all that is held; what was evicted stays as it was folded.
  void rebuild(const History& history, Fold fold) {
    update(history);
    fold_ = std::move(fold);
    state_ = checkpoint_;
    folded_ = checkpointed_;
    update(history);
  }

  // Begins anew: the state is `state`, and what is held was before it.
  void reset(History& history, State state) {
    checkpoint_ = state;
    state_ = std::move(state);
    folded_ = checkpointed_ = history.end_position();
    history.hold(checkpointed_);
  }

  std::uint64_t folded() const noexcept { return folded_; }              // position: all below it are in the state
  std::uint64_t checkpointed() const noexcept { return checkpointed_; }  // position: all below it are in the checkpoint
  std::uint64_t missed() const noexcept { return missed_; }

 private:
  void fold_up_to(const History& history, std::uint64_t end, std::uint64_t& from, State& into) {
    if (from >= end) return;
    history.visit(from, end - from, [&](const RecordView& record) { into = fold_(std::move(into), record); });
    from = end;
  }

  Fold fold_;
  State state_;
  State checkpoint_;
  std::uint64_t folded_;
  std::uint64_t checkpointed_;
  std::uint64_t missed_ = 0;
};

}  // namespace ringfence
