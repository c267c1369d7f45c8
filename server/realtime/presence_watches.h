// PresenceWatches: the watches of presence of one shard.
//
// A watch is a version, as a subscriber is a cursor: what it has not seen is read when its session can write, as texts
// shared by all who have seen as much. So a slow reader costs what it is being sent, and no more.
// Owns     a feed for each room that is watched here; texts read since the last flush, kTextsHeld of them.
// Threads  the shard's thread only.
// Bounds   Presence's; texts lie in record memory, at most limits.frame_bytes and one member each.
// Errors   start: too_many_subscriptions. text: null if there is no record memory for it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <ringfence/segment_pool.h>

#include "realtime/presence.h"
#include "realtime/shard_session.h"

namespace ringfence {

class Hub;
// One or two messages, `leave` then `join`, or `presence` alone: what is new to who has seen `before`.
struct PresenceText : boost::intrusive_ref_counter<PresenceText, boost::thread_unsafe_counter> {
  PresenceRoomPtr room;
  PresenceSeen before;
  PresenceSeen after;
  bool more = false;
  SegmentRef segment;              // null: nothing has changed
  std::uint32_t first_bytes = 0;   // of the first message
  std::uint32_t second_bytes = 0;  // of the other; 0: there is none
};
using PresenceTextPtr = boost::intrusive_ptr<PresenceText>;

using PresenceWatchList =
    boost::intrusive::list<PresenceWatch, boost::intrusive::constant_time_size<false>,
                           boost::intrusive::member_hook<PresenceWatch, AutoHook, &PresenceWatch::feed_hook>>;

struct PresenceFeed {
  explicit PresenceFeed(PresenceRoomPtr its_room) : room(std::move(its_room)) {}
  PresenceRoomPtr room;
  PresenceWatchList watches;
};

class PresenceWatches {
 public:
  PresenceWatches(Presence& presence, Hub& hub, unsigned shard);

  Presence& presence() noexcept { return presence_; }
  MarkInbox<PresenceRoom>& inbox() noexcept { return presence_.inbox(shard_); }

  // The session watches; it must stop() before it ends.
  Result<std::unique_ptr<PresenceWatch>> start(std::string_view channel, ShardSession& session);
  void stop(PresenceWatch& watch);

  // Marks the watches of the rooms in the inbox as ready, and puts their sessions, if they are not writing, into `to_pump`.
  void flush(PumpList& to_pump);
  void drop_texts() noexcept;

  // What is new to the watch; it has seen that then.
  PresenceTextPtr take(PresenceWatch& watch);

 private:
  static constexpr std::size_t kTextsHeld = 8;

  PresenceTextPtr read(PresenceRoom& room, const PresenceSeen& seen);

  Presence& presence_;
  Hub& hub_;
  const unsigned shard_;
  std::unordered_map<PresenceRoom*, std::unique_ptr<PresenceFeed>> feeds_;
  std::vector<PresenceRoomPtr> taken_;
  std::array<PresenceTextPtr, kTextsHeld> texts_;
  std::size_t next_text_ = 0;
};

}  // namespace ringfence
