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

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <ringfence/ledger.h>

#include "realtime/inbox.h"
#include "realtime/shard_marks.h"
#include "realtime/shard_session.h"

namespace ringfence {

class PresenceRoom;
using PresenceRoomPtr = boost::intrusive_ptr<PresenceRoom>;

struct PresenceMember {
  std::string key;                         // see presence_key()
  std::string data;                        // JSON, empty if none
  std::vector<std::uint64_t> connections;  // that have joined; empty: in grace
  PresenceRoom* room = nullptr;
  std::uint64_t version = 0;  // of its last change
  std::int64_t since_us = 0;
  std::int64_t left_at_ms = 0;
  AutoHook grace_hook;
};

using PresenceGraceList =
    boost::intrusive::list<PresenceMember, boost::intrusive::constant_time_size<false>,
                           boost::intrusive::member_hook<PresenceMember, AutoHook, &PresenceMember::grace_hook>>;

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
// which no name has.
std::string presence_key(std::string_view user, std::uint64_t connection);
// Appends {"user":"ann" or {"connection":"17", without the end.
void append_presence_key(std::string& out, std::string_view key);

}  // namespace ringfence
