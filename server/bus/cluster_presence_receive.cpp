// ClusterPresence: what other servers tell, and asking them for what is missing. The service's thread alone.
#include <algorithm>
#include <utility>

#include "auth/identity.h"
#include "bus/cluster_presence.h"
#include "realtime/clock.h"

namespace ringfence {

using Json = nlohmann::json;

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr unsigned kStaleMax = 8;  // pages in a row; then the next heartbeat asks

constexpr char kBehindName = '\x02';  // no name has that

std::string key_text(const PresenceNews& news) {
  std::string key = presence_key(news.user, news.connection);
  return key.append(1, kBehindName).append(news.channel);
}

std::string_view user_of(const std::string& key) {
  if (key.front() == kPresenceNoUser) return {};
  return std::string_view(key).substr(0, key.find(kBehindName));
}

bool flag(const Json& body, const char* field) {
  const auto found = body.find(field);
  return found != body.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace

void ClusterPresence::on_message(const NatsMessage& message) {
  if (life_->over) return;
  const std::string_view name = message.subject().substr(subject_.size());
  const Json body = Json::parse(message.data(), nullptr, false);
  const auto run = body.is_object() ? read_hex(body, "run") : std::nullopt;
  if (!run || name.size() > 64 || !valid_name(name)) {
    counters_.bad.fetch_add(1, kRelaxed);
    return;
  }
  if (*run == run_) return;
  auto peer = peers_.find(*run);
  if (flag(body, "leaving")) {
    if (peer != peers_.end()) end_peer(peer);
    return;
  }
  const auto counts = body.find("counts");
  if (counts != body.end()) {
    if (!counts->is_array() || counts->empty() || counts->size() > kPartsMax ||
        !std::all_of(counts->begin(), counts->end(), [](const Json& one) { return one.is_number_unsigned(); }) ||
        (peer != peers_.end() && peer->second.parts.size() != counts->size())) {
      counters_.bad.fetch_add(1, kRelaxed);
      return;
    }
    if (peer == peers_.end()) peer = meet(name, *run, counts->size());
    if (peer != peers_.end()) on_beat(peer, *counts);
  } else if (peer != peers_.end()) {
    on_change(peer->second, body);
  }  // else its heartbeat comes, and then all is asked for
}

// None if there is no place for another.
ClusterPresence::Peers::iterator ClusterPresence::meet(std::string_view name, std::uint64_t run, std::size_t parts) {
  // It has begun anew: its members of before are not there, and ids of connections count from 1 again.
  for (auto peer = peers_.begin(); peer != peers_.end(); ++peer) {
    if (peer->second.name != name) continue;
    counters_.servers_ended.fetch_add(1, kRelaxed);
    end_peer(peer);
    break;
  }
  if (counters_.servers >= nats_.options().nodes_max || !account_.try_add(kServerBytes)) {
    counters_.servers_refused.fetch_add(1, kRelaxed);
    return peers_.end();
  }
  Peer peer;
  peer.name = name;
  peer.run = run;
  peer.number = next_number_++;
  peer.parts.resize(parts);
  counters_.servers.fetch_add(1, kRelaxed);
  tell(false);  // so that it need not wait for our heartbeat
  return peers_.emplace(run, std::move(peer)).first;
}

void ClusterPresence::end_peer(Peers::iterator its) {
  Peer& peer = its->second;
  for (Part& part : peer.parts)
    while (!part.joined.empty()) leave(peer, part, part.joined.begin(), PresenceEnd::disconnected);
  peers_.erase(its);
  account_.sub(kServerBytes);
  counters_.servers.fetch_sub(1, kRelaxed);
}

void ClusterPresence::on_beat(Peers::iterator its, const Json& counts) {
  Peer& peer = its->second;
  peer.heard_ms = steady_ms();
  for (std::size_t i = 0; i < peer.parts.size(); ++i) {
    Part& part = peer.parts[i];
    const auto count = counts[i].get<std::uint64_t>();
    if (count == 0) part.sure = true;  // it has told nothing yet
    if (!part.sure || count <= part.count) continue;
    counters_.lost.fetch_add(count - part.count, kRelaxed);
    part.sure = false;
  }
  ask_next(peer);
}

void ClusterPresence::on_change(Peer& peer, const Json& body) {
  const auto index = read_number(body, "part");
  const auto news = read_news(body, json_depth_max_);
  if (!index || *index >= peer.parts.size() || !news) {
    counters_.bad.fetch_add(1, kRelaxed);
    return;
  }
  peer.heard_ms = steady_ms();
  Part& part = peer.parts[*index];
  if (news->count <= part.count) return;  // a page was newer
  counters_.received.fetch_add(1, kRelaxed);
  const std::uint64_t missing = news->count - part.count - 1;
  const bool asked_for = peer.asking && peer.part == *index && !peer.first;
  if (missing > 0 && (part.sure || asked_for)) {
    counters_.lost.fetch_add(missing, kRelaxed);
    part.again = asked_for;
    part.sure = false;
  }
  part.count = news->count;
  take(peer, part, *news);
  if (missing > 0) ask_next(peer);
}

// It may be older than what is known: then it is nothing.
void ClusterPresence::take(Peer& peer, Part& part, const PresenceNews& news) {
  std::string key = key_text(news);
  const auto found = part.joined.find(key);
  if (found == part.joined.end()) {
    if (!news.gone) join(peer, part, std::move(key), news);
    return;
  }
  Joined& joined = found->second;
  joined.round = part.round;
  if (news.count <= joined.count) return;
  if (news.gone) return leave(peer, part, found, news.end);
  joined.count = news.count;
  if (news.data.size() > data_bytes_max_) {
    counters_.refused.fetch_add(1, kRelaxed);
    return;
  }
  presence_.say_elsewhere(*joined.room, {user_of(found->first), joined.connection, peer.number, peer.name}, news);
}

void ClusterPresence::join(Peer& peer, Part& part, std::string key, const PresenceNews& news) {
  if (account_.try_add(kJoinBytes)) {
    auto room = presence_.join_elsewhere({news.user, news.connection, peer.number, peer.name}, news);
    if (room.ok()) {
      part.joined.emplace(std::move(key), Joined{std::move(room).value(), news.connection, news.count, part.round});
      counters_.members.fetch_add(1, kRelaxed);
      return;
    }
    account_.sub(kJoinBytes);
  }
  counters_.refused.fetch_add(1, kRelaxed);
  part.refused = true;
}

void ClusterPresence::leave(Peer& peer, Part& part, JoinedTable::iterator its, PresenceEnd end) {
  const Joined& joined = its->second;
  presence_.leave(*joined.room, {user_of(its->first), joined.connection, peer.number, peer.name}, end, steady_ms());
  part.joined.erase(its);
  if (part.joined.empty()) part.joined = {};  // gives its buckets back
  account_.sub(kJoinBytes);
  counters_.members.fetch_sub(1, kRelaxed);
}

// --- Asking for a part anew

void ClusterPresence::ask_next(Peer& peer) {
  if (peer.asking) return;
  const auto unsure = std::find_if(peer.parts.begin(), peer.parts.end(), [](const Part& part) { return !part.sure; });
  if (unsure == peer.parts.end()) return;
  peer.part = static_cast<std::size_t>(unsure - peer.parts.begin());
  peer.after = peer.until = 0;
  peer.first = true;
  peer.stale = 0;
  unsure->again = false;
  counters_.asked.fetch_add(1, kRelaxed);
  ask(peer);
}

void ClusterPresence::ask(Peer& peer) {
  const Json body{{"run", hex_text(peer.run)}, {"part", peer.part}, {"after", peer.after}, {"until", peer.until}};
  const auto asked =
      nats_.request({.subject = ask_subject_ + peer.name, .data = body.dump()},
                    [this, life = life_, run = peer.run, number = peer.number](const NatsAnswer& answer) {
                      if (!life->over) on_page(run, number, answer);
                    });
  peer.asking = asked.ok();  // else the next heartbeat asks
}

void ClusterPresence::on_page(std::uint64_t run, std::uint64_t number, const NatsAnswer& answer) {
  const auto found = peers_.find(run);
  if (found == peers_.end() || found->second.number != number) return;
  Peer& peer = found->second;
  peer.asking = false;
  if (!answer.result.ok()) return;
  const Json body = Json::parse(answer.message->data(), nullptr, false);
  if (!body.is_object() || !take_page(peer, body)) counters_.bad.fetch_add(1, kRelaxed);
}

// False if it is none.
bool ClusterPresence::take_page(Peer& peer, const Json& body) {
  const auto count = read_number(body, "count"), until = read_number(body, "until");
  const auto members = body.find("members");
  if (read_hex(body, "run") != peer.run || read_number(body, "part") != peer.part || !count || !until ||
      members == body.end() || !members->is_array())
    return false;
  peer.heard_ms = steady_ms();
  Part& part = peer.parts[peer.part];
  if (*count < part.count) {
    // Made before a change that is known already, so it may tell of one who has gone.
    if (++peer.stale < kStaleMax) ask(peer);
    return true;
  }
  peer.stale = 0;
  if (peer.first) {
    peer.first = false;
    peer.until = *until;
    ++part.round;
    part.count = *count;  // what was told before it is in the pages
  }
  const std::uint64_t before = peer.after;
  for (const Json& one : *members) {
    const auto news = read_news(one, json_depth_max_);
    if (!news || news->gone || news->count <= peer.after) {
      counters_.bad.fetch_add(1, kRelaxed);
      continue;
    }
    peer.after = news->count;
    take(peer, part, *news);
  }
  if (flag(body, "more")) {
    if (peer.after == before) return false;
    ask(peer);
  } else {
    end_round(peer);
    ask_next(peer);
  }
  return true;
}

// Who was in none of the pages, and has not come since, is not there.
void ClusterPresence::end_round(Peer& peer) {
  Part& part = peer.parts[peer.part];
  part.sure = !part.again;
  if (part.again) return;  // what was lost may have been their coming
  std::vector<std::string> gone;
  for (const auto& [key, joined] : part.joined)
    if (joined.round != part.round) gone.push_back(key);
  for (const std::string& key : gone) leave(peer, part, part.joined.find(key), PresenceEnd::disconnected);
}

}  // namespace ringfence
