// NatsCore: what stands behind a NatsService and its handles. See nats_service.h for what it promises.
//
//   nats_core.cpp          its life: connecting, states, the end
//   nats_core_send.cpp     pending messages, the failed batch, requests and their answers
//   nats_core_receive.cpp  subscriptions, what comes, the handlers
//
// Threads  `mutex_` guards what is marked so; all else belongs to the service's thread. No handler, hook or call of cnats runs
//          under it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bus/circuit_breaker.h"
#include "bus/dead_letters.h"
#include "bus/nats_link.h"
#include "bus/nats_service.h"

struct __natsConnection;
struct __natsSubscription;

namespace ringfence::detail {

class NatsCore;
class NatsInbox;

struct NatsNode {
  std::uint64_t id = 0;
  std::string subject, queue, owner;
  std::uint64_t counted_bytes = 0;
  bool internal = false;  // of the core itself: not told of
  std::atomic<bool> ended{false};
  std::atomic<bool> on_broker{false};
  std::atomic<std::uint64_t> delivered{0};
  // The service's thread; `handler` also whoever ends it, when it does not run.
  NatsService::Handler handler;
  __natsSubscription* raw = nullptr;
};
using NatsNodePtr = std::shared_ptr<NatsNode>;

class NatsCore : public std::enable_shared_from_this<NatsCore> {
 public:
  static constexpr std::uint64_t kSubscriptionBytes = 1024;  // with cnats's own part; names besides
  static constexpr std::uint64_t kPendingBytes = 192;        // of each message, besides its texts
  static constexpr std::uint64_t kRequestBytes = 320;
  static constexpr std::uint64_t kIncomingBytes = 256;  // of each message that waits, besides its texts
  static constexpr std::uint64_t kReadBytes = 32 * 1024;
  static constexpr std::size_t kBatch = 100;

  NatsCore(const NatsOptions& options, Ledger& ledger, EventBus* events);
  ~NatsCore();

  // nats_core.cpp
  void start();
  bool wait_connected(std::chrono::steady_clock::time_point until);
  NatsLeft disconnect(std::chrono::steady_clock::time_point until, const std::function<bool()>& hastened);
  void end();  // for good
  void watch_state(NatsService::StateHandler handler) { watchers_.push_back(std::move(handler)); }
  void set_degraded(std::string_view who, std::string reason);
  void set_stream_ready(bool ready);
  std::string reason() const;
  NatsStats stats() const;
  std::shared_ptr<__natsConnection> connection() const;

  // nats_core_send.cpp
  Result<void> publish(NatsOutgoing message);
  Result<void> request(NatsOutgoing message, NatsService::AnswerHandler answered, std::uint32_t timeout_ms);
  Result<void> publish_acked(NatsOutgoing message, NatsService::AckHandler acked, std::uint32_t timeout_ms);
  std::vector<NatsService::DeadLetter> take_dead_letters(std::size_t count_max);

  // nats_core_receive.cpp
  Result<NatsNodePtr> subscribe(std::string subject, NatsService::Handler handler, std::string_view owner,
                                std::string queue, bool internal = false);
  void end_node(const NatsNodePtr& node);
  std::size_t unsubscribe_all(std::string_view owner);
  std::vector<NatsSubscriptionInfo> active() const;

  const NatsOptions options;
  std::atomic<NatsState> state{NatsState::disconnected};
  std::atomic<bool> refused_credentials{false};
  boost::asio::io_context io{1};

 private:
  friend class NatsInbox;
  struct Pending {
    NatsOutgoing message;
    std::uint64_t request = 0;  // 0: none waits for it
    std::int64_t since_ms = 0;
    std::uint64_t bytes = 0;
  };
  struct Waiting {
    NatsService::AnswerHandler answered;
    std::optional<CircuitBreaker::Ticket> ticket;
    std::multimap<std::int64_t, std::uint64_t>::iterator deadline;
    bool sent = false;
  };

  void probe();
  bool on_thread() const noexcept { return std::this_thread::get_id() == thread_id_.load(); }

  // nats_core.cpp
  void begin();
  void try_connect();
  void connected();
  void connect_failed(std::string why, bool refused);
  void lost(std::string why);
  void wait_and_try(std::uint32_t ms);
  void let_go_of_link();
  std::size_t left_on_broker() const;
  void refresh_state();
  void become(NatsState to, std::string reason);
  void arm_tick();
  void tick();

  // nats_core_send.cpp
  Result<void> check_outgoing(const NatsOutgoing& message) const;
  Result<void> enqueue(NatsOutgoing message, std::uint64_t request);
  Result<void> ask(NatsOutgoing message, NatsService::AnswerHandler answered, std::uint32_t timeout_ms,
                   std::optional<CircuitBreaker::Ticket> ticket);
  void wake_pump();
  void pump();
  bool fill_batch();
  bool give(const Pending& pending, std::string& fault, bool& too_large);
  void done_with_first();
  void bury_first(Error error, std::string reason);
  bool batch_failed(std::string fault);
  void expire_pending(std::int64_t since_ms);
  void expire_requests(std::int64_t now_ms);
  void fail_sent_requests();
  void answer(std::uint64_t request, const NatsAnswer& answer);
  void on_reply(NatsMessage& message);

  // nats_core_receive.cpp
  void work_on_nodes();
  void work_on(const std::vector<NatsNodePtr>& nodes);
  void make_on_broker(const NatsNodePtr& node);
  void take_from_broker(const NatsNodePtr& node, bool unsubscribe);
  void forget_node(const NatsNodePtr& node);
  void drain_inbox();
  void call(const NatsNodePtr& node, NatsMessage& message);
  void note_read();
  std::uint64_t incoming_bytes() const noexcept;
  void watch_incoming();
  void recount_incoming();

  EventBus* const events_;
  Account pending_account_;
  Account incoming_account_;
  Account connection_account_;
  Account requests_account_;
  Account subscriptions_account_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;  // states, an empty queue, a handler that returned
  // Under mutex_:
  bool accepting_ = false;
  std::string reason_, last_error_, server_;
  std::map<std::string, std::string, std::less<>> degraded_by_;
  std::deque<Pending> pending_;
  std::uint64_t pending_texts_ = 0;
  std::size_t under_way_ = 0;  // of the batch
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  std::multimap<std::int64_t, std::uint64_t> deadlines_;
  std::uint64_t next_request_ = 1, next_node_ = 1;
  CircuitBreaker breaker_;
  bool stream_ready_ = true;
  DeadLetters letters_;
  std::map<std::uint64_t, NatsNodePtr> nodes_;  // all that are held, and those that are not off the broker yet
  std::vector<NatsNodePtr> node_work_;
  NatsNode* running_ = nullptr;
  std::shared_ptr<__natsConnection> raw_;
  NatsStats counts_;  // its counters
  bool pump_posted_ = false, work_posted_ = false;

  // The service's thread's:
  std::shared_ptr<NatsLink> link_;
  std::vector<NatsService::StateHandler> watchers_;
  boost::asio::steady_timer reconnect_timer_{io}, tick_timer_{io}, retry_timer_{io}, incoming_timer_{io};
  bool ticking_ = false, wanted_ = false, waits_to_retry_ = false, probing_ = false;
  std::uint32_t tries_ = 0;
  std::chrono::steady_clock::time_point connected_at_;
  std::uint32_t brief_ = 0;  // connections in a row that were lost within reconnect_max_ms
  bool ever_connected_ = false;
  std::deque<Pending> batch_;  // taken from pending_ to be sent now; what could not be is the failed batch
  std::uint32_t batch_tries_ = 0;
  std::shared_ptr<NatsInbox> inbox_;
  // What cnats has read, as it counts: after each read, and how much of it the handlers have had. Messages come in order, so
  // a read is done with when as many were handled.
  struct Read {
    std::uint64_t messages = 0, bytes = 0;
  };
  std::deque<Read> reads_;
  Read read_, done_;
  std::uint64_t handled_ = 0, handled_seen_ = 0;
  std::vector<std::weak_ptr<NatsLink>> links_;  // that may still call
  std::string reply_prefix_;
  NatsNodePtr reply_node_;
  std::mt19937_64 random_;

  std::mutex life_mutex_;  // of start, disconnect and end against one another
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::thread thread_;
  std::atomic<std::thread::id> thread_id_{};
};

}  // namespace ringfence::detail
