#include <ringfence/view.h>

#include <algorithm>

#include <ringfence/cold.h>

namespace ringfence {
namespace {

// Calls `visit` with each name until it returns true; false if none did.
template <typename Visit>
bool any_name(std::string_view names, Visit visit) {
  for (;;) {
    const std::size_t end = std::min(names.find('\n'), names.size());
    if (visit(names.substr(0, end))) return true;
    if (end == names.size()) return false;
    names.remove_prefix(end + 1);
  }
}

RINGFENCE_COLD bool valid_names(std::string_view names) noexcept {
  std::size_t count = 0;
  if (names.size() > 256 * ViewFilter::kNamesMax) return false;  // so that a place in them has 16 bits
  return names.empty() ||
         !any_name(names, [&](std::string_view name) { return name.empty() || ++count > ViewFilter::kNamesMax; });
}

bool channel_matches(std::string_view wanted, std::string_view channel) noexcept {
  if (wanted.back() != '*') return wanted == channel;
  wanted.remove_suffix(1);
  return channel.substr(0, wanted.size()) == wanted;
}

}  // namespace

RINGFENCE_COLD Result<std::unique_ptr<View>> View::create(ViewFilter filter, std::uint32_t capacity,
                                                          std::int64_t rate_bucket_us) {
  if (capacity == 0 || capacity > kCapacityMax || rate_bucket_us <= 0) return Error::bad_capacity;
  if (!valid_names(filter.types) || !valid_names(filter.channels)) return Error::bad_field;
  if (!filter.text.empty() && !TextMatch::valid(filter.text)) return Error::bad_field;
  return std::unique_ptr<View>(new View(std::move(filter), capacity, rate_bucket_us));
}

RINGFENCE_COLD View::View(ViewFilter&& filter, std::uint32_t capacity, std::int64_t rate_bucket_us)
    : filter_(std::move(filter)),
      ring_(RingBuffer<std::uint64_t>::create(capacity).value()),
      rates_(RateMeter::create(rate_bucket_us).value()) {
  if (!filter_.text.empty()) text_.emplace(filter_.text);
  if (filter_.types.empty()) return;
  any_name(filter_.types, [this](std::string_view name) {
    type_ends_[types_++] = static_cast<std::uint16_t>(name.data() + name.size() - filter_.types.data());
    return false;
  });
}

bool View::update(const History& history, std::string_view channel) {
  const std::uint64_t before = total_ + evicted_with_history_ + read_;
  while (!ring_.empty() && ring_.front() < history.first_position()) {
    ring_.pop();
    ++evicted_with_history_;
  }
  if (history.evicted(Eviction::cleared) != cleared_) {
    cleared_ = history.evicted(Eviction::cleared);
    read_ = total_;
  }
  if (next_ < history.first_position()) {
    unseen_ += history.first_position() - next_;
    next_ = history.first_position();
  }
  const std::uint64_t count = history.end_position() - next_;
  if (count > 0) {
    scanned_ += count;
    const std::string& channels = filter_.channels;
    const bool of_channel = channels.empty() || any_name(channels, [channel](std::string_view wanted) {
                              return channel_matches(wanted, channel);
                            });
    if (of_channel) {
      history.visit(next_, count, [this](const RecordView& record) {
        if (matches(record)) {
          ring_.push(next_);
          rates_.add(record.type, record.time_us);
          ++total_;
        }
        ++next_;
      });
    }
    next_ = history.end_position();
    high_water_mark_ = std::max<std::uint64_t>(high_water_mark_, ring_.size());
  }
  return total_ + evicted_with_history_ + read_ != before;
}

bool View::matches(const RecordView& record) const noexcept {
  if (types_ > 0) {
    const char* const types = filter_.types.data();
    std::size_t from = 0;
    std::uint32_t index = 0;
    for (; index < types_; from = type_ends_[index++] + 1u)
      if (same_text({types + from, type_ends_[index] - from}, record.type)) break;
    if (index == types_) return false;
  }
  return !text_ || text_->in(record.payload);
}

bool View::mark_read(std::uint64_t position) {
  std::uint64_t low = first();
  std::uint64_t high = total_;
  while (low < high) {
    const std::uint64_t middle = low + (high - low) / 2;
    if (this->position(middle) < position)
      low = middle + 1;
    else
      high = middle;
  }
  if (low <= read_) return false;
  read_ = low;
  return true;
}

}  // namespace ringfence
