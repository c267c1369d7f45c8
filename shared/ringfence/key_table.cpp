#include <ringfence/key_table.h>

#include <algorithm>

namespace ringfence {

Result<std::unique_ptr<KeyTable>> KeyTable::create(const LruLimits& limits) {
  auto cache = Cache::create(limits);
  if (!cache) return cache.error();
  return std::unique_ptr<KeyTable>(new KeyTable(std::move(cache).value()));
}

KeyTable::KeyTable(Cache&& cache) : cache_(std::move(cache)) { left_.reserve(cache_.capacity()); }

Result<void> KeyTable::set(std::uint32_t number, std::int64_t now_ms, std::int64_t ttl_ms, std::uint64_t cost) {
  begin(now_ms);
  const bool renewed = cache_.peek(number, now_ms) != nullptr;
  if (cost > cache_.cost_capacity())
    reason_ = Reason::removed;
  else
    reason_ = !renewed && held_ == cache_.capacity() ? Reason::capacity : Reason::bytes;
  const auto placed = cache_.put_for(number, Leaving(number), now_ms, ttl_ms, cost);
  if (!placed) return placed.error();
  (*placed)->table = this;
  if (!renewed) high_water_mark_ = std::max(high_water_mark_, ++held_);
  return {};
}

bool KeyTable::touch(std::uint32_t number, std::int64_t now_ms) {
  begin(now_ms);
  return cache_.get(number, now_ms) != nullptr;
}

bool KeyTable::erase(std::uint32_t number, std::int64_t now_ms) {
  begin(now_ms);
  reason_ = Reason::removed;
  return cache_.erase(number, now_ms);
}

void KeyTable::expire(std::int64_t now_ms) { begin(now_ms); }

void KeyTable::clear(std::int64_t now_ms) {
  begin(now_ms);
  reason_ = Reason::cleared;
  cache_.clear();
}

void KeyTable::begin(std::int64_t now_ms) {
  left_.clear();
  reason_ = Reason::age;
  cache_.expire(now_ms);
}

void KeyTable::leave(std::uint32_t number) {
  left_.push_back({number, reason_});
  ++counts_[static_cast<std::size_t>(reason_)];
  --held_;
  // One leaves for its place. If more have to, it is for their cost.
  if (reason_ == Reason::capacity) reason_ = Reason::bytes;
}

}  // namespace ringfence
