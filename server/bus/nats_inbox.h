// NatsInbox: from cnats's delivery thread to the service's: the messages that wait for their handlers.
//
// Owns     the messages that wait. It outlives the service as long as cnats may call.
// Threads  any.
// Bounds   what is in here and in cnats together is kept below --nats-incoming, by not reading from the socket.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "bus/nats_core.h"
#include "bus/nats_message.h"

namespace ringfence::detail {

class NatsInbox {
 public:
  struct Item {
    NatsNodePtr node;
    NatsMessage message;
  };
  explicit NatsInbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  void push(const NatsNodePtr& node, NatsMessage message) {
    const std::lock_guard lock(mutex_);
    if (!wake_) return;
    items_.push_back({node, std::move(message)});
    if (items_.size() == 1) wake_();
  }
  std::vector<Item> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(items_, {});
  }
  bool empty() const {
    const std::lock_guard lock(mutex_);
    return items_.empty();
  }
  // Nobody is woken from here on, and nothing kept.
  void close() {
    std::vector<Item> dropped;
    const std::lock_guard lock(mutex_);
    wake_ = nullptr;
    dropped.swap(items_);
  }

 private:
  mutable std::mutex mutex_;
  std::function<void()> wake_;
  std::vector<Item> items_;
};

}  // namespace ringfence::detail
