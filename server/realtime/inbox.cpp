#include "realtime/inbox.h"

#include <utility>

namespace ringfence {

void Inbox::mark(Channel& channel) {
  if (!channel.mark(shard_)) return;
  const std::lock_guard lock(mutex_);
  channels_.emplace_back(&channel);
  if (woken_ || !wake_) return;
  woken_ = true;
  wake_();
}

void Inbox::take(std::vector<ChannelPtr>& out) {
  const std::lock_guard lock(mutex_);
  out.swap(channels_);
  woken_ = false;
}

void Inbox::attach(std::function<void()> wake) {
  const std::lock_guard lock(mutex_);
  channels_.reserve(channels_max_);
  wake_ = std::move(wake);
  if (channels_.empty()) return;
  woken_ = true;
  wake_();
}

void Inbox::detach() {
  std::vector<ChannelPtr> left;
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
  woken_ = false;
  left.swap(channels_);
}

}  // namespace ringfence
