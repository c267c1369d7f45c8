#include "bus/cluster_presence.h"

#include <algorithm>
#include <future>
#include <random>
#include <utility>

#include <boost/asio/post.hpp>

#include "auth/identity.h"
#include "realtime/clock.h"

namespace ringfence {

using Json = nlohmann::json;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::int64_t kHeartbeatsMissed = 3;
constexpr std::size_t kHeadBytes = 256;  // of a message, beside members
constexpr std::string_view kWho = "cluster presence";

std::uint64_t random_run() {
  std::random_device random;
  const std::uint64_t run = std::uint64_t{random()} << 32 | random();
  return run == 0 ? 1 : run;
}

bool connected(NatsState state) noexcept { return state == NatsState::connected || state == NatsState::degraded; }

}  // namespace

ClusterPresence::ClusterPresence(NatsService& nats, Presence& presence, Ledger& ledger, const Limits& limits)
    : nats_(nats),
      presence_(presence),
      name_(nats.options().name),
      subject_(nats.options().prefix + ".presence."),
      ask_subject_(nats.options().prefix + ".presence-of."),
      heartbeat_ms_(nats.options().heartbeat_ms),
      data_bytes_max_(limits.presence_data_bytes),
      json_depth_max_(limits.json_depth_max),
      run_(random_run()),
      run_text_(hex_text(run_)),
      account_(ledger
                   .open("cluster presence",
                         nats.options().nodes_max * kServerBytes + limits.presence_members_total_max * kJoinBytes)
                   .value()),
      timer_(nats.executor()) {
  static_assert(sizeof(Peer) + kPartsMax * sizeof(Part) + 256 <= kServerBytes);
  // With its key, a name and a channel, and the table's node and share of the buckets.
  static_assert(sizeof(JoinedTable::value_type) + 2 * Identity::kNameBytesMax + 32 + 64 <= kJoinBytes);
  presence_.attach(*this, run_);
  nats_.watch_state([this, life = life_](NatsState from, NatsState to) {
    if (life->started && !life->over && connected(to) && !connected(from)) tell(false);
  });
}

ClusterPresence::~ClusterPresence() { stop(); }

void ClusterPresence::start() {
  if (life_->started.exchange(true)) return;
  messages_ = nats_.subscribe(subject_ + "*", [this](NatsMessage& message) { on_message(message); }, kWho).value();
  asks_ = nats_.subscribe(ask_subject_ + name_, [this](NatsMessage& message) { on_ask(message); }, kWho).value();
  boost::asio::post(nats_.executor(), [this] { beat(); });
}

void ClusterPresence::stop() {
  if (life_->over) return;
  presence_.detach();
  if (!life_->started) {
    life_->over = true;
    return;
  }
  messages_.end();
  asks_.end();
  tell(true);
  // As ClusterView: a beat that is due already comes before the second post.
  std::promise<void> stopped;
  boost::asio::post(nats_.executor(), [&] {
    life_->over = true;
    timer_.cancel();
    while (!peers_.empty()) end_peer(peers_.begin());
    boost::asio::post(nats_.executor(), [&] { stopped.set_value(); });
  });
  stopped.get_future().wait();
}

// --- Telling

void ClusterPresence::on_presence(unsigned part, const PresenceNews& news) {
  // One that would wait for the broker is as good as lost: when it is back, all is asked for.
  if (!life_->started || !connected(nats_.state())) {
    counters_.not_sent.fetch_add(1, kRelaxed);
    return;
  }
  std::string text = "{\"run\":\"" + run_text_ + "\",\"part\":" + std::to_string(part) + ",";
  append_news(text, news);
  text += '}';
  const bool taken = nats_.publish({.subject = subject_ + name_, .data = std::move(text)}).ok();
  (taken ? counters_.sent : counters_.not_sent).fetch_add(1, kRelaxed);
}

void ClusterPresence::tell(bool leaving) {
  if (!connected(nats_.state())) return;
  Json body{{"run", run_text_}};
  if (leaving) {
    body["leaving"] = true;
  } else {
    Json& counts = body["counts"] = Json::array();
    for (unsigned part = 0; part < Presence::kStripes; ++part) counts.push_back(presence_.told(part));
  }
  (void)nats_.publish({.subject = subject_ + name_, .data = body.dump()});
}

void ClusterPresence::beat() {
  if (life_->over) return;
  ++beats_;
  tell(false);
  expire(steady_ms());
  for (auto& [run, peer] : peers_) {
    for (Part& part : peer.parts)
      if (part.refused && beats_ % kRetryBeats == 0) part.refused = part.sure = false;
    ask_next(peer);
  }
  timer_.expires_after(std::chrono::milliseconds(heartbeat_ms_));
  timer_.async_wait([this, life = life_](const boost::system::error_code& error) {
    if (!error && !life->over) beat();
  });
}

void ClusterPresence::expire(std::int64_t now_ms) {
  for (auto peer = peers_.begin(); peer != peers_.end();) {
    const auto next = std::next(peer);
    if (now_ms - peer->second.heard_ms > kHeartbeatsMissed * heartbeat_ms_) {
      counters_.servers_ended.fetch_add(1, kRelaxed);
      end_peer(peer);
    }
    peer = next;
  }
}

std::size_t ClusterPresence::payload_max() const {
  const std::uint64_t brokers = nats_.stats().max_payload;
  const std::uint64_t ours = nats_.options().payload_bytes;
  return static_cast<std::size_t>(brokers > 0 ? std::min(brokers, ours) : ours);
}

// A page of a part, for another server.
void ClusterPresence::on_ask(const NatsMessage& message) {
  const Json body = Json::parse(message.data(), nullptr, false);
  const auto part = body.is_object() ? read_number(body, "part") : std::nullopt;
  if (message.reply().empty() || !part || *part >= Presence::kStripes || read_hex(body, "run") != run_) {
    counters_.bad.fetch_add(1, kRelaxed);
    return;
  }
  const std::uint64_t after = read_number(body, "after").value_or(0);
  const std::uint64_t until = read_number(body, "until").value_or(0);
  const std::size_t payload_bytes = payload_max();
  const std::size_t room = payload_bytes - std::min(payload_bytes, kHeadBytes);
  std::string members, one;
  bool more = false;
  const std::uint64_t count = presence_.own_members(
      static_cast<unsigned>(*part), after, until == 0 ? ~std::uint64_t{0} : until, [&](const PresenceNews& news) {
        one = members.empty() ? "{" : ",{";
        append_news(one, news);
        one += '}';
        if (one.size() > room) return true;  // no message can hold it: it was not sent either
        more = !members.empty() && members.size() + one.size() > std::min(kPageBytes, room);
        if (!more) members += one;
        return !more;
      });
  counters_.pages.fetch_add(1, kRelaxed);
  std::string text = "{\"run\":\"" + run_text_ + "\",\"part\":" + std::to_string(*part);
  text.append(",\"count\":").append(std::to_string(count));
  text.append(",\"until\":").append(std::to_string(until == 0 ? count : until));
  text.append(",\"more\":").append(more ? "true" : "false");
  text.append(",\"members\":[").append(members).append("]}");
  (void)nats_.publish({.subject = std::string(message.reply()), .data = std::move(text)});
}

ClusterPresenceStats ClusterPresence::stats() const noexcept {
  const Counters& c = counters_;
  return {c.servers.load(kRelaxed),  c.members.load(kRelaxed),       c.sent.load(kRelaxed),
          c.not_sent.load(kRelaxed), c.received.load(kRelaxed),      c.lost.load(kRelaxed),
          c.asked.load(kRelaxed),    c.pages.load(kRelaxed),         c.refused.load(kRelaxed),
          c.bad.load(kRelaxed),      c.servers_ended.load(kRelaxed), c.servers_refused.load(kRelaxed)};
}

}  // namespace ringfence
