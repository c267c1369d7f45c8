// BackEnds: any program that speaks to the broker as a back end (protocol.md, "Back ends over NATS"):
//
//   <prefix>.pub.<channel>  it publishes {"type"?, "data"}; one of the servers takes it, and answers if an answer is wanted
//   <prefix>.in.<type>      it receives what clients publish under the types of --nats-in, with user and connection. What it
//                           answers is published on the same channel: the message's reply subject is <prefix>.pub.<channel>
//
// Who may reach the broker may do this: its accounts and permissions are the authentication.
// Owns     one subscription at the broker, one on the event bus.
// Threads  the constructor, stop and the destructor: one thread. stats: any. It outlives the service's connection.
// Bounds   none of its own: what waits to be sent is the service's ("nats pending"), what a client sends is an event.
// Errors   to a publisher: the codes of POST /v1/publish. A client's message for which there is no room at the broker's door
//          is counted as dropped: it is in its channel, and its sender was told `ok`.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bus/nats_service.h"
#include "events/server_events.h"

namespace ringfence {

class Hub;

class BackEnds {
 public:
  using Done = std::function<void(Result<std::uint64_t>)>;
  // Publishes on a channel; calls `done` once, on any thread, unless it returns an error.
  using Publish =
      std::function<Result<void>(std::string_view channel, std::string_view type, std::string_view data, Done done)>;
  struct Stats {
    std::uint64_t published = 0, refused = 0;  // by back ends
    std::uint64_t forwarded = 0, dropped = 0;  // clients' messages to them
  };

  // All outlive it, and so does what `publish` needs.
  BackEnds(NatsService& nats, EventBus& events, Publish publish, std::uint32_t json_depth_max);

  // Neither hears anything from here on; answers to what was taken are still sent.
  void stop();
  Stats stats() const noexcept;

 private:
  void on_publish(NatsMessage& message);
  void answer(const std::string& reply, std::string body);
  void forward(const ClientMessage& message);

  NatsService& nats_;
  const Publish publish_;
  const std::uint32_t json_depth_max_;
  const std::string pub_, in_;  // the subjects' beginnings
  std::atomic<std::uint64_t> published_{0}, refused_{0}, forwarded_{0}, dropped_{0};
  EventOwner owner_;
  EventSubscription messages_;
  NatsSubscription publishes_;
};

}  // namespace ringfence
