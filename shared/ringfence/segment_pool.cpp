#include <ringfence/segment_pool.h>

#include <cstdlib>
#include <limits>
#include <new>

namespace ringfence {

static_assert(sizeof(Segment) % 8 == 0, "records lie on 8-byte boundaries");

SegmentRef::SegmentRef(const SegmentRef& other) noexcept : segment_(other.segment_) {
  if (segment_) segment_->references_.fetch_add(1, std::memory_order_relaxed);
}

void SegmentRef::reset() noexcept {
  Segment* segment = std::exchange(segment_, nullptr);
  // acq_rel: the last release must see every read of the others before it frees.
  if (segment && segment->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) segment->pool_->release(segment);
}

SegmentPool::~SegmentPool() { INVARIANT(account_.used_bytes() == 0); }

SegmentRef SegmentPool::acquire(std::uint64_t allocated_bytes) noexcept {
  INVARIANT(allocated_bytes > kHeaderBytes &&
            allocated_bytes - kHeaderBytes <= std::numeric_limits<std::uint32_t>::max());
  if (!account_.try_add(allocated_bytes)) return {};
  void* memory = std::malloc(static_cast<std::size_t>(allocated_bytes));
  if (!memory) {
    account_.sub(allocated_bytes);
    return {};
  }
  return SegmentRef(new (memory) Segment(*this, static_cast<std::uint32_t>(allocated_bytes - kHeaderBytes)));
}

void SegmentPool::release(Segment* segment) noexcept {
  const std::uint64_t bytes = segment->allocated_bytes();
  segment->~Segment();
  std::free(segment);
  account_.sub(bytes);
}

}  // namespace ringfence
