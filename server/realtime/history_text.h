// history_text(): the answer to a `history` request (protocol.md), rendered once into record memory: for the op of a
// WebSocket and for GET /v1/history.
//
// Owns     nothing; the caller holds the segment until the text is sent.
// Threads  any. The channel's mutex is held while its slices are looked up, not while they are rendered.
// Bounds   limits.frame_bytes of events (or one event), in the pool's account.
// Errors   no_such_channel, seq_in_future; overloaded if record memory is full.
#pragma once

#include <string_view>

#include "protocol/request.h"
#include "realtime/hub.h"

namespace ringfence {

class EventBus;

struct HistoryText {
  SegmentRef segment;
  std::uint32_t bytes = 0;
  std::string_view view() const noexcept { return {reinterpret_cast<const char*>(segment->data()), bytes}; }
};

// `events` may be null: then what expires along is told to nobody.
Result<HistoryText> history_text(Hub& hub, EventBus* events, const Request& request);

}  // namespace ringfence
