// ShardSession: a connection as its shard sees it: something that has cursors, can be told to write, and is looked at
// once a sweep. Subscriber: one such cursor.
//
// Threads  the shard's thread only.
// Bounds   a session is in each of the shard's lists at most once, a subscriber in its session's ready list too.
// Refs     the hooks unlink themselves when their object is destroyed.
#pragma once

#include <cstdint>

#include <boost/intrusive/list.hpp>

namespace ringfence {

class Feed;
struct PresenceFeed;
struct CloseReason;
class ShardSession;

using AutoHook = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

struct Subscriber {
  Subscriber(Feed& its_feed, ShardSession& its_session, std::uint64_t after, std::uint64_t next_position)
      : feed(&its_feed), session(&its_session), cursor(after), position(next_position) {}
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  Feed* feed;
  ShardSession* session;
  std::uint64_t cursor;               // the seq of the last record sent
  std::uint64_t position;             // in the history, of the next one
  std::uint64_t conflated_after = 0;  // with `conflated_to`: skipped records, not yet told; equal: none
  std::uint64_t conflated_to = 0;
  std::uint64_t conflated = 0;  // how many those are
  bool lagging = false;         // records came while a message to its session was on its way
  AutoHook feed_hook;
  AutoHook ready_hook;  // linked: there may be records behind the cursor
};

using SubscriberList =
    boost::intrusive::list<Subscriber, boost::intrusive::constant_time_size<false>,
                           boost::intrusive::member_hook<Subscriber, AutoHook, &Subscriber::feed_hook>>;
// How far somebody knows the members of a channel: what has changed until `version`, and who has left since `since`, when
// the reading of all of them began. Both 0: nothing.
struct PresenceSeen {
  std::uint64_t version = 0;
  std::uint64_t since = 0;
  bool operator==(const PresenceSeen&) const = default;
};

// A session's look at the members of a channel, see presence_watches.h.
struct PresenceWatch {
  PresenceFeed* feed = nullptr;
  ShardSession* session = nullptr;
  PresenceSeen seen;
  AutoHook feed_hook;
  AutoHook ready_hook;  // linked: there may be something behind it
};
using PresenceReadyList =
    boost::intrusive::list<PresenceWatch, boost::intrusive::constant_time_size<false>,
                           boost::intrusive::member_hook<PresenceWatch, AutoHook, &PresenceWatch::ready_hook>>;

using ReadyList = boost::intrusive::list<Subscriber, boost::intrusive::constant_time_size<false>,
                                         boost::intrusive::member_hook<Subscriber, AutoHook, &Subscriber::ready_hook>>;

class ShardSession {
 public:
  ShardSession() = default;
  ShardSession(const ShardSession&) = delete;
  ShardSession& operator=(const ShardSession&) = delete;

  // Starts a write if none is in flight and there is something to send.
  virtual void pump() = 0;
  // Looks at the timeouts. May end the session.
  virtual void sweep(std::int64_t now_ms) = 0;
  // Sends what is pending until `drain_until_ms`, then `closing`, then closes with 1001.
  virtual void shut_down(std::uint32_t retry_after_ms, std::int64_t drain_until_ms) = 0;
  // Sends the replies that wait, then `closing` with the reason, then closes; reset after close_timeout_ms.
  virtual void close(const CloseReason& why) = 0;
  // Ends at once: the socket is reset.
  virtual void abandon() = 0;

  bool writing() const noexcept { return writing_; }

  AutoHook shard_hook;
  AutoHook pump_hook;
  ReadyList ready;
  PresenceReadyList presence_ready;

 protected:
  ~ShardSession() = default;
  bool writing_ = false;
};

using SessionList =
    boost::intrusive::list<ShardSession, boost::intrusive::constant_time_size<false>,
                           boost::intrusive::member_hook<ShardSession, AutoHook, &ShardSession::shard_hook>>;
using PumpList =
    boost::intrusive::list<ShardSession, boost::intrusive::constant_time_size<false>,
                           boost::intrusive::member_hook<ShardSession, AutoHook, &ShardSession::pump_hook>>;

}  // namespace ringfence
