// StreamBridge: filling a channel from the stream, record by record from the last one that is here.
//
// The chain holds if that last record is still in the stream: a stream lets go of a channel's oldest first. If it is not
// there, what the stream says of itself decides whether anything between can be gone.
#include <algorithm>
#include <utility>

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
  follower.anchored = false;
  follower.again = false;
  follower.fill_number = ++fills_begun_;
  counters_.fills.fetch_add(1, std::memory_order_relaxed);
  ask(follower);
}

void StreamBridge::start_queued() {
  while (filling_ < kFillsMax && !queue_.empty()) {
    const std::string name = std::move(queue_.front());
    queue_.pop_front();
    const auto found = followers_.find(name);
    if (found == followers_.end() || found->second->fill != Fill::queued) continue;
    found->second->fill = Fill::none;
    begin_fill(*found->second);
  }
}

void StreamBridge::ask(Follower& follower) {
  const std::uint64_t last = last_seq(follower);
  const std::uint64_t from = follower.anchored ? last + 1 : std::max<std::uint64_t>(last, 1);
  const auto asked = engine_.next(follower.channel->name(), from,
                                  [self = weak_from_this(), name = follower.channel->name(),
                                   number = follower.fill_number](const Result<const BusRecord*>& found) {
                                    const auto bridge = self.lock();
                                    Follower* const its = bridge ? bridge->find(name, number) : nullptr;
                                    if (!its) return;
                                    if (found)
                                      bridge->on_next(*its, *found);
                                    else
                                      bridge->fail_fill(*its);
                                  });
  if (!asked) fail_fill(follower);
}

void StreamBridge::on_next(Follower& follower, const BusRecord* record) {
  if (!follower.anchored) {
    if (record && record->seq == last_seq(follower)) {
      follower.anchored = true;
      return ask(follower);
    }
    const std::uint64_t found_seq = record ? record->seq : 0;
    const auto asked = engine_.look(follower.channel->name(),
                                    [self = weak_from_this(), name = follower.channel->name(),
                                     number = follower.fill_number, found_seq](const Result<StreamView>& stream) {
                                      const auto bridge = self.lock();
                                      Follower* const its = bridge ? bridge->find(name, number) : nullptr;
                                      if (!its) return;
                                      if (stream)
                                        bridge->on_look(*its, found_seq, *stream);
                                      else
                                        bridge->fail_fill(*its);
                                    });
    if (!asked) fail_fill(follower);
    return;
  }
  if (!record) return finish_fill(follower);
  if (record->seq > last_seq(follower)) {
    if (!append(follower, *record)) return fail_fill(follower);
    counters_.filled_records.fetch_add(1, std::memory_order_relaxed);
  }
  ask(follower);
}

// The last record here is not in the stream, or there is none here. Records behind it may have left the stream: by its
// own bounds those below stream.first_seq, by the bound of a channel those before the oldest found.
void StreamBridge::on_look(Follower& follower, std::uint64_t found_seq, const StreamView& stream) {
  std::uint64_t gone_through = stream.first_seq - 1;
  if (found_seq > 0) {
    const bool full = stream.records >= engine_.channel_records_max();
    gone_through = full ? found_seq - 1 : std::min(gone_through, found_seq - 1);
  }
  const std::uint64_t last = last_seq(follower);
  if (gone_through > last) {
    if (last == 0)
      hub_.begin_at(*follower.channel, gone_through);
    else
      lose(follower, gone_through);
  }
  follower.anchored = true;
  ask(follower);
}

void StreamBridge::end_fill(Follower& follower) {
  if (std::exchange(follower.fill, Fill::none) == Fill::running) --filling_;
}

void StreamBridge::fail_fill(Follower& follower) {
  follower.retry_at_ms = steady_ms() + settings_.retry_ms;
  follower.certain = false;
  end_fill(follower);
  start_queued();
}

void StreamBridge::finish_fill(Follower& follower) {
  end_fill(follower);
  follower.certain = true;
  follower.live = true;
  drain_held(follower);
  if (!follower.held.empty() && follower.certain) {
    // It stands behind a hole: of records that came since, or of some that the stream has no more.
    const std::uint64_t last = last_seq(follower);
    if (follower.stuck_at == last + 1) {
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
  if (std::exchange(follower.again, false) || (!follower.held.empty() && follower.certain)) begin_fill(follower);
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
