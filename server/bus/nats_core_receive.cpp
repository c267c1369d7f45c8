// NatsCore: subscriptions, what comes on them, and the handlers.
#include <algorithm>
#include <climits>
#include <exception>
#include <utility>

#include <boost/asio/post.hpp>

#include <nats/nats.h>

#include "bus/nats_core.h"
#include "bus/nats_inbox.h"
#include "log.h"

namespace ringfence::detail {

namespace {

constexpr std::chrono::milliseconds kIncomingTick{10};

// What cnats holds of a subscription until it has called for the last time.
struct Closure {
  std::shared_ptr<NatsInbox> inbox;
  NatsNodePtr node;
};

void on_message(natsConnection*, natsSubscription*, natsMsg* raw, void* held) {
  NatsMessage message(raw);
  const auto* const closure = static_cast<const Closure*>(held);
  closure->inbox->push(closure->node, std::move(message));
}

void on_complete(void* held) { delete static_cast<Closure*>(held); }

struct StatisticsEnd {
  void operator()(natsStatistics* statistics) const { natsStatistics_Destroy(statistics); }
};

}  // namespace

// --- Any thread

Result<NatsNodePtr> NatsCore::subscribe(std::string subject, NatsService::Handler handler, std::string_view owner,
                                        std::string queue, bool internal) {
  if (!valid_nats_subject(subject, true) || owner.empty() || owner.size() > 64) return Error::bad_field;
  if (!queue.empty() && !valid_nats_subject(queue, false)) return Error::bad_field;
  auto node = std::make_shared<NatsNode>();
  node->subject = std::move(subject);
  node->queue = std::move(queue);
  node->owner = owner;
  node->internal = internal;
  node->handler = std::move(handler);
  // cnats has copies of the names.
  node->counted_bytes = kSubscriptionBytes;
  const std::lock_guard lock(mutex_);
  if (!subscriptions_account_.try_add(node->counted_bytes)) return Error::too_many_subscriptions;
  node->id = next_node_++;
  nodes_.emplace(node->id, node);
  if (!internal) ++counts_.subscribed_total;
  node_work_.push_back(node);
  if (!std::exchange(work_posted_, true)) boost::asio::post(io, [this] { work_on_nodes(); });
  return node;
}

void NatsCore::end_node(const NatsNodePtr& node) {
  NatsService::Handler ended;
  std::unique_lock lock(mutex_);
  if (!node->ended.exchange(true)) {
    if (!node->internal) ++counts_.unsubscribed_total;
    node_work_.push_back(node);
    if (!std::exchange(work_posted_, true)) boost::asio::post(io, [this] { work_on_nodes(); });
  }
  if (running_ == node.get()) {
    if (on_thread()) return;  // its own handler: it is taken out when that returns
    changed_.wait(lock, [&] { return running_ != node.get(); });
  }
  ended.swap(node->handler);
  lock.unlock();
}

std::size_t NatsCore::unsubscribe_all(std::string_view owner) {
  std::vector<NatsNodePtr> nodes;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, node] : nodes_)
      if (!node->internal && !node->ended && node->owner == owner) nodes.push_back(node);
  }
  for (const NatsNodePtr& node : nodes) end_node(node);
  return nodes.size();
}

std::vector<NatsSubscriptionInfo> NatsCore::active() const {
  std::vector<NatsSubscriptionInfo> all;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, node] : nodes_)
    if (!node->internal && !node->ended)
      all.push_back({node->subject, node->queue, node->owner, node->on_broker, node->delivered});
  return all;
}

// --- The service's thread

void NatsCore::work_on_nodes() {
  std::vector<NatsNodePtr> nodes;
  {
    const std::lock_guard lock(mutex_);
    work_posted_ = false;
    nodes.swap(node_work_);
  }
  work_on(nodes);
}

void NatsCore::work_on(const std::vector<NatsNodePtr>& nodes) {
  for (const NatsNodePtr& node : nodes) {
    if (!node->ended) {
      make_on_broker(node);
      continue;
    }
    take_from_broker(node, true);
    const std::lock_guard lock(mutex_);
    if (nodes_.erase(node->id) > 0) subscriptions_account_.sub(node->counted_bytes);
  }
}

void NatsCore::make_on_broker(const NatsNodePtr& node) {
  if (!link_ || !wanted_ || node->raw) return;
  auto closure = std::make_unique<Closure>(Closure{inbox_, node});
  natsStatus status =
      node->queue.empty()
          ? natsConnection_Subscribe(&node->raw, link_->raw(), node->subject.c_str(), &on_message, closure.get())
          : natsConnection_QueueSubscribe(&node->raw, link_->raw(), node->subject.c_str(), node->queue.c_str(),
                                          &on_message, closure.get());
  if (status != NATS_OK) {
    // The connection is closed, and the next one makes it; anything else would be a mistake of ours.
    node->raw = nullptr;
    logger("nats")->debug("subscribing {}: {}", node->subject, natsStatus_GetText(status));
    return;
  }
  (void)natsSubscription_SetPendingLimits(node->raw, INT_MAX, INT_MAX);  // all of them together: watch_incoming()
  if (natsSubscription_SetOnCompleteCB(node->raw, &on_complete, closure.get()) == NATS_OK) (void)closure.release();
  node->on_broker = true;
}

void NatsCore::take_from_broker(const NatsNodePtr& node, bool unsubscribe) {
  if (!node->raw) return;
  if (unsubscribe) (void)natsSubscription_Unsubscribe(node->raw);
  natsSubscription_Destroy(node->raw);
  node->raw = nullptr;
  node->on_broker = false;
}

void NatsCore::drain_inbox() {
  for (NatsInbox::Item& item : inbox_->take()) {
    ++handled_;
    call(item.node, item.message);
  }
  watch_incoming();
}

void NatsCore::call(const NatsNodePtr& node, NatsMessage& message) {
  {
    const std::lock_guard lock(mutex_);
    ++counts_.received;
    counts_.received_bytes += message.data().size();
    if (node->ended) return;
    running_ = node.get();
  }
  node->delivered.fetch_add(1, std::memory_order_relaxed);
  bool threw = false;
  try {
    node->handler(message);
  } catch (const std::exception& error) {
    threw = true;
    logger("nats")->error("the handler of {} threw: {}", node->subject, error.what());
  }
  NatsService::Handler ended;
  {
    const std::lock_guard lock(mutex_);
    running_ = nullptr;
    if (threw) ++counts_.handler_failures;
    if (node->ended) ended.swap(node->handler);
  }
  if (node->ended) changed_.notify_all();
}

// --- How much waits

// After a read: how much cnats has read in all.
void NatsCore::note_read() {
  if (!link_) return;
  natsStatistics* made = nullptr;
  if (natsStatistics_Create(&made) != NATS_OK) return;
  const std::unique_ptr<natsStatistics, StatisticsEnd> statistics(made);
  if (natsConnection_GetStats(link_->raw(), made) != NATS_OK) return;
  Read now;
  (void)natsStatistics_GetCounts(made, &now.messages, &now.bytes, nullptr, nullptr, nullptr);
  if (now.messages == read_.messages) return;
  read_ = now;
  reads_.push_back(now);
}

std::uint64_t NatsCore::incoming_bytes() const noexcept {
  const std::uint64_t messages = read_.messages - std::min(handled_, read_.messages);
  return messages * kIncomingBytes + (read_.bytes - done_.bytes);
}

void NatsCore::watch_incoming() {
  while (!reads_.empty() && reads_.front().messages <= handled_) {
    done_ = reads_.front();
    reads_.pop_front();
  }
  const std::uint64_t waiting = incoming_bytes();
  {
    const std::lock_guard lock(mutex_);
    counts_.incoming_bytes = waiting;
  }
  if (!link_) return;
  if (link_->paused()) {
    if (waiting <= options.incoming_bytes / 2) link_->resume_reading();
    return;
  }
  if (waiting <= options.incoming_bytes) return;
  link_->pause_reading();
  {
    const std::lock_guard lock(mutex_);
    ++counts_.reads_paused;
  }
  handled_seen_ = handled_;
  recount_incoming();
}

// What came for a subscription that had ended was dropped by cnats, and is never handled. So while nothing moves, it is counted
// exactly.
void NatsCore::recount_incoming() {
  incoming_timer_.expires_after(kIncomingTick);
  incoming_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error || !link_ || !link_->paused()) return;
    if (handled_ != std::exchange(handled_seen_, handled_) || !inbox_->empty()) return recount_incoming();
    std::uint64_t messages = 0, bytes = 0;
    std::vector<NatsNodePtr> nodes;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [id, node] : nodes_) nodes.push_back(node);
    }
    for (const NatsNodePtr& node : nodes) {
      int some = 0, some_bytes = 0;
      if (!node->raw || natsSubscription_GetPending(node->raw, &some, &some_bytes) != NATS_OK) continue;
      messages += static_cast<std::uint64_t>(some);
      bytes += static_cast<std::uint64_t>(some_bytes);
    }
    reads_.clear();
    if (messages > 0) reads_.push_back(read_);
    handled_ = read_.messages - std::min(messages, read_.messages);
    done_.messages = handled_;
    done_.bytes = read_.bytes - std::min(bytes, read_.bytes);
    watch_incoming();
    if (link_->paused()) recount_incoming();
  });
}

}  // namespace ringfence::detail
