// PresenceRoom: the members of one channel, in the order of their last changes. PresenceMember: one of them.
//
// Owns     its members. Counted references: Presence's table, inboxes, the sessions that have joined or watch.
// Threads  Presence's: all but name() and the marks under the mutex of the room's stripe.
// Bounds   Presence's; a room gives its share back to the account "presence" when the last reference goes.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/intrusive/set.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <ringfence/ledger.h>

#include "realtime/inbox.h"
#include "realtime/shard_marks.h"
#include "realtime/shard_session.h"

namespace ringfence {

class PresenceRoom;
using PresenceRoomPtr = boost::intrusive_ptr<PresenceRoom>;

// When a member's data was said, and at which server: of two that were said at once the later holds, everywhere.
struct PresenceStamp {
  std::int64_t time_us = 0;
  std::uint64_t run = 0;
  friend bool operator<(const PresenceStamp& a, const PresenceStamp& b) noexcept {
    return a.time_us != b.time_us ? a.time_us < b.time_us : a.run < b.run;
  }
};

struct PresenceMember {
  std::string key;                         // see presence_key()
  std::string data;                        // JSON, empty if none
  std::vector<std::uint64_t> connections;  // that have joined, and other servers where it is; empty: in grace
  PresenceRoom* room = nullptr;
  std::uint64_t version = 0;  // of its last change
  std::int64_t since_us = 0;
  std::int64_t left_at_ms = 0;
  AutoHook grace_hook;
  // Between servers: of its last change here that was told, 0 if none was.
  std::uint64_t told = 0;
  PresenceStamp said{};
  bool adopted = false;  // what it says was said at another server, and not yet told by this one
  boost::intrusive::set_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> own_hook;
};

using PresenceGraceList =
    boost::intrusive::list<PresenceMember, boost::intrusive::constant_time_size<false>,
                           boost::intrusive::member_hook<PresenceMember, AutoHook, &PresenceMember::grace_hook>>;

// Those of a stripe that have a connection at this server, in the order in which they were told.
struct PresenceTold {
  using type = std::uint64_t;
  std::uint64_t operator()(const PresenceMember& member) const noexcept { return member.told; }
};
using PresenceOwnSet = boost::intrusive::set<
    PresenceMember, boost::intrusive::key_of_value<PresenceTold>, boost::intrusive::constant_time_size<false>,
    boost::intrusive::member_hook<PresenceMember, decltype(PresenceMember::own_hook), &PresenceMember::own_hook>>;

class PresenceRoom : public boost::intrusive_ref_counter<PresenceRoom, boost::thread_safe_counter> {
 public:
  using Members = std::list<PresenceMember>;  // by version, rising

  // Takes over `bytes` of the account.
  PresenceRoom(std::string_view name, Account& account, std::uint64_t bytes)
      : name_(name), account_(account), bytes_(bytes) {}
  ~PresenceRoom() { account_.sub(bytes_); }

  const std::string& name() const noexcept { return name_; }
  bool mark(unsigned shard) noexcept { return marks_.rise(shard); }
  void take_mark(unsigned shard) noexcept { marks_.take(shard); }

  Members members;
  std::unordered_map<std::string_view, Members::iterator> by_key;
  std::uint64_t watching_shards = 0;  // a bit each
  std::uint32_t watches = 0;
  std::uint32_t leaves_kept = 0;   // of the stripe's, those of this room
  std::uint64_t lost_version = 0;  // of the last leave that is known no more

 private:
  const std::string name_;
  Account& account_;
  const std::uint64_t bytes_;
  ShardMarks marks_;
};

// The name under which a member stands: the user's, or for a connection without one its id behind a control character,
// which no name has; of another server's with that server's name (17@two).
inline constexpr char kPresenceNoUser = '\x01';
std::string presence_key(std::string_view user, std::uint64_t connection, std::string_view node = {});
// Appends {"user":"ann" or {"connection":"17", without the end.
void append_presence_key(std::string& out, std::string_view key);

}  // namespace ringfence
