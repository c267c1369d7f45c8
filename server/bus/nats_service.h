// NatsService: the server's connection to its broker: publishing, requests, subscriptions, and its state.
//
//   NatsService nats(options, ledger, &events);
//   nats.start();
//   NatsSubscription kept = nats.subscribe("ringfence.pub.>", [](NatsMessage& message) { ... }, "back ends").value();
//   nats.publish({.subject = "ringfence.node", .data = "{}"});
//
// It connects by itself, again and again, and makes its subscriptions anew on every connection, before anything else is
// sent on it. What is published while there is no connection waits, within --nats-pending, and goes in order; and behind what
// was subscribed, or ended, before it.
// A handle is one subscription of its own, however many there are on the same subject. Ended = never called again: when
// NatsSubscription::end() or its destructor return, the handler is not running and never will be, unless it is the
// handler itself that ends it.
// Owns     one thread, "the service's": it waits for the socket, makes every call of cnats, and calls every handler.
// Threads  every function: any thread. start, disconnect and the destructor: one thread, not a handler's (INVARIANT).
//          Handlers: the service's thread, one at a time. They may call anything but disconnect(), and do not block: while
//          they run nothing is read or written.
// Bounds   accounts "nats pending" (--nats-pending), "nats incoming" (--nats-incoming: above it the socket is not read, so
//          the broker waits), "nats connection" (cnats's own buffers), "nats requests", "nats subscriptions",
//          "nats dead letters". Nothing is kept anywhere else.
// Cost     publish: a mutex, a move, and a wake if the thread sleeps. subscribe, end: the same.
// Errors   publish, request: overloaded (pending is full, too many requests wait), message_too_large (above the broker's
//          limit, or ours), broker_unavailable (circuit open), bad_field (a subject that is none), shutting_down.
//          An answer: broker_timeout (none came: whether it was done is not known), broker_unavailable (nobody listens there;
//          or the connection was lost before it was sent), broker_refused (the answer is an error; its text is given).
//          subscribe: too_many_subscriptions, bad_field.
//          A handler that throws is logged and counted.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

#include <ringfence/ledger.h>
#include <ringfence/result.h>

#include "bus/nats_message.h"
#include "bus/nats_options.h"
#include "bus/nats_state.h"

struct __natsConnection;

namespace ringfence {

class EventBus;

namespace detail {
class NatsCore;
struct NatsNode;
}  // namespace detail

// A subscription. Move-only; its destructor unsubscribes. It may outlive the service.
class NatsSubscription {
 public:
  NatsSubscription() noexcept = default;
  NatsSubscription(NatsSubscription&& other) noexcept = default;
  NatsSubscription& operator=(NatsSubscription&& other) noexcept;
  ~NatsSubscription() { end(); }
  // Again: nothing.
  void end() noexcept;
  bool active() const noexcept;

 private:
  friend class NatsService;
  NatsSubscription(std::weak_ptr<detail::NatsCore> core, std::shared_ptr<detail::NatsNode> node)
      : core_(std::move(core)), node_(std::move(node)) {}
  std::weak_ptr<detail::NatsCore> core_;
  std::shared_ptr<detail::NatsNode> node_;
};

struct NatsSubscriptionInfo {
  std::string subject, queue, owner;
  bool on_broker = false;  // made on the present connection
  std::uint64_t delivered = 0;
};

struct NatsStats {
  NatsState state = NatsState::disconnected;
  std::string reason;      // why it is not `connected`; empty if it is
  std::string server;      // the URL connected to, without credentials
  std::string last_error;  // the broker's or the system's last words
  std::uint64_t connects = 0, connect_failures = 0, disconnects = 0;
  std::uint64_t published = 0, published_bytes = 0;  // handed to the connection
  std::uint64_t received = 0, received_bytes = 0;
  std::uint64_t refused_overloaded = 0, refused_too_large = 0, refused_unavailable = 0;
  std::uint64_t requests = 0, request_timeouts = 0, request_failures = 0, requests_waiting = 0;
  std::uint64_t pending = 0, pending_bytes = 0, failed_batch = 0, retries = 0;
  std::uint64_t dead_letters = 0, dead_letter_bytes = 0, dead_letters_total = 0, dead_letters_evicted = 0;
  std::uint64_t incoming_bytes = 0, reads_paused = 0;  // estimate of what waits for handlers; how often reading stopped
  std::uint64_t subscriptions = 0, subscribed_total = 0, unsubscribed_total = 0, handler_failures = 0;
  std::uint64_t circuit_opened = 0;
  std::uint64_t max_payload = 0;  // the broker's; 0 before the first connection
  bool headers = false;           // the broker takes headers
};

// What disconnect() left behind.
struct NatsLeft {
  std::size_t subscriptions = 0;  // still there after the unsubscribing
  std::size_t pending = 0;        // messages that were not sent: now dead letters
  std::size_t requests = 0;       // without an answer
  std::size_t sum() const noexcept { return subscriptions + pending + requests; }
};

// The answer to a request. `message` is null where there is an error; `text` is the broker's, if it gave one.
struct NatsAnswer {
  Result<void> result;
  const NatsMessage* message = nullptr;
  std::string text{};
};

// JetStream's answer to a publish.
struct NatsAck {
  Result<std::uint64_t> seq;  // of the stream
  bool duplicate = false;     // the stream had a message with this Nats-Msg-Id
  int code = 0;               // JetStream's err_code, where it refused
  std::string text{};         // and its words
};

class NatsService {
 public:
  using Handler = std::function<void(NatsMessage&)>;
  using AnswerHandler = std::function<void(const NatsAnswer&)>;
  using AckHandler = std::function<void(const NatsAck&)>;
  using StateHandler = std::function<void(NatsState from, NatsState to)>;

  // `options.enabled()`, and checked; ledger and `events` (may be null) outlive the service.
  NatsService(const NatsOptions& options, Ledger& ledger, EventBus* events);
  // Disconnects at once if it is connected.
  ~NatsService();
  NatsService(const NatsService&) = delete;
  NatsService& operator=(const NatsService&) = delete;

  // Begins to connect; returns at once. Also again after disconnect(): subscriptions that are still held are made anew,
  // once each.
  void start();
  // Waits until it is connected; false if that did not come by `until`, or cannot come: refused_credentials().
  bool wait_connected(std::chrono::steady_clock::time_point until);
  // The broker has said that user, password, token or credentials are wrong. It is tried again, as seldom as in
  // circuit_open.
  bool refused_credentials() const;

  // Refuses what is new, logs the active subscriptions, sends what is pending and waits for the broker to have it,
  // unsubscribes all, gives what had come to the handlers, checks that none is left (a warning only then), closes. Ends
  // handles as subscribers see them no more than start() needs: they stay, and are made anew by start().
  NatsLeft disconnect(std::chrono::steady_clock::time_point until, const std::function<bool()>& hastened = {});

  NatsState state() const noexcept;
  std::string reason() const;
  // Called at every change on the service's thread, and not for the present state; before any message of a new connection,
  // but after the subscriptions are made on it. Before start() (INVARIANT).
  void watch_state(StateHandler handler);
  // A reason to be `degraded`, by the name of who says so; empty: it is over. For who uses the service: a stream that is
  // not as it should be.
  void set_degraded(std::string_view who, std::string reason);

  // For who looks after the stream. False: it is not known to be ready, so what it does not answer says nothing about it and
  // does not count for the circuit breaker. True, as at the start: it is, and a circuit that is open is tried at once.
  void set_stream_ready(bool ready);

  // Sent as soon as it can be. `ok` is no promise that anybody got it.
  Result<void> publish(NatsOutgoing message);
  // Calls `answered` once, on the service's thread; 0: --nats-request-timeout-ms.
  Result<void> request(NatsOutgoing message, AnswerHandler answered, std::uint32_t timeout_ms = 0);
  // Publishes to a stream; `acked` is called once, when JetStream has it or has refused it.
  Result<void> publish_acked(NatsOutgoing message, AckHandler acked, std::uint32_t timeout_ms = 0);
  // `queue`: of all who subscribe with this name, one gets each message.
  Result<NatsSubscription> subscribe(std::string subject, Handler handler, std::string_view owner,
                                     std::string queue = {});
  // Ends all of this owner's. Returns how many.
  std::size_t unsubscribe_all(std::string_view owner);
  std::vector<NatsSubscriptionInfo> get_active_subscriptions() const;

  struct DeadLetter {
    NatsOutgoing message;
    std::int64_t died_us = 0;
    std::string reason;
  };
  // What could not be sent, oldest first. Takes them out.
  std::vector<DeadLetter> take_dead_letters(std::size_t count_max);

  NatsStats stats() const;
  const NatsOptions& options() const noexcept;
  // The service's thread.
  boost::asio::any_io_executor executor() const;
  // For calls of cnats that block (the js_ family): from a thread of the caller's own, never from a handler, which would
  // wait for itself. Null while there is no connection.
  std::shared_ptr<__natsConnection> connection() const;

 private:
  const std::shared_ptr<detail::NatsCore> core_;
};

}  // namespace ringfence
