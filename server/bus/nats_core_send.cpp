// NatsCore: what goes to the broker: pending messages, the failed batch, requests and their answers.
#include <algorithm>
#include <charconv>
#include <exception>
#include <limits>
#include <utility>

#include <boost/asio/post.hpp>

#include <nats/nats.h>
#include <nlohmann/json.hpp>

#include "bus/backoff.h"
#include "bus/nats_core.h"
#include "log.h"
#include "realtime/clock.h"

namespace ringfence::detail {

namespace {

struct MsgEnd {
  void operator()(natsMsg* message) const { natsMsg_Destroy(message); }
};

// As the broker counts: headers and data.
std::uint64_t payload_bytes(const NatsOutgoing& message) noexcept {
  std::uint64_t sum = message.data.size();
  if (!message.headers.empty()) sum += 12;
  for (const auto& [name, value] : message.headers) sum += name.size() + value.size() + 4;
  return sum;
}

bool good_header(const std::pair<std::string, std::string>& header) noexcept {
  const auto good = [](char c) { return c != '\r' && c != '\n' && c != '\0'; };
  return !header.first.empty() && header.first.find(':') == std::string::npos &&
         std::all_of(header.first.begin(), header.first.end(), good) &&
         std::all_of(header.second.begin(), header.second.end(), good);
}

NatsAck read_ack(const NatsAnswer& answer) {
  if (!answer.result.ok()) return {answer.result.error(), false, 0, answer.text};
  const auto body = nlohmann::json::parse(answer.message->data(), nullptr, false);
  if (body.is_object() && body.contains("error") && body["error"].is_object()) {
    const auto code = body["error"].find("err_code"), text = body["error"].find("description");
    const bool coded = code != body["error"].end() && code->is_number_integer();
    const bool told = text != body["error"].end() && text->is_string();
    return {Error::broker_refused, false, coded ? code->get<int>() : 0,
            told ? text->get<std::string>() : std::string()};
  }
  if (!body.is_object() || !body.contains("seq") || !body["seq"].is_number_unsigned())
    return {Error::broker_refused, false, 0, "the answer is not JetStream's"};
  const auto duplicate = body.find("duplicate");
  return {body["seq"].get<std::uint64_t>(),
          duplicate != body.end() && duplicate->is_boolean() && duplicate->get<bool>(),
          0,
          {}};
}

}  // namespace

// --- Taking messages: any thread

Result<void> NatsCore::check_outgoing(const NatsOutgoing& message) const {
  if (!accepting_) return Error::shutting_down;
  if (!valid_nats_subject(message.subject, false)) return Error::bad_field;
  if (!message.reply.empty() && !valid_nats_subject(message.reply, false)) return Error::bad_field;
  if (!std::all_of(message.headers.begin(), message.headers.end(), good_header)) return Error::bad_field;
  const std::uint64_t limit =
      counts_.max_payload > 0 ? std::min(counts_.max_payload, options.payload_bytes) : options.payload_bytes;
  if (payload_bytes(message) > limit) return Error::message_too_large;
  // Without a connection, and none to be had soon: nothing is accepted that could not go.
  if (!raw_ && state == NatsState::circuit_open) return Error::broker_unavailable;
  return {};
}

// Under the mutex, checked.
Result<void> NatsCore::enqueue(NatsOutgoing message, std::uint64_t request) {
  const std::uint64_t texts = message.bytes();
  if (pending_.size() + under_way_ >= options.pending_max || pending_texts_ + texts > options.pending_bytes ||
      !pending_account_.try_add(texts + kPendingBytes))
    return Error::overloaded;
  pending_texts_ += texts;
  pending_.push_back({std::move(message), request, steady_ms(), texts});
  wake_pump();
  return {};
}

void NatsCore::wake_pump() {
  if (std::exchange(pump_posted_, true)) return;
  boost::asio::post(io, [this] { pump(); });
}

Result<void> NatsCore::publish(NatsOutgoing message) {
  const std::lock_guard lock(mutex_);
  auto taken = check_outgoing(message);
  if (taken.ok()) taken = enqueue(std::move(message), 0);
  if (taken.ok()) return taken;
  if (taken.error() == Error::overloaded) ++counts_.refused_overloaded;
  if (taken.error() == Error::message_too_large) ++counts_.refused_too_large;
  if (taken.error() == Error::broker_unavailable) ++counts_.refused_unavailable;
  return taken;
}

Result<void> NatsCore::request(NatsOutgoing message, NatsService::AnswerHandler answered, std::uint32_t timeout_ms) {
  const std::lock_guard lock(mutex_);
  return ask(std::move(message), std::move(answered), timeout_ms, std::nullopt);
}

// Under the mutex.
Result<void> NatsCore::ask(NatsOutgoing message, NatsService::AnswerHandler answered, std::uint32_t timeout_ms,
                           std::optional<CircuitBreaker::Ticket> ticket) {
  const std::uint64_t id = next_request_;
  message.reply = reply_prefix_ + std::to_string(id);
  auto taken = check_outgoing(message);
  if (taken.ok() && (waiting_.size() >= options.requests_max || !requests_account_.try_add(kRequestBytes)))
    taken = Error::overloaded;
  else if (taken.ok()) {
    taken = enqueue(std::move(message), id);
    if (!taken.ok()) requests_account_.sub(kRequestBytes);
  }
  if (!taken.ok()) {
    if (taken.error() == Error::overloaded) ++counts_.refused_overloaded;
    if (taken.error() == Error::message_too_large) ++counts_.refused_too_large;
    if (taken.error() == Error::broker_unavailable) ++counts_.refused_unavailable;
    return taken;
  }
  ++next_request_;
  ++counts_.requests;
  const std::int64_t deadline = steady_ms() + (timeout_ms > 0 ? timeout_ms : options.request_timeout_ms);
  waiting_.emplace(id, Waiting{std::move(answered), ticket, deadlines_.emplace(deadline, id), false});
  return {};
}

Result<void> NatsCore::publish_acked(NatsOutgoing message, NatsService::AckHandler acked, std::uint32_t timeout_ms) {
  const std::lock_guard lock(mutex_);
  const auto ticket = breaker_.enter(steady_ms());
  if (!ticket) {
    ++counts_.refused_unavailable;
    return Error::broker_unavailable;
  }
  auto asked = ask(
      std::move(message), [acked = std::move(acked)](const NatsAnswer& answer) { acked(read_ack(answer)); }, timeout_ms,
      ticket);
  if (!asked.ok()) breaker_.gave_up(*ticket);
  return asked;
}

std::vector<NatsService::DeadLetter> NatsCore::take_dead_letters(std::size_t count_max) {
  const std::lock_guard lock(mutex_);
  return letters_.take(count_max, wall_us());
}

// --- Sending: the service's thread

// What was subscribed or ended before these messages were published goes to the broker before them.
bool NatsCore::fill_batch() {
  std::vector<NatsNodePtr> nodes;
  {
    const std::lock_guard lock(mutex_);
    while (!pending_.empty() && batch_.size() < kBatch) {
      batch_.push_back(std::move(pending_.front()));
      pending_.pop_front();
    }
    under_way_ = batch_.size();
    nodes.swap(node_work_);
  }
  work_on(nodes);
  return !batch_.empty();
}

void NatsCore::pump() {
  {
    const std::lock_guard lock(mutex_);
    pump_posted_ = false;
  }
  while (link_ && !waits_to_retry_ && link_->buffered() < options.buffer_bytes) {
    if (batch_.empty() && !fill_batch()) break;
    Pending& first = batch_.front();
    if (first.request != 0) {
      const std::lock_guard lock(mutex_);
      if (!waiting_.contains(first.request)) {  // it was too late for it already
        done_with_first();
        continue;
      }
    }
    std::string fault;
    bool too_large = false;
    if (give(first, fault, too_large)) {
      const std::lock_guard lock(mutex_);
      ++counts_.published;
      counts_.published_bytes += first.message.data.size();
      if (first.request != 0)
        if (const auto found = waiting_.find(first.request); found != waiting_.end()) found->second.sent = true;
      batch_tries_ = 0;
      counts_.failed_batch = 0;
      done_with_first();
    } else if (too_large) {  // the broker's limit became known, or lower, after it was taken
      bury_first(Error::message_too_large, "above the broker's limit");
    } else if (!batch_failed(std::move(fault))) {
      break;
    }
  }
  bool more = !batch_.empty();
  {
    const std::lock_guard lock(mutex_);
    more = more || !pending_.empty() || !waiting_.empty();
  }
  changed_.notify_all();
  if (more) arm_tick();
}

bool NatsCore::give(const Pending& pending, std::string& fault, bool& too_large) {
  const NatsOutgoing& m = pending.message;
  const int bytes = static_cast<int>(m.data.size());
  natsStatus status = NATS_OK;
  if (m.headers.empty()) {
    status = m.reply.empty() ? natsConnection_Publish(link_->raw(), m.subject.c_str(), m.data.data(), bytes)
                             : natsConnection_PublishRequest(link_->raw(), m.subject.c_str(), m.reply.c_str(),
                                                             m.data.data(), bytes);
  } else {
    natsMsg* raw = nullptr;
    status = natsMsg_Create(&raw, m.subject.c_str(), m.reply.empty() ? nullptr : m.reply.c_str(), m.data.data(), bytes);
    const std::unique_ptr<natsMsg, MsgEnd> message(raw);
    for (const auto& [name, value] : m.headers)
      if (status == NATS_OK) status = natsMsgHeader_Set(raw, name.c_str(), value.c_str());
    if (status == NATS_OK) status = natsConnection_PublishMsg(link_->raw(), raw);
  }
  too_large = status == NATS_MAX_PAYLOAD;
  if (status != NATS_OK) fault = natsStatus_GetText(status);
  return status == NATS_OK;
}

// Under the mutex.
void NatsCore::done_with_first() {
  pending_texts_ -= batch_.front().bytes;
  pending_account_.sub(batch_.front().bytes + kPendingBytes);
  batch_.pop_front();
  under_way_ = batch_.size();
}

// The first of the batch will not be sent: whoever waits for it is told, else it is a dead letter.
void NatsCore::bury_first(Error error, std::string reason) {
  const std::uint64_t request = batch_.front().request;
  {
    const std::lock_guard lock(mutex_);
    NatsOutgoing message = std::move(batch_.front().message);
    done_with_first();
    if (request == 0) letters_.add(std::move(message), reason, wall_us());
  }
  if (request != 0) answer(request, {error, nullptr, std::move(reason)});
}

// True if it goes on at once: the first of the batch has had all of its tries.
bool NatsCore::batch_failed(std::string fault) {
  {
    const std::lock_guard lock(mutex_);
    ++counts_.retries;
    counts_.failed_batch = batch_.size();
    last_error_ = fault;
  }
  if (++batch_tries_ > options.retries_max) {
    batch_tries_ = 0;
    bury_first(Error::broker_unavailable, "not sent after " + std::to_string(options.retries_max) + " tries: " + fault);
    return true;
  }
  waits_to_retry_ = true;
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  retry_timer_.expires_after(
      std::chrono::milliseconds(backoff_ms(batch_tries_ - 1, options.retry_min_ms, options.retry_max_ms, random)));
  retry_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    waits_to_retry_ = false;
    pump();
  });
  return false;
}

// Of what was taken before `since_ms`, nothing waits any longer.
void NatsCore::expire_pending(std::int64_t since_ms) {
  for (;;) {
    if (batch_.empty() && !fill_batch()) return;
    if (batch_.front().since_ms > since_ms) return;
    bury_first(Error::broker_unavailable, "it could not be sent in time");
  }
}

// --- Answers

void NatsCore::answer(std::uint64_t request, const NatsAnswer& answer) {
  NatsService::AnswerHandler answered;
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(request);
    if (found == waiting_.end()) {
      // It was given up, and is answered after all: whoever was silent speaks again.
      if (answer.result.ok()) breaker_.try_now();
      return;
    }
    answered = std::move(found->second.answered);
    if (const auto ticket = found->second.ticket) {
      // An answer that says no is one. What was never sent says nothing about the stream, nor does a lost connection, nor
      // what was sent before the stream was ready.
      if (answer.result.ok())
        breaker_.succeeded(*ticket, steady_ms());
      else if (found->second.sent && raw_ && stream_ready_)
        breaker_.failed(*ticket, steady_ms());
      else
        breaker_.gave_up(*ticket);
    }
    if (!answer.result.ok())
      ++(answer.result.error() == Error::broker_timeout ? counts_.request_timeouts : counts_.request_failures);
    deadlines_.erase(found->second.deadline);
    waiting_.erase(found);
    requests_account_.sub(kRequestBytes);
  }
  try {
    answered(answer);
  } catch (const std::exception& error) {
    logger("nats")->error("the handler of an answer threw: {}", error.what());
    const std::lock_guard lock(mutex_);
    ++counts_.handler_failures;
  }
}

void NatsCore::on_reply(NatsMessage& message) {
  const std::string_view subject = message.subject();
  if (subject.size() <= reply_prefix_.size()) return;
  const std::string_view digits = subject.substr(reply_prefix_.size());
  std::uint64_t request = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), request);
  if (error != std::errc() || stop != digits.data() + digits.size()) return;
  if (message.no_responders()) return answer(request, {Error::broker_unavailable, nullptr, "nobody listens there"});
  answer(request, {{}, &message, {}});
}

void NatsCore::expire_requests(std::int64_t now_ms) {
  for (;;) {
    std::uint64_t request = 0;
    bool sent = false;
    {
      const std::lock_guard lock(mutex_);
      if (deadlines_.empty() || deadlines_.begin()->first > now_ms) return;
      request = deadlines_.begin()->second;
      sent = waiting_.at(request).sent;
    }
    answer(request, {sent ? Error::broker_timeout : Error::broker_unavailable, nullptr,
                     sent ? "no answer came in time" : "it could not be sent in time"});
  }
}

void NatsCore::fail_sent_requests() {
  std::vector<std::uint64_t> sent;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, waiting] : waiting_)
      if (waiting.sent) sent.push_back(id);
  }
  std::sort(sent.begin(), sent.end());  // in the order in which they were asked
  for (const std::uint64_t request : sent)
    answer(request, {Error::broker_timeout, nullptr, "the connection was lost before an answer came"});
}

}  // namespace ringfence::detail
