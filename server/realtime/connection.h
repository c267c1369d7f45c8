// Connection: what the server knows of one WebSocket connection, as others than its own thread may read it.
//
// Made by ConnectionManager::admit(), held by its session until it ends, and by whoever looks at it.
// Owns     plain values; the session is not owned.
// Threads  what is const: any. The atomics, attach() and set_healthy(): written by the session's thread, read by any.
//          `session`: the session's thread only, null before it begins and once it has ended.
// Bounds   names of at most Identity::kNameBytesMax bytes; within Hub::kConnectionBytesMax.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "auth/identity.h"
#include "net/socket.h"

namespace ringfence {

class ShardSession;

// Why the server ends a connection: told in `closing`, then in the close frame.
struct CloseReason {
  std::uint16_t code = 1000;  // RFC 6455, section 7.4
  std::string reason;         // a word of protocol.md, "closing"; at most 100 bytes
  bool reconnect = true;      // false: the client should not come back by itself
};

// Another session of the user has taken the place of this one.
inline constexpr std::string_view kSessionReplaced = "session_replaced";

// Of all connections of a manager together, so that nobody has to walk them.
struct ConnectionTallies {
  std::atomic<std::uint64_t> attached{0};
  std::atomic<std::uint64_t> unhealthy{0};
};

class Connection {
 public:
  Connection(std::uint64_t connection_id, IdentityPtr its_identity, std::string its_address, Executor its_executor)
      : id(connection_id),
        identity(std::move(its_identity)),
        address(std::move(its_address)),
        executor(std::move(its_executor)) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const std::uint64_t id;
  const IdentityPtr identity;  // as at the handshake; a refresh changes rights, never user or session
  const std::string address;
  const Executor executor;       // of its shard
  std::uint64_t user_id = 0;     // 0: anonymous. These three are set by admit() before anybody else sees them.
  std::uint64_t session_id = 0;  // 0: none named
  std::int64_t established_us = 0;

  std::atomic<std::int64_t> last_seen_us{0};  // when anything was heard, pongs included; to within a sweep
  std::atomic<std::uint32_t> subscriptions{0};
  std::atomic<std::uint64_t> messages{0};  // from the client
  std::atomic<std::uint64_t> rate_limited{0};

  ShardSession* session = nullptr;

  // A session stands behind it, until ConnectionManager::remove().
  void attach() noexcept {
    if (!tallies_ || attached_.exchange(true, std::memory_order_relaxed)) return;
    tallies_->attached.fetch_add(1, std::memory_order_relaxed);
  }
  // False: it does not answer a ping, or takes nothing of what is written.
  void set_healthy(bool healthy) noexcept {
    if (!tallies_ || healthy_.exchange(healthy, std::memory_order_relaxed) == healthy) return;
    tallies_->unhealthy.fetch_add(healthy ? std::uint64_t(-1) : 1, std::memory_order_relaxed);
  }
  bool healthy() const noexcept { return healthy_.load(std::memory_order_relaxed); }
  bool attached() const noexcept { return attached_.load(std::memory_order_relaxed); }

 private:
  friend class ConnectionManager;
  std::atomic<bool> healthy_{true};
  std::atomic<bool> attached_{false};
  ConnectionTallies* tallies_ = nullptr;  // from admit() to remove(), both on the session's thread
  bool leaving_ = false;                  // replaced or told to go; under the manager's mutex, as is the rest
  std::function<void()> ready_;           // called once those that this one replaces are gone
};

using ConnectionPtr = std::shared_ptr<Connection>;

}  // namespace ringfence
