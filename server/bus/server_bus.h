// ServerBus: the bus of one server, as its options say: core mode or JetStream, on its NatsService.
//
// Owns     the relay, or the engine and its bridge. Hub, ledger and service outlive it.
// Threads  the constructor: before the first channel and the start of the service. stop(): one thread. The rest: any.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include <ringfence/ledger.h>

#include "bus/core_relay.h"
#include "bus/jetstream_engine.h"
#include "bus/stream_bridge.h"
#include "server_limits.h"

namespace ringfence {

class ServerBus {
 public:
  ServerBus(Hub& hub, Ledger& ledger, NatsService& nats, const Limits& limits);

  // Until it is known whether there is a stream as it must be, or `until`; not where there is no stream. Once connected.
  void wait_looked(std::chrono::steady_clock::time_point until) const;
  // After it nothing is called outside of the bus. Once the shards' threads have ended, before the shards do.
  void stop();
  // One of them is null.
  const CoreRelay* relay() const noexcept { return relay_.get(); }
  const StreamBridge* bridge() const noexcept { return bridge_.get(); }

 private:
  std::shared_ptr<CoreRelay> relay_;
  std::shared_ptr<JetStreamEngine> engine_;
  std::shared_ptr<StreamBridge> bridge_;
};

}  // namespace ringfence
