// Hub: what all threads of the server share: the memory of records, the channels by name, the ledger's accounts and
// the counters. Every shard reads and writes channels through it.
//
// Owns     the SegmentPool, the channel table, the inbox of every shard. Outlives shards, sessions and channels.
// Threads  every public function: any thread, also one that runs no shard.
// Bounds   accounts of the Ledger, opened by the constructor: "record memory", "inbound messages", "connections",
//          "channels", "subscriptions", "feeds", "shard inboxes". Full: the caller is refused, counted.
// Cost     publish: a lookup under a shared stripe lock, one copy under the channel's mutex, and for each interested
//          shard an atomic flag; a shard is woken only on the flag's rise.
// Errors   publish: bad_channel, bad_type, record_too_large, too_many_channels, overloaded. Each counted by refused().
//          With a bus whose engine numbers (bus/bus.h) also broker_unavailable, broker_timeout, broker_refused.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <ringfence/ledger.h>
#include <ringfence/segment_pool.h>

#include "server_limits.h"
#include "realtime/channel.h"
#include "realtime/channel_policy.h"
#include "realtime/inbox.h"

namespace ringfence {

class Bus;
class EventBus;
class Hub;
class LastValues;

// The right to be one of the --connections; given back by the destructor. Its id is never used again.
class ConnectionSlot {
 public:
  ConnectionSlot(ConnectionSlot&& other) noexcept;
  ConnectionSlot& operator=(ConnectionSlot&& other) noexcept;
  ~ConnectionSlot();
  std::uint64_t id() const noexcept { return id_; }

 private:
  friend class Hub;
  ConnectionSlot(Hub& hub, std::uint64_t id) : hub_(&hub), id_(id) {}
  Hub* hub_;
  std::uint64_t id_;
};

struct HubStats {
  std::uint64_t connections = 0;
  std::uint64_t connections_total = 0;  // since the start
  std::uint64_t channels = 0;
  std::uint64_t subscriptions = 0;
  std::uint64_t published = 0;
  std::uint64_t delivered = 0;        // records handed to sockets, all subscribers together
  std::uint64_t delivered_bytes = 0;  // of the messages that carried them
  std::uint64_t messages = 0;         // that carried them
  std::uint64_t flushes = 0;
  std::uint64_t gaps = 0;              // told
  std::uint64_t missed = 0;            // records that those gaps were
  std::uint64_t resumes_exact = 0;     // nothing missed
  std::uint64_t resumes_missed = 0;    // told how many records
  std::uint64_t resumes_unknown = 0;   // of another epoch, or where that cannot be counted
  std::uint64_t waits_for_memory = 0;  // a JSON text had to wait for record memory
  std::uint64_t stalled_closed = 0;
  std::uint64_t dead_closed = 0;
  std::uint64_t idle_closed = 0;
  std::uint64_t unfinished_closed = 0;  // a message had not arrived whole in its time
  std::uint64_t errors_closed = 0;      // too_many_errors
  std::uint64_t auth_closed = 0;        // an expired token, a key that was taken away
  std::uint64_t slow_closed = 0;        // too_slow
  std::uint64_t conflated = 0;          // records that subscribers of `conflate` channels were spared
  std::uint64_t invalid_utf8 = 0;
  std::array<std::uint64_t, kErrorCount> refused{};  // by Error
};

class Hub {
 public:
  static constexpr unsigned kShardsMax = 64;
  static constexpr std::uint32_t kOverloadedRetryMs = 250;
  // What the "connections" account counts for each: more than a WebSocket session with all of its replies, buffers and
  // cuts can take (checked where that is known), and the bound for an HTTP session.
  static constexpr std::uint64_t kConnectionBytesMax = 24 * 1024;
  static constexpr std::uint64_t kSubscriberBytes = 128;  // of the "subscriptions" account, with its place in a list
  static constexpr std::uint64_t kFeedBytes = 192;        // of the "feeds" account, with its node in a map
  static constexpr std::int64_t kPressureMs = 2'000;
  static constexpr int kReclaimAttempts = 3;

  // Of one reclaiming or sweep: so many channels are told of in an Evicted each, the others together in one.
  static constexpr std::size_t kEvictionsToldMax = 64;

  // `limits.valid()` and 0 < shards <= kShardsMax (INVARIANT); the ledger must outlive the hub, and so must `events`,
  // which gets Published and Evicted, outside of every lock of the hub.
  Hub(const Limits& limits, Ledger& ledger, unsigned shards, EventBus* events = nullptr);
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;
  ~Hub();

  // Before the first channel. `last_values`: null if no policy conflates, else it must outlive the hub.
  void set_policies(ChannelPolicies policies, LastValues* last_values);

  // Appends to the channel's history under the server's time and wakes the shards with subscribers. Returns the seq.
  // `payload_json` is one JSON value in UTF-8 without line breaks; the caller has checked it (protocol/json.h).
  // With a bus whose engine numbers it waits for the engine, kEngineWaitMs at most, then broker_timeout.
  Result<std::uint64_t> publish(std::string_view channel, std::string_view type, std::string_view payload_json);
  // The same without waiting: `done` is called once, on any thread or before this returns; refused: not at all.
  using PublishDone = std::function<void(Result<std::uint64_t>)>;
  Result<void> publish_later(std::string_view channel, std::string_view type, std::string_view payload_json,
                             PublishDone done);
  static constexpr std::int64_t kEngineWaitMs = 1'000;
  // Several, in order, without waiting: `done` is called once, with a result for each, on any thread or before this returns.
  struct Event {
    std::string_view channel, type, payload_json;
  };
  using AllDone = std::function<void(std::vector<Result<std::uint64_t>>)>;
  void publish_all(const std::vector<Event>& events, AllDone done);

  // Empty at --connections, counted. For every accepted socket, HTTP or WebSocket.
  std::optional<ConnectionSlot> try_connect();

  HubStats stats() const;
  const Limits& limits() const noexcept { return limits_; }
  SegmentPool& pool() noexcept { return pool_; }

  // What joins this server to others; it outlives the shards. Once, before the first channel.
  void attach_bus(Bus& bus);
  const Bus* bus() const noexcept { return bus_; }  // null: one server for itself
  Numbers numbers() const noexcept { return numbers_; }
  // Numbers::stream: calls `ready` once the channel is here up to `seq` (bus/bus.h); Numbers::own: at once.
  void when_ready(const ChannelPtr& channel, std::uint64_t seq, std::function<void(Result<void>)> ready);
  // The same of a channel by its name, which is made if it is not there, and with what is in it now: too_many_channels.
  void when_readable(std::string_view channel, std::function<void(Result<void>)> ready);

  // What follows is for Shard and the sessions.

  class Evictions;  // hub_evictions.h: for whoever expires a history

  // The channel, created if it is not there: too_many_channels. Its `forgotten` must be looked at under its mutex.
  Result<ChannelPtr> find_or_create(std::string_view name);
  ChannelPtr find(std::string_view name);
  // The names that match a pattern (auth/identity.h) and come behind `after`, in order, `names_max` at most. Looks at all
  // channels, each stripe of the table under its shared lock in turn: a publish is not held up, but to create one.
  std::vector<std::string> channel_names(std::string_view pattern, std::string_view after = {},
                                         std::size_t names_max = std::numeric_limits<std::size_t>::max()) const;
  // Record memory, taken from the oldest records of channels if need be; empty if readers hold all of it.
  SegmentRef acquire(std::uint64_t allocated_bytes);
  // True if record memory was refused within the last two seconds: slow readers have to go.
  bool under_pressure() const noexcept;
  // Expires by age, and forgets idle channels, in this shard's part of the table. Looks at `channels_max` at most. Returns
  // how many were forgotten.
  std::size_t sweep_channels(unsigned shard, std::size_t channels_max);
  void count_refused(Error error) noexcept;
  LastValues* last_values() noexcept { return last_values_; }
  // The channel has its first subscriber. Not under its mutex.
  void wanted(const ChannelPtr& channel);

  // What follows is for the bus.

  // Appends what comes from elsewhere: under its own seq, or with 0 under the next. record_too_large, overloaded,
  // no_such_channel (it was forgotten). Does not count as use of the channel.
  Result<std::uint64_t> append_at(Channel& channel, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                                  std::string_view payload);
  // Records up to `seq` are lost, or so many: readers are told.
  void lose_to(Channel& channel, std::uint64_t seq);
  void lose(Channel& channel, std::uint64_t count);
  // Of an empty channel: what the stream had up to `seq` is not known here.
  void begin_at(Channel& channel, std::uint64_t seq);
  // The first one; another one, with which every history begins anew and `on_epoch` is called.
  void set_stream_epoch(std::uint64_t epoch);
  void begin_stream_epoch(std::uint64_t epoch);
  std::uint64_t random_epoch();
  void on_stream_epoch(std::function<void()> callback) { on_epoch_ = std::move(callback); }  // before the bus begins

  Inbox& inbox(unsigned shard) noexcept { return *inboxes_[shard]; }
  unsigned shards() const noexcept { return static_cast<unsigned>(inboxes_.size()); }
  Account& subscriptions() noexcept { return subscriptions_; }
  Account& feeds() noexcept { return feeds_; }
  Account& inbound() noexcept { return inbound_; }

 private:
  friend class ConnectionSlot;
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>()(name); }
    std::size_t operator()(const ChannelPtr& channel) const noexcept { return (*this)(channel->name()); }
  };
  struct NameEqual {
    using is_transparent = void;
    bool operator()(const ChannelPtr& a, const ChannelPtr& b) const noexcept { return a->name() == b->name(); }
    bool operator()(const ChannelPtr& a, std::string_view b) const noexcept { return a->name() == b; }
    bool operator()(std::string_view a, const ChannelPtr& b) const noexcept { return a == b->name(); }
  };
  using Table = std::unordered_set<ChannelPtr, NameHash, NameEqual>;
  struct Stripe {
    mutable std::shared_mutex mutex;
    Table channels;
    std::size_t sweep_bucket = 0;  // under `mutex`
  };
  static constexpr std::size_t kStripes = 64;

  Stripe& stripe_of(std::string_view name) noexcept;
  void mark(Channel& channel, std::uint64_t shards);
  void keep_last(const Channel& channel, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                 std::string_view payload);
  template <typename Put>
  Result<std::uint64_t> append_with(Channel& channel, std::string_view type, std::size_t payload_bytes, Put put);
  Result<std::uint64_t> append(Channel& channel, std::string_view type, std::string_view payload);
  Result<std::uint64_t> publish_and_wait(std::string_view channel, std::string_view type, std::string_view payload);
  // Evicts oldest segments until `bytes` are free, or a bounded look found nothing more to take.
  void reclaim(std::uint64_t bytes);
  void reclaim_pass(std::uint64_t free_bytes, std::uint64_t spared_bytes, Evictions& evictions);
  void tell_published(const Channel& channel, std::string_view type, std::uint64_t seq, std::size_t bytes);
  std::uint64_t free_bytes() const noexcept { return pool_.capacity_bytes() - pool_.used_bytes(); }
  void note_pressure() noexcept;
  std::size_t sweep_stripe(Stripe& stripe, std::size_t channels_max, std::int64_t now_us, std::int64_t now_ms,
                           Evictions& evictions);

  Limits limits_;
  EventBus* const events_;
  ChannelPolicies policies_;
  LastValues* last_values_ = nullptr;
  SegmentPool pool_;
  Account inbound_;
  Account connections_;
  Account channels_;
  Account subscriptions_;
  Account feeds_;
  Account inbox_memory_;
  std::array<Stripe, kStripes> stripes_;
  std::vector<std::unique_ptr<Inbox>> inboxes_;

  std::mutex reclaim_mutex_;  // one thread reclaims at a time
  std::size_t hand_stripe_ = 0;
  std::size_t hand_bucket_ = 0;

  std::atomic<std::uint64_t> next_connection_id_{1};
  std::atomic<std::uint32_t> next_channel_id_{1};
  std::atomic<std::uint64_t> next_epoch_;
  Bus* bus_ = nullptr;
  Numbers numbers_ = Numbers::own;
  std::atomic<std::uint64_t> stream_epoch_{0};
  std::function<void()> on_epoch_;
  std::atomic<std::uint64_t> connections_total_{0};
  std::atomic<std::uint64_t> published_{0};
  std::atomic<std::int64_t> pressure_at_ms_;
  std::array<std::atomic<std::uint64_t>, kErrorCount> refused_{};
};

}  // namespace ringfence
