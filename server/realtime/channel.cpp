#include "realtime/channel.h"

#include <algorithm>
#include <utility>

#include "realtime/clock.h"

namespace ringfence {
namespace {

constexpr std::size_t kNameBytesMax = 128;
constexpr std::uint64_t kTableNodeBytes = 64;  // hash node, its share of the buckets, malloc's own

}  // namespace

bool valid_channel_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == ':' ||
           c == '.' || c == '-';
  });
}

Channel::Channel(std::string_view name, std::uint32_t id, std::uint64_t epoch, History its_history, Account& account,
                 SlowPolicy policy, Numbers numbers)
    : history(std::move(its_history)),
      used_at_ms(steady_ms()),
      id_(id),
      policy_(policy),
      epoch_(epoch),
      numbers_(numbers),
      account_(account),
      name_(name) {}

Channel::~Channel() { account_.sub(bytes_max(history.limits().bytes_max)); }

std::uint64_t Channel::bytes_max(std::uint64_t history_bytes_max) noexcept {
  // A history has at most two segments for each 64 KiB and some small ones; its vector of them doubles.
  const std::uint64_t segments = history_bytes_max / (32 * 1024) + 32;
  return sizeof(Channel) + kNameBytesMax + kTableNodeBytes + 2 * segments * sizeof(SegmentRef);
}

std::string Channel::epoch() const {
  std::string text;
  for (std::uint64_t rest = epoch_; rest != 0; rest /= 36) text += "0123456789abcdefghijklmnopqrstuvwxyz"[rest % 36];
  std::reverse(text.begin(), text.end());
  return text.empty() ? "0" : text;  // a stream that was not reached yet
}

Result<StartPoint> Channel::start(const std::optional<ResumePoint>& after, std::optional<std::uint32_t> last) const {
  StartPoint at;
  at.first = history.first_seq();
  at.next = history.next_seq();
  at.missed = 0;
  if (!after) {
    at.after = history.cursor_before_last(last.value_or(0));
  } else if (after->epoch != epoch()) {
    at.missed.reset();
    at.after = last ? history.cursor_before_last(*last) : history.evicted_through();
  } else if (after->seq > history.last_seq()) {
    return Error::seq_in_future;
  } else if (const auto gap = history.gap(after->seq)) {
    // Of a stream only the numbers are known, and those between are other channels' too.
    at.missed = numbers_ == Numbers::own ? std::optional(gap->missed) : std::nullopt;
    at.after = gap->to;
  } else {
    at.recovered = !history.holes_behind(after->seq);  // what was lost within is told where it stands
    at.after = after->seq;
  }
  at.position = history.lower_bound(at.after + 1);
  return at;
}

std::optional<Gap> Channel::gap(std::uint64_t after, std::uint64_t position) const {
  auto gap = history.gap(after);
  if (gap && numbers_ == Numbers::stream) {
    gap->known = !history.hole_evicted(after);
    gap->missed = gap->known ? history.first_position() - position : 0;
  } else if (!gap) {
    gap = history.hole(after);
    if (gap && numbers_ == Numbers::stream) {
      gap->known = false;
      gap->missed = 0;
    }
  }
  return gap;
}

std::uint64_t Channel::between(std::uint64_t after, std::uint64_t position) const noexcept {
  if (numbers_ == Numbers::own) return history.last_seq() - 1 - after;
  return history.end_position() - std::min(history.end_position(), position + 1);
}

void intrusive_ptr_add_ref(Channel* channel) noexcept { channel->references_.fetch_add(1, std::memory_order_relaxed); }

void intrusive_ptr_release(Channel* channel) noexcept {
  if (channel->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete channel;
}

}  // namespace ringfence
