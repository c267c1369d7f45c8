#include "events/subscription_table.h"

#include <algorithm>
#include <chrono>

namespace ringfence::detail {

namespace {
constexpr int kYields = 64;
constexpr auto kPause = std::chrono::microseconds(200);
}  // namespace

SubscriptionTable::SubscriptionTable(std::size_t subscriptions_max) : subscriptions_max_(subscriptions_max) {
  INVARIANT(subscriptions_max > 0);
}

Result<EventOwnerId> SubscriptionTable::add_owner(std::string name) {
  if (name.empty() || name.size() > kOwnerNameBytesMax) return Error::bad_field;
  const std::lock_guard lock(mutex_);
  if (owners_.size() == kOwnersMax) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return Error::too_many_owners;
  }
  const EventOwnerId owner = next_owner_++;
  owners_[owner].name = std::move(name);
  return owner;
}

void SubscriptionTable::remove_owner(EventOwnerId owner) {
  end_all(owner);
  const std::lock_guard lock(mutex_);
  const auto found = owners_.find(owner);
  if (found == owners_.end()) return;
  former_.subscribed += found->second.subscribed;
  former_.ended += found->second.ended;
  former_.failures += found->second.failures;
  owners_.erase(found);
}

Result<void> SubscriptionTable::add(SubscriptionPtr node, std::uint64_t from) {
  const std::lock_guard lock(mutex_);
  INVARIANT(node->type != 0 && owners_.contains(node->owner));
  if (size_ == subscriptions_max_) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return Error::too_many_subscriptions;
  }
  ++size_;
  ++owners_[node->owner].subscribed;
  node->from = from;
  node->table = weak_from_this();
  const unsigned type = node->type;
  types_[type].push_back(std::move(node));
  live_[type].fetch_add(1, std::memory_order_relaxed);
  versions_[type].fetch_add(1, std::memory_order_release);
  return {};
}

bool SubscriptionTable::unlink(SubscriptionNode& node) {
  SubscriptionPtr held;  // let go after the lock
  const std::lock_guard lock(mutex_);
  auto& nodes = types_[node.type];
  const auto found = std::find_if(nodes.begin(), nodes.end(), [&](const auto& one) { return one.get() == &node; });
  if (found == nodes.end()) return false;
  held = std::move(*found);
  nodes.erase(found);
  --size_;
  if (const auto owner = owners_.find(node.owner); owner != owners_.end()) ++owner->second.ended;
  live_[node.type].fetch_sub(1, std::memory_order_relaxed);
  versions_[node.type].fetch_add(1, std::memory_order_release);
  return true;
}

void SubscriptionTable::await(const SubscriptionNode& node) const {
  for (int i = 0; running_.load(std::memory_order_seq_cst) == &node; ++i)
    i < kYields ? std::this_thread::yield() : std::this_thread::sleep_for(kPause);
}

void SubscriptionTable::end(SubscriptionNode& node) {
  const bool first = !node.ended.exchange(true, std::memory_order_seq_cst);
  if (first) unlink(node);
  const bool in_its_call = on_dispatcher() && running_.load(std::memory_order_relaxed) == &node;
  if (in_its_call) return;  // after_call() destroys the handler
  await(node);
  if (first) node.destroy_handler();
}

std::size_t SubscriptionTable::end_all(EventOwnerId owner) {
  std::vector<SubscriptionPtr> theirs;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& nodes : types_)
      for (const SubscriptionPtr& node : nodes)
        if (node->owner == owner) theirs.push_back(node);
  }
  // All flags first, so that none of them is called while another's call is waited for.
  std::size_t count = 0;
  std::vector<bool> first;
  for (const SubscriptionPtr& node : theirs) {
    first.push_back(!node->ended.exchange(true, std::memory_order_seq_cst));
    if (first.back()) count += unlink(*node);
  }
  for (std::size_t i = 0; i < theirs.size(); ++i) {
    SubscriptionNode& node = *theirs[i];
    if (on_dispatcher() && running_.load(std::memory_order_relaxed) == &node) continue;
    await(node);
    if (first[i]) node.destroy_handler();
  }
  return count;
}

void SubscriptionTable::end_everything() {
  std::vector<EventOwnerId> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, owner] : owners_) all.push_back(id);
  }
  for (const EventOwnerId owner : all) end_all(owner);
}

void SubscriptionTable::count_failure(const SubscriptionNode& node) {
  const std::lock_guard lock(mutex_);
  if (const auto owner = owners_.find(node.owner); owner != owners_.end()) ++owner->second.failures;
}

std::uint64_t SubscriptionTable::snapshot(unsigned type, std::vector<SubscriptionPtr>& out) const {
  std::vector<SubscriptionPtr> before;  // let go after the lock
  before.swap(out);
  const std::lock_guard lock(mutex_);
  out = types_[type];
  return versions_[type].load(std::memory_order_relaxed);
}

std::size_t SubscriptionTable::size() const {
  const std::lock_guard lock(mutex_);
  return size_;
}

std::size_t SubscriptionTable::orphans() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& nodes : types_)
    for (const SubscriptionPtr& node : nodes) count += !owners_.contains(node->owner);
  return count;
}

std::vector<EventOwnerCounts> SubscriptionTable::owners() const {
  const std::lock_guard lock(mutex_);
  std::vector<EventOwnerCounts> rows;
  for (const auto& [id, owner] : owners_) rows.push_back(owner);
  rows.push_back(former_);
  return rows;
}

std::string SubscriptionTable::running() const {
  const std::lock_guard lock(mutex_);
  const SubscriptionNode* const at = running_.load();
  // The node is looked for and not followed: the dispatcher may let go of it at any time.
  for (const auto& nodes : types_)
    for (const SubscriptionPtr& node : nodes)
      if (node.get() == at)
        if (const auto owner = owners_.find(node->owner); owner != owners_.end())
          return std::string(event_type_name(node->type)) + " of " + owner->second.name;
  return at ? "an ended subscription" : "";
}

}  // namespace ringfence::detail
