#include "bus/server_bus.h"

#include "realtime/hub.h"

namespace ringfence {

ServerBus::ServerBus(Hub& hub, Ledger& ledger, NatsService& nats, const Limits& limits) {
  const NatsOptions& options = nats.options();
  if (options.mode == "core") {
    relay_ = CoreRelay::create(hub, ledger, nats, options.interest_ms);
    hub.attach_bus(*relay_);
    return;
  }
  engine_ = JetStreamEngine::create(nats, {.channel_records_max = limits.history_records_max,
                                           .bytes_max = options.stream_bytes,
                                           .age_max_s = limits.history_age_max_s,
                                           .storage = options.storage,
                                           .replicas = options.replicas});
  bridge_ = StreamBridge::create(
      hub, ledger, *engine_,
      {.held_bytes_max = options.held_bytes, .interest_ms = options.interest_ms, .ready_ms = options.ready_ms});
  engine_->attach(bridge_);
  hub.attach_bus(*bridge_);
}

void ServerBus::wait_looked(std::chrono::steady_clock::time_point until) const {
  if (engine_) (void)engine_->wait_looked(until);
}

void ServerBus::stop() {
  if (bridge_) bridge_->stop();
}

}  // namespace ringfence
