// NatsState: where a NatsService stands with its broker, and the event that tells of a change.
//
//   disconnected  not started, or after disconnect()
//   connecting    the first tries since start()
//   connected     all is well
//   degraded      connected, but something is wrong: NatsService::reason() says what
//   reconnecting  the connection is lost; tries with a rising wait
//   circuit_open  either those tries are used up, and now there is one each longest wait; or the broker is connected and has
//                 not answered so many requests in a row, and now requests are refused at once
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "events/server_events.h"

namespace ringfence {

enum class NatsState : std::uint8_t { disconnected, connecting, connected, degraded, reconnecting, circuit_open };
inline constexpr std::size_t kNatsStateCount = 6;

std::string_view nats_state_name(NatsState state) noexcept;

struct NatsStateChanged {
  static constexpr std::string_view kName = "nats_state";
  NatsState from = NatsState::disconnected;
  NatsState to = NatsState::disconnected;
  std::string reason;
  std::size_t data_bytes() const noexcept { return detail::texts_bytes({reason.size()}); }
};

}  // namespace ringfence
