#include "realtime/hub.h"

#include <algorithm>
#include <bit>
#include <random>
#include <utility>

#include "bus/bus.h"
#include "realtime/clock.h"
#include "realtime/hub_evictions.h"
#include "realtime/last_values.h"

namespace ringfence {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::uint64_t kEpochs = 4'738'381'338'321'616'896;  // 36^12
constexpr std::int64_t kClockAheadMax_us = 60'000'000;  // of another server's: beyond it, records get our time and that

std::uint64_t scatter(std::uint64_t x) noexcept {  // splitmix64's finaliser: a bijection
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::uint64_t random_u64() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

HistoryLimits history_limits(const Limits& limits) {
  return {limits.history_records_max, limits.history_bytes_max,
          static_cast<std::int64_t>(limits.history_age_max_s) * 1'000'000};
}

const Limits& checked(const Limits& limits) {
  INVARIANT(limits.valid());
  return limits;
}

}  // namespace

ConnectionSlot::ConnectionSlot(ConnectionSlot&& other) noexcept
    : hub_(std::exchange(other.hub_, nullptr)), id_(other.id_) {}

ConnectionSlot& ConnectionSlot::operator=(ConnectionSlot&& other) noexcept {
  std::swap(hub_, other.hub_);
  std::swap(id_, other.id_);
  return *this;
}

ConnectionSlot::~ConnectionSlot() {
  if (hub_) hub_->connections_.sub(Hub::kConnectionBytesMax);
}

Hub::Hub(const Limits& limits, Ledger& ledger, unsigned shards, EventBus* events)
    : limits_(checked(limits)),
      events_(events),
      pool_(ledger.open("record memory", limits.history_memory_bytes).value()),
      inbound_(ledger.open("inbound messages", limits.inbound_memory_bytes).value()),
      connections_(ledger.open("connections", limits.connections_max * kConnectionBytesMax).value()),
      channels_(ledger.open("channels", limits.channels_max * Channel::bytes_max(limits.history_bytes_max)).value()),
      subscriptions_(ledger.open("subscriptions", limits.subscriptions_total_max * kSubscriberBytes).value()),
      feeds_(ledger.open("feeds", std::uint64_t{limits.channels_max} * shards * kFeedBytes).value()),
      inbox_memory_(
          ledger.open("shard inboxes", std::uint64_t{limits.channels_max} * shards * 2 * sizeof(ChannelPtr)).value()),
      next_epoch_(random_u64()),
      pressure_at_ms_(steady_ms() - kPressureMs) {
  INVARIANT(shards > 0 && shards <= kShardsMax);
  for (unsigned i = 0; i < shards; ++i) inboxes_.push_back(std::make_unique<Inbox>(i, limits.channels_max));
  // Taken for good, so that no inbox ever has to ask.
  INVARIANT(inbox_memory_.try_add(inbox_memory_.capacity_bytes()));
}

Hub::~Hub() {
  for (auto& inbox : inboxes_) inbox->detach();
}

void Hub::set_policies(ChannelPolicies policies, LastValues* last_values) {
  INVARIANT(channels_.used_bytes() == 0);
  policies_ = std::move(policies);
  last_values_ = last_values;
}

std::optional<ConnectionSlot> Hub::try_connect() {
  if (!connections_.try_add(kConnectionBytesMax)) return std::nullopt;
  connections_total_.fetch_add(1, kRelaxed);
  return ConnectionSlot(*this, next_connection_id_.fetch_add(1, kRelaxed));
}

std::uint64_t Hub::random_epoch() { return scatter(next_epoch_.fetch_add(1, kRelaxed)) % (kEpochs - 1) + 1; }

Hub::Stripe& Hub::stripe_of(std::string_view name) noexcept {
  return stripes_[scatter(std::hash<std::string_view>()(name)) % kStripes];
}

ChannelPtr Hub::find(std::string_view name) {
  Stripe& stripe = stripe_of(name);
  const std::shared_lock lock(stripe.mutex);
  const auto found = stripe.channels.find(name);
  return found == stripe.channels.end() ? nullptr : *found;
}

std::vector<std::string> Hub::channel_names(std::string_view pattern, std::string_view after,
                                            std::size_t names_max) const {
  const bool prefix = pattern.ends_with('*');
  const std::string_view stem = prefix ? pattern.substr(0, pattern.size() - 1) : pattern;
  std::vector<std::string> names;  // a heap with the last name on top, once it is full
  for (const Stripe& stripe : stripes_) {
    const std::shared_lock lock(stripe.mutex);
    for (const ChannelPtr& channel : stripe.channels) {
      const std::string_view name = channel->name();
      if (name <= after || (prefix ? !name.starts_with(stem) : name != stem)) continue;
      if (names.size() == names_max) {
        if (names_max == 0 || name >= names.front()) continue;
        std::pop_heap(names.begin(), names.end());
        names.pop_back();
      }
      names.emplace_back(name);
      std::push_heap(names.begin(), names.end());
    }
  }
  std::sort_heap(names.begin(), names.end());
  return names;
}

Result<ChannelPtr> Hub::find_or_create(std::string_view name) {
  if (ChannelPtr channel = find(name)) return channel;
  Stripe& stripe = stripe_of(name);
  const std::unique_lock lock(stripe.mutex);
  if (const auto found = stripe.channels.find(name); found != stripe.channels.end()) return ChannelPtr(*found);
  auto history = History::create(pool_, history_limits(limits_));
  INVARIANT(history.ok());
  if (!channels_.try_add(Channel::bytes_max(limits_.history_bytes_max))) return Error::too_many_channels;
  const bool streamed = numbers_ == Numbers::stream;
  ChannelPtr channel(new Channel(name, next_channel_id_.fetch_add(1, kRelaxed),
                                 streamed ? stream_epoch_.load() : random_epoch(), std::move(history).value(),
                                 channels_, policies_.of(name), numbers_));
  channel->behind = streamed;
  stripe.channels.insert(channel);
  return channel;
}

Result<std::uint64_t> Hub::publish(std::string_view name, std::string_view type, std::string_view payload_json) {
  if (numbers_ == Numbers::stream) return publish_and_wait(name, type, payload_json);
  const Result<std::uint64_t> seq = [&]() -> Result<std::uint64_t> {
    if (!valid_channel_name(name)) return Error::bad_channel;
    if (!valid_type(type)) return Error::bad_type;
    for (;;) {
      const auto channel = find_or_create(name);
      if (!channel) return channel.error();
      const auto appended = append(**channel, type, payload_json);
      // Forgotten between the look-up and the lock: the name is free again.
      if (appended.ok() || appended.error() != Error::no_such_channel) return appended;
    }
  }();
  if (seq.ok())
    published_.fetch_add(1, kRelaxed);
  else
    count_refused(seq.error());
  return seq;
}

Result<std::uint64_t> Hub::append(Channel& channel, std::string_view type, std::string_view payload) {
  return append_with(channel, type, payload.size(), [&]() -> Result<std::uint64_t> {
    const std::int64_t time_us = wall_us();
    channel.used_at_ms = steady_ms();
    const auto seq = channel.history.append(time_us, type, payload);
    if (seq.ok()) keep_last(channel, *seq, time_us, type, payload);
    if (bus_ && seq.ok()) bus_->relay(channel, *seq, time_us, type, payload);
    return seq;
  });
}

Result<std::uint64_t> Hub::append_at(Channel& channel, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                                     std::string_view payload) {
  // A history counts ages from its last record: one of a server whose clock is far ahead would end all before it.
  time_us = std::min(time_us, wall_us() + kClockAheadMax_us);
  return append_with(channel, type, payload.size(), [&] {
    const auto appended = seq == 0 ? channel.history.append(time_us, type, payload)
                                   : channel.history.append_at(seq, time_us, type, payload);
    if (appended.ok()) keep_last(channel, *appended, time_us, type, payload);
    return appended;
  });
}

void Hub::keep_last(const Channel& channel, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                    std::string_view payload) {
  if (channel.policy() == SlowPolicy::conflate && last_values_)
    last_values_->keep(channel.id(), seq, time_us, type, payload);
}

void Hub::mark(Channel& channel, std::uint64_t shards) {
  for (; shards != 0; shards &= shards - 1) inboxes_[static_cast<std::size_t>(std::countr_zero(shards))]->mark(channel);
}

// `put` appends, under the channel's mutex. Again after some memory was had from others.
template <typename Put>
Result<std::uint64_t> Hub::append_with(Channel& channel, std::string_view type, std::size_t payload_bytes, Put put) {
  const std::uint64_t stride = record_stride_bytes(type.size(), payload_bytes);
  for (int attempt = 0;; ++attempt) {
    std::uint64_t interested = 0;
    std::uint64_t wanted_bytes = 0;
    Evictions evictions(events_);
    const Result<std::uint64_t> seq = [&]() -> Result<std::uint64_t> {
      const std::lock_guard lock(channel.mutex);
      if (channel.forgotten) return Error::no_such_channel;
      const Evictions::Look look(evictions, channel);
      const auto appended = put();
      interested = channel.interested_shards;
      wanted_bytes = channel.history.next_segment_bytes(stride);
      return appended;
    }();
    if (seq.ok()) {
      mark(channel, interested);
      tell_published(channel, type, *seq, payload_bytes);
      return seq;
    }
    if (seq.error() != Error::memory_full) return seq;
    if (attempt == kReclaimAttempts) {
      note_pressure();
      return Error::overloaded;
    }
    reclaim(wanted_bytes);
  }
}

void Hub::count_refused(Error error) noexcept { refused_[static_cast<std::size_t>(error)].fetch_add(1, kRelaxed); }

HubStats Hub::stats() const {
  HubStats stats;
  stats.connections = connections_.used_bytes() / kConnectionBytesMax;
  stats.connections_total = connections_total_.load(kRelaxed);
  stats.channels = channels_.used_bytes() / Channel::bytes_max(limits_.history_bytes_max);
  stats.subscriptions = subscriptions_.used_bytes() / kSubscriberBytes;
  stats.published = published_.load(kRelaxed);
  for (const auto& inbox : inboxes_) {
    const ShardCounters& counters = inbox->counters();
    stats.delivered += counters.delivered.get();
    stats.delivered_bytes += counters.delivered_bytes.get();
    stats.messages += counters.messages.get();
    stats.flushes += counters.flushes.get();
    stats.gaps += counters.gaps.get();
    stats.missed += counters.missed.get();
    stats.waits_for_memory += counters.waits_for_memory.get();
    stats.stalled_closed += counters.stalled_closed.get();
    stats.dead_closed += counters.dead_closed.get();
    stats.idle_closed += counters.idle_closed.get();
    stats.unfinished_closed += counters.unfinished_closed.get();
    stats.errors_closed += counters.errors_closed.get();
    stats.auth_closed += counters.auth_closed.get();
    stats.slow_closed += counters.slow_closed.get();
    stats.resumes_exact += counters.resumes_exact.get();
    stats.resumes_missed += counters.resumes_missed.get();
    stats.resumes_unknown += counters.resumes_unknown.get();
    stats.conflated += counters.conflated.get();
    stats.invalid_utf8 += counters.invalid_utf8.get();
  }
  for (std::size_t i = 0; i < kErrorCount; ++i) stats.refused[i] = refused_[i].load(kRelaxed);
  return stats;
}

}  // namespace ringfence
