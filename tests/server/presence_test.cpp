// Presence by itself: who is there, what a reader gets, and its bounds.
#include "realtime/presence.h"

#include <map>

#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "support/random.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

constexpr std::size_t kAnyBytes = 1 << 20;

Json members_of(const std::string& text) {
  std::string list(1, '[');
  list.append(text).append(1, ']');
  return Json::parse(list);
}

std::string key_of(const Json& member) {
  if (member.contains("user")) return member["user"];
  std::string key(1, '#');
  key += member["connection"].get<std::string>();
  return key;
}

// What somebody who watches knows.
struct Reader {
  void take(const PresencePage& page) {
    if (page.whole) known.clear();
    for (const Json& member : members_of(page.left)) known.erase(key_of(member));
    for (const Json& member : members_of(page.joined)) known[key_of(member)] = member.value("data", Json());
    seen = page.seen;
  }
  // Pages until there are no more; how many.
  int read(Presence& presence, PresenceRoom& room, std::size_t bytes_max = kAnyBytes) {
    for (int pages = 1;; ++pages) {
      const PresencePage page = presence.changes(room, seen, bytes_max);
      take(page);
      if (!page.more) return pages;
    }
  }
  std::map<std::string, Json> known;
  PresenceSeen seen;
};

struct Rig {
  explicit Rig(const Limits& limits = {}) : presence(limits, ledger, 2, nullptr) {}
  Error refused(std::string_view channel, const PresenceWho& who) {
    const auto room = presence.join(channel, who, std::nullopt);
    REQUIRE_FALSE(room.ok());
    return room.error();
  }
  std::uint64_t used_bytes() const { return ledger.used_bytes(); }

  Ledger ledger;
  Presence presence;
};

}  // namespace

TEST_CASE("Presence has a user from its first connection to its last, and a connection without one by itself",
          "[presence]") {
  Rig rig;
  const std::uint64_t before = rig.used_bytes();
  const auto room = rig.presence.watch("a", 0).value();
  Reader reader;
  reader.read(rig.presence, *room);
  CHECK(reader.known.empty());
  rig.presence.join("a", {"ann", 1}, "{\"mood\":\"fine\"}").value();
  rig.presence.join("a", {"ann", 2}, std::nullopt).value();
  rig.presence.join("a", {"", 3}, std::nullopt).value();
  reader.read(rig.presence, *room);
  CHECK(reader.known == std::map<std::string, Json>{{"ann", {{"mood", "fine"}}}, {"#3", nullptr}});
  CHECK(rig.presence.stats().members == 2);
  CHECK(rig.presence.stats().joins == 3);

  rig.presence.leave(*room, {"ann", 1}, PresenceEnd::left, 0);
  const PresencePage none = rig.presence.changes(*room, reader.seen, kAnyBytes);
  CHECK((none.left.empty() && none.joined.empty() && !none.whole));
  rig.presence.leave(*room, {"ann", 2}, PresenceEnd::left, 0);
  rig.presence.leave(*room, {"", 3}, PresenceEnd::disconnected, 0);  // has no grace: it cannot come back
  const PresencePage gone = rig.presence.changes(*room, reader.seen, kAnyBytes);
  CHECK(members_of(gone.left) == Json{{{"user", "ann"}}, {{"connection", "3"}}});
  CHECK_FALSE(gone.whole);
  rig.presence.unwatch(*room, 0, true);
  CHECK(rig.presence.stats().channels == 0);
  CHECK(rig.presence.stats().joined == 2);
  CHECK(rig.presence.stats().left == 2);
  CHECK(rig.used_bytes() == before + Presence::kRoomBytes);  // until this test lets go of the room
}

TEST_CASE("Presence tells a member's data anew when it has changed, and only then", "[presence]") {
  Rig rig;
  const auto room = rig.presence.join("a", {"ann", 1}, "1").value();
  Reader reader;
  reader.read(rig.presence, *room);
  const PresenceSeen seen = reader.seen;
  CHECK(rig.presence.update(*room, {"ann", 1}, "1").ok());
  rig.presence.join("a", {"ann", 2}, "1").value();
  reader.read(rig.presence, *room);
  CHECK(reader.seen == seen);
  CHECK(rig.presence.update(*room, {"ann", 2}, "2").ok());
  reader.read(rig.presence, *room);
  CHECK(reader.known["ann"] == 2);
  rig.presence.join("a", {"ann", 3}, "3").value();
  reader.read(rig.presence, *room);
  CHECK(reader.known["ann"] == 3);
  CHECK(rig.presence.stats().updated == 2);
}

TEST_CASE("Presence keeps a user for the grace time, and tells nobody of a reconnect", "[presence]") {
  Limits limits;
  limits.grace_ms = 1000;
  Rig rig(limits);
  const auto room = rig.presence.watch("a", 0).value();
  rig.presence.join("a", {"ann", 1}, "1").value();
  Reader reader;
  reader.read(rig.presence, *room);
  const PresenceSeen seen = reader.seen;
  rig.presence.leave(*room, {"ann", 1}, PresenceEnd::disconnected, 5000);
  CHECK(rig.presence.stats().in_grace == 1);
  rig.presence.sweep(5999);
  rig.presence.join("a", {"ann", 2}, std::nullopt).value();
  rig.presence.sweep(6000);
  reader.read(rig.presence, *room);
  CHECK(reader.seen == seen);
  CHECK(reader.known["ann"] == 1);  // what it said is still said
  CHECK(rig.presence.stats().joins == 1);
  rig.presence.leave(*room, {"ann", 2}, PresenceEnd::disconnected, 7000);
  rig.presence.sweep(7999);
  CHECK(rig.presence.stats().members == 1);
  rig.presence.sweep(8000);
  CHECK(rig.presence.stats().members == 0);
  CHECK(rig.presence.stats().in_grace == 0);
  reader.read(rig.presence, *room);
  CHECK(reader.known.empty());
}

TEST_CASE("Presence holds as many members, joins, watches and bytes of data as it may, and no more", "[presence]") {
  Limits limits;
  limits.presence_members_max = 3;
  limits.presence_members_total_max = 5;
  limits.presence_watches_max = 2;
  limits.presence_data_bytes = 4;
  Rig rig(limits);
  for (std::uint64_t i = 1; i <= 3; ++i) rig.presence.join("a", {numbered("u", i), i}, "1234").value();
  CHECK(rig.refused("a", {"u4", 4}) == Error::too_many_members);
  CHECK(rig.presence.join("a", {"u1", 4}, std::nullopt).ok());  // another connection of a member is none more
  CHECK(rig.presence.join("b", {"u5", 5}, "12345").error() == Error::member_too_large);
  const auto b = rig.presence.join("b", {"u5", 5}, "1234").value();
  CHECK(rig.presence.update(*b, {"u5", 5}, "12345").error() == Error::member_too_large);
  CHECK(rig.refused("c", {"u6", 6}) == Error::too_many_members);  // in all
  CHECK(rig.refused("b", {"u5", 6}) == Error::too_many_members);
  CHECK(rig.presence.stats().channels == 2);  // what was refused has left no channel behind
  rig.presence.leave(*b, {"u5", 5}, PresenceEnd::left, 0);
  const auto c = rig.presence.join("c", {"u6", 6}, std::nullopt).value();
  CHECK(rig.presence.watch("c", 0).ok());
  CHECK(rig.presence.watch("d", 1).ok());
  CHECK(rig.presence.watch("d", 1).error() == Error::too_many_subscriptions);
  CHECK(rig.presence.stats().channels == 3);
  for (const LedgerRow& row : rig.ledger.rows()) CHECK(row.used_bytes <= row.capacity_bytes);
}

TEST_CASE("Presence lets a member in grace go early for one who is here", "[presence]") {
  Limits limits;
  limits.presence_members_max = 2;
  limits.presence_members_total_max = 3;
  Rig rig(limits);
  const auto a = rig.presence.join("a", {"ann", 1}, std::nullopt).value();
  rig.presence.join("a", {"bob", 2}, std::nullopt).value();
  rig.presence.leave(*a, {"bob", 2}, PresenceEnd::disconnected, 10);
  rig.presence.leave(*a, {"ann", 1}, PresenceEnd::disconnected, 11);
  rig.presence.join("a", {"cid", 3}, std::nullopt).value();  // in bob's place: he left first
  CHECK(members_of(rig.presence.members("a", 0, 10, kAnyBytes, false).joined) ==
        Json{{{"user", "ann"}}, {{"user", "cid"}}});
  CHECK(rig.presence.stats().graces_cut == 1);
  rig.presence.join("b", {"dan", 4}, std::nullopt).value();
  rig.presence.join("b", {"eve", 5}, std::nullopt).value();  // in ann's, as all places are taken
  CHECK(rig.presence.stats().graces_cut == 2);
  CHECK(rig.refused("c", {"fay", 6}) == Error::too_many_members);
  CHECK(rig.presence.stats().members == 3);
}

TEST_CASE("Presence gives what has changed in pages, and everybody anew to who has fallen too far behind",
          "[presence]") {
  Rig rig;
  const auto room = rig.presence.watch("a", 0).value();
  for (std::uint64_t i = 0; i < 100; ++i) rig.presence.join("a", {numbered("u", i), i}, std::nullopt).value();
  Reader slow, other;
  CHECK(slow.read(rig.presence, *room, 200) > 5);
  CHECK(slow.known.size() == 100);
  other = slow;
  // As many as are kept: each is known by name.
  for (std::size_t i = 0; i < Presence::kLeavesKept; ++i) {
    rig.presence.join("a", {"x", 1000}, std::nullopt).value();
    rig.presence.leave(*room, {"x", 1000}, PresenceEnd::left, 0);
  }
  rig.presence.leave(*room, {"u0", 0}, PresenceEnd::left, 0);
  rig.presence.join("a", {"u0", 0}, std::nullopt).value();  // who has come back is not told to be gone
  other.read(rig.presence, *room);
  CHECK(other.known.size() == 100);
  CHECK(rig.presence.stats().fell_behind == 1);  // one leave of `x` is forgotten
  const PresencePage page = rig.presence.changes(*room, other.seen, kAnyBytes);
  CHECK_FALSE(page.whole);

  rig.presence.leave(*room, {"u1", 1}, PresenceEnd::left, 0);
  const PresencePage one = rig.presence.changes(*room, other.seen, kAnyBytes);
  CHECK_FALSE(one.whole);
  CHECK(members_of(one.left) == Json{{{"user", "u1"}}});
  CHECK(one.count == 99);
  slow.read(rig.presence, *room, 200);
  CHECK(slow.known.size() == 99);
  CHECK(rig.presence.stats().fell_behind == 2);

  const PresencePage first = rig.presence.members("a", 0, 60, kAnyBytes, false);
  CHECK(first.more);
  const PresencePage second = rig.presence.members("a", first.seen.version, 60, kAnyBytes, false);
  CHECK_FALSE(second.more);
  CHECK(members_of(first.joined).size() + members_of(second.joined).size() == 99);
}

TEST_CASE("Presence: whoever reads, however late and in however small pages, knows who is there", "[presence]") {
  auto random = seeded_random();
  Limits limits;
  limits.grace_ms = 50;
  Rig rig(limits);
  const std::uint64_t before = rig.used_bytes();
  {
    std::array<PresenceRoomPtr, 3> rooms;
    std::array<std::map<std::string, Json>, 3> truth;
    std::array<std::array<Reader, 4>, 3> readers;
    std::map<std::pair<std::size_t, std::uint64_t>, std::string> joined;  // by room and connection: the user
    for (std::size_t r = 0; r < 3; ++r) rooms[r] = rig.presence.watch(numbered("room", r), 0).value();
    for (int step = 0; step < 20'000; ++step) {
      const std::size_t r = pick(random, 0, 2);
      const std::uint64_t connection = pick(random, 0, 39);
      const std::string user = numbered("user", connection % 20);
      const auto at = std::pair(r, connection);
      switch (pick(random, 0, 3)) {
        case 0:
          if (joined.contains(at)) break;
          rig.presence.join(rooms[r]->name(), {user, connection}, std::to_string(step)).value();
          joined[at] = user;
          truth[r][user] = step;
          break;
        case 1:
          if (!joined.contains(at)) break;
          REQUIRE(rig.presence.update(*rooms[r], {user, connection}, std::to_string(step)).ok());
          truth[r][user] = step;
          break;
        case 2: {
          if (joined.erase(at) == 0) break;
          rig.presence.leave(*rooms[r], {user, connection}, PresenceEnd::left, step);
          if (!joined.contains({r, (connection + 20) % 40})) truth[r].erase(user);
          break;
        }
        default: {
          Reader& reader = readers[r][pick(random, 0, 3)];
          reader.take(rig.presence.changes(*rooms[r], reader.seen, pick(random, 1, 300)));
        }
      }
    }
    for (std::size_t r = 0; r < 3; ++r)
      for (Reader& reader : readers[r]) {
        reader.read(rig.presence, *rooms[r], 100);
        CHECK(reader.known == truth[r]);
      }
    for (const auto& [at, user] : joined) rig.presence.leave(*rooms[at.first], {user, at.second}, PresenceEnd::left, 0);
    for (const auto& room : rooms) rig.presence.unwatch(*room, 0, true);
    CHECK(rig.presence.stats().channels == 0);
    std::vector<PresenceRoomPtr> changed;  // a shard's flush lets go of them
    rig.presence.inbox(0).take(changed);
    CHECK(changed.size() == 3);
  }
  CHECK(rig.used_bytes() == before);
}
