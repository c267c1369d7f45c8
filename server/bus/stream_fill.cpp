// StreamBridge: filling a channel from the stream, record by record behind the last one that is here.
//
// A stream lets go of a channel's oldest first. So if that last record is still in the stream after others behind it were
// fetched, nothing between them is missing, whatever else was let go meanwhile; and only then are they appended. If it is
// not there, what the stream says of itself, asked for after they were fetched, decides whether anything can be gone.
#include <algorithm>
#include <utility>
#include <vector>

#include "bus/stream_bridge.h"
#include "realtime/clock.h"
#include "realtime/hub.h"

namespace ringfence {

void StreamBridge::begin_fill(Follower& follower) {
  if (!connected_) return;  // on_connected() comes back to it
  if (follower.fill != Fill::none) {
    follower.again = true;
    return;
  }
  if (filling_ == kFillsMax) {
    follower.fill = Fill::queued;
    queue_.push_back(follower.channel->name());
    return;
  }
  ++filling_;
  follower.fill = Fill::running;
  follower.proved = follower.looked = false;
  follower.again = false;
  follower.fill_number = ++fills_begun_;
  counters_.fills.fetch_add(1, std::memory_order_relaxed);
  ask(follower);
}

// One that cannot even ask ends at once, and comes back to here: the loop goes on with the next, so that the stack does not.
void StreamBridge::start_queued() {
  if (std::exchange(starting_, true)) return;
  while (filling_ < kFillsMax && !queue_.empty()) {
    const std::string name = std::move(queue_.front());
    queue_.pop_front();
    const auto found = followers_.find(name);
    if (found == followers_.end() || found->second->fill != Fill::queued) continue;
    found->second->fill = Fill::none;
    begin_fill(*found->second);
  }
  starting_ = false;
}

// An answer is of use only while this filling runs.
template <typename Value, typename Take>
auto StreamBridge::of_fill(Follower& follower, Take take) {
  return [self = weak_from_this(), name = follower.channel->name(), number = follower.fill_number,
          take](const Result<Value>& answer) {
    const auto bridge = self.lock();
    Follower* const its = bridge ? bridge->find(name, number) : nullptr;
    if (!its) return;
    if (answer)
      take(*bridge, *its, *answer);
    else
      bridge->fail_fill(*its);
  };
}

void StreamBridge::ask(Follower& follower) {
  if (follower.batch.empty()) follower.from_seq = last_seq(follower);
  const std::uint64_t last = follower.batch.empty() ? follower.from_seq : follower.batch.back().seq;
  const auto asked = engine_.next(
      follower.channel->name(), last + 1,
      of_fill<const BusRecord*>(
          follower, [](StreamBridge& bridge, Follower& its, const BusRecord* record) { bridge.on_next(its, record); }));
  if (!asked) fail_fill(follower);
}

void StreamBridge::on_next(Follower& follower, const BusRecord* record) {
  follower.at_end = !record;
  if (record) {
    Held held{record->seq, 0, record->time_us, std::string(record->type), std::string(record->payload)};
    // Of a server with other limits: no history here could take it. Only its place is kept.
    if (held.bytes() > settings_.held_bytes_max) held = {record->seq, 0, record->time_us, {}, {}};
    if (!held_account_.try_add(held.bytes())) {
      follower.again = follower.again || !follower.held.empty();
      counters_.held_dropped.fetch_add(follower.held.size(), std::memory_order_relaxed);
      drop_held(follower);  // the filling takes them all
      if (!held_account_.try_add(held.bytes())) return follower.batch.empty() ? fail_fill(follower) : prove(follower);
    }
    follower.batch.push_back(std::move(held));
    if (follower.batch.size() < (follower.proved ? kBatch : 1)) return ask(follower);
  }
  prove(follower);
}

// Records have come meanwhile: it begins behind them.
bool StreamBridge::outrun(Follower& follower) {
  if (last_seq(follower) == follower.from_seq) return false;
  while (!follower.batch.empty()) drop_first(follower);
  ask(follower);
  return true;
}

// Is what they follow still there?
void StreamBridge::prove(Follower& follower) {
  if (outrun(follower)) return;
  const std::uint64_t last = follower.from_seq;
  if (last == 0) return look(follower);
  const auto asked = engine_.next(
      follower.channel->name(), last,
      of_fill<const BusRecord*>(follower, [last](StreamBridge& bridge, Follower& its, const BusRecord* record) {
        if (record && record->seq == last)
          bridge.take_batch(its);
        else
          bridge.look(its);
      }));
  if (!asked) fail_fill(follower);
}

void StreamBridge::look(Follower& follower) {
  const auto asked =
      engine_.look(follower.channel->name(),
                   of_fill<StreamView>(follower, [](StreamBridge& bridge, Follower& its, const StreamView& stream) {
                     bridge.on_look(its, stream);
                   }));
  if (!asked) fail_fill(follower);
}

// The last record here is not in the stream, or there is none here. Records behind it may have left the stream: by its
// own bounds those below stream.first_seq, by the bound of a channel those before the oldest; and if that last one
// should still be there by both, somebody has removed it, or the bounds were smaller for a while: whatever was behind it.
void StreamBridge::on_look(Follower& follower, const StreamView& stream) {
  if (outrun(follower)) return;
  const std::uint64_t last = follower.from_seq;
  const bool removed = last > 0 && last >= stream.first_seq;
  std::vector<Held>& batch = follower.batch;
  std::uint64_t gone_through = stream.first_seq - 1;
  if (batch.empty()) {
    if (removed) {
      if (stream.records > 0 && !std::exchange(follower.looked, true)) return ask(follower);  // published meanwhile
      gone_through = stream.last_seq;
    }
  } else if (removed || stream.records >= stream.records_max || stream.first_seq > batch.front().seq) {
    // Between those that were fetched some may be missing too, and behind them. It goes on from the newest.
    while (batch.size() > 1) drop_first(follower);
    gone_through = batch.front().seq - 1;
    follower.at_end = false;
  }
  if (gone_through > last) {
    if (may_still_come(follower)) return fail_fill(follower);
    if (follower.certain && !follower.held.empty()) {
      // The stream has let go of more than did not come: of that, what waits shows all that there is.
      while (!batch.empty()) drop_first(follower);
      follower.at_end = true;
      if (follower.held.front().prev_seq > last) lose(follower, follower.held.front().prev_seq);
    } else if (last == 0) {
      hub_.begin_at(*follower.channel, gone_through);
    } else {
      lose(follower, gone_through);
    }
  }
  take_batch(follower);
}

void StreamBridge::take_batch(Follower& follower) {
  follower.proved = true;
  for (const Held& held : follower.batch) {
    if (held.seq <= last_seq(follower)) {
      skip(follower, held.seq);
      continue;
    }
    if (held.type.empty()) {
      lose(follower, held.seq);
      continue;
    }
    if (!append(follower, {held.seq, 0, held.time_us, held.type, held.payload})) return fail_fill(follower);
    counters_.filled_records.fetch_add(1, std::memory_order_relaxed);
  }
  while (!follower.batch.empty()) drop_first(follower);
  if (follower.at_end)
    finish_fill(follower);
  else
    ask(follower);
}

void StreamBridge::drop_first(Follower& follower) {
  held_account_.sub(follower.batch.front().bytes());
  follower.batch.erase(follower.batch.begin());
}

void StreamBridge::end_fill(Follower& follower) {
  while (!follower.batch.empty()) drop_first(follower);
  if (std::exchange(follower.fill, Fill::none) == Fill::running) --filling_;
}

// The stream has let go of it, but nothing that was published again was lost on the way: it may have been overtaken.
bool StreamBridge::may_still_come(const Follower& follower) const {
  return follower.hole_at_ms != 0 && steady_ms() - follower.hole_at_ms < settings_.loss_ms;
}

void StreamBridge::fail_fill(Follower& follower) {
  follower.retry_at_ms = steady_ms() + settings_.retry_ms;
  follower.certain = follower.certain && !follower.held.empty();  // either way the sweep comes back to it
  end_fill(follower);
  start_queued();
}

void StreamBridge::finish_fill(Follower& follower) {
  end_fill(follower);
  follower.certain = true;
  follower.live = true;
  drain_held(follower);
  bool waits = false;
  if (!follower.held.empty() && follower.certain) {
    if (follower.hole_at_ms == 0) follower.hole_at_ms = steady_ms();
    // It stands behind a hole: of records that came since, or of some that the stream has no more.
    const std::uint64_t last = last_seq(follower);
    if (follower.stuck_at == last + 1 && may_still_come(follower)) {
      waits = true;
      follower.retry_at_ms = steady_ms() + settings_.retry_ms;
    } else if (follower.stuck_at == last + 1) {
      lose(follower, follower.held.front().prev_seq);
      drain_held(follower);
    } else {
      follower.stuck_at = last + 1;
    }
  }
  if (follower.held.empty()) follower.stuck_at = 0;
  {
    const std::lock_guard lock(follower.channel->mutex);
    follower.channel->behind = false;
  }
  answer_waiters(follower);
  if (std::exchange(follower.again, false) || (!follower.held.empty() && follower.certain && !waits))
    begin_fill(follower);
  start_queued();
}

// Those whose record is here, or, after a whole filling since they came, is nowhere.
void StreamBridge::answer_waiters(Follower& follower) {
  const std::uint64_t last = last_seq(follower);
  const auto waits = [&](const Waiter& waiter) { return waiter.seq > last && waiter.fill >= follower.fill_number; };
  auto done = std::stable_partition(follower.waiters.begin(), follower.waiters.end(), waits);
  std::vector<Waiter> ready(std::make_move_iterator(done), std::make_move_iterator(follower.waiters.end()));
  follower.waiters.erase(done, follower.waiters.end());
  for (const Waiter& waiter : ready) answer(waiter.ready, {});
  if (!follower.waiters.empty()) follower.again = true;
}

}  // namespace ringfence
