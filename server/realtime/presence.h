// Presence: who is there, by channel: members with what they say of themselves, and the changes since a version.
//
// A member is a user (or a connection without one); each of its connections joins and leaves, and it is there from the
// first to the last. One whose last connection has ended stays for the grace time, so that a reconnect is no leaving.
// Every change gets a version that rises. Who watches keeps the version it has seen and reads what came behind it, so
// however much comes and goes it costs a watcher no memory: a member stands in it once, with its last change, and of
// those that left the last kLeavesKept are known. Who is further behind reads everybody anew.
// Another server's member is one here too, by one joiner: that server (bus/cluster_presence.h). What happens to the members
// of this server's connections is told to a PresenceListener, numbered in each part of the table.
// Owns     rooms (a channel's members), the inbox of rooms with changes of every shard.
// Threads  every function: any thread. A mutex for each of kStripes parts of the table; inboxes behind it. Events are
//          published outside of it.
// Bounds   the account "presence" is the worst case of: members of a channel by --presence-members, joins of all
//          connections by --presence-members-total, watches by --presence-watches, data by --presence-data-bytes. Full: a
//          member in grace is let go early, counted, else the caller is refused.
// Cost     join, leave: O(1) and a mark for each shard that watches. changes, members: O(what lies behind `after`).
// Errors   join: too_many_members, member_too_large. watch: too_many_subscriptions.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ringfence/ledger.h>
#include <ringfence/ring_buffer.h>

#include "realtime/inbox.h"
#include "realtime/presence_room.h"
#include "server_limits.h"

namespace ringfence {

class EventBus;

// Who joins: a connection, for its user or (empty) for itself. Or another server, for the member that it has there.
struct PresenceWho {
  std::string_view user;
  std::uint64_t connection = 0;
  std::uint64_t server = 0;  // 0: this one; else a number for it, below 2^63 and never used again
  std::string_view node{};   // and its name
};

enum class PresenceEnd : std::uint8_t {
  left,          // asked for, or no longer allowed, or told to go: at once
  disconnected,  // it may come back: after the grace time
};

// A member of this server's connections, as other servers are told of it, or one of theirs.
struct PresenceNews {
  std::string_view channel;
  std::string_view user;         // empty: a connection without one
  std::uint64_t connection = 0;  // then its id
  std::uint64_t count = 0;       // of the changes in its part of the table
  bool gone = false;             // its last connection of that server; else it is there, with
  PresenceEnd end = PresenceEnd::left;
  std::string_view data{};
  PresenceStamp said{};
  std::int64_t since_us = 0;
};

// Called under a mutex of Presence: it does not block, and calls nothing of Presence.
class PresenceListener {
 public:
  virtual void on_presence(unsigned part, const PresenceNews& news) = 0;

 protected:
  ~PresenceListener() = default;
};

// What a reader gets: members as JSON, separated by commas.
struct PresencePage {
  std::string joined;       // there now, with what they say of themselves
  std::string left;         // gone
  PresenceSeen seen;        // where to read on
  std::uint64_t count = 0;  // of all members
  bool whole = false;       // who is in none of the pages from this one on is not there
  bool more = false;        // there is something behind it
};

struct PresenceStats {
  std::uint64_t channels = 0;  // with a member or a watch
  std::uint64_t members = 0;
  std::uint64_t in_grace = 0;
  std::uint64_t joins = 0;  // connections that have joined, servers that have a member, and members in grace
  std::uint64_t watches = 0;
  // Since the start.
  std::uint64_t joined = 0;   // members that came
  std::uint64_t left = 0;     // and went
  std::uint64_t updated = 0;  // said something else of themselves
  std::uint64_t graces_cut = 0;
  std::uint64_t fell_behind = 0;  // reads that had to give everybody anew
};

class Presence {
 public:
  static constexpr std::size_t kStripes = 16;
  static constexpr std::size_t kLeavesKept = 256;  // of each stripe
  // Of the account, for each; checked against what they are where that is known.
  static constexpr std::uint64_t kRoomBytes = 560;
  static constexpr std::uint64_t kJoinBytes = 512;  // with the member, without its data
  static constexpr std::uint64_t kWatchBytes = 384;
  static constexpr std::uint64_t kLeaveBytes = 224;
  static std::uint64_t fixed_bytes(const Limits& limits, unsigned shards) noexcept;  // leaves and inboxes

  // `limits.valid()`; the ledger must outlive it, and so must `events` (null: nobody is told), which gets Joined and Left.
  Presence(const Limits& limits, Ledger& ledger, unsigned shards, EventBus* events);
  ~Presence();

  // This connection joins; it must leave as often. `data`: JSON on one line; none is none for a new member, and no change
  // for one that is there.
  Result<PresenceRoomPtr> join(std::string_view channel, const PresenceWho& who, std::optional<std::string_view> data);
  // Of a connection that has joined: what its member says of itself.
  Result<void> update(PresenceRoom& room, const PresenceWho& who, std::string_view data);
  void leave(PresenceRoom& room, const PresenceWho& who, PresenceEnd end, std::int64_t now_ms);

  // From now on the shard's inbox gets the room after each change.
  Result<PresenceRoomPtr> watch(std::string_view channel, unsigned shard);
  // `last_of_shard`: no other watch of the shard is left.
  void unwatch(PresenceRoom& room, unsigned shard, bool last_of_shard);

  // For a watch: what has changed since what it has seen. Of `bytes_max`, and one member.
  PresencePage changes(PresenceRoom& room, const PresenceSeen& seen, std::size_t bytes_max);
  // For anybody: the members whose last change is behind `after`, in its order; `detailed` as back ends see them.
  PresencePage members(std::string_view channel, std::uint64_t after, std::size_t members_max, std::size_t bytes_max,
                       bool detailed) const;

  // Ends graces. Called by a shard's sweep.
  void sweep(std::int64_t now_ms);

  // Between servers. attach: before the first join; `run` is this run's identity. After detach() it is called no more.
  void attach(PresenceListener& listener, std::uint64_t run);
  void detach();
  // How many changes of a part (of kStripes) have been told.
  std::uint64_t told(unsigned part) const;
  // Gives the members of this server's connections whose last change is behind `after` and not behind `until`, in its order,
  // until `take` says false; under a mutex, as for a listener. Returns told(part) at that time.
  template <typename Take>
  std::uint64_t own_members(unsigned part, std::uint64_t after, std::uint64_t until, Take&& take) const;
  // `who.server` is not 0. The first time for a member; it must leave() as often.
  Result<PresenceRoomPtr> join_elsewhere(const PresenceWho& who, const PresenceNews& news);
  // What its member says there, if that is later than what is known, or it is nowhere else.
  void say_elsewhere(PresenceRoom& room, const PresenceWho& who, const PresenceNews& news);

  PresenceStats stats() const;
  MarkInbox<PresenceRoom>& inbox(unsigned shard) noexcept { return *inboxes_[shard]; }

 private:
  struct Leave {
    PresenceRoom* room = nullptr;  // null once the room is gone
    std::uint64_t version = 0;
    std::string key;
  };
  using Rooms = std::unordered_map<std::string_view, PresenceRoomPtr>;  // by their own names
  struct Stripe {
    mutable std::mutex mutex;
    Rooms rooms;
    PresenceGraceList in_grace;  // in the order in which they left
    RingBuffer<Leave> leaves = RingBuffer<Leave>::create(kLeavesKept).value();
    PresenceOwnSet own;
    std::uint64_t version = 1;  // of the last change
    PresenceStats counts;       // of this stripe
    std::uint64_t told = 0;
  };
  // What who joins says of itself.
  struct Saying {
    std::optional<std::string_view> data;
    PresenceStamp said{};  // time 0: now, here
    std::int64_t since_us = 0;
  };
  struct Outcome {
    Result<PresenceRoomPtr> room = Error::too_many_members;
    bool came = false;      // a member that was not there
    bool no_place = false;  // in all channels together
    std::string cut{};      // who was let go for it
  };
  struct Gone {
    std::string channel;
    std::string key;
  };

  static std::size_t stripe_index(std::string_view channel) noexcept {
    return std::hash<std::string_view>()(channel) % kStripes;
  }
  Stripe& stripe_of(std::string_view channel) noexcept { return stripes_[stripe_index(channel)]; }
  PresenceRoomPtr find_or_create(Stripe& stripe, std::string_view channel);
  void drop_if_unused(Stripe& stripe, PresenceRoom& room);
  void tell(PresenceRoom& room);
  void touch(Stripe& stripe, PresenceRoom& room, PresenceRoom::Members::iterator member);
  bool take_join() noexcept;
  void give_join() noexcept;
  Result<PresenceRoomPtr> enter(std::string_view channel, const PresenceWho& who, const Saying& saying);
  Outcome try_join(std::string_view channel, const PresenceWho& who, const Saying& saying);
  PresenceRoom::Members::iterator add_member(Stripe& stripe, PresenceRoom& room, std::string key,
                                             const PresenceWho& who, const Saying& saying);
  bool say(Stripe& stripe, PresenceRoom::Members::iterator member, std::string_view data, const PresenceStamp& said,
           bool it_alone = false);
  PresenceStamp stamp(const PresenceMember& member, const PresenceStamp& said) const noexcept;
  void tell_here(Stripe& stripe, PresenceMember& member);
  void tell_gone(Stripe& stripe, PresenceMember& member, PresenceEnd end);
  PresenceNews news_of(const PresenceMember& member) const;
  unsigned part_of(const Stripe& stripe) const noexcept { return static_cast<unsigned>(&stripe - stripes_.data()); }
  void forget(Stripe& stripe, PresenceRoom::Members::iterator member);
  std::string cut_grace(Stripe& stripe, PresenceRoom& room);
  bool cut_any_grace();
  Gone let_go(Stripe& stripe, PresenceMember& member);
  template <typename Event>
  void emit(std::string_view channel, std::string_view key);

  const Limits limits_;
  EventBus* const events_;
  Account account_;
  const std::uint64_t join_bytes_;
  std::atomic<std::uint32_t> joins_{0};
  std::atomic<std::uint32_t> watches_{0};
  std::atomic<PresenceListener*> listener_{nullptr};
  std::uint64_t run_ = 0;  // set by attach()
  std::array<Stripe, kStripes> stripes_;
  std::vector<std::unique_ptr<MarkInbox<PresenceRoom>>> inboxes_;
};

template <typename Take>
std::uint64_t Presence::own_members(unsigned part, std::uint64_t after, std::uint64_t until, Take&& take) const {
  const Stripe& stripe = stripes_[part];
  const std::lock_guard lock(stripe.mutex);
  for (auto member = stripe.own.upper_bound(after); member != stripe.own.end() && member->told <= until; ++member)
    if (!take(news_of(*member))) break;
  return stripe.told;
}

}  // namespace ringfence
