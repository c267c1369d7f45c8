#include "bus/stream_bridge.h"

#include <algorithm>
#include <utility>

#include "log.h"
#include "realtime/clock.h"
#include "realtime/hub.h"

namespace ringfence {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

bool forgotten(Channel& channel) {
  const std::lock_guard lock(channel.mutex);
  return channel.forgotten;
}

}  // namespace

std::shared_ptr<StreamBridge> StreamBridge::create(Hub& hub, Ledger& ledger, BusEngine& engine,
                                                   const Settings& settings) {
  return std::shared_ptr<StreamBridge>(new StreamBridge(hub, ledger, engine, settings));
}

StreamBridge::StreamBridge(Hub& hub, Ledger& ledger, BusEngine& engine, const Settings& settings)
    : hub_(hub),
      engine_(engine),
      settings_(settings),
      followers_account_(ledger.open("bus channels", hub.limits().channels_max * kFollowerBytes).value()),
      held_account_(ledger.open("bus records", settings.held_bytes_max).value()) {
  static_assert(sizeof(Follower) + sizeof(Table::value_type) + 160 <= kFollowerBytes);
  static_assert(sizeof(Held) <= kHeldBytes);
}

StreamBridge::~StreamBridge() {
  for (auto& [name, follower] : followers_) {
    end_fill(*follower);
    drop_held(*follower);
    followers_account_.sub(kFollowerBytes);
  }
}

// What was posted may outlive the bridge.
template <typename Work>
void StreamBridge::post(Work work) {
  engine_.post([self = weak_from_this(), work = std::move(work)]() mutable {
    if (const auto bridge = self.lock()) work(*bridge);
  });
}

// --- From the hub: any thread

Result<void> StreamBridge::publish(std::string_view channel, std::string_view type, std::string_view payload,
                                   PublishDone done) {
  return engine_.publish(channel, wall_us(), type, payload,
                         [self = weak_from_this(), done = std::move(done)](Result<std::uint64_t> seq) {
                           const auto bridge = self.lock();
                           if (!bridge) return;
                           if (seq) {
                             std::uint64_t newest = bridge->acked_seq_.load(kRelaxed);
                             while (newest < *seq && !bridge->acked_seq_.compare_exchange_weak(newest, *seq)) continue;
                           }
                           const std::lock_guard lock(bridge->gate_);
                           if (!bridge->gate_closed_) done(seq);
                         });
}

void StreamBridge::wanted(const ChannelPtr& channel) {
  post([channel](StreamBridge& bridge) { (void)bridge.follow(channel); });
}

void StreamBridge::when_ready(const ChannelPtr& channel, std::uint64_t seq, Ready ready) {
  post([channel, seq, ready = std::move(ready),
        until_ms = steady_ms() + settings_.ready_ms](StreamBridge& bridge) mutable {
    // Its name may have another channel by now, which is read: they look again, and find that.
    if (forgotten(*channel)) return bridge.answer(ready, {});
    Follower* const follower = bridge.follow(channel);
    if (!follower) return bridge.answer(ready, Error::overloaded);
    if (follower->live && bridge.last_seq(*follower) >= seq) return bridge.answer(ready, {});
    follower->waiters.push_back({seq, follower->fill_number, until_ms, std::move(ready)});
    if (follower->fill == Fill::none) bridge.begin_fill(*follower);
  });
}

void StreamBridge::sweep(std::int64_t now_ms) {
  if (sweeping_.exchange(true)) return;
  post([now_ms](StreamBridge& bridge) {
    bridge.sweeping_ = false;
    bridge.sweep_followers(now_ms);
  });
}

void StreamBridge::stop() {
  const std::lock_guard lock(gate_);
  gate_closed_ = true;
}

StreamBridgeStats StreamBridge::stats() const noexcept {
  const Counters& c = counters_;
  return {c.followed.load(kRelaxed),   c.records.load(kRelaxed),      c.filled_records.load(kRelaxed),
          c.duplicates.load(kRelaxed), c.holes.load(kRelaxed),        c.fills.load(kRelaxed),
          c.losses.load(kRelaxed),     c.held_dropped.load(kRelaxed), c.epochs.load(kRelaxed)};
}

std::vector<BusCount> StreamBridge::counts() const {
  const StreamBridgeStats now = stats();
  std::vector<BusCount> all{
      {"bus_received", "Records taken from the stream.", now.records},
      {"bus_filled", "Of them, those that a filling fetched.", now.filled_records},
      {"bus_duplicates", "Records that came twice and were skipped.", now.duplicates},
      {"bus_holes", "Holes seen before a record.", now.holes},
      {"bus_fills", "Fillings begun: of holes, of channels new here, of all after a lost connection.", now.fills},
      {"bus_losses", "Holes that the stream could not fill, and records that came too late.", now.losses},
      {"bus_held_dropped", "Records that had to wait, found no room and were fetched later.", now.held_dropped},
      {"bus_epochs", "Lives of the stream seen.", now.epochs}};
  for (const BusCount& one : engine_.counts()) all.push_back(one);
  return all;
}

void StreamBridge::answer(const Ready& ready, Result<void> result) {
  const std::lock_guard lock(gate_);
  if (!gate_closed_) ready(result);
}

// --- Followers: the engine's thread

StreamBridge::Follower* StreamBridge::follow(const ChannelPtr& channel) {
  const auto found = followers_.find(channel->name());
  if (found != followers_.end()) {
    if (found->second->channel == channel) return found->second.get();
    unfollow(*found->second);  // that one was forgotten: the name has another channel
  }
  if (!followers_account_.try_add(kFollowerBytes)) return nullptr;
  if (!engine_.follow(channel->name())) {
    followers_account_.sub(kFollowerBytes);
    return nullptr;
  }
  Follower& follower = *followers_.emplace(channel->name(), std::make_unique<Follower>()).first->second;
  follower.channel = channel;
  counters_.followed.fetch_add(1, kRelaxed);
  begin_fill(follower);
  return &follower;
}

void StreamBridge::unfollow(Follower& follower) {
  const ChannelPtr channel = follower.channel;
  {
    const std::lock_guard lock(channel->mutex);
    channel->behind = true;
  }
  engine_.unfollow(channel->name());
  end_fill(follower);
  drop_held(follower);
  std::vector<Waiter> waiters = std::move(follower.waiters);
  followers_.erase(channel->name());
  followers_account_.sub(kFollowerBytes);
  counters_.followed.fetch_sub(1, kRelaxed);
  // They look again, and find that it is behind, or another channel of its name.
  for (const Waiter& waiter : waiters) answer(waiter.ready, {});
  start_queued();
}

StreamBridge::Follower* StreamBridge::find(std::string_view name, std::uint64_t fill_number) {
  const auto found = followers_.find(name);
  if (found == followers_.end() || found->second->fill_number != fill_number || found->second->fill != Fill::running)
    return nullptr;
  return found->second.get();
}

void StreamBridge::sweep_followers(std::int64_t now_ms) {
  std::vector<Follower*> unwanted;
  for (auto& entry : followers_) {
    Follower* const follower = entry.second.get();  // no structured binding: a lambda below uses it
    auto late = std::stable_partition(follower->waiters.begin(), follower->waiters.end(),
                                      [now_ms](const Waiter& waiter) { return waiter.until_ms > now_ms; });
    std::vector<Waiter> gone(std::make_move_iterator(late), std::make_move_iterator(follower->waiters.end()));
    follower->waiters.erase(late, follower->waiters.end());
    for (const Waiter& waiter : gone) answer(waiter.ready, Error::broker_unavailable);
    const bool idle = [&] {
      const std::lock_guard lock(follower->channel->mutex);
      if (follower->channel->forgotten) return true;
      if (follower->channel->interested_shards != 0 || !follower->waiters.empty()) return false;
      if (now_ms - follower->channel->used_at_ms < settings_.interest_ms) return false;
      follower->channel->behind = true;  // before anybody else looks: from here a reader waits for a filling
      return true;
    }();
    if (idle)
      unwanted.push_back(follower);
    else if (follower->fill == Fill::none && (!follower->certain || !follower->live || !follower->held.empty()) &&
             now_ms >= follower->retry_at_ms)
      begin_fill(*follower);
  }
  for (Follower* const follower : unwanted) unfollow(*follower);
}

std::uint64_t StreamBridge::last_seq(Follower& follower) {
  const std::lock_guard lock(follower.channel->mutex);
  return follower.channel->history.last_seq();
}

// False if there is no memory for it now: it stays a hole, to be filled later.
bool StreamBridge::append(Follower& follower, const BusRecord& record) {
  newest_seq_ = std::max(newest_seq_, record.seq);
  const auto appended = hub_.append_at(*follower.channel, record.seq, record.time_us, record.type, record.payload);
  if (appended.ok()) {
    counters_.records.fetch_add(1, kRelaxed);
    return true;
  }
  if (appended.error() == Error::overloaded) {
    follower.retry_at_ms = steady_ms() + settings_.retry_ms;
    follower.certain = false;
    return false;
  }
  // Of servers with other limits one may have taken what is too large here.
  if (appended.error() == Error::record_too_large) lose(follower, record.seq);
  return true;
}

void StreamBridge::lose(Follower& follower, std::uint64_t through) {
  follower.hole_at_ms = 0;
  counters_.losses.fetch_add(1, kRelaxed);
  hub_.lose_to(*follower.channel, through);
}

// One that is not behind the last one here: it came twice. Or it was overtaken by one whose predecessor had been purged, so
// that nothing showed that it was missing. Its place is passed, and readers can only be told by another epoch.
void StreamBridge::skip(Follower& follower, std::uint64_t seq) {
  const bool here = [&] {
    const std::lock_guard lock(follower.channel->mutex);
    return follower.channel->history.accounts_for(seq);
  }();
  if (here) {
    counters_.duplicates.fetch_add(1, kRelaxed);
    return;
  }
  counters_.losses.fetch_add(1, kRelaxed);
  if (std::exchange(overtaken_, true)) return;
  logger("bus")->error("record {} of {} came behind others that follow a purge: all channels here begin another epoch",
                       seq, follower.channel->name());
  post([](StreamBridge& bridge) {
    bridge.overtaken_ = false;
    bridge.begin_epoch(bridge.hub_.random_epoch());
  });
}

void StreamBridge::on_record(std::string_view name, const BusRecord& record) {
  // It may overtake what the engine says of the stream, which may be another one by now. The filling that follows takes it.
  if (!connected_) return;
  const auto found = followers_.find(name);
  if (found == followers_.end()) return;  // left, and this was on its way
  Follower& follower = *found->second;
  const std::uint64_t last = last_seq(follower);
  if (record.seq <= last) return skip(follower, record.seq);
  // It follows what is here, whatever was in doubt: two publishers' records may come in the other order, as the broker sends
  // them from two threads. And where nothing is in doubt, a predecessor that had left the stream by then is none.
  const bool first = follower.held.empty() || record.seq < follower.held.front().seq;
  if (first && follows(follower, record.prev_seq, last) && append(follower, record)) {
    drain_held(follower);
    if (follower.fill != Fill::none && follower.held.empty()) finish_fill(follower);
    return;
  }
  if (follower.fill != Fill::none || !follower.live) return hold(follower, record);
  const std::int64_t now_ms = steady_ms();
  if (record.prev_seq > last || !follower.certain) {
    counters_.holes.fetch_add(1, kRelaxed);
    if (follower.certain && follower.hole_at_ms == 0) follower.hole_at_ms = now_ms;
  }
  hold(follower, record);
  if (now_ms >= follower.retry_at_ms) begin_fill(follower);  // else the sweep does
}

bool StreamBridge::follows(const Follower& follower, std::uint64_t prev_seq, std::uint64_t last) {
  if (follower.live && follower.certain) return prev_seq <= last;
  return last > 0 && prev_seq == last;
}

void StreamBridge::hold(Follower& follower, const BusRecord& record) {
  Held held{record.seq, record.prev_seq, record.time_us, std::string(record.type), std::string(record.payload)};
  if (!held_account_.try_add(held.bytes())) {
    // Those that it would stand behind go too: the filling takes them all.
    counters_.held_dropped.fetch_add(follower.held.size() + 1, kRelaxed);
    drop_held(follower);
    follower.again = true;
    return;
  }
  follower.held_bytes += held.bytes();
  const auto behind = std::find_if(follower.held.rbegin(), follower.held.rend(),
                                   [&held](const Held& one) { return one.seq <= held.seq; });
  follower.held.insert(behind.base(), std::move(held));
}

// From here nothing shows any longer what is missing.
void StreamBridge::drop_held(Follower& follower) {
  follower.certain = false;
  follower.held.clear();
  if (follower.held_bytes > 0) held_account_.sub(std::exchange(follower.held_bytes, 0));
}

// Appends what has waited, up to the next hole.
void StreamBridge::drain_held(Follower& follower) {
  while (!follower.held.empty()) {
    const Held& held = follower.held.front();
    const std::uint64_t last = last_seq(follower);
    if (held.seq > last) {
      if (!follows(follower, held.prev_seq, last)) return;
      if (!append(follower, {held.seq, held.prev_seq, held.time_us, held.type, held.payload})) return;
    } else {
      skip(follower, held.seq);
    }
    follower.held_bytes -= held.bytes();
    held_account_.sub(held.bytes());
    follower.held.pop_front();
  }
  follower.hole_at_ms = 0;
}

// --- The connection

void StreamBridge::on_connected(const StreamView& stream) {
  connected_ = true;
  // What came since the connection was lost may be newer than `stream`, which was asked for before it.
  const std::uint64_t newest = newest_at_loss_;
  if (stream_epoch_ == 0) {
    stream_epoch_ = stream.epoch;
    hub_.set_stream_epoch(stream.epoch);
    counters_.epochs.fetch_add(1, kRelaxed);
  } else if (stream.epoch != stream_epoch_) {
    logger("bus")->warn("the stream was made anew: all channels begin another epoch");
    stream_epoch_ = stream.epoch;
    begin_epoch(stream.epoch);
  } else if (stream.last_seq < newest) {
    // It gives numbers again that it gave before: the broker came back with an older state, as after a power cut. Only we
    // know what we have seen, so this server has an epoch of its own until the stream is made anew.
    logger("bus")->error("the stream ends at {} and had {}: it has lost its end; all channels here begin another epoch",
                         stream.last_seq, newest);
    begin_epoch(hub_.random_epoch());
  }
  for (auto& [name, follower] : followers_) {
    follower->certain = false;
    follower->hole_at_ms = 0;
    begin_fill(*follower);
  }
}

void StreamBridge::on_disconnected() {
  connected_ = false;
  newest_at_loss_ = std::max(newest_seq_, acked_seq_.load(kRelaxed));
  std::vector<Follower*> running;
  for (auto& [name, follower] : followers_) {
    follower->certain = false;
    follower->hole_at_ms = 0;
    if (follower->fill != Fill::none) running.push_back(follower.get());
  }
  for (Follower* const follower : running) fail_fill(*follower);
}

void StreamBridge::begin_epoch(std::uint64_t epoch) {
  counters_.epochs.fetch_add(1, kRelaxed);
  newest_seq_ = 0;
  newest_at_loss_ = 0;
  acked_seq_ = 0;
  while (!followers_.empty()) unfollow(*followers_.begin()->second);
  hub_.begin_stream_epoch(epoch);
}

}  // namespace ringfence
