#include <ringfence/topic.h>

namespace ringfence {
namespace detail {

void release(TopicNode* node, std::uint32_t references) noexcept {
  if (!node) return;
  node->references -= references;
  if (node->references == 0) delete node;
}

TopicBase::~TopicBase() {
  while (TopicNode* node = first_) {
    unlink(*node);
    release(node, 1);
  }
  for (Emit* emit = emits_; emit; emit = emit->outer_) emit->topic_ = nullptr;
}

std::size_t TopicBase::size(OwnerId owner) const noexcept {
  std::size_t count = 0;
  for (const TopicNode* node = first_; node; node = node->next) count += node->owner == owner;
  return count;
}

std::size_t TopicBase::end_all(OwnerId owner) noexcept {
  // All out of the list first: destroying what a callback held may end other subscriptions.
  TopicNode* ended = nullptr;
  std::size_t count = 0;
  for (TopicNode* node = first_; node;) {
    TopicNode* following = node->next;
    if (node->owner == owner) {
      unlink(*node);
      node->next = ended;
      ended = node;
      ++count;
    }
    node = following;
  }
  while (ended) {
    TopicNode* following = std::exchange(ended->next, nullptr);
    release(ended, 1);
    ended = following;
  }
  return count;
}

void TopicBase::link(TopicNode& node) noexcept {
  node.topic = this;
  node.serial = next_serial_++;
  ++node.references;  // the topic's
  node.prev = last_;
  (last_ ? last_->next : first_) = &node;
  last_ = &node;
  ++size_;
}

void TopicBase::unlink(TopicNode& node) noexcept {
  INVARIANT(node.topic == this);
  for (Emit* emit = emits_; emit; emit = emit->outer_)
    if (emit->at_ == &node) emit->at_ = node.next;
  (node.prev ? node.prev->next : first_) = node.next;
  (node.next ? node.next->prev : last_) = node.prev;
  node.prev = node.next = nullptr;
  node.topic = nullptr;
  --size_;
}

TopicBase::Emit::Emit(TopicBase& topic) noexcept
    : topic_(&topic), outer_(topic.emits_), at_(topic.first_), until_serial_(topic.next_serial_) {
  topic.emits_ = this;
}

TopicBase::Emit::~Emit() {
  release(held_, 1);
  if (topic_) topic_->emits_ = outer_;
}

TopicNode* TopicBase::Emit::next() noexcept {
  release(std::exchange(held_, nullptr), 1);
  // The release may have run a destructor of what a callback captured, which may have ended others or the topic.
  if (!topic_ || !at_ || at_->serial >= until_serial_) return nullptr;
  held_ = at_;
  ++held_->references;
  at_ = at_->next;
  return held_;
}

}  // namespace detail

void Subscription::end() noexcept {
  detail::TopicNode* node = std::exchange(node_, nullptr);
  if (!node) return;
  detail::TopicBase* topic = node->topic;
  if (topic) topic->unlink(*node);
  detail::release(node, topic ? 2 : 1);  // the handle's and the topic's
}

}  // namespace ringfence
