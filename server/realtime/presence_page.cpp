// Presence: what readers get.
#include <algorithm>

#include "protocol/json.h"
#include "realtime/presence.h"

namespace ringfence {
namespace {

void append_member(std::string& out, const PresenceMember& member, bool detailed) {
  if (!out.empty()) out += ',';
  append_presence_key(out, member.key);
  if (!member.data.empty()) out.append(",\"data\":").append(member.data);
  if (detailed) {
    const auto since = rfc3339(member.since_us);
    out.append(",\"since\":\"").append(since.data(), since.size());
    out.append("\",\"connections\":").append(std::to_string(member.connections.size()));
    out.append(",\"in_grace\":").append(member.connections.empty() ? "true" : "false");
  }
  out += '}';
}

void append_left(std::string& out, std::string_view key) {
  if (!out.empty()) out += ',';
  append_presence_key(out, key);
  out += '}';
}

// The first of the members whose last change is behind `after`: from the end, as that is where changes are.
PresenceRoom::Members::const_iterator behind(const PresenceRoom& room, std::uint64_t after) noexcept {
  auto first = room.members.end();
  while (first != room.members.begin() && std::prev(first)->version > after) --first;
  return first;
}

}  // namespace

// Members and leaves in the order of their versions, so that a page that is full ends at one version for both. While all
// members are read, who left before that began is in none of the pages and need not be told.
PresencePage Presence::changes(PresenceRoom& room, const PresenceSeen& seen, std::size_t bytes_max) {
  PresencePage page;
  Stripe& stripe = stripe_of(room.name());
  const std::lock_guard lock(stripe.mutex);
  page.count = room.members.size();
  page.whole = seen.version == 0 || std::max(seen.version, seen.since) < room.lost_version;
  if (page.whole && seen.version != 0) ++stripe.counts.fell_behind;
  page.seen = page.whole ? PresenceSeen{0, stripe.version} : seen;
  auto member = behind(room, page.seen.version);
  const RingBuffer<Leave>& leaves = stripe.leaves;
  const std::uint64_t left_after = std::max(page.seen.version, page.seen.since);
  std::size_t leave = leaves.size();
  while (leave > 0 && leaves[leave - 1].version > left_after) --leave;
  for (;;) {
    // Of other rooms, and of who has come back.
    while (leave < leaves.size() && (leaves[leave].room != &room || room.by_key.contains(leaves[leave].key))) ++leave;
    const bool members_left = member != room.members.end();
    const bool leaves_left = leave < leaves.size();
    if (!members_left && !leaves_left) {
      page.seen.version = stripe.version;
      return page;
    }
    if (page.joined.size() + page.left.size() >= bytes_max) {
      page.more = true;
      return page;
    }
    if (members_left && (!leaves_left || member->version < leaves[leave].version)) {
      append_member(page.joined, *member, false);
      page.seen.version = member++->version;
    } else {
      append_left(page.left, leaves[leave].key);
      page.seen.version = leaves[leave++].version;
    }
  }
}

PresencePage Presence::members(std::string_view channel, std::uint64_t after, std::size_t members_max,
                               std::size_t bytes_max, bool detailed) const {
  PresencePage page;
  const Stripe& stripe = stripes_[stripe_index(channel)];
  const std::lock_guard lock(stripe.mutex);
  page.seen.version = stripe.version;
  const auto found = stripe.rooms.find(channel);
  if (found == stripe.rooms.end()) return page;
  const PresenceRoom& room = *found->second;
  page.count = room.members.size();
  std::size_t count = 0;
  for (auto member = behind(room, after); member != room.members.end(); ++member) {
    if (count++ == members_max || page.joined.size() >= bytes_max) {
      page.more = true;
      break;
    }
    append_member(page.joined, *member, detailed);
    page.seen.version = member->version;
  }
  return page;
}

}  // namespace ringfence
