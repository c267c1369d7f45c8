#include "bus/nats_state.h"

namespace ringfence {

std::string_view nats_state_name(NatsState state) noexcept {
  switch (state) {
    case NatsState::disconnected: return "disconnected";
    case NatsState::connecting: return "connecting";
    case NatsState::connected: return "connected";
    case NatsState::degraded: return "degraded";
    case NatsState::reconnecting: return "reconnecting";
    case NatsState::circuit_open: return "circuit_open";
  }
  return "disconnected";
}

}  // namespace ringfence
