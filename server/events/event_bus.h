// EventBus: typed events from any thread to handlers on one, through a bounded queue.
//
//   EventOwner billing = bus.owner("billing").value();
//   EventSubscription kept = bus.subscribe<Connected>([](const Connected& event) { ... }, billing).value();
//   bus.emit<Connected>([&] { return Connected{...}; });   // built only if somebody wants it
//
// A handler is called for the events that are published after it was subscribed, in their order, after the handlers
// that were subscribed before it. It may publish, subscribe, and end any subscription, its own too.
// Ended = never called again: when EventSubscription::end(), its destructor, unsubscribe_all() or the destructor of
// the owner return, the handler is not running and never will. They wait for a call under way on the dispatcher, so
// do not hold a lock that this handler takes; called from a handler they wait for nothing, and a handler that has
// ended itself finishes its call. Other handlers are not waited for.
// Owns     the queue, its dispatcher's thread, the handlers. Handles and owners may outlive it.
// Threads  any thread; but shutdown() and the destructor not from a handler (INVARIANT), and one handle one thread.
// Bounds   events waiting or being handled, places included: --event-queue. What they hold outside of their slots:
//          --event-memory. Subscriptions: --event-subscriptions; owners: 256; a handler kHandlerBytesMax bytes. Accounts
//          "events" and "event data".
// Cost     emit of a type that nobody subscribed to: one relaxed load. Publish: a mutex, a move of the event, and a wake
//          if the dispatcher sleeps. Subscribe, end: O(subscriptions of the type).
// Errors   publish, reserve: overloaded, shutting_down. subscribe: too_many_subscriptions. owner: too_many_owners,
//          bad_field for a name that is empty or above 64 bytes. Each counted. A handler that throws is logged
//          and counted; the others are called.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ringfence/ledger.h>

#include "events/event_queue.h"
#include "events/event_stats.h"
#include "events/subscription_table.h"

namespace ringfence {

class EventBus;

// Who subscriptions belong to, and are counted for. Move-only; its destructor ends all of them.
class EventOwner {
 public:
  EventOwner() noexcept = default;
  EventOwner(EventOwner&& other) noexcept : table_(std::move(other.table_)), id_(std::exchange(other.id_, 0)) {}
  EventOwner& operator=(EventOwner&& other) noexcept;
  ~EventOwner() { end(); }
  // Ends its subscriptions and itself. Again: nothing.
  void end() noexcept;
  EventOwnerId id() const noexcept { return id_; }

 private:
  friend class EventBus;
  EventOwner(std::weak_ptr<detail::SubscriptionTable> table, EventOwnerId id) : table_(std::move(table)), id_(id) {}
  std::weak_ptr<detail::SubscriptionTable> table_;
  EventOwnerId id_ = 0;  // 0: nobody
};

// A subscription. Move-only; its destructor ends it.
class EventSubscription {
 public:
  EventSubscription() noexcept = default;
  EventSubscription(EventSubscription&& other) noexcept = default;
  EventSubscription& operator=(EventSubscription&& other) noexcept;
  ~EventSubscription() { end(); }
  // Again, or after the bus is gone: nothing.
  void end() noexcept;
  bool active() const noexcept { return node_ && !node_->ended.load(); }

 private:
  friend class EventBus;
  explicit EventSubscription(detail::SubscriptionPtr node) : node_(std::move(node)) {}
  detail::SubscriptionPtr node_;
};

// A place in the queue for one event, held until it is published: for a publisher that must know beforehand. Its bus
// outlives it.
template <typename E>
class EventPlace {
 public:
  EventPlace() noexcept = default;
  EventPlace(EventPlace&& other) noexcept
      : queue_(std::exchange(other.queue_, nullptr)), data_bytes_(other.data_bytes_) {}
  EventPlace& operator=(EventPlace&& other) noexcept {
    std::swap(queue_, other.queue_);
    std::swap(data_bytes_, other.data_bytes_);
    return *this;
  }
  ~EventPlace() {
    if (queue_) queue_->unreserve(data_bytes_);
  }
  explicit operator bool() const noexcept { return queue_ != nullptr; }
  // Always accepted. Once; the event's data is no larger than was reserved (INVARIANT).
  void publish(E event);

 private:
  friend class EventBus;
  EventPlace(detail::EventQueue& queue, std::uint64_t data_bytes) : queue_(&queue), data_bytes_(data_bytes) {}
  detail::EventQueue* queue_ = nullptr;
  std::uint64_t data_bytes_ = 0;
};

class EventBus {
 public:
  static constexpr std::size_t kHandlerBytesMax = 128;
  // Of the account "events": a node with its handler, its place in two lists of pointers, and its control block.
  static constexpr std::uint64_t kSubscriptionBytes = 384;

  struct Bounds {
    std::size_t events = 8192;
    std::uint64_t data_bytes = 8 << 20;
    std::size_t subscriptions = 1024;
  };

  // The ledger must outlive the bus.
  EventBus(Ledger& ledger, const Bounds& bounds);
  ~EventBus();
  EventBus(const EventBus&) = delete;
  EventBus& operator=(const EventBus&) = delete;

  // Begins to accept and to deliver; also again after shutdown(). Subscriptions outlive a shutdown.
  void start();
  // Refuses from now on, gives what was accepted to the handlers until `until` or until `hastened` returns true,
  // then drops the rest, counted. A handler that is still running then is named, and waited for by start() and the
  // destructor only. Again: nothing is left.
  EventBusLeft shutdown(std::chrono::steady_clock::time_point until, const std::function<bool()>& hastened = {});
  // Waits until all that was accepted is handled. False if `until` or `hastened` comes first. Not from a handler.
  bool drain(std::chrono::steady_clock::time_point until, const std::function<bool()>& hastened = {});

  Result<EventOwner> owner(std::string name);
  template <typename E, typename Handler>
  Result<EventSubscription> subscribe(Handler handler, const EventOwner& owner);
  // Returns how many were ended. The owner stays.
  std::size_t unsubscribe_all(const EventOwner& owner);

  // Somebody is subscribed to E.
  template <typename E>
  bool wanted() const noexcept {
    return table_->wanted(event_type<E>());
  }
  // Publishes what `make` returns, which is not called if nobody wants it.
  template <typename E, typename Make>
  Result<void> emit(Make&& make) {
    if (!wanted<E>()) return {};
    return publish<E>(std::forward<Make>(make)());
  }
  // An event that nobody wants is accepted and forgotten.
  template <typename E>
  Result<void> publish(E event);
  // A place for one event with at most so many bytes of data.
  template <typename E>
  Result<EventPlace<E>> reserve(std::uint64_t data_bytes);
  // Events of type E are refused with shutting_down until the next start(); other types are not.
  template <typename E>
  void close() {
    queue_.close_type(event_type<E>());
  }

  // Neither takes the lock of the queue, which a publish waits for.
  EventBusLoad load() const noexcept;
  EventBusStats stats() const;

 private:
  template <typename E, typename Handler>
  struct Node final : detail::SubscriptionNode {
    Node(EventOwnerId its_owner, Handler its_handler)
        : SubscriptionNode(event_type<E>(), its_owner), handler(std::move(its_handler)) {}
    void call(const void* event) override { (*handler)(*static_cast<const E*>(event)); }
    void destroy_handler() noexcept override { handler.reset(); }
    std::optional<Handler> handler;
  };
  struct Cached {
    std::uint64_t version = 0;
    std::vector<detail::SubscriptionPtr> nodes;
  };

  void run();
  void dispatch(std::uint64_t position, detail::EventSlot& slot);
  void call(detail::SubscriptionNode& node, const void* event) noexcept;
  void join();
  Result<void> note_refused(Result<void> result, unsigned type);

  Account fixed_;
  Account data_;
  detail::EventQueue queue_;
  const std::shared_ptr<detail::SubscriptionTable> table_;
  std::array<Cached, kEventTypesMax> cached_;  // the dispatcher's
  struct TypeCounters {
    std::atomic<std::uint64_t> delivered{0};  // calls that returned
    std::atomic<std::uint64_t> failures{0};
  };
  std::array<TypeCounters, kEventTypesMax> counters_;
  std::atomic<std::int64_t> refusal_logged_ms_{0};
  std::mutex life_mutex_;  // of start() against shutdown()
  std::mutex exit_mutex_;
  std::condition_variable exit_;
  bool exited_ = true;  // under exit_mutex_, as is the next
  std::size_t dropped_ = 0;
  std::thread thread_;
};

namespace detail {
template <typename E>
inline constexpr EventOps event_ops{[](void* event) noexcept { static_cast<E*>(event)->~E(); }};
template <typename E>
void construct_event(void* slot, void* event) {
  ::new (slot) E(std::move(*static_cast<E*>(event)));
}
}  // namespace detail

template <typename E>
void EventPlace<E>::publish(E event) {
  INVARIANT(queue_ != nullptr && event_data_bytes(event) <= data_bytes_);
  const auto accepted =
      std::exchange(queue_, nullptr)
          ->push(event_type<E>(), data_bytes_, detail::event_ops<E>, &detail::construct_event<E>, &event, true);
  INVARIANT(accepted.ok());
}

template <typename E, typename Handler>
Result<EventSubscription> EventBus::subscribe(Handler handler, const EventOwner& owner) {
  static_assert(std::is_invocable_v<Handler&, const E&>);
  static_assert(sizeof(Handler) <= kHandlerBytesMax, "capture less, or a pointer to it");
  static_assert(sizeof(Node<E, Handler>) + 6 * sizeof(void*) <= kSubscriptionBytes);
  auto node = std::make_shared<Node<E, Handler>>(owner.id(), std::move(handler));
  if (const auto added = table_->add(node, queue_.end()); !added.ok()) return added.error();
  return EventSubscription(std::move(node));
}

template <typename E>
Result<void> EventBus::publish(E event) {
  if (!wanted<E>()) return {};
  const unsigned type = event_type<E>();
  return note_refused(
      queue_.push(type, event_data_bytes(event), detail::event_ops<E>, &detail::construct_event<E>, &event, false),
      type);
}

template <typename E>
Result<EventPlace<E>> EventBus::reserve(std::uint64_t data_bytes) {
  const auto reserved = note_refused(queue_.reserve(event_type<E>(), data_bytes), event_type<E>());
  if (!reserved.ok()) return reserved.error();
  return EventPlace<E>(queue_, data_bytes);
}

}  // namespace ringfence
