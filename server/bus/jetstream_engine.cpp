#include "bus/jetstream_engine.h"

#include <charconv>
#include <utility>

#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include <ringfence/record.h>

#include "bus/bus_record.h"
#include "bus/jetstream_config.h"
#include "bus/subjects.h"
#include "log.h"
#include "realtime/clock.h"

namespace ringfence {
namespace {

using Json = nlohmann::json;

constexpr int kNoStream = 10059;   // JetStream's err_code
constexpr int kNameTaken = 10058;  // another server was faster
constexpr int kOverlaps = 10065;   // with another stream, or with this one as another server is just making it
constexpr std::string_view kWho = "stream";
constexpr std::string_view kPublishes = "publishes";

std::optional<std::uint64_t> number_of(std::optional<std::string_view> text) {
  std::uint64_t value = 0;
  if (!text) return std::nullopt;
  const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || stop != text->data() + text->size()) return std::nullopt;
  return value;
}

// What was published, or nothing: then it was not one of us.
std::optional<BusRecord> record_of(std::string_view data) {
  const auto record = read_bus_record(data);
  if (!record) return std::nullopt;
  return BusRecord{0, 0, record->time_us, record->type, record->payload};
}

}  // namespace

std::shared_ptr<JetStreamEngine> JetStreamEngine::create(NatsService& nats, const StreamSettings& settings) {
  std::shared_ptr<JetStreamEngine> engine(new JetStreamEngine(nats, settings));
  nats.watch_state([weak = std::weak_ptr(engine)](NatsState, NatsState to) {
    if (const auto its = weak.lock()) its->on_state(to);
  });
  nats.set_stream_ready(false);
  return engine;
}

JetStreamEngine::JetStreamEngine(NatsService& nats, const StreamSettings& settings)
    : nats_(nats),
      settings_(settings),
      prefix_(nats.options().prefix),
      stream_(stream_name(prefix_)),
      retry_(std::make_unique<boost::asio::steady_timer>(nats.executor())),
      look_(std::make_unique<boost::asio::steady_timer>(nats.executor())) {}

void JetStreamEngine::attach(std::shared_ptr<Sink> sink) { sink_ = std::move(sink); }

void JetStreamEngine::post(std::function<void()> work) { boost::asio::post(nats_.executor(), std::move(work)); }

std::string JetStreamEngine::in_subject(std::string_view channel) const {
  return prefix_ + ".stream.in." + channel_token(channel);
}

Result<void> JetStreamEngine::publish(std::string_view channel, std::int64_t time_us, std::string_view type,
                                      std::string_view payload, PublishDone done) {
  if (wrong_) return Error::broker_unavailable;
  NatsOutgoing message;
  message.subject = in_subject(channel);
  message.data.resize(record_stride_bytes(type.size(), payload.size()));
  encode_record(reinterpret_cast<std::byte*>(message.data.data()), 1, time_us, type, payload);
  return nats_.publish_acked(std::move(message), [self = weak_from_this(), done = std::move(done)](const NatsAck& ack) {
    if (const auto engine = self.lock()) engine->note_ack(ack);
    done(ack.seq);
  });
}

// --- The engine's thread

// A stream that says no to what it should take is told of, until it takes one.
void JetStreamEngine::note_ack(const NatsAck& ack) {
  if (ack.seq.ok() ? !refuses_ : refuses_ || ack.seq.error() != Error::broker_refused) return;
  refuses_ = !ack.seq.ok();
  nats_.set_degraded(kPublishes, refuses_ ? "the stream " + stream_ + " refuses them: " + ack.text : std::string());
}

void JetStreamEngine::on_state(NatsState to) {
  const bool connected = to == NatsState::connected || to == NatsState::degraded;
  if (std::exchange(connected_, connected) == connected) return;
  if (connected) return look_for_stream();
  retry_->cancel();
  look_->cancel();
  wrong_ = false;  // it is not known any more; what is published waits for the connection
  note_looked(false);
  lose_stream();
}

void JetStreamEngine::lose_stream() {
  if (!std::exchange(checked_, false)) return;
  nats_.set_stream_ready(false);
  if (sink_) sink_->on_disconnected();
}

void JetStreamEngine::note_looked(bool looked) {
  {
    const std::lock_guard lock(mutex_);
    looked_ = looked;
  }
  changed_.notify_all();
}

bool JetStreamEngine::wait_looked(std::chrono::steady_clock::time_point until) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, until, [this] { return looked_; });
}

void JetStreamEngine::look_later() {
  look_->expires_after(std::chrono::milliseconds(nats_.options().heartbeat_ms));
  look_->async_wait([self = weak_from_this()](const boost::system::error_code& error) {
    const auto engine = self.lock();
    if (!error && engine && engine->checked_) engine->look_for_stream();
  });
}

void JetStreamEngine::look_for_stream() {
  if (!nats_.stats().headers) return wrong("the broker has its headers switched off, which carry the order of records");
  const auto asked = nats_.request({.subject = "$JS.API.STREAM.INFO." + stream_, .data = {}},
                                   [self = weak_from_this()](const NatsAnswer& answer) {
                                     const auto engine = self.lock();
                                     if (!engine || !engine->connected_) return;
                                     // Once is no reason to doubt it: a connection that is lost tells.
                                     if (!answer.result && engine->checked_) return engine->look_later();
                                     if (!answer.result) {
                                       return engine->wrong(answer.result.error() == Error::broker_unavailable
                                                                ? "the broker has no JetStream; start it with -js, or "
                                                                  "use --nats-mode core"
                                                                : "JetStream does not answer");
                                     }
                                     engine->take_stream(answer.message->data());
                                   });
  if (asked) return;
  if (checked_) return look_later();
  wrong("JetStream could not be asked");
}

void JetStreamEngine::make_stream() {
  const auto asked = nats_.request(
      {.subject = "$JS.API.STREAM.CREATE." + stream_, .data = stream_config(stream_, prefix_, settings_)},
      [self = weak_from_this()](const NatsAnswer& answer) {
        const auto engine = self.lock();
        if (!engine || !engine->connected_) return;
        if (!answer.result) return engine->wrong("JetStream does not answer");
        const auto body = Json::parse(answer.message->data(), nullptr, false);
        const auto code = error_code_of(body);
        if (code == kNameTaken) return engine->look_for_stream();
        if (code == kOverlaps && ++engine->overlaps_ <= kOverlapsMax) return engine->look_again(kUnfinished);
        if (code != 0)
          return engine->wrong("the stream " + engine->stream_ + " cannot be made: " + error_text_of(body));
        logger("bus")->info("made the stream {}", engine->stream_);
        engine->look_for_stream();
      });
  if (!asked) wrong("JetStream could not be asked");
}

void JetStreamEngine::take_stream(std::string_view text) {
  const auto info = Json::parse(text, nullptr, false);
  const auto code = error_code_of(info);
  if (code == kNoStream) {
    // Not at once: nats-server 2.9 removes the files of a deleted stream after it has answered, and with them those of one
    // that was made anew by then, which refuses all that is published from there on.
    if (checked_) return wrong("the stream " + stream_ + " was deleted; it is made anew");
    return make_stream();
  }
  if (code != 0) return wrong("JetStream: " + error_text_of(info));
  const StreamCheck check = check_stream(info, stream_, prefix_, settings_);
  if (check.unfinished) return look_again(kUnfinished);
  if (!check.fault.empty()) return wrong(check.fault);
  if (!check.differs.empty() && !std::exchange(told_bounds_, true))
    logger("bus")->warn("the stream {} has other bounds than this server's options: {}; the stream's hold", stream_,
                        check.differs);
  {
    EngineUse now = stream_use(info);
    now.at_ms = steady_ms();
    const std::lock_guard lock(mutex_);
    use_ = std::move(now);
  }
  look_later();
  if (check.view.epoch != std::exchange(epoch_, check.view.epoch)) lose_stream();
  if (std::exchange(checked_, true)) return;
  wrong_ = false;
  overlaps_ = 0;
  if (std::exchange(refuses_, false)) nats_.set_degraded(kPublishes, {});  // it is seen anew
  nats_.set_degraded(kWho, {});
  nats_.set_stream_ready(true);
  if (sink_) sink_->on_connected(check.view);
  note_looked(true);
}

EngineUse JetStreamEngine::use() const {
  const std::lock_guard lock(mutex_);
  return use_;
}

// Told, and looked at again: somebody may mend it.
void JetStreamEngine::wrong(std::string reason) {
  lose_stream();
  wrong_ = true;
  nats_.set_degraded(kWho, std::move(reason));
  note_looked(true);
  look_again(kRetry);
}

void JetStreamEngine::look_again(std::chrono::milliseconds wait) {
  retry_->expires_after(wait);
  retry_->async_wait([self = weak_from_this()](const boost::system::error_code& error) {
    const auto engine = self.lock();
    if (!error && engine && engine->connected_) engine->look_for_stream();
  });
}

Result<void> JetStreamEngine::follow(std::string_view channel) {
  const std::string name(channel);
  if (followed_.contains(name)) return {};
  auto made = nats_.subscribe(
      prefix_ + ".stream.out." + channel_token(channel),
      [self = weak_from_this(), name](NatsMessage& message) {
        if (const auto engine = self.lock()) engine->on_message(name, message);
      },
      kWho);
  if (!made) return made.error();
  followed_.emplace(name, std::move(made).value());
  return {};
}

void JetStreamEngine::unfollow(std::string_view channel) { followed_.erase(std::string(channel)); }

void JetStreamEngine::on_message(const std::string& channel, NatsMessage& message) {
  const auto seq = number_of(message.header("Nats-Sequence"));
  const auto prev = number_of(message.header("Nats-Last-Sequence"));
  auto record = record_of(message.data());
  if (!seq || !prev || *seq > kSeqMax || *prev >= *seq || !record) {
    bad_.fetch_add(1, std::memory_order_relaxed);
    logger("bus")->debug("{}: a message that is no record was skipped", message.subject());
    return;
  }
  record->seq = *seq;
  record->prev_seq = *prev;
  if (sink_) sink_->on_record(channel, *record);
}

// --- Questions that may have to be asked again

Result<void> JetStreamEngine::ask(NatsOutgoing message, NatsService::AnswerHandler answered) {
  const auto question = std::make_shared<Question>(nats_);
  question->message = std::move(message);
  question->answered = std::move(answered);
  return send(question);
}

Result<void> JetStreamEngine::send(const QuestionPtr& question) {
  auto sent = nats_.request(question->message, [self = weak_from_this(), question](const NatsAnswer& answer) {
    --question->waiting;
    if (const auto engine = self.lock()) engine->take(question, answer);
  });
  if (!sent) return sent;
  ++question->asked;
  ++question->waiting;
  if (question->asked < kAsksMax) arm(question);
  return sent;
}

void JetStreamEngine::arm(const QuestionPtr& question) {
  question->armed = true;
  question->again.expires_after(std::chrono::milliseconds(kAskAgainMinMs << (question->asked - 1)));
  question->again.async_wait([self = weak_from_this(), question](const boost::system::error_code& error) {
    const auto engine = self.lock();
    question->armed = false;
    if (error || !engine || !question->answered) return;
    if (!engine->checked_) return engine->take(question, {Error::broker_unavailable, nullptr, {}});
    engine->asked_again_.fetch_add(1, std::memory_order_relaxed);
    if (const auto sent = engine->send(question); !sent) engine->take(question, {sent.error(), nullptr, {}});
  });
}

// An answer, whatever it says, is taken; that there is none only once nothing more is to be hoped for.
void JetStreamEngine::take(const QuestionPtr& question, const NatsAnswer& answer) {
  if (!question->answered) return;
  if (!answer.result && checked_ && (question->armed || question->waiting > 0)) return;
  const auto answered = std::exchange(question->answered, nullptr);
  question->again.cancel();
  answered(answer);
}

std::vector<BusCount> JetStreamEngine::counts() const {
  return {{"bus_asked_again", "Questions to the stream that were not answered for a while and sent again.",
           asked_again_.load(std::memory_order_relaxed)},
          {"bus_bad", "Messages that the stream cannot have sent, or that are no records, and were skipped.",
           bad_.load(std::memory_order_relaxed)}};
}

Result<void> JetStreamEngine::next(std::string_view channel, std::uint64_t from, Next answered) {
  if (!checked_) return Error::broker_unavailable;
  const Json asked{{"next_by_subj", in_subject(channel)}, {"seq", from}};
  return ask(
      {.subject = "$JS.API.DIRECT.GET." + stream_, .data = asked.dump()},
      [self = weak_from_this(), name = std::string(channel), answered = std::move(answered)](const NatsAnswer& answer) {
        if (!answer.result) return answered(answer.result.error());
        const NatsMessage& message = *answer.message;
        if (const auto status = message.header("Status")) {
          if (*status == "404") return answered(static_cast<const BusRecord*>(nullptr));
          return answered(Error::broker_refused);
        }
        const auto seq = number_of(message.header("Nats-Sequence"));
        // Beyond all numbers: until the next look at the stream says so.
        if (!seq || *seq == 0 || *seq > kSeqMax) return answered(Error::broker_refused);
        auto record = record_of(message.data());
        if (!record) {  // not one of ours: behind it
          const auto engine = self.lock();
          if (!engine || !engine->next(name, *seq + 1, answered)) answered(Error::broker_unavailable);
          return;
        }
        record->seq = *seq;
        answered(&*record);
      });
}

Result<void> JetStreamEngine::look(std::string_view channel, Looked answered) {
  if (!checked_) return Error::broker_unavailable;
  const std::string subject = in_subject(channel);
  return ask({.subject = "$JS.API.STREAM.INFO." + stream_, .data = Json{{"subjects_filter", subject}}.dump()},
             [subject, answered = std::move(answered)](const NatsAnswer& answer) {
               if (!answer.result) return answered(answer.result.error());
               const auto info = Json::parse(answer.message->data(), nullptr, false);
               const auto view = stream_view(info, subject);
               if (!view || view->first_seq > kSeqMax || view->last_seq > kSeqMax)
                 return answered(Error::broker_refused);
               answered(*view);
             });
}

}  // namespace ringfence
