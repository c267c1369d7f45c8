// ClusterPresence: the members of all servers that share a broker, in the Presence of each.
//
//   <prefix>.presence.<name>     what a server tells of its own members: that one is there and what it says, that it has gone;
//                                and every --nats-heartbeat-ms how many changes it has told
//   <prefix>.presence-of.<name>  asks it for all of them, in pages
//
// A server tells of a member once, however many connections it has there, numbered in each part of its table. Who receives
// them lets that server join for its member (Presence::join_elsewhere), so a member is there from the first join to the last
// anywhere. A number that is missing, at the next change or the next heartbeat, and a server that was not known, are mended
// by asking for the part anew: what is told is where things are, so nothing is told twice to who watches. Nothing is sent while
// the broker is away: the numbers tell the others.
// A server that was not heard for three heartbeats, says goodbye, or has begun anew under its name, has all its members
// disconnected: users have the grace time to be somewhere else.
// Owns     the table of servers and of what each has joined, a timer on the service's thread, subscriptions.
// Threads  start, stop: one thread. on_presence: any, under a mutex of Presence. stats: any. The rest: the service's.
// Bounds   members by Presence, as those here; what has no place is counted, and asked for again every kRetryBeats
//          heartbeats. --nats-nodes servers; of more nothing is heard, counted. Account "cluster presence". One question a
//          server waits for its answer; a page has at most kPageBytes.
// Cost     a change: its text, and NatsService::publish, which does not block.
// Errors   none: counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include <ringfence/ledger.h>

#include "bus/nats_service.h"
#include "bus/presence_wire.h"
#include "realtime/presence.h"

namespace ringfence {

struct ClusterPresenceStats {
  std::uint64_t servers = 0;  // that are heard
  std::uint64_t members = 0;  // of theirs that are here, each for each server
  // Since the start.
  std::uint64_t sent = 0;
  std::uint64_t not_sent = 0;         // no broker, or no room: the others ask
  std::uint64_t received = 0;         // changes
  std::uint64_t lost = 0;             // changes that did not come
  std::uint64_t asked = 0;            // parts asked for
  std::uint64_t pages = 0;            // that others asked for
  std::uint64_t refused = 0;          // members for which there was no place
  std::uint64_t bad = 0;              // messages that are none
  std::uint64_t servers_ended = 0;    // silent, or begun anew
  std::uint64_t servers_refused = 0;  // heartbeats of servers above --nats-nodes
};

class ClusterPresence final : public PresenceListener {
 public:
  static constexpr std::size_t kPageBytes = 64 * 1024;
  static constexpr std::size_t kPartsMax = 64;  // of another server's table
  static constexpr std::uint64_t kRetryBeats = 10;
  // Of the account, for each.
  static constexpr std::uint64_t kServerBytes = 8 * 1024;
  static constexpr std::uint64_t kJoinBytes = 448;

  // Before the first join and the start of the service. All outlive it.
  ClusterPresence(NatsService& nats, Presence& presence, Ledger& ledger, const Limits& limits);
  ~ClusterPresence();

  // Once; the service is started.
  void start();
  // Says goodbye, and lets the others' members go. Nothing is called from here on.
  void stop();

  void on_presence(unsigned part, const PresenceNews& news) override;
  ClusterPresenceStats stats() const noexcept;

 private:
  // A member that another server has joined.
  struct Joined {
    PresenceRoomPtr room;
    std::uint64_t connection = 0;  // of a member without a user
    std::uint64_t count = 0;       // of its last change
    std::uint64_t round = 0;       // of the part, in which it was heard of
  };
  using JoinedTable = std::unordered_map<std::string, Joined>;
  struct Part {
    JoinedTable joined;       // by key and channel
    std::uint64_t count = 0;  // of the last change heard, or told by a page
    std::uint64_t round = 0;  // of asking
    bool sure = false;        // nothing is missing
    bool again = false;       // something was lost while it was being asked for
    bool refused = false;     // members had no place
  };
  struct Peer {
    std::string name;
    std::uint64_t run = 0;
    std::uint64_t number = 0;  // of its joins
    std::int64_t heard_ms = 0;
    std::vector<Part> parts;
    // The page that is asked for.
    bool asking = false;
    std::size_t part = 0;
    std::uint64_t after = 0, until = 0;
    bool first = true;
    unsigned stale = 0;  // pages older than what was heard since
  };
  // What handlers hold that may be called when this is gone.
  struct Life {
    std::atomic<bool> started{false};
    std::atomic<bool> over{false};
  };
  using Peers = std::unordered_map<std::uint64_t, Peer>;  // by run

  void beat();
  void tell(bool leaving);
  void expire(std::int64_t now_ms);
  std::size_t payload_max() const;

  void on_message(const NatsMessage& message);
  void on_beat(Peers::iterator peer, const nlohmann::json& counts);
  Peers::iterator meet(std::string_view name, std::uint64_t run, std::size_t parts);
  void end_peer(Peers::iterator peer);
  void on_change(Peer& peer, const nlohmann::json& body);
  void take(Peer& peer, Part& part, const PresenceNews& news);
  void join(Peer& peer, Part& part, std::string key, const PresenceNews& news);
  void leave(Peer& peer, Part& part, JoinedTable::iterator joined, PresenceEnd end);

  void ask_next(Peer& peer);
  void ask(Peer& peer);
  void on_page(std::uint64_t run, std::uint64_t number, const NatsAnswer& answer);
  bool take_page(Peer& peer, const nlohmann::json& body);
  void end_round(Peer& peer);
  void on_ask(const NatsMessage& message);

  NatsService& nats_;
  Presence& presence_;
  const std::string name_;
  const std::string subject_, ask_subject_;
  const std::int64_t heartbeat_ms_;
  const std::uint32_t data_bytes_max_, json_depth_max_;
  const std::uint64_t run_;
  const std::string run_text_;
  Account account_;
  const std::shared_ptr<Life> life_ = std::make_shared<Life>();
  // The service's thread's.
  Peers peers_;
  std::uint64_t next_number_ = 1;
  std::uint64_t beats_ = 0;
  boost::asio::steady_timer timer_;
  NatsSubscription messages_, asks_;
  struct Counters {
    std::atomic<std::uint64_t> servers{0}, members{0}, sent{0}, not_sent{0}, received{0}, lost{0}, asked{0}, pages{0},
        refused{0}, bad{0}, servers_ended{0}, servers_refused{0};
  } counters_;
};

}  // namespace ringfence
