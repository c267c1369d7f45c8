#include "bus/core_relay.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include <ringfence/bytes.h>
#include <ringfence/record.h>

#include "bus/bus_record.h"
#include "bus/subjects.h"
#include "realtime/hub.h"

namespace ringfence {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::size_t kHeadBytes = 16;           // epoch of the channel there, count of the record
constexpr std::uint64_t kLostMax = kSeqMax / 2;  // of a channel, since its start: half of the numbers stay for records
constexpr std::string_view kWho = "core relay";

}  // namespace

std::shared_ptr<CoreRelay> CoreRelay::create(Hub& hub, Ledger& ledger, NatsService& nats, std::uint32_t interest_ms) {
  return std::shared_ptr<CoreRelay>(new CoreRelay(hub, ledger, nats, interest_ms));
}

CoreRelay::CoreRelay(Hub& hub, Ledger& ledger, NatsService& nats, std::uint32_t interest_ms)
    : hub_(hub),
      nats_(nats),
      prefix_(nats.options().prefix),
      interest_ms_(interest_ms),
      account_(ledger.open("bus channels", hub.limits().channels_max * kFollowerBytes).value()) {}

CoreRelay::~CoreRelay() { account_.sub(followers_.size() * kFollowerBytes); }

template <typename Work>
void CoreRelay::post(Work work) {
  boost::asio::post(nats_.executor(), [self = weak_from_this(), work = std::move(work)] {
    if (const auto relay = self.lock()) work(*relay);
  });
}

// Under the channel's mutex, so that the counts go out in order.
void CoreRelay::relay(Channel& channel, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                      std::string_view payload) {
  NatsOutgoing message;
  message.subject = prefix_ + ".core." + channel_token(channel.name());
  message.data.resize(kHeadBytes + record_stride_bytes(type.size(), payload.size()));
  auto* const out = reinterpret_cast<std::byte*>(message.data.data());
  store<std::uint64_t>(out, channel.epoch_number());
  store<std::uint64_t>(out + 8, ++channel.relayed);
  encode_record(out + kHeadBytes, seq, time_us, type, payload);
  const bool taken = nats_.publish(std::move(message)).ok();
  (taken ? counters_.sent : counters_.not_sent).fetch_add(1, kRelaxed);
}

void CoreRelay::wanted(const ChannelPtr& channel) {
  post([channel](CoreRelay& relay) { relay.follow(channel); });
}

void CoreRelay::sweep(std::int64_t now_ms) {
  if (sweeping_.exchange(true)) return;
  post([now_ms](CoreRelay& relay) {
    relay.sweeping_ = false;
    relay.sweep_followers(now_ms);
  });
}

CoreRelayStats CoreRelay::stats() const noexcept {
  const Counters& c = counters_;
  return {c.followed.load(kRelaxed), c.sent.load(kRelaxed),       c.not_sent.load(kRelaxed), c.received.load(kRelaxed),
          c.lost.load(kRelaxed),     c.duplicates.load(kRelaxed), c.bad.load(kRelaxed)};
}

std::vector<BusCount> CoreRelay::counts() const {
  const CoreRelayStats now = stats();
  return {{"bus_sent", "Records sent to other servers.", now.sent},
          {"bus_not_sent", "Records that could not be, and are lost to them.", now.not_sent},
          {"bus_received", "Records of other servers.", now.received},
          {"bus_lost", "Records of other servers that were lost on the way, as their counts say.", now.lost},
          {"bus_duplicates", "Records that came twice and were skipped.", now.duplicates},
          {"bus_bad", "Messages that no server can have sent, and were skipped.", now.bad}};
}

// --- The service's thread

void CoreRelay::follow(const ChannelPtr& channel) {
  const auto found = followers_.find(channel->name());
  if (found != followers_.end()) {
    if (found->second->channel == channel) return;
    unfollow(channel->name());  // that one was forgotten: the name has another channel
  }
  refused_.erase(channel->name());
  // Refused: tried again by the next sweep; until then its readers hear this server alone.
  if (!account_.try_add(kFollowerBytes)) {
    refused_.emplace(channel->name(), channel);
    return;
  }
  auto follower = std::make_unique<Follower>();
  follower->channel = channel;
  auto made = nats_.subscribe(
      prefix_ + ".core." + channel_token(channel->name()),
      [self = weak_from_this(), raw = follower.get()](NatsMessage& message) {
        // The subscription ends before its follower does.
        if (const auto relay = self.lock()) relay->on_message(*raw, message);
      },
      kWho);
  if (!made) {
    account_.sub(kFollowerBytes);
    refused_.emplace(channel->name(), channel);
    return;
  }
  follower->subscription = std::move(made).value();
  followers_.emplace(channel->name(), std::move(follower));
  counters_.followed.fetch_add(1, kRelaxed);
}

void CoreRelay::unfollow(const std::string& name) {
  if (followers_.erase(name) == 0) return;
  account_.sub(kFollowerBytes);
  counters_.followed.fetch_sub(1, kRelaxed);
}

void CoreRelay::on_message(Follower& follower, const NatsMessage& message) {
  const std::string_view data = message.data();
  const auto record = data.size() < kHeadBytes ? std::nullopt : read_bus_record(data.substr(kHeadBytes));
  const auto bad = [this] { counters_.bad.fetch_add(1, kRelaxed); };
  if (!record) return bad();  // not one of us
  const auto* const head = reinterpret_cast<const std::byte*>(data.data());
  const std::uint64_t epoch = load<std::uint64_t>(head);
  const std::uint64_t count = load<std::uint64_t>(head + 8);
  if (count == 0) return bad();
  Channel& channel = *follower.channel;
  std::uint64_t last_seq = 0;
  {
    const std::lock_guard lock(channel.mutex);
    if (channel.forgotten || epoch == channel.epoch_number()) return;  // our own came back
    last_seq = channel.history.last_seq();
  }
  Origin& origin = origin_of(follower, epoch, count);
  // More than a channel can have numbers for was never published.
  if (count > origin.count && count - origin.count > kLostMax - std::min(kLostMax, last_seq)) return bad();
  if (count <= origin.count) {
    counters_.duplicates.fetch_add(1, kRelaxed);
    return;
  }
  std::uint64_t lost = count - origin.count - 1;
  origin.count = count;
  if (lost > 0) hub_.lose(channel, lost);
  const auto appended = hub_.append_at(channel, 0, record->time_us, record->type, record->payload);
  if (appended.ok()) {
    counters_.received.fetch_add(1, kRelaxed);
  } else if (appended.error() != Error::no_such_channel) {
    hub_.lose(channel, 1);
    ++lost;
  }
  counters_.lost.fetch_add(lost, kRelaxed);
}

// Of one not heard before it is not known what was before.
CoreRelay::Origin& CoreRelay::origin_of(Follower& follower, std::uint64_t epoch, std::uint64_t count) {
  std::vector<Origin>& origins = follower.origins;
  ++follower.heard;
  for (Origin& origin : origins) {
    if (origin.epoch != epoch) continue;
    origin.heard = follower.heard;
    return origin;
  }
  if (origins.size() == kOriginsMax)
    origins.erase(std::min_element(origins.begin(), origins.end(),
                                   [](const Origin& a, const Origin& b) { return a.heard < b.heard; }));
  origins.push_back({epoch, count - 1, follower.heard});
  return origins.back();
}

void CoreRelay::sweep_followers(std::int64_t now_ms) {
  std::vector<std::string> unwanted;
  for (const auto& [name, follower] : followers_) {
    Channel& channel = *follower->channel;
    const std::lock_guard lock(channel.mutex);
    if (!channel.forgotten) {
      if (channel.interested_shards != 0 || !channel.history.empty()) continue;
      if (now_ms - channel.used_at_ms < interest_ms_) continue;
      // What the others publish from here on is not heard, so no place from before may be resumed.
      channel.history.reset();
      channel.set_epoch(hub_.random_epoch());
      channel.relayed = 0;
    }
    unwanted.push_back(name);
  }
  for (const std::string& name : unwanted) unfollow(name);
  for (const auto& [name, channel] : std::exchange(refused_, {})) {
    {
      const std::lock_guard lock(channel->mutex);
      if (channel->forgotten || channel->interested_shards == 0) continue;
    }
    follow(channel);
  }
}

}  // namespace ringfence
