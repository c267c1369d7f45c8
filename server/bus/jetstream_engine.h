// JetStreamEngine: the engine of a StreamBridge that is a JetStream stream.
//
// The stream takes <prefix>.stream.in.> and publishes each message again on <prefix>.stream.out.>, with its number and the
// number of the one before it on its subject. A followed channel is one plain subscription to the latter; a filling asks
// for one record after another by direct get. A message's data is a record as record.h makes it, with a seq of 1.
// Whoever comes first makes the stream, from the limits of its options; who finds one checks it. A bound that differs is
// taken as it is, and told once in the log; what the order rests on must be as it is here, or nothing is served from it. It is
// looked at again every --nats-heartbeat-ms: for what it holds, and because somebody may have changed it or made it anew.
// A direct get or a look that is not answered is asked again, kAsksMax times in all, after 250 ms, then twice as long each
// time; whichever answer comes first is taken. For a stream that was just made, or found another leader, does not hear for a while,
// and says nothing.
// Owns     a subscription for each followed channel, a timer for each question that waits.
// Threads  see BusEngine; the engine's thread is that of the NatsService. wait_looked(): any other.
// Bounds   those of the NatsService: --nats-subscriptions, --nats-requests, --nats-pending.
// Errors   as NatsService: publish broker_timeout where it is not known whether the stream took it. What is wrong with the
//          stream is a reason for NatsService to be degraded, and is looked at again every kRetry; until it is mended a publish
//          is broker_unavailable: nobody would be served from it.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include "bus/bus.h"
#include "bus/nats_service.h"

namespace ringfence {

struct StreamSettings {
  std::uint64_t channel_records_max = 1'000;
  std::uint64_t bytes_max = 1ull << 30;
  std::uint64_t age_max_s = 86'400;
  std::string storage = "file";  // or memory
  std::uint32_t replicas = 1;
};

class JetStreamEngine final : public BusEngine, public std::enable_shared_from_this<JetStreamEngine> {
 public:
  static constexpr std::chrono::milliseconds kRetry{1'000};
  static constexpr std::chrono::milliseconds kUnfinished{20};
  static constexpr std::uint32_t kAskAgainMinMs = 250;
  static constexpr unsigned kAsksMax = 5;
  static constexpr unsigned kOverlapsMax = 10;  // that may be of this stream, while another server makes it

  // The service outlives it. Before its start().
  static std::shared_ptr<JetStreamEngine> create(NatsService& nats, const StreamSettings& settings);
  // From here the sink is called. Before the start of the service.
  void attach(std::shared_ptr<Sink> sink);

  void post(std::function<void()> work) override;
  Result<void> publish(std::string_view channel, std::int64_t time_us, std::string_view type, std::string_view payload,
                       PublishDone done) override;
  Result<void> follow(std::string_view channel) override;
  void unfollow(std::string_view channel) override;
  Result<void> next(std::string_view channel, std::uint64_t from, Next answered) override;
  Result<void> look(std::string_view channel, Looked answered) override;
  EngineUse use() const override;
  std::vector<BusCount> counts() const override;
  // Until the stream was looked at on this connection, and taken or found wrong; false if that did not come by `until`.
  bool wait_looked(std::chrono::steady_clock::time_point until) const;

  const std::string& stream() const noexcept { return stream_; }

 private:
  // A question to the stream, sent more than once if need be.
  struct Question {
    Question(NatsService& nats) : again(nats.executor()) {}
    NatsOutgoing message;
    NatsService::AnswerHandler answered;  // null: it was
    unsigned asked = 0, waiting = 0;
    bool armed = false;
    boost::asio::steady_timer again;
  };
  using QuestionPtr = std::shared_ptr<Question>;

  JetStreamEngine(NatsService& nats, const StreamSettings& settings);

  Result<void> ask(NatsOutgoing message, NatsService::AnswerHandler answered);
  Result<void> send(const QuestionPtr& question);
  void arm(const QuestionPtr& question);
  void take(const QuestionPtr& question, const NatsAnswer& answer);
  void note_looked(bool looked);
  void note_ack(const NatsAck& ack);
  void on_state(NatsState to);
  void look_for_stream();
  void make_stream();
  void take_stream(std::string_view info);
  void wrong(std::string reason);
  void lose_stream();
  void look_later();
  void look_again(std::chrono::milliseconds wait);
  void on_message(const std::string& channel, NatsMessage& message);
  std::string in_subject(std::string_view channel) const;

  NatsService& nats_;
  const StreamSettings settings_;
  const std::string prefix_;
  const std::string stream_;
  std::shared_ptr<Sink> sink_;
  std::unordered_map<std::string, NatsSubscription> followed_;
  std::unique_ptr<boost::asio::steady_timer> retry_;
  std::unique_ptr<boost::asio::steady_timer> look_;
  bool connected_ = false;
  bool checked_ = false;  // the stream, on this connection
  std::uint64_t epoch_ = 0;
  bool told_bounds_ = false;
  unsigned overlaps_ = 0;           // in a row, as it was to be made
  bool refuses_ = false;            // what is published
  std::atomic<bool> wrong_{false};  // the stream
  std::atomic<std::uint64_t> asked_again_{0}, bad_{0};
  mutable std::mutex mutex_;
  // Under it:
  EngineUse use_;
  bool looked_ = false;
  mutable std::condition_variable changed_;
};

}  // namespace ringfence
