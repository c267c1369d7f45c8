// ClusterView: the servers that share a broker, as each knows of the others, and what they ask of one another.
//
//   <prefix>.node.<name>  every --nats-heartbeat-ms, and at the end: what a server has, for /v1/info
//   <prefix>.ask          disconnect a user; a session that replaces others
//
// A server that was not heard of for three heartbeats is gone. One that has the same name makes both degraded: each of them
// hides the other from all, who take them for one. What they ask of one another is heard all the same.
// Owns     the table of servers, a timer on the service's thread, subscriptions.
// Threads  start, stop: one thread. The rest: any.
// Bounds   --nats-nodes servers besides this one; more are not listed, counted. Account "cluster nodes".
// Errors   none: what is published while the broker is away is lost, and heard again with the next heartbeat.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include <ringfence/ledger.h>

#include "bus/nats_service.h"
#include "events/server_events.h"
#include "realtime/connection.h"

namespace ringfence {

class ConnectionManager;
class Hub;

struct ClusterNode {
  std::string name;
  bool self = false;
  std::uint64_t connections = 0, users = 0, channels = 0, subscriptions = 0, published = 0;
  std::int64_t heard_ms_ago = 0;
};

class ClusterView {
 public:
  static constexpr std::uint64_t kNodeBytes = 512;

  // All outlive it.
  ClusterView(NatsService& nats, EventBus& events, Hub& hub, ConnectionManager& connections, Ledger& ledger);
  ~ClusterView();

  // Once; the service is started.
  void start();
  // Says goodbye. Nothing is called from here on.
  void stop();

  const std::string& name() const noexcept { return name_; }
  // This server first, the others by name.
  std::vector<ClusterNode> nodes() const;
  std::uint64_t not_listed() const;
  // Asks all others to tell this user's connections to go. Returns how many there are to hear it.
  std::size_t disconnect_user(std::string_view user, std::string_view session, const CloseReason& why);

 private:
  struct Heard {
    ClusterNode node;
    std::int64_t at_ms = 0;
  };
  void beat();
  void tell(bool leaving);
  void on_node(NatsMessage& message);
  void on_ask(NatsMessage& message);
  void on_connected(const Connected& event);
  ClusterNode self() const;
  void expire(std::int64_t now_ms);
  void note_namesake(bool leaving);

  NatsService& nats_;
  Hub& hub_;
  ConnectionManager& connections_;
  const std::string name_;
  const std::string run_;  // this life of this server: its name may not be its own
  const std::string node_subject_, ask_subject_;
  const std::int64_t heartbeat_ms_;
  Account account_;
  mutable std::mutex mutex_;
  std::map<std::string, Heard, std::less<>> heard_;  // under mutex_, as is the next
  std::uint64_t not_listed_ = 0;
  boost::asio::steady_timer timer_;  // the service's thread's
  EventOwner owner_;
  EventSubscription connected_;
  NatsSubscription nodes_, asks_;
  std::int64_t namesake_ms_ = 0;  // when another of this name was heard last; 0: none. The service's thread's
  bool running_ = false;
  bool stopped_ = false;  // the service's thread's
};

}  // namespace ringfence
