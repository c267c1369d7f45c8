#include "realtime/connection_manager.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

#include "realtime/clock.h"
#include "realtime/shard_session.h"

namespace ringfence {

// A user that is connected, or in grace.
struct ConnectionManager::User {
  std::uint64_t id = 0;
  std::string name;
  std::uint64_t session_id = 0;
  std::string session;
  std::vector<ConnectionPtr> connections;  // oldest first; those told to go too, until they are gone
  std::int64_t left_at_ms = 0;
  std::list<User*>::iterator grace;  // valid while connections is empty
};

ConnectionManager::ConnectionManager(const Limits& limits, Ledger& ledger)
    : limits_(limits),
      users_account_(ledger.open("users", std::uint64_t{limits.users_max} * kUserBytesMax).value()),
      closed_account_(
          ledger.open("closed ids", RecentIdSet::create(limits.closed_ids_max).value().memory_bytes()).value()),
      attempts_account_(ledger
                            .open("attempt windows", AttemptWindows::memory_bytes(limits.attempt_windows_max) +
                                                         limits.attempt_windows_max * kAttemptKeyBytesMax)
                            .value()),
      closed_ids_(RecentIdSet::create(limits.closed_ids_max).value()),
      attempts_(AttemptWindows::create({.entries = limits.attempt_windows_max,
                                        .cost = LruLimits::kAnyCost,
                                        .ttl_ms = std::int64_t{limits.attempts_window_s} * 1000})
                    .value()) {
  static_assert(sizeof(User) + 2 * Identity::kNameBytesMax + 160 <= kUserBytesMax);
  INVARIANT(closed_account_.try_add(closed_account_.capacity_bytes()));  // taken for good
  INVARIANT(attempts_account_.try_add(attempts_account_.capacity_bytes()));
}

ConnectionManager::~ConnectionManager() {
  INVARIANT(connections_.empty());
  users_account_.sub(users_.size() * kUserBytesMax);
}

// --- Coming in

Result<ConnectionPtr> ConnectionManager::admit(std::uint64_t id, IdentityPtr identity, std::string address,
                                               Executor executor) {
  auto connection = std::make_shared<Connection>(id, std::move(identity), std::move(address), std::move(executor));
  const Identity& who = *connection->identity;
  connection->established_us = wall_us();
  connection->last_seen_us = connection->established_us;
  const std::lock_guard lock(mutex_);
  if (who.user.empty()) {
    ++anonymous_;
  } else {
    const auto entered = enter(*connection, who);
    if (!entered) return entered.error();
  }
  if (!who.user.empty()) find_user(who.user)->connections.push_back(connection);
  connections_.emplace(id, connection);
  connection->tallies_ = &tallies_;
  ++counts_.admitted;
  return connection;
}

// The user's part of admit(): under the mutex, before the connection is in any table.
Result<void> ConnectionManager::enter(Connection& connection, const Identity& who) {
  const auto found = find_or_create_user(who.user);
  if (!found) return found.error();
  User& user = **found;
  const bool replaces = !who.session.empty() && !user.session.empty() && user.session != who.session;
  const auto staying = replaces ? 0
                                : std::count_if(user.connections.begin(), user.connections.end(),
                                                [](const auto& held) { return !held->leaving_; });
  if (staying >= limits_.user_connections_max) return Error::too_many_user_connections;
  if (user.connections.empty() && user.left_at_ms != 0) {
    in_grace_.erase(user.grace);
    user.left_at_ms = 0;
  }
  if (replaces) {
    for (const ConnectionPtr& held : user.connections) {
      if (held->leaving_) continue;
      tell_to_go(held, {1000, std::string(kSessionReplaced), false});
      ++counts_.replaced;
    }
  }
  if (!who.session.empty() && user.session != who.session) {
    user.session = who.session;
    user.session_id = next_session_id_++;
  }
  connection.user_id = user.id;
  if (!who.session.empty()) connection.session_id = user.session_id;
  return {};
}

ConnectionManager::User* ConnectionManager::find_user(std::string_view name) const {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : found->second.get();
}

Result<ConnectionManager::User*> ConnectionManager::find_or_create_user(const std::string& name) {
  if (User* const user = find_user(name)) return user;
  if (!users_account_.try_add(kUserBytesMax)) {
    if (in_grace_.empty()) return Error::too_many_users;
    ++counts_.graces_cut;
    forget(*in_grace_.front());
    INVARIANT(users_account_.try_add(kUserBytesMax));
  }
  auto user = std::make_unique<User>();
  user->id = next_user_id_++;
  user->name = name;
  return users_.emplace(name, std::move(user)).first->second.get();
}

void ConnectionManager::when_ready(const ConnectionPtr& connection, std::function<void()> ready) {
  {
    const std::lock_guard lock(mutex_);
    if (waits(*connection)) {
      connection->ready_ = std::move(ready);
      return;
    }
  }
  ready();
}

// Those of the user that were told to go before this one came: ids rise with time.
bool ConnectionManager::waits(const Connection& connection) const {
  const User* const user = find_user(connection.identity->user);
  return user && std::any_of(user->connections.begin(), user->connections.end(),
                             [&](const auto& other) { return other->leaving_ && other->id < connection.id; });
}

// --- Going

void ConnectionManager::remove(const ConnectionPtr& connection, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  if (connections_.erase(connection->id) == 0) return;
  closed_ids_.insert(connection->id);
  connection->ready_ = nullptr;
  connection->set_healthy(true);
  if (connection->attached_.exchange(false)) tallies_.attached.fetch_sub(1);
  connection->tallies_ = nullptr;
  const std::string& name = connection->identity->user;
  if (name.empty()) {
    --anonymous_;
    return;
  }
  User& user = *find_user(name);
  std::erase(user.connections, connection);
  if (user.connections.empty()) {
    user.left_at_ms = std::max<std::int64_t>(1, now_ms);
    user.grace = in_grace_.insert(in_grace_.end(), &user);
    return;
  }
  for (const ConnectionPtr& other : user.connections)
    if (other->ready_ && !waits(*other)) boost::asio::post(other->executor, std::exchange(other->ready_, nullptr));
}

// Posted under the mutex: while its entry is in the table, the connection's shard is alive.
void ConnectionManager::tell_to_go(const ConnectionPtr& connection, const CloseReason& why) {
  connection->leaving_ = true;
  boost::asio::post(connection->executor, [connection, why] {
    if (connection->session) connection->session->close(why);
  });
}

std::size_t ConnectionManager::disconnect_user(std::string_view name, std::string_view session,
                                               const CloseReason& why) {
  const std::lock_guard lock(mutex_);
  User* const user = find_user(name);
  if (!user) return 0;
  std::size_t told = 0;
  for (const ConnectionPtr& held : user->connections) {
    if (held->leaving_ || (!session.empty() && held->identity->session != session)) continue;
    tell_to_go(held, why);
    ++told;
  }
  counts_.disconnected += told;
  return told;
}

bool ConnectionManager::disconnect(std::uint64_t connection_id, const CloseReason& why) {
  const std::lock_guard lock(mutex_);
  const auto found = connections_.find(connection_id);
  if (found == connections_.end() || found->second->leaving_) return false;
  tell_to_go(found->second, why);
  ++counts_.disconnected;
  return true;
}

std::size_t ConnectionManager::replace_sessions(std::string_view name, std::string_view session,
                                                std::int64_t before_us) {
  const std::lock_guard lock(mutex_);
  User* const user = find_user(name);
  if (!user) return 0;
  std::size_t told = 0;
  for (const ConnectionPtr& held : user->connections) {
    const std::string& its = held->identity->session;
    if (held->leaving_ || its.empty() || its == session || held->established_us >= before_us) continue;
    tell_to_go(held, {1000, "session_replaced", false});
    ++told;
  }
  counts_.replaced += told;
  return told;
}

void ConnectionManager::mark_closed(std::uint64_t connection_id) {
  const std::lock_guard lock(mutex_);
  closed_ids_.insert(connection_id);
}

bool ConnectionManager::is_closed(std::uint64_t connection_id) const {
  const std::lock_guard lock(mutex_);
  return closed_ids_.contains(connection_id);
}

std::size_t ConnectionManager::sweep(std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  std::size_t users = 0;
  for (; !in_grace_.empty() && now_ms - in_grace_.front()->left_at_ms >= limits_.grace_ms; ++users) {
    ++counts_.graces_ended;
    forget(*in_grace_.front());
  }
  return users;
}

ConnectionManager::Cleaned ConnectionManager::clean_up(std::int64_t now_ms) {
  Cleaned cleaned;
  cleaned.users = sweep(now_ms);
  {
    const std::lock_guard lock(mutex_);
    cleaned.closed_ids = closed_ids_.size();
    closed_ids_ = RecentIdSet::create(limits_.closed_ids_max).value();
  }
  const std::lock_guard lock(attempts_mutex_);
  cleaned.attempt_windows = attempts_.expire(now_ms);
  return cleaned;
}

// A user in grace.
void ConnectionManager::forget(User& user) {
  in_grace_.erase(user.grace);
  users_account_.sub(kUserBytesMax);
  users_.erase(user.name);
}

// --- Attempts

std::uint32_t ConnectionManager::attempt(std::string_view user, std::string_view address, std::int64_t now_ms) {
  std::uint32_t wait_ms = 0;
  const std::lock_guard lock(attempts_mutex_);
  const auto take = [&](char kind, std::string_view name, std::uint32_t count) {
    if (name.empty()) return;
    std::string key(1, kind);
    key += name;
    const Rate rate{count, limits_.attempts_window_s * 1000};
    const RateLimiter* const held = attempts_.get(key, now_ms);
    RateLimiter limiter = held ? *held : RateLimiter();
    wait_ms = std::max(wait_ms, limiter.take(now_ms, rate));
    INVARIANT(attempts_.put(std::move(key), limiter, now_ms).ok());  // as if never used once its time to live is over
  };
  take('u', user, limits_.user_attempts);
  take('a', address, limits_.address_attempts);
  if (wait_ms > 0) ++attempts_refused_;
  return wait_ms;
}

// --- Looking

ConnectionStats ConnectionManager::stats() const {
  ConnectionStats stats;
  {
    const std::lock_guard lock(mutex_);
    stats = counts_;
    stats.connections = connections_.size();
    stats.users = users_.size() - in_grace_.size();
    stats.users_in_grace = in_grace_.size();
    stats.anonymous = anonymous_;
    stats.closed_recently = closed_ids_.size();
    stats.unhealthy = tallies_.unhealthy.load(std::memory_order_relaxed);
    stats.orphans = stats.connections - tallies_.attached.load(std::memory_order_relaxed);
  }
  const std::lock_guard lock(attempts_mutex_);
  stats.attempt_windows = attempts_.size(steady_ms());
  stats.attempt_windows_evicted = attempts_.stats(steady_ms()).evictions;
  stats.attempts_refused = attempts_refused_;
  return stats;
}

ConnectionInfo ConnectionManager::info(const Connection& connection) {
  const Identity& who = *connection.identity;
  return {.id = connection.id,
          .user_id = connection.user_id,
          .session_id = connection.session_id,
          .user = who.user,
          .session = who.session,
          .address = connection.address,
          .established_us = connection.established_us,
          .last_seen_us = connection.last_seen_us.load(std::memory_order_relaxed),
          .healthy = connection.healthy(),
          .back_end = who.back_end,
          .subscriptions = connection.subscriptions.load(std::memory_order_relaxed),
          .messages = connection.messages.load(std::memory_order_relaxed),
          .rate_limited = connection.rate_limited.load(std::memory_order_relaxed)};
}

std::vector<ConnectionInfo> ConnectionManager::connections_of(std::string_view name, bool* known) const {
  std::vector<ConnectionInfo> all;
  const std::lock_guard lock(mutex_);
  const User* const user = find_user(name);
  if (known) *known = user != nullptr;
  if (user)
    for (const ConnectionPtr& connection : user->connections) all.push_back(info(*connection));
  return all;
}

std::optional<ConnectionInfo> ConnectionManager::find(std::uint64_t connection_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = connections_.find(connection_id);
  if (found == connections_.end()) return std::nullopt;
  return info(*found->second);
}

bool ConnectionManager::is_present(std::string_view user) const {
  const std::lock_guard lock(mutex_);
  return find_user(user) != nullptr;
}

}  // namespace ringfence
