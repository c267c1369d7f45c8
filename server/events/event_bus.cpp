#include "events/event_bus.h"

#include <exception>

#include "log.h"
#include "realtime/clock.h"

namespace ringfence {
namespace {

constexpr std::int64_t kLogEveryMs = 5'000;

Account open_account(Ledger& ledger, std::string_view name, std::uint64_t bytes) {
  auto account = ledger.open(name, bytes);
  INVARIANT(account.ok());
  return std::move(account).value();
}

std::uint64_t fixed_bytes(const EventBus::Bounds& bounds) {
  return bounds.events * sizeof(detail::EventSlot) + bounds.subscriptions * EventBus::kSubscriptionBytes +
         detail::SubscriptionTable::kOwnersMax * 256;
}

}  // namespace

void EventOwner::end() noexcept {
  if (const auto table = table_.lock(); table && id_ != 0) table->remove_owner(id_);
  id_ = 0;
  table_.reset();
}

EventOwner& EventOwner::operator=(EventOwner&& other) noexcept {
  if (this == &other) return *this;
  end();
  table_ = std::move(other.table_);
  id_ = std::exchange(other.id_, 0);
  return *this;
}

void EventSubscription::end() noexcept {
  const detail::SubscriptionPtr node = std::move(node_);
  if (!node) return;
  if (const auto table = node->table.lock()) table->end(*node);
}

EventSubscription& EventSubscription::operator=(EventSubscription&& other) noexcept {
  if (this == &other) return *this;
  end();
  node_ = std::move(other.node_);
  return *this;
}

EventBus::EventBus(Ledger& ledger, const Bounds& bounds)
    : fixed_(open_account(ledger, "events", fixed_bytes(bounds))),
      data_(open_account(ledger, "event data", bounds.data_bytes)),
      queue_(bounds.events, data_),
      table_(std::make_shared<detail::SubscriptionTable>(bounds.subscriptions)) {
  INVARIANT(fixed_.try_add(fixed_.capacity_bytes()));  // taken for good
}

EventBus::~EventBus() {
  shutdown(std::chrono::steady_clock::now());
  join();
  table_->end_everything();
}

void EventBus::join() {
  INVARIANT(!table_->on_dispatcher());
  if (thread_.joinable()) thread_.join();
}

void EventBus::start() {
  const std::lock_guard lock(life_mutex_);
  if (queue_.is_open()) return;
  join();
  {
    const std::lock_guard exit_lock(exit_mutex_);
    exited_ = false;
  }
  queue_.open();
  thread_ = std::thread([this] { run(); });
}

bool EventBus::drain(std::chrono::steady_clock::time_point until, const std::function<bool()>& hastened) {
  INVARIANT(!table_->on_dispatcher());
  return queue_.wait_drained(until, hastened);
}

EventBusLeft EventBus::shutdown(std::chrono::steady_clock::time_point until, const std::function<bool()>& hastened) {
  INVARIANT(!table_->on_dispatcher());
  const std::lock_guard lock(life_mutex_);
  EventBusLeft left;
  queue_.close();
  if (!thread_.joinable()) return left;
  queue_.wait_drained(until, hastened);
  queue_.stop();
  {
    // The dispatcher leaves between two events; one that runs on is waited for as long as was said.
    std::unique_lock exit_lock(exit_mutex_);
    while (!exited_) {
      const auto now = std::chrono::steady_clock::now();
      if (now >= until || (hastened && hastened())) break;
      exit_.wait_until(exit_lock, std::min(until, now + std::chrono::milliseconds(20)));
    }
    // At the deadline: it may be between two events.
    if (!exited_) exit_.wait_for(exit_lock, std::chrono::milliseconds(50), [this] { return exited_; });
    left.events = exited_ ? dropped_ : queue_.size();
    if (!exited_) left.running = table_->running();
    if (!exited_ && left.running.empty()) left.running = "between two handlers";
  }
  if (left.running.empty()) join();
  for (EventOwnerCounts& owner : table_->owners())
    if (owner.live() > 0) left.owners.push_back(std::move(owner));
  return left;
}

Result<EventOwner> EventBus::owner(std::string name) {
  const auto id = table_->add_owner(std::move(name));
  if (!id.ok()) return id.error();
  return EventOwner(table_, *id);
}

std::size_t EventBus::unsubscribe_all(const EventOwner& owner) { return table_->end_all(owner.id()); }

// --- The dispatcher

void EventBus::run() {
  table_->attach_dispatcher(true);
  while (true) {
    const auto [first, last] = queue_.take();
    if (first == last) break;
    std::uint64_t position = first;
    for (; position < last && !queue_.stopped(); ++position) {
      dispatch(position, queue_.at(position));
      queue_.note_handled(position);
    }
    queue_.release(position);
  }
  for (Cached& cached : cached_) cached = {};
  const std::size_t dropped = queue_.run_out();
  table_->attach_dispatcher(false);
  const std::lock_guard lock(exit_mutex_);
  dropped_ = dropped;
  exited_ = true;
  exit_.notify_all();
}

void EventBus::dispatch(std::uint64_t position, detail::EventSlot& slot) {
  Cached& cached = cached_[slot.type];
  if (table_->version(slot.type) != cached.version) cached.version = table_->snapshot(slot.type, cached.nodes);
  for (const detail::SubscriptionPtr& node : cached.nodes) {
    if (position < node->from) continue;
    if (table_->begin_call(*node)) call(*node, slot.event);
  }
  table_->end_calls();
}

void EventBus::call(detail::SubscriptionNode& node, const void* event) noexcept {
  TypeCounters& counters = counters_[node.type];
  const auto failed = [&](const char* why) {
    counters.failures.store(counters.failures.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    table_->count_failure(node);
    logger("events")->error("a handler of {} failed: {}", event_type_name(node.type), why);
  };
  try {
    node.call(event);
    counters.delivered.store(counters.delivered.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  } catch (const std::exception& error) {
    failed(error.what());
  } catch (...) {
    failed("not a std::exception");
  }
  table_->after_call(node);
}

// --- Counts

Result<void> EventBus::note_refused(Result<void> result, unsigned type) {
  if (result.ok() || result.error() == Error::shutting_down) return result;
  const std::int64_t now = steady_ms();
  std::int64_t logged = refusal_logged_ms_.load(std::memory_order_relaxed);
  if ((logged == 0 || now - logged >= kLogEveryMs) && refusal_logged_ms_.compare_exchange_strong(logged, now))
    logger("events")->warn("event of {} refused: the queue of {} events or its memory is full; refused so far: {}",
                           event_type_name(type), queue_.capacity(), stats().total().refused);
  return result;
}

EventBusLoad EventBus::load() const noexcept { return {queue_.is_open(), queue_.size(), queue_.capacity()}; }

EventBusStats EventBus::stats() const {
  EventBusStats stats;
  stats.running = queue_.is_open();
  stats.queue_size = queue_.size();
  stats.queue_reserved = queue_.reserved();
  stats.queue_capacity = queue_.capacity();
  stats.queue_high_water_mark = queue_.high_water_mark();
  stats.data_bytes = data_.used_bytes();
  stats.data_capacity_bytes = data_.capacity_bytes();
  stats.data_high_water_mark_bytes = data_.high_water_mark_bytes();
  stats.subscriptions = table_->size();
  stats.subscriptions_capacity = table_->capacity();
  stats.subscriptions_refused = table_->refused();
  stats.orphans = table_->orphans();
  for (unsigned type = 1; type < event_types(); ++type) {
    const detail::EventTypeCounts counts = queue_.counts(type);
    const EventTypeStats row{event_type_name(type),
                             table_->size(type),
                             counts.accepted,
                             counts.refused,
                             counters_[type].delivered.load(std::memory_order_relaxed),
                             counters_[type].failures.load(std::memory_order_relaxed),
                             counts.dropped};
    if (row.subscriptions + row.published + row.refused > 0) stats.types.push_back(row);
  }
  stats.owners = table_->owners();
  stats.former_owners = std::move(stats.owners.back());
  stats.owners.pop_back();
  return stats;
}

}  // namespace ringfence
