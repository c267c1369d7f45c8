// ConnectionManager: who is connected: connections by id, users with their sessions, and who may come in.
//
// A user may have several connections. A handshake that names another session than the user's has replaces it: the
// connections of the old one are closed with 1000 `session_replaced` before the new one is accepted; the same session,
// or none, is added. A user whose last connection has ended is kept for the grace time, so that a reconnect is no
// leaving. Ids of connections, users and sessions are 64-bit numbers from 1 that are never used again.
// Owns     the tables, the ids of closed connections, the windows of attempts.
// Threads  every function: any thread. Handlers given to it run on the connection's own thread.
// Bounds   connections by --connections (their slots are the hub's); users, those in grace included, by --users: then the
//          one that left first is let go early, counted, else too_many_users. Connections of a user by
//          --user-connections. Closed ids by --closed-ids, windows of attempts by --attempt-windows, which forget the
//          one that is longest unused first, counted. Accounts "users", "closed ids", "attempt windows".
// Cost     admit, remove: O(connections of the user). is_closed, find, stats: O(1). sweep: O(users that leave).
// Errors   admit: too_many_user_connections, too_many_users. attempt: the milliseconds to wait.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ringfence/ledger.h>
#include <ringfence/lru_cache.h>
#include <ringfence/recent_id_set.h>

#include "realtime/connection.h"
#include "realtime/rate_limiter.h"
#include "server_limits.h"

namespace ringfence {

struct ConnectionStats {
  std::uint64_t connections = 0;  // admitted and not ended
  std::uint64_t users = 0;        // with a connection
  std::uint64_t users_in_grace = 0;
  std::uint64_t anonymous = 0;  // connections without a user
  std::uint64_t unhealthy = 0;
  std::uint64_t orphans = 0;  // entries that no session stands behind: a leak of ours
  std::uint64_t closed_recently = 0;
  std::uint64_t attempt_windows = 0;
  // Since the start.
  std::uint64_t admitted = 0;
  std::uint64_t replaced = 0;      // closed for another session of their user
  std::uint64_t disconnected = 0;  // closed by disconnect()
  std::uint64_t graces_ended = 0;
  std::uint64_t graces_cut = 0;  // for want of room
  std::uint64_t attempts_refused = 0;
  std::uint64_t attempt_windows_evicted = 0;
};

// One connection, for the endpoints. Times in microseconds since 1970-01-01.
struct ConnectionInfo {
  std::uint64_t id = 0, user_id = 0, session_id = 0;
  std::string user, session, address;
  std::int64_t established_us = 0, last_seen_us = 0;
  bool healthy = true, back_end = false;
  std::uint32_t subscriptions = 0;
  std::uint64_t messages = 0, rate_limited = 0;
};

class ConnectionManager {
 public:
  static constexpr std::uint64_t kUserBytesMax = 768;                                 // of the "users" account
  static constexpr std::uint64_t kAttemptKeyBytesMax = Identity::kNameBytesMax + 32;  // of "attempt windows"

  ConnectionManager(const Limits& limits, Ledger& ledger);
  ~ConnectionManager();

  // May this user (empty: anonymous) try to connect from this address (empty: not counted)? 0, or the milliseconds to
  // wait. Each attempt counts for both.
  std::uint32_t attempt(std::string_view user, std::string_view address, std::int64_t now_ms);

  // Enters a connection. Those it replaces are told to go at once; when_ready() says when they are gone.
  Result<ConnectionPtr> admit(std::uint64_t id, IdentityPtr identity, std::string address, Executor executor);
  // Calls `ready` at once, or later on the connection's thread. Not at all if the connection ends before.
  void when_ready(const ConnectionPtr& connection, std::function<void()> ready);
  // Its end, by its session, on the session's thread. Marks the id as closed.
  void remove(const ConnectionPtr& connection, std::int64_t now_ms);

  // Tells connections to go with this reason; returns how many. `session` empty: all of the user's.
  std::size_t disconnect_user(std::string_view user, std::string_view session, const CloseReason& why);
  bool disconnect(std::uint64_t connection_id, const CloseReason& why);

  // For another server, where a session of this user has begun: tells connections of other sessions to go, but those
  // established at `before_us` or later. Returns how many.
  std::size_t replace_sessions(std::string_view user, std::string_view session, std::int64_t before_us);

  void mark_closed(std::uint64_t connection_id);
  bool is_closed(std::uint64_t connection_id) const;

  // Ends graces. Called by a shard's sweep. Returns how many.
  std::size_t sweep(std::int64_t now_ms);
  // The same, and forgets the ids of closed connections, and the windows of attempts that are over.
  struct Cleaned {
    std::size_t users = 0, closed_ids = 0, attempt_windows = 0;
  };
  Cleaned clean_up(std::int64_t now_ms);

  ConnectionStats stats() const;
  // The user's connections, oldest first; empty if it has none. `known`, if given: true also for a user in grace.
  std::vector<ConnectionInfo> connections_of(std::string_view user, bool* known = nullptr) const;
  std::optional<ConnectionInfo> find(std::uint64_t connection_id) const;
  // True while the user has a connection, or is in grace.
  bool is_present(std::string_view user) const;

 private:
  struct User;
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>()(name); }
  };
  using Users = std::unordered_map<std::string, std::unique_ptr<User>, NameHash, std::equal_to<>>;
  using AttemptWindows = LruCache<std::string, RateLimiter>;

  User* find_user(std::string_view name) const;
  Result<User*> find_or_create_user(const std::string& name);
  Result<void> enter(Connection& connection, const Identity& who);
  bool waits(const Connection& connection) const;
  void tell_to_go(const ConnectionPtr& connection, const CloseReason& why);
  void forget(User& user);
  static ConnectionInfo info(const Connection& connection);

  const Limits limits_;
  Account users_account_;
  Account closed_account_;
  Account attempts_account_;

  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, ConnectionPtr> connections_;
  Users users_;
  std::list<User*> in_grace_;  // in the order in which they left
  RecentIdSet closed_ids_;
  std::uint64_t next_user_id_ = 1;
  std::uint64_t next_session_id_ = 1;
  std::uint64_t anonymous_ = 0;
  ConnectionStats counts_;  // what counts since the start
  ConnectionTallies tallies_;

  mutable std::mutex attempts_mutex_;
  mutable AttemptWindows attempts_;
  std::uint64_t attempts_refused_ = 0;
};

}  // namespace ringfence
