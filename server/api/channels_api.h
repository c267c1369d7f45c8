// Looking at channels over HTTP, for back ends (protocol.md, "HTTP for back ends"):
//
//   GET /v1/history?channel=&after=&limit=&epoch=  the answer of the `history` op
//   GET /v1/channels?pattern=&after=&limit=        names in order, a page at a time, with what each holds
//   GET /v1/presence?channel=&after=&limit=        who is there, a page at a time
//   GET /v1/info                                   the server, its limits and its totals; with a broker, all servers
//
// Threads  any. A page locks each of its channels once, for a look at its numbers; no lock is held over several.
// Bounds   history, presence: limits.frame_bytes; a page: kPageMax channels or members.
// Errors   bad_field, missing_field, bad_channel, no_such_channel, seq_in_future, overloaded. Over JetStream /v1/history waits
//          for its channel to be here: broker_unavailable, too_many_channels.
#pragma once

#include <chrono>

#include "api/router.h"
#include "options.h"
#include "protocol/request.h"
#include "realtime/hub.h"
#include "realtime/presence.h"

namespace ringfence {

class ClusterView;

class ChannelsApi {
 public:
  static constexpr std::size_t kPageMax = 1'000;
  static constexpr std::size_t kPageDefault = 100;

  // `events` and `cluster` may be null; all outlive it.
  ChannelsApi(Hub& hub, const Presence& presence, EventBus* events, const ClusterView* cluster, const Options& options)
      : hub_(hub), presence_(presence), events_(events), cluster_(cluster), options_(options) {}

  void add_routes(Router& router);

 private:
  void history(const ApiRequest& request, const ApiDone& done);
  // What is asked for, or why it is not answered.
  static std::optional<ApiResponse> history_asked(const ApiRequest& request, Request& asked);
  ApiResponse channels(const ApiRequest& request);
  ApiResponse presence(const ApiRequest& request) const;
  ApiResponse info() const;

  Hub& hub_;
  const Presence& presence_;
  EventBus* const events_;
  const ClusterView* const cluster_;
  const Options& options_;
};

}  // namespace ringfence
