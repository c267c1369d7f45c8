#include "events/event_queue.h"

#include <algorithm>
#include <atomic>

namespace ringfence {
namespace {

std::array<std::string_view, kEventTypesMax> type_names{};
std::atomic<unsigned> type_count{1};

}  // namespace

unsigned detail::register_event_type(std::string_view name) {
  const unsigned type = type_count.load();
  INVARIANT(type < kEventTypesMax);
  type_names[type] = name;
  type_count.store(type + 1);
  return type;
}

std::string_view event_type_name(unsigned type) noexcept { return type_names[type]; }
unsigned event_types() noexcept { return type_count.load(); }

namespace detail {

EventQueue::EventQueue(std::size_t capacity, Account& data)
    : capacity_(capacity), slots_(std::make_unique<EventSlot[]>(capacity)), data_(data) {
  INVARIANT(capacity > 0);
}

EventQueue::~EventQueue() { run_out(); }

Result<void> EventQueue::admit(unsigned type, std::uint64_t data_bytes) {
  const Result<void> admitted = [&]() -> Result<void> {
    if (!open_ || closed_types_[type]) return Error::shutting_down;
    if (tail_ - head_ + reserved_ >= capacity_) return Error::overloaded;
    if (data_bytes > 0 && !data_.try_add(data_bytes)) return Error::overloaded;
    return {};
  }();
  if (!admitted.ok()) ++counts_[type].refused;
  return admitted;
}

Result<void> EventQueue::push(unsigned type, std::uint64_t data_bytes, const EventOps& ops, Construct construct,
                              void* event, bool reserved) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (reserved) {
      --reserved_;
    } else if (const auto admitted = admit(type, data_bytes); !admitted.ok()) {
      return admitted;
    }
    EventSlot& slot = at(tail_);
    construct(slot.event, event);
    slot.ops = &ops;
    slot.type = type;
    slot.data_bytes = data_bytes;
    ++tail_;
    ++counts_[type].accepted;
    high_water_mark_ = std::max<std::size_t>(high_water_mark_, static_cast<std::size_t>(tail_ - head_));
    wake = sleeping_;
    sleeping_ = false;
  }
  if (wake) wake_.notify_one();
  return {};
}

Result<void> EventQueue::reserve(unsigned type, std::uint64_t data_bytes) {
  const std::lock_guard lock(mutex_);
  const auto admitted = admit(type, data_bytes);
  if (admitted.ok()) ++reserved_;
  return admitted;
}

void EventQueue::unreserve(std::uint64_t data_bytes) noexcept {
  data_.sub(data_bytes);
  const std::lock_guard lock(mutex_);
  --reserved_;
  if (head_ == tail_ && reserved_ == 0) drained_.notify_all();
}

void EventQueue::open() {
  const std::lock_guard lock(mutex_);
  open_ = true;
  closed_types_.fill(false);
  stopped_ = false;
}

void EventQueue::close() {
  const std::lock_guard lock(mutex_);
  open_ = false;
}

void EventQueue::close_type(unsigned type) {
  const std::lock_guard lock(mutex_);
  closed_types_[type] = true;
}

std::uint64_t EventQueue::end() const {
  const std::lock_guard lock(mutex_);
  return tail_;
}

EventQueue::Range EventQueue::take() {
  std::unique_lock lock(mutex_);
  while (head_ == tail_ && !stopped_) {
    sleeping_ = true;
    wake_.wait(lock);
  }
  sleeping_ = false;
  if (stopped_) return {};
  return {head_, std::min<std::uint64_t>(tail_, head_ + kTakeMax)};
}

void EventQueue::destroy(EventSlot& slot) noexcept {
  slot.ops->destroy(slot.event);
  data_.sub(slot.data_bytes);
}

void EventQueue::release(std::uint64_t last) noexcept {
  // Only the dispatcher changes head_, so it may be read here without the lock.
  for (std::uint64_t position = head_; position < last; ++position) destroy(at(position));
  const std::lock_guard lock(mutex_);
  head_ = last;
  if (head_ == tail_ && reserved_ == 0) drained_.notify_all();
}

std::size_t EventQueue::run_out() {
  const std::lock_guard lock(mutex_);
  const auto count = static_cast<std::size_t>(tail_ - head_);
  for (; head_ < tail_; ++head_) {
    ++counts_[at(head_).type].dropped;
    destroy(at(head_));
  }
  handled_ = static_cast<std::uint64_t>(head_);
  if (reserved_ == 0) drained_.notify_all();
  return count;
}

void EventQueue::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    sleeping_ = false;
  }
  wake_.notify_one();
}

bool EventQueue::wait_drained(std::chrono::steady_clock::time_point until, const std::function<bool()>& hastened) {
  std::unique_lock lock(mutex_);
  while (head_ != tail_ || reserved_ != 0) {
    const auto now = std::chrono::steady_clock::now();
    if (now >= until || (hastened && hastened())) return false;
    drained_.wait_until(lock, std::min(until, now + std::chrono::milliseconds(20)));
  }
  return true;
}

std::size_t EventQueue::size() const noexcept {
  const std::uint64_t handled = std::max<std::uint64_t>(head_, handled_.load(std::memory_order_relaxed));
  const std::uint64_t end = tail_;
  return end > handled ? static_cast<std::size_t>(end - handled) : 0;
}

EventTypeCounts EventQueue::counts(unsigned type) const noexcept {
  const Counts& counts = counts_[type];
  return {counts.accepted, counts.refused, counts.dropped};
}

}  // namespace detail
}  // namespace ringfence
