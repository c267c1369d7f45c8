// How the hub gets record memory back: by pressure (reclaim) and by time (sweep).
#include <algorithm>

#include "bus/bus.h"
#include "realtime/clock.h"
#include "realtime/hub.h"
#include "realtime/hub_evictions.h"

namespace ringfence {
namespace {

constexpr std::size_t kReclaimLooksMax = 4096;    // channels and empty buckets that one pass looks at
constexpr std::uint64_t kReclaimSlackShare = 64;  // of the pool: freed along, so that not every segment needs a pass

}  // namespace

SegmentRef Hub::acquire(std::uint64_t allocated_bytes) {
  SegmentRef segment = pool_.acquire(allocated_bytes);
  for (int attempt = 0; !segment && attempt < kReclaimAttempts; ++attempt) {
    reclaim(allocated_bytes);
    segment = pool_.acquire(allocated_bytes);
  }
  if (!segment) note_pressure();
  return segment;
}

void Hub::tell_published(const Channel& channel, std::string_view type, std::uint64_t seq, std::size_t bytes) {
  if (!events_) return;
  // Refused: counted and logged by the bus.
  (void)events_->emit<Published>([&] { return Published{seq, bytes, channel.name(), std::string(type)}; });
}

void Hub::note_pressure() noexcept { pressure_at_ms_.store(steady_ms(), std::memory_order_relaxed); }

bool Hub::under_pressure() const noexcept {
  return steady_ms() - pressure_at_ms_.load(std::memory_order_relaxed) < kPressureMs;
}

void Hub::reclaim(std::uint64_t bytes) {
  Evictions evictions(events_);
  const std::lock_guard lock(reclaim_mutex_);
  if (free_bytes() >= bytes) return;  // another thread was here first
  // The large give first: a channel below its fair share keeps what it has while others are above theirs.
  const std::uint64_t channels =
      std::max<std::uint64_t>(1, channels_.used_bytes() / Channel::bytes_max(limits_.history_bytes_max));
  reclaim_pass(bytes + pool_.capacity_bytes() / kReclaimSlackShare, pool_.capacity_bytes() / channels, evictions);
  if (free_bytes() < bytes) reclaim_pass(bytes, 0, evictions);
}

// A clock hand over the buckets of all stripes. It passes by channels that are in use right now.
void Hub::reclaim_pass(std::uint64_t wanted_bytes, std::uint64_t spared_bytes, Evictions& evictions) {
  std::size_t looks = 0;
  for (std::size_t stripes = 0; stripes <= kStripes && looks < kReclaimLooksMax; ++stripes) {
    Stripe& stripe = stripes_[hand_stripe_];
    const std::shared_lock lock(stripe.mutex);
    for (; hand_bucket_ < stripe.channels.bucket_count() && looks < kReclaimLooksMax; ++hand_bucket_) {
      ++looks;
      for (auto it = stripe.channels.begin(hand_bucket_); it != stripe.channels.end(hand_bucket_); ++it, ++looks) {
        Channel& channel = **it;
        const std::unique_lock channel_lock(channel.mutex, std::try_to_lock);
        if (!channel_lock) continue;
        const Evictions::Look look(evictions, channel);
        while (channel.history.allocated_bytes() > spared_bytes && free_bytes() < wanted_bytes)
          if (channel.history.evict_segment() == 0) break;
      }
      if (free_bytes() >= wanted_bytes) return;
    }
    if (hand_bucket_ < stripe.channels.bucket_count()) return;
    hand_bucket_ = 0;
    hand_stripe_ = (hand_stripe_ + 1) % kStripes;
  }
}

std::size_t Hub::sweep_channels(unsigned shard, std::size_t channels_max) {
  const std::int64_t now_us = wall_us();
  const std::int64_t now_ms = steady_ms();
  std::size_t forgotten = 0;
  const std::size_t share = std::max<std::size_t>(1, channels_max * shards() / kStripes);
  for (std::size_t i = shard; i < kStripes; i += shards()) {
    Evictions evictions(events_);
    forgotten += sweep_stripe(stripes_[i], share, now_us, now_ms, evictions);
  }
  if (bus_ && shard == 0) bus_->sweep(now_ms);
  return forgotten;
}

std::size_t Hub::sweep_stripe(Stripe& stripe, std::size_t channels_max, std::int64_t now_us, std::int64_t now_ms,
                              Evictions& evictions) {
  std::vector<ChannelPtr> idle;  // destroyed after the lock is given back
  const std::unique_lock lock(stripe.mutex);
  const std::size_t buckets = std::min(stripe.channels.bucket_count(), channels_max);
  for (std::size_t i = 0; i < buckets; ++i) {
    if (stripe.sweep_bucket >= stripe.channels.bucket_count()) stripe.sweep_bucket = 0;
    const std::size_t bucket = stripe.sweep_bucket++;
    for (auto it = stripe.channels.begin(bucket); it != stripe.channels.end(bucket); ++it) {
      Channel& channel = **it;
      const std::unique_lock channel_lock(channel.mutex, std::try_to_lock);
      if (!channel_lock) continue;  // in use: next time
      {
        const Evictions::Look look(evictions, channel);
        channel.history.expire(now_us);
      }
      // What is in a stream as well, and not followed now, is only a copy.
      const bool copy = channel.numbers() == Numbers::stream && channel.behind;
      if (channel.interested_shards != 0 || !(channel.history.empty() || copy)) continue;
      if (now_ms - channel.used_at_ms < limits_.channel_idle_ms) continue;
      channel.forgotten = true;
      idle.push_back(*it);
    }
  }
  for (const ChannelPtr& channel : idle) stripe.channels.erase(channel);
  return idle.size();
}

}  // namespace ringfence
