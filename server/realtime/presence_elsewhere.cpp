// Presence: between servers. What is told of the members here, and what another server tells of its own.
#include <algorithm>
#include <charconv>

#include "realtime/clock.h"
#include "realtime/presence.h"

namespace ringfence {

void Presence::attach(PresenceListener& listener, std::uint64_t run) {
  run_ = run;
  listener_ = &listener;
}

void Presence::detach() {
  listener_ = nullptr;
  for (Stripe& stripe : stripes_) const std::lock_guard wait_for_calls(stripe.mutex);
}

std::uint64_t Presence::told(unsigned part) const {
  const std::lock_guard lock(stripes_[part].mutex);
  return stripes_[part].told;
}

// What is said here is later than all that is known of the member, however the servers' clocks differ.
PresenceStamp Presence::stamp(const PresenceMember& member, const PresenceStamp& said) const noexcept {
  if (said.time_us > 0) return said;
  return {std::max(wall_us(), member.said.time_us + 1), run_};
}

PresenceNews Presence::news_of(const PresenceMember& member) const {
  PresenceNews news;
  news.channel = member.room->name();
  if (member.key.front() == kPresenceNoUser)
    std::from_chars(member.key.data() + 1, member.key.data() + member.key.size(), news.connection);
  else
    news.user = member.key;
  news.count = member.told;
  news.data = member.data;
  news.said = member.said;
  news.since_us = member.since_us;
  return news;
}

// In the order of what happens in the stripe, as its mutex is held.
void Presence::tell_here(Stripe& stripe, PresenceMember& member) {
  if (run_ == 0) return;
  PresenceListener* const listener = listener_;
  if (member.own_hook.is_linked()) member.own_hook.unlink();
  member.told = ++stripe.told;
  member.adopted = false;
  stripe.own.insert(stripe.own.end(), member);
  if (listener) listener->on_presence(part_of(stripe), news_of(member));
}

void Presence::tell_gone(Stripe& stripe, PresenceMember& member, PresenceEnd end) {
  if (run_ == 0) return;
  member.own_hook.unlink();
  member.told = ++stripe.told;
  PresenceListener* const listener = listener_;
  if (!listener) return;
  PresenceNews news = news_of(member);
  news.gone = true;
  news.end = end;
  listener->on_presence(part_of(stripe), news);
}

Result<PresenceRoomPtr> Presence::join_elsewhere(const PresenceWho& who, const PresenceNews& news) {
  INVARIANT(who.server != 0);
  Saying saying{.data = std::nullopt, .said = news.said, .since_us = news.since_us};
  if (news.said.time_us > 0) saying.data = news.data;  // else it has said nothing
  return enter(news.channel, who, saying);
}

void Presence::say_elsewhere(PresenceRoom& room, const PresenceWho& who, const PresenceNews& news) {
  if (news.said.time_us <= 0 || news.data.size() > limits_.presence_data_bytes) return;
  Stripe& stripe = stripe_of(room.name());
  const std::lock_guard lock(stripe.mutex);
  const auto found = room.by_key.find(presence_key(who.user, who.connection, who.node));
  INVARIANT(found != room.by_key.end());
  say(stripe, found->second, news.data, news.said, found->second->connections.size() == 1);
}

}  // namespace ringfence
