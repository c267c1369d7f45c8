#include <ringfence/recent_id_set.h>

#include <bit>

namespace ringfence {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014):
// consecutive ids spread over the table.
std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

Result<RecentIdSet> RecentIdSet::create(std::size_t capacity) {
  if (capacity > kCapacityMax) return Error::bad_capacity;
  auto order = RingBuffer<std::uint64_t>::create(capacity);
  if (!order) return order.error();
  return RecentIdSet(std::move(order).value(), std::bit_ceil(2 * capacity));
}

RecentIdSet::RecentIdSet(RingBuffer<std::uint64_t> order, std::size_t slots)
    : order_(std::move(order)), slots_(slots, 0) {}

bool RecentIdSet::insert(std::uint64_t id) {
  INVARIANT(id != 0);
  if (contains(id)) return false;
  if (const auto oldest = order_.push(id)) erase(*oldest);
  slots_[slot_of(id)] = id;
  return true;
}

bool RecentIdSet::contains(std::uint64_t id) const noexcept { return id != 0 && slots_[slot_of(id)] == id; }

std::size_t RecentIdSet::memory_bytes() const noexcept {
  return (order_.capacity() + slots_.size()) * sizeof(std::uint64_t);
}

std::size_t RecentIdSet::slot_of(std::uint64_t id) const noexcept {
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = static_cast<std::size_t>(mix(id)) & mask;
  while (slots_[slot] != 0 && slots_[slot] != id) slot = (slot + 1) & mask;
  return slot;
}

// Backward-shift deletion (Knuth, TAOCP 3, 6.4, algorithm R): no tombstones, so probes never lengthen with churn.
void RecentIdSet::erase(std::uint64_t id) noexcept {
  const std::size_t mask = slots_.size() - 1;
  std::size_t hole = slot_of(id);
  if (slots_[hole] != id) return;
  for (std::size_t slot = (hole + 1) & mask; slots_[slot] != 0; slot = (slot + 1) & mask) {
    const std::size_t home = static_cast<std::size_t>(mix(slots_[slot])) & mask;
    if (((slot - home) & mask) >= ((slot - hole) & mask)) {
      slots_[hole] = slots_[slot];
      hole = slot;
    }
  }
  slots_[hole] = 0;
}

}  // namespace ringfence
