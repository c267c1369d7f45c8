#include <ringfence/topic.h>

namespace ringfence {
namespace detail {

void release(TopicNode* node) noexcept {
  if (node && --node->references == 0) delete node;
}

TopicBase::~TopicBase() {
  while (first_) end(*first_);
  for (Emit* emit = emits_; emit; emit = emit->outer_) emit->topic_ = nullptr;
}

std::size_t TopicBase::size(OwnerId owner) const noexcept {
  std::size_t count = 0;
  for (const TopicNode* node = first_; node; node = node->next) count += node->owner == owner;
  return count;
}

std::size_t TopicBase::end_all(OwnerId owner) noexcept {
  // Walks as an emit does: ending one may destroy what its callback held, and that may end others.
  std::size_t count = 0;
  Emit at(*this);
  while (TopicNode* node = at.next()) {
    if (node->owner != owner || node->topic != this) continue;
    end(*node);
    ++count;
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

void TopicBase::end(TopicNode& node) noexcept {
  if (node.topic != this) return;
  for (Emit* emit = emits_; emit; emit = emit->outer_)
    if (emit->at_ == &node) emit->at_ = node.next;
  (node.prev ? node.prev->next : first_) = node.next;
  (node.next ? node.next->prev : last_) = node.prev;
  node.prev = node.next = nullptr;
  node.topic = nullptr;
  --size_;
  release(&node);
}

TopicBase::Emit::Emit(TopicBase& topic) noexcept
    : topic_(&topic), outer_(topic.emits_), at_(topic.first_), until_serial_(topic.next_serial_) {
  topic.emits_ = this;
}

TopicBase::Emit::~Emit() {
  release(held_);
  if (topic_) topic_->emits_ = outer_;
}

TopicNode* TopicBase::Emit::next() noexcept {
  release(std::exchange(held_, nullptr));
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
  if (node->topic) node->topic->end(*node);
  detail::release(node);
}

}  // namespace ringfence
