#include "realtime/history_text.h"

#include <utility>
#include <vector>

#include "protocol/events.h"
#include "protocol/replies.h"
#include "realtime/clock.h"
#include "realtime/hub_evictions.h"

namespace ringfence {
namespace {

// What one `history` answers, read under the channel's mutex and rendered outside of it.
struct Found {
  HistoryHead head{};
  std::string epoch;
  std::vector<Slice> slices;
};

Result<void> read_history(Channel& channel, const Request& request, std::uint32_t bytes_max, EventBus* events,
                          Found& out) {
  Hub::Evictions evictions(events);
  const std::lock_guard lock(channel.mutex);
  if (channel.forgotten) return Error::no_such_channel;
  History& history = channel.history;
  {
    const Hub::Evictions::Look look(evictions, channel);
    history.expire(wall_us());
  }
  out.epoch = channel.epoch();
  out.head.first = history.first_seq();
  out.head.next = history.next_seq();
  std::uint64_t after = request.after_seq;
  if (request.epoch && *request.epoch != out.epoch) {
    after = history.evicted_through();  // a seq of another life says nothing here
  } else {
    if (after > history.last_seq()) return Error::seq_in_future;
    const auto gap = history.gap(after);
    out.head.missed = gap ? gap->missed : 0;
    if (gap && channel.numbers() == Numbers::stream) out.head.missed.reset();
  }
  std::uint32_t bytes = 0;
  for (std::uint64_t count = 0; count < request.limit && bytes < bytes_max;) {
    Slice slice = history.read(after, bytes_max - bytes);
    if (slice.count == 0 || (count > 0 && slice.bytes > bytes_max - bytes)) break;
    count += slice.count;
    bytes += slice.bytes;
    after = slice.last_seq;
    out.slices.push_back(std::move(slice));
  }
  return {};
}

// Visits (record, prev_seq) of all slices in order while `visit` returns true.
template <typename Visit>
void each_record(const std::vector<Slice>& slices, Visit visit) {
  for (const Slice& slice : slices) {
    const std::byte* at = slice.data;
    std::uint64_t prev_seq = slice.prev_seq;
    for (std::uint32_t i = 0; i < slice.count; ++i) {
      const RecordView record = view_record(at);
      if (!visit(record, prev_seq)) return;
      prev_seq = record.seq;
      at += record.stride_bytes;
    }
  }
}

}  // namespace

Result<HistoryText> history_text(Hub& hub, EventBus* events, const Request& request) {
  const ChannelPtr channel = hub.find(request.channel);
  if (!channel) return Error::no_such_channel;
  Found found;
  const std::uint32_t bytes_max = hub.limits().frame_bytes;
  if (const auto read = read_history(*channel, request, bytes_max, events, found); !read) return read.error();

  const EventText event{channel->name()};
  std::uint64_t count = 0;
  std::size_t events_bytes = 0;
  std::uint64_t last_seq = found.head.next - 1;  // if there is none behind `after`
  each_record(found.slices, [&](const RecordView& record, std::uint64_t prev_seq) {
    const std::size_t bytes = event.bytes(record, prev_seq) + (count > 0 ? 1 : 0);
    if (count == request.limit || (count > 0 && events_bytes + bytes > bytes_max)) return false;
    events_bytes += bytes;
    last_seq = record.seq;
    ++count;
    return true;
  });
  found.head.epoch = found.epoch;
  found.head.more = last_seq + 1 < found.head.next;
  const std::string head = history_head_text(request.id, channel->name(), found.head);

  HistoryText text;
  const std::size_t bytes = head.size() + events_bytes + kHistoryTail.size();
  text.segment = hub.acquire(SegmentPool::kHeaderBytes + bytes);
  if (!text.segment) return Error::overloaded;
  text.bytes = static_cast<std::uint32_t>(bytes);
  char* out = reinterpret_cast<char*>(text.segment->data());
  out += head.copy(out, head.size());
  std::uint64_t written = 0;
  each_record(found.slices, [&](const RecordView& record, std::uint64_t prev_seq) {
    if (written == count) return false;
    if (written++ > 0) *out++ = ',';
    out = event.write(out, record, prev_seq);
    return true;
  });
  kHistoryTail.copy(out, kHistoryTail.size());
  return text;
}

}  // namespace ringfence
