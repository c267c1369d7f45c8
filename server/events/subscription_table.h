// SubscriptionTable: who is subscribed to what on a bus, by type and by owner, and the rule of ending.
//
// A subscription has ended once its flag is set and the dispatcher is not in its handler: the dispatcher says in
// `running_` which handler it is about to call and then looks at the flag, an end sets the flag and then looks at
// `running_`. Both are sequentially consistent, so one of the two sees the other.
// Owns     the nodes, with the handles that hold them; a handler is destroyed when its subscription has ended.
// Threads  begin_call, end_calls, snapshot: the dispatcher's. All else: any thread.
// Bounds   subscriptions_max live subscriptions, owners_max live owners. Full: refused, counted.
// Cost     subscribe, end: a mutex and O(subscriptions of the type).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <ringfence/result.h>

#include "events/event_type.h"

namespace ringfence {

using EventOwnerId = std::uint64_t;

struct EventOwnerCounts {
  std::string name;
  std::uint64_t subscribed = 0;
  std::uint64_t ended = 0;
  std::uint64_t failures = 0;  // handlers that threw
  std::uint64_t live() const noexcept { return subscribed - ended; }
};

namespace detail {

class SubscriptionTable;

class SubscriptionNode {
 public:
  SubscriptionNode(unsigned its_type, EventOwnerId its_owner) : type(its_type), owner(its_owner) {}
  virtual ~SubscriptionNode() = default;
  virtual void call(const void* event) = 0;
  virtual void destroy_handler() noexcept = 0;

  const unsigned type;
  const EventOwnerId owner;
  std::uint64_t from = 0;  // position of the first event that it is called for
  std::atomic<bool> ended{false};
  std::weak_ptr<SubscriptionTable> table;
};
using SubscriptionPtr = std::shared_ptr<SubscriptionNode>;

class SubscriptionTable : public std::enable_shared_from_this<SubscriptionTable> {
 public:
  static constexpr std::size_t kOwnersMax = 256;
  static constexpr std::size_t kOwnerNameBytesMax = 64;

  explicit SubscriptionTable(std::size_t subscriptions_max);

  Result<EventOwnerId> add_owner(std::string name);
  // Ends what is left of it, then forgets it.
  void remove_owner(EventOwnerId owner);

  Result<void> add(SubscriptionPtr node, std::uint64_t from);
  // After it returns the handler is not called again, and is not being called: it waits for a call under way, unless
  // that call is what it is called from.
  void end(SubscriptionNode& node);
  std::size_t end_all(EventOwnerId owner);
  // The bus is gone: ends everything.
  void end_everything();

  bool wanted(unsigned type) const noexcept { return live_[type].load(std::memory_order_relaxed) > 0; }

  // The dispatcher. False: it has ended, so it must not be called.
  void attach_dispatcher(bool attached) noexcept {
    dispatcher_.store(attached ? std::this_thread::get_id() : std::thread::id());
  }
  bool begin_call(SubscriptionNode& node) noexcept {
    running_.store(&node, std::memory_order_seq_cst);
    return !node.ended.load(std::memory_order_seq_cst);
  }
  void after_call(SubscriptionNode& node) noexcept {
    if (node.ended.load(std::memory_order_relaxed)) node.destroy_handler();  // it ended itself
  }
  void end_calls() noexcept { running_.store(nullptr, std::memory_order_release); }
  void count_failure(const SubscriptionNode& node);
  // Changes whenever the subscriptions of that type do.
  std::uint64_t version(unsigned type) const noexcept { return versions_[type].load(std::memory_order_acquire); }
  std::uint64_t snapshot(unsigned type, std::vector<SubscriptionPtr>& out) const;
  bool on_dispatcher() const noexcept { return dispatcher_.load() == std::this_thread::get_id(); }

  std::size_t size() const;
  std::size_t size(unsigned type) const noexcept { return live_[type].load(std::memory_order_relaxed); }
  std::size_t orphans() const;  // subscriptions whose owner is gone: a bug of ours
  std::uint64_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }
  std::vector<EventOwnerCounts> owners() const;  // live ones by age, then one row for all former ones, named ""
  std::string running() const;                   // "type of owner" of the handler being called, empty if none
  std::size_t capacity() const noexcept { return subscriptions_max_; }

 private:
  bool unlink(SubscriptionNode& node);
  void await(const SubscriptionNode& node) const;

  const std::size_t subscriptions_max_;
  mutable std::mutex mutex_;  // of types_, owners_, former_, next_owner_, size_
  std::array<std::vector<SubscriptionPtr>, kEventTypesMax> types_;
  std::map<EventOwnerId, EventOwnerCounts> owners_;
  EventOwnerCounts former_;
  EventOwnerId next_owner_ = 1;
  std::size_t size_ = 0;
  std::array<std::atomic<std::uint32_t>, kEventTypesMax> live_{};
  std::array<std::atomic<std::uint64_t>, kEventTypesMax> versions_{};
  std::atomic<std::uint64_t> refused_{0};
  std::atomic<const SubscriptionNode*> running_{nullptr};
  std::atomic<std::thread::id> dispatcher_{};
};

}  // namespace detail
}  // namespace ringfence
