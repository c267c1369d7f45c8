#include "realtime/presence.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <utility>

#include "events/server_events.h"
#include "protocol/json.h"
#include "realtime/clock.h"

namespace ringfence {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::size_t kNameBytesMax = 128;    // of a channel
constexpr std::size_t kAllocationBytes = 16;  // malloc's own
constexpr std::size_t kNodeBytes = 64;        // of a hash table, with its share of the buckets

std::uint64_t capacity_bytes(const Limits& limits, unsigned shards) noexcept {
  const std::uint64_t joins = limits.presence_members_total_max;
  const std::uint64_t watches = limits.presence_watches_max;
  return (joins + watches) * Presence::kRoomBytes + joins * (Presence::kJoinBytes + limits.presence_data_bytes) +
         watches * Presence::kWatchBytes + Presence::fixed_bytes(limits, shards);
}

// Another server's number has the highest bit set: ids of connections never do.
constexpr std::uint64_t kElsewhere = std::uint64_t{1} << 63;

std::uint64_t joiner_of(const PresenceWho& who) noexcept {
  return who.server == 0 ? who.connection : kElsewhere | who.server;
}

std::string key_of(const PresenceWho& who) { return presence_key(who.user, who.connection, who.node); }

bool none_here(const PresenceMember& member) noexcept {
  return std::all_of(member.connections.begin(), member.connections.end(),
                     [](std::uint64_t joiner) { return (joiner & kElsewhere) != 0; });
}

}  // namespace

std::string presence_key(std::string_view user, std::uint64_t connection, std::string_view node) {
  if (!user.empty()) return std::string(user);
  std::string key(1, kPresenceNoUser);
  key += std::to_string(connection);
  if (!node.empty()) key.append(1, '@').append(node);
  return key;
}

void append_presence_key(std::string& out, std::string_view key) {
  const bool connection = key.front() == kPresenceNoUser;
  out += connection ? R"({"connection":)" : R"({"user":)";
  append_json_string(out, connection ? key.substr(1) : key);
}

std::uint64_t Presence::fixed_bytes(const Limits& limits, unsigned shards) noexcept {
  return kStripes * kLeavesKept * kLeaveBytes +
         std::uint64_t{limits.presence_watches_max} * shards * 2 * sizeof(PresenceRoomPtr);
}

Presence::Presence(const Limits& limits, Ledger& ledger, unsigned shards, EventBus* events)
    : limits_(limits),
      events_(events),
      account_(ledger.open("presence", capacity_bytes(limits, shards)).value()),
      join_bytes_(kJoinBytes + limits.presence_data_bytes) {
  static_assert(sizeof(PresenceRoom) + kNameBytesMax + 2 * kAllocationBytes + kNodeBytes <= kRoomBytes);
  static_assert(sizeof(PresenceMember) + 2 * sizeof(void*) + Identity::kNameBytesMax + 4 * kAllocationBytes +
                    2 * sizeof(std::uint64_t) + kNodeBytes + 2 * sizeof(PresenceRoomPtr) <=
                kJoinBytes);
  static_assert(sizeof(Leave) + Identity::kNameBytesMax + kAllocationBytes <= kLeaveBytes);
  INVARIANT(account_.try_add(fixed_bytes(limits, shards)));  // taken for good
  for (unsigned i = 0; i < shards; ++i)
    inboxes_.push_back(std::make_unique<MarkInbox<PresenceRoom>>(i, limits.presence_watches_max));
}

Presence::~Presence() {
  for (auto& inbox : inboxes_) inbox->detach();
}

// --- Telling

// Refused: counted and logged by the bus.
template <typename Event>
void Presence::emit(std::string_view channel, std::string_view key) {
  if (!events_) return;
  (void)events_->emit<Event>([&] {
    Event event;
    event.channel = channel;
    if (key.front() == kPresenceNoUser) {
      const char* const end = key.data() + key.size();
      const char* const at = std::from_chars(key.data() + 1, end, event.connection).ptr;
      if (at != end) event.node.assign(at + 1, end);
    } else {
      event.user = key;
    }
    return event;
  });
}

// --- Rooms

// Null if the account is full.
PresenceRoomPtr Presence::find_or_create(Stripe& stripe, std::string_view channel) {
  if (const auto found = stripe.rooms.find(channel); found != stripe.rooms.end()) return found->second;
  if (!account_.try_add(kRoomBytes)) return nullptr;
  PresenceRoomPtr room(new PresenceRoom(channel, account_, kRoomBytes));
  stripe.rooms.emplace(room->name(), room);
  return room;
}

void Presence::drop_if_unused(Stripe& stripe, PresenceRoom& room) {
  if (!room.members.empty() || room.watches > 0) return;
  for (std::size_t i = 0; room.leaves_kept > 0 && i < stripe.leaves.size(); ++i) {
    if (stripe.leaves[i].room != &room) continue;
    stripe.leaves[i].room = nullptr;
    --room.leaves_kept;
  }
  stripe.rooms.erase(room.name());
}

// Under the stripe's mutex: while a shard watches, its inbox is attached or takes no more.
void Presence::tell(PresenceRoom& room) {
  for (std::uint64_t rest = room.watching_shards; rest != 0; rest &= rest - 1)
    inboxes_[static_cast<std::size_t>(std::countr_zero(rest))]->mark(room);
}

void Presence::touch(Stripe& stripe, PresenceRoom& room, PresenceRoom::Members::iterator member) {
  member->version = ++stripe.version;
  room.members.splice(room.members.end(), room.members, member);
  tell(room);
}

// --- Joining

bool Presence::take_join() noexcept {
  if (joins_.fetch_add(1, kRelaxed) >= limits_.presence_members_total_max || !account_.try_add(join_bytes_)) {
    joins_.fetch_sub(1, kRelaxed);
    return false;
  }
  return true;
}

void Presence::give_join() noexcept {
  joins_.fetch_sub(1, kRelaxed);
  account_.sub(join_bytes_);
}

Result<PresenceRoomPtr> Presence::join(std::string_view channel, const PresenceWho& who,
                                       std::optional<std::string_view> data) {
  return enter(channel, who, {.data = data});
}

Result<PresenceRoomPtr> Presence::enter(std::string_view channel, const PresenceWho& who, const Saying& saying) {
  if (saying.data && saying.data->size() > limits_.presence_data_bytes) return Error::member_too_large;
  for (;;) {
    Outcome outcome = try_join(channel, who, saying);
    if (!outcome.cut.empty()) emit<Left>(channel, outcome.cut);
    if (outcome.came) emit<Joined>(channel, key_of(who));
    // All places are taken: those of members in grace are given to who is there.
    if (!outcome.no_place || !cut_any_grace()) return std::move(outcome.room);
  }
}

Presence::Outcome Presence::try_join(std::string_view channel, const PresenceWho& who, const Saying& saying) {
  Outcome outcome;
  Stripe& stripe = stripe_of(channel);
  const std::lock_guard lock(stripe.mutex);
  const PresenceRoomPtr room = find_or_create(stripe, channel);
  outcome.no_place = !room;
  if (!room) return outcome;
  std::string key = key_of(who);
  const auto found = room->by_key.find(key);
  if (found != room->by_key.end()) {
    PresenceMember& member = *found->second;
    outcome.no_place = !member.connections.empty() && !take_join();  // in grace it has kept its place
    if (outcome.no_place) return outcome;
    if (member.connections.empty()) {
      member.grace_hook.unlink();
      --stripe.counts.in_grace;
    }
    const bool was_here = member.own_hook.is_linked();
    const bool it_alone = member.connections.empty();
    member.connections.push_back(joiner_of(who));
    if (saying.since_us > 0) member.since_us = std::min(member.since_us, saying.since_us);
    const bool said = saying.data && say(stripe, found->second, *saying.data, saying.said, it_alone);
    if (who.server == 0 && (said || !was_here)) tell_here(stripe, member);
    outcome.room = room;
    return outcome;
  }
  const bool full = room->members.size() >= limits_.presence_members_max;
  if (full) outcome.cut = cut_grace(stripe, *room);
  if (!full || !outcome.cut.empty()) {
    outcome.no_place = !take_join();
    if (!outcome.no_place) {
      const auto member = add_member(stripe, *room, std::move(key), who, saying);
      if (who.server == 0) tell_here(stripe, *member);
      outcome.came = true;
      outcome.room = room;
      return outcome;
    }
  }
  drop_if_unused(stripe, *room);
  return outcome;
}

PresenceRoom::Members::iterator Presence::add_member(Stripe& stripe, PresenceRoom& room, std::string key,
                                                     const PresenceWho& who, const Saying& saying) {
  const auto member = room.members.emplace(room.members.end());
  member->key = std::move(key);
  if (saying.data) {
    member->data = *saying.data;
    member->said = stamp(*member, saying.said);
  }
  member->connections.push_back(joiner_of(who));
  member->room = &room;
  member->since_us = wall_us();
  if (saying.since_us > 0) member->since_us = std::min(member->since_us, saying.since_us);
  room.by_key.emplace(member->key, member);
  ++stripe.counts.members;
  ++stripe.counts.joined;
  touch(stripe, room, member);
  return member;
}

// True if it was something else. `it_alone`: who says it is the only one that has the member, so what others said is over.
bool Presence::say(Stripe& stripe, PresenceRoom::Members::iterator member, std::string_view data,
                   const PresenceStamp& said, bool it_alone) {
  const PresenceStamp at = stamp(*member, said);
  if (at < member->said && !it_alone) return false;
  const bool elsewhere = said.time_us > 0;
  const bool other = member->data != data;
  if (!other && !elsewhere) return false;
  member->said = at;
  member->adopted = elsewhere;
  if (!other) return false;
  member->data = std::string(data);  // of this size: what was larger is given back
  ++stripe.counts.updated;
  touch(stripe, *member->room, member);
  return true;
}

Result<void> Presence::update(PresenceRoom& room, const PresenceWho& who, std::string_view data) {
  if (data.size() > limits_.presence_data_bytes) return Error::member_too_large;
  Stripe& stripe = stripe_of(room.name());
  const std::lock_guard lock(stripe.mutex);
  const auto found = room.by_key.find(key_of(who));
  INVARIANT(found != room.by_key.end());
  if (say(stripe, found->second, data, {})) tell_here(stripe, *found->second);
  return {};
}

// --- Leaving

void Presence::leave(PresenceRoom& its_room, const PresenceWho& who, PresenceEnd end, std::int64_t now_ms) {
  const PresenceRoomPtr room(&its_room);
  const std::string key = key_of(who);
  {
    Stripe& stripe = stripe_of(room->name());
    const std::lock_guard lock(stripe.mutex);
    const auto found = room->by_key.find(key);
    INVARIANT(found != room->by_key.end());
    PresenceMember& member = *found->second;
    // One of them: a server that has joined twice leaves twice.
    const auto joiner = std::find(member.connections.begin(), member.connections.end(), joiner_of(who));
    INVARIANT(joiner != member.connections.end());
    member.connections.erase(joiner);
    if (who.server == 0 && none_here(member)) tell_gone(stripe, member, end);
    // It may have said that where it has gone from, and not all have heard it there.
    if (who.server != 0 && member.own_hook.is_linked() && member.adopted) tell_here(stripe, member);
    if (!member.connections.empty()) return give_join();
    if (end == PresenceEnd::disconnected && !who.user.empty()) {
      member.left_at_ms = now_ms;
      stripe.in_grace.push_back(member);
      ++stripe.counts.in_grace;
      return;
    }
    forget(stripe, found->second);
    drop_if_unused(stripe, *room);
  }
  emit<Left>(room->name(), key);
}

// Its room stays.
void Presence::forget(Stripe& stripe, PresenceRoom::Members::iterator member) {
  PresenceRoom& room = *member->room;
  if (member->grace_hook.is_linked()) {
    member->grace_hook.unlink();
    --stripe.counts.in_grace;
  }
  --stripe.counts.members;
  ++stripe.counts.left;
  ++stripe.version;
  if (room.watches > 0) {
    ++room.leaves_kept;
    const auto oldest = stripe.leaves.push({&room, stripe.version, member->key});
    if (oldest && oldest->room) {
      oldest->room->lost_version = oldest->version;
      --oldest->room->leaves_kept;
    }
    tell(room);
  }
  room.by_key.erase(member->key);
  room.members.erase(member);
  give_join();
}

// The one of the room that has been in grace for the longest time; its key, empty if there is none.
std::string Presence::cut_grace(Stripe& stripe, PresenceRoom& room) {
  for (PresenceMember& member : stripe.in_grace) {
    if (member.room != &room) continue;
    std::string key = member.key;
    ++stripe.counts.graces_cut;
    forget(stripe, room.by_key.find(key)->second);
    return key;
  }
  return {};
}

bool Presence::cut_any_grace() {
  for (Stripe& stripe : stripes_) {
    std::optional<Gone> gone;
    {
      const std::lock_guard lock(stripe.mutex);
      if (stripe.in_grace.empty()) continue;
      ++stripe.counts.graces_cut;
      gone = let_go(stripe, stripe.in_grace.front());
    }
    emit<Left>(gone->channel, gone->key);
    return true;
  }
  return false;
}

Presence::Gone Presence::let_go(Stripe& stripe, PresenceMember& member) {
  const PresenceRoomPtr room(member.room);
  Gone gone{room->name(), member.key};
  forget(stripe, room->by_key.find(gone.key)->second);
  drop_if_unused(stripe, *room);
  return gone;
}

void Presence::sweep(std::int64_t now_ms) {
  for (Stripe& stripe : stripes_) {
    std::vector<Gone> gone;
    {
      const std::lock_guard lock(stripe.mutex);
      while (!stripe.in_grace.empty() && now_ms - stripe.in_grace.front().left_at_ms >= limits_.grace_ms)
        gone.push_back(let_go(stripe, stripe.in_grace.front()));
    }
    for (const Gone& one : gone) emit<Left>(one.channel, one.key);
  }
}

// --- Watching

Result<PresenceRoomPtr> Presence::watch(std::string_view channel, unsigned shard) {
  if (watches_.fetch_add(1, kRelaxed) >= limits_.presence_watches_max || !account_.try_add(kWatchBytes)) {
    watches_.fetch_sub(1, kRelaxed);
    return Error::too_many_subscriptions;
  }
  Stripe& stripe = stripe_of(channel);
  const std::lock_guard lock(stripe.mutex);
  PresenceRoomPtr room = find_or_create(stripe, channel);
  if (!room) {
    watches_.fetch_sub(1, kRelaxed);
    account_.sub(kWatchBytes);
    return Error::too_many_subscriptions;
  }
  ++room->watches;
  room->watching_shards |= std::uint64_t{1} << shard;
  return room;
}

void Presence::unwatch(PresenceRoom& its_room, unsigned shard, bool last_of_shard) {
  const PresenceRoomPtr room(&its_room);
  Stripe& stripe = stripe_of(room->name());
  const std::lock_guard lock(stripe.mutex);
  if (last_of_shard) room->watching_shards &= ~(std::uint64_t{1} << shard);
  --room->watches;
  watches_.fetch_sub(1, kRelaxed);
  account_.sub(kWatchBytes);
  drop_if_unused(stripe, *room);
}

// --- Looking

PresenceStats Presence::stats() const {
  PresenceStats sum;
  for (const Stripe& stripe : stripes_) {
    const std::lock_guard lock(stripe.mutex);
    sum.channels += stripe.rooms.size();
    sum.members += stripe.counts.members;
    sum.in_grace += stripe.counts.in_grace;
    sum.joined += stripe.counts.joined;
    sum.left += stripe.counts.left;
    sum.updated += stripe.counts.updated;
    sum.graces_cut += stripe.counts.graces_cut;
    sum.fell_behind += stripe.counts.fell_behind;
  }
  sum.joins = joins_.load(kRelaxed);
  sum.watches = watches_.load(kRelaxed);
  return sum;
}

}  // namespace ringfence
