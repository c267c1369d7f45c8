// Topic<Args...> and Subscription: callbacks that end with their handle.
//
// Against a vector of std::function: a callback may add or end any subscription, its own too, while it is called;
// one that has ended is never called again; one that was added is first called by the next emit().
// Owns     a Topic owns nothing that outlives it but for the nodes that handles still hold; a Subscription is a move-only
//          handle whose destructor ends it. It may outlive its topic.
// Threads  no locking: a topic and its subscriptions belong to one thread.
// Bounds   0 < capacity; full: subscribe() refuses with too_many_subscriptions, counted.
// Cost     subscribe, end: O(1), one allocation; emit: O(size()); end_all: O(size()).
// Errors   create() with capacity 0: bad_capacity. A callback that throws stops that emit and leaves the topic whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include <ringfence/result.h>

namespace ringfence {

// Who asked for a subscription; 0 is nobody in particular.
using OwnerId = std::uint64_t;

namespace detail {

class TopicBase;

struct TopicNode {
  explicit TopicNode(OwnerId owner_id) : owner(owner_id) {}
  TopicNode(const TopicNode&) = delete;
  TopicNode& operator=(const TopicNode&) = delete;
  virtual ~TopicNode() = default;

  TopicBase* topic = nullptr;  // null: ended
  TopicNode* prev = nullptr;
  TopicNode* next = nullptr;
  OwnerId owner;
  std::uint64_t serial = 0;
  std::uint32_t references = 1;
};

void release(TopicNode* node, std::uint32_t references) noexcept;

class TopicBase {
 public:
  TopicBase(const TopicBase&) = delete;
  TopicBase& operator=(const TopicBase&) = delete;

  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }
  std::size_t size(OwnerId owner) const noexcept;
  std::uint64_t subscribed() const noexcept { return next_serial_; }  // since creation
  std::uint64_t ended() const noexcept { return next_serial_ - size_; }
  std::uint64_t refused() const noexcept { return refused_; }

  // Ends every subscription of `owner`. Returns how many.
  std::size_t end_all(OwnerId owner) noexcept;

  // Takes the node out of the list; the topic's reference is then the caller's to release.
  void unlink(TopicNode& node) noexcept;

 protected:
  explicit TopicBase(std::size_t capacity) : capacity_(capacity) { INVARIANT(capacity > 0); }
  ~TopicBase();

  bool full() noexcept {
    if (size_ < capacity_) return false;
    ++refused_;
    return true;
  }
  void link(TopicNode& node) noexcept;

  // One emit() under way: where it is. Ending a node moves the emits that stand on it.
  class Emit {
   public:
    explicit Emit(TopicBase& topic) noexcept;
    ~Emit();
    Emit(const Emit&) = delete;
    Emit& operator=(const Emit&) = delete;
    TopicNode* next() noexcept;  // null at the end; the node lives until the next call of next()

   private:
    friend class TopicBase;
    TopicBase* topic_;  // null: the topic was destroyed by a callback
    Emit* outer_;
    TopicNode* at_;
    TopicNode* held_ = nullptr;
    std::uint64_t until_serial_;
  };

 private:
  TopicNode* first_ = nullptr;
  TopicNode* last_ = nullptr;
  Emit* emits_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_;
  std::uint64_t next_serial_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace detail

class Subscription {
 public:
  Subscription() noexcept = default;
  explicit Subscription(detail::TopicNode* node) noexcept : node_(node) {}  // takes over one reference
  Subscription(Subscription&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Subscription& operator=(Subscription&& other) noexcept {
    if (this != &other) {
      end();
      node_ = std::exchange(other.node_, nullptr);
    }
    return *this;
  }
  ~Subscription() { end(); }

  // The callback is never called again, and is destroyed unless it is being called. Again: nothing.
  void end() noexcept;
  bool active() const noexcept { return node_ != nullptr && node_->topic != nullptr; }

 private:
  detail::TopicNode* node_ = nullptr;
};

template <typename... Args>
class Topic : public detail::TopicBase {
 public:
  using Callback = std::function<void(Args...)>;

  explicit Topic(std::size_t capacity) : TopicBase(capacity) {}

  Result<Subscription> subscribe(Callback callback, OwnerId owner = 0) {
    if (full()) return Error::too_many_subscriptions;
    auto* node = new Node(std::move(callback), owner);
    link(*node);
    return Subscription(node);
  }

  // Calls every subscription that was there when it began and has not ended by its turn, oldest first. Returns how many.
  std::size_t emit(Args... args) {
    std::size_t called = 0;
    Emit at(*this);
    while (auto* node = static_cast<Node*>(at.next())) {
      ++called;
      node->callback(args...);
    }
    return called;
  }

 private:
  struct Node final : detail::TopicNode {
    Node(Callback cb, OwnerId owner_id) : TopicNode(owner_id), callback(std::move(cb)) {}
    Callback callback;
  };
};

}  // namespace ringfence
