#include "realtime/feed.h"

#include "protocol/events.h"
#include "realtime/hub.h"

namespace ringfence {

bool Cut::render(Hub& hub, const Channel& channel) {
  if (text) return true;
  const EventText event{channel.name()};
  // Measured first: the text is at least one record, then as many as kTextBytesMax takes.
  std::size_t bytes = 0;
  std::uint32_t count = 0;
  std::uint64_t prev_seq = slice.prev_seq;
  const std::byte* at = slice.data;
  while (count < slice.count) {
    const RecordView record = view_record(at);
    const std::size_t more_bytes = event.bytes(record, prev_seq) + (count > 0 ? 1 : 0);
    if (count > 0 && bytes + more_bytes > kTextBytesMax) break;
    bytes += more_bytes;
    ++count;
    prev_seq = record.seq;
    at += record.stride_bytes;
  }
  text = hub.acquire(SegmentPool::kHeaderBytes + bytes);
  if (!text) return false;
  char* out = reinterpret_cast<char*>(text->data());
  prev_seq = slice.prev_seq;
  at = slice.data;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i > 0) *out++ = '\n';
    const RecordView record = view_record(at);
    out = event.write(out, record, prev_seq);
    prev_seq = record.seq;
    at += record.stride_bytes;
  }
  INVARIANT(out == reinterpret_cast<char*>(text->data()) + bytes);
  text_bytes = static_cast<std::uint32_t>(bytes);
  text_count = count;
  text_last_seq = prev_seq;
  return true;
}

// Under the channel's mutex. Nothing is read if the latest record is not held anywhere.
void Feed::read_latest(Cut& cut, std::uint64_t position, LastValues* last_values) {
  const History& history = channel_->history;
  const std::uint64_t last_seq = history.last_seq();
  if (last_seq <= cut.after) return;
  cut.slice = history.read(last_seq - 1, 1);
  if (cut.slice.count == 0 && last_values) {
    cut.last_record = last_values->find(channel_->id());
    if (!cut.last_record || cut.last_record->seq != last_seq) return;
    const std::string& bytes = cut.last_record->bytes;
    cut.slice.data = reinterpret_cast<const std::byte*>(bytes.data());
    cut.slice.bytes = static_cast<std::uint32_t>(bytes.size());
    cut.slice.count = 1;
    cut.slice.last_seq = last_seq;
  }
  if (cut.slice.count == 0) return;
  cut.slice.prev_seq = cut.after;
  const std::uint64_t between = channel_->between(cut.after, position);
  if (between > 0) cut.conflated = Gap{cut.after + 1, last_seq - 1, between};
}

const CutPtr& Feed::cut(Hub& hub, std::uint64_t after, std::uint64_t position, bool lagging) {
  const bool conflates = channel_->policy() == SlowPolicy::conflate;
  const bool latest = conflates && lagging;
  for (const CutPtr& held : cuts_)
    if (held && held->after == after && held->latest == latest) return held;
  CutPtr fresh(new Cut);
  fresh->after = after;
  fresh->latest = latest;
  {
    const std::lock_guard lock(channel_->mutex);
    const History& history = channel_->history;
    if (latest || (conflates && history.gap(after))) read_latest(*fresh, position, hub.last_values());
    if (fresh->slice.count == 0) {
      fresh->gap = channel_->gap(after, position);
      if (!fresh->gap) fresh->slice = history.read(after, hub.limits().frame_bytes);
    }
    fresh->first_position = history.first_position();
    fresh->end_position = history.end_position();
    fresh->more = fresh->gap ? history.last_seq() > fresh->gap->to
                             : fresh->slice.count > 0 && history.last_seq() > fresh->slice.last_seq;
  }
  const Slice& slice = fresh->slice;
  if (slice.count > 0)
    encode_section_header(fresh->header.data(), channel_->id(), slice.count, slice.prev_seq, slice.bytes);
  CutPtr& place = cuts_[next_cut_];
  next_cut_ = (next_cut_ + 1) % kCutsHeld;
  place = std::move(fresh);
  return place;
}

void Feed::drop_cuts() noexcept {
  for (CutPtr& held : cuts_) held.reset();
  cuts_hook.unlink();
}

}  // namespace ringfence
