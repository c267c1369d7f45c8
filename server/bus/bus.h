// The seam between the hub and what makes many servers one.
//
// Bus        what the hub asks: where records go that are published here, and how a channel gets those of others.
// BusEngine  what a bus that is ordered by an engine asks of that engine (JetStream; in tests a fake).
//
// Without a bus (the default) the hub numbers its records itself, at once. With one, Bus::numbers() says who does:
//   own     each server numbers for itself, and sends what it has taken to the others (core_relay.h)
//   stream  a publish goes to the engine, is answered when the engine has it, and is in no history before it comes back
//           with its number (stream_bridge.h). Every server holds the same records under the same numbers and epoch.
// Threads  Bus: any. BusEngine: publish and post any, the rest the engine's thread, on which it makes all its calls.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ringfence/result.h>

#include "realtime/channel.h"

namespace ringfence {

// Called once, on any thread, not under a lock of the hub's, with the seq or why there is none: broker_timeout (it is not
// known whether it was taken), broker_refused, broker_unavailable.
using PublishDone = std::function<void(Result<std::uint64_t>)>;
// Called once, on any thread: the channel is here as far as it was asked for; or broker_unavailable.
using Ready = std::function<void(Result<void>)>;

struct BusCount {
  const char* name;  // as in /metrics
  const char* help;
  std::uint64_t value;
};

// What the engine keeps, as it said of itself a moment ago. It lies there, not in this server's memory.
struct EngineUse {
  std::string name, storage;
  std::uint64_t replicas = 0, records = 0, bytes = 0;
  std::uint64_t records_max = 0, channel_records_max = 0, bytes_max = 0, age_max_s = 0;  // 0: no such bound
  std::int64_t at_ms = 0;                                                                // steady_ms(); 0: not said yet
};

class Bus {
 public:
  virtual ~Bus() = default;
  virtual Numbers numbers() const noexcept = 0;

  // Numbers::stream. Not taken, and `done` not called: overloaded, record_too_large, broker_unavailable, …
  virtual Result<void> publish(std::string_view channel, std::string_view type, std::string_view payload,
                               PublishDone done) = 0;
  // Numbers::own: a record that was appended here just now, under the channel's mutex. Does not block.
  virtual void relay(Channel& channel, std::uint64_t seq, std::int64_t time_us, std::string_view type,
                     std::string_view payload) = 0;
  // The channel has its first subscriber here. That it has none any more is looked at by sweep().
  virtual void wanted(const ChannelPtr& channel) = 0;
  // Numbers::stream: `ready` once the channel is not `behind`, and holds `seq` if there is such a record.
  virtual void when_ready(const ChannelPtr& channel, std::uint64_t seq, Ready ready) = 0;
  // About once a --sweep-ms, on any thread.
  virtual void sweep(std::int64_t now_ms) = 0;
  // Channels that are followed now, and what else the bus counts since its start.
  virtual std::uint64_t followed() const noexcept = 0;
  virtual std::vector<BusCount> counts() const = 0;
  // None where no engine keeps anything.
  virtual std::optional<EngineUse> engine_use() const { return std::nullopt; }
};

struct BusRecord {
  std::uint64_t seq = 0;
  std::uint64_t prev_seq =
      0;  // of the record before it on this channel; 0 if there was none, or it had left the stream
  std::int64_t time_us = 0;
  std::string_view type;
  std::string_view payload;
};

struct StreamView {
  std::uint64_t epoch = 0;  // the stream's identity: another one when it was made anew. Not 0
  std::uint64_t first_seq =
      1;  // of the oldest record in the stream, on whatever channel; last_seq + 1 if there is none
  std::uint64_t last_seq = 0;
  std::uint64_t records = 0;      // on the channel that was asked for
  std::uint64_t records_max = 0;  // that it keeps of one channel
};

class BusEngine {
 public:
  class Sink {
   public:
    // Of a channel that is followed. What was published while there was no connection does not come.
    virtual void on_record(std::string_view channel, const BusRecord& record) = 0;
    // There is a connection, perhaps again, and the stream is as it should be. follow() holds over connections.
    virtual void on_connected(const StreamView& stream) = 0;
    virtual void on_disconnected() = 0;

   protected:
    ~Sink() = default;
  };
  using Next = std::function<void(const Result<const BusRecord*>&)>;
  using Looked = std::function<void(const Result<StreamView>&)>;

  virtual ~BusEngine() = default;
  // Any thread. Runs `work` on the engine's thread, soon; drops it once the engine has ended.
  virtual void post(std::function<void()> work) = 0;
  virtual Result<void> publish(std::string_view channel, std::int64_t time_us, std::string_view type,
                               std::string_view payload, PublishDone done) = 0;

  virtual Result<void> follow(std::string_view channel) = 0;
  virtual void unfollow(std::string_view channel) = 0;
  // The first record of the channel with a seq >= `from`; null if the stream has none. Its prev_seq is not given.
  virtual Result<void> next(std::string_view channel, std::uint64_t from, Next answered) = 0;
  virtual Result<void> look(std::string_view channel, Looked answered) = 0;
  // Any thread.
  virtual EngineUse use() const { return {}; }
  virtual std::vector<BusCount> counts() const { return {}; }
};

}  // namespace ringfence
