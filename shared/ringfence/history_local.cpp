// The part of History for values that lie elsewhere: local records, their charges and their keys.
#include <algorithm>
#include <cmath>

#include <ringfence/history.h>

namespace ringfence {

Result<std::uint64_t> History::push(std::int64_t time_us, std::string_view type, std::string_view text,
                                    std::uint32_t charge_bytes, Numbering numbering) {
  const bool own = numbering == Numbering::own;
  if (own ? last_seq_ >= kSeqMax : ordinal_ >= ordinals_max(last_seq_)) return Error::seq_exhausted;
  expire(time_us);
  const std::uint64_t stride = ringfence::record_stride_bytes(type.size(), kLocalHeaderBytes + text.size());
  if (stride > kRecordBytesMax) return Error::record_too_large;
  if (size() == limits_.records_max)
    if (auto free = may_evict_to(first_position_ + 1); !free) return free.error();
  if (auto room = make_room(stride, charge_bytes); !room) return room.error();
  if (own) {
    ++last_seq_;
    ordinal_ = 0;
  } else {
    ++ordinal_;
  }
  Segment& tail = *segments_.back();
  encode_local_record(tail.data() + tail.used_bytes, last_seq_, time_us, type, ordinal_, charge_bytes, text);
  tail.used_bytes += static_cast<std::uint32_t>(stride);
  tail.count += 1;
  tail.last_seq = last_seq_;
  held_bytes_ += stride;
  charged_bytes_ += charge_bytes;
  ++end_position_;
  if (size() > limits_.records_max) drop_head_records(1, Eviction::records);
  note_size();
  return end_position_ - 1;
}

double History::last_key() const noexcept {
  RecordView last;
  last.seq = last_seq_;
  last.ordinal = ordinal_;
  return record_key(last);
}

// Of the records from the oldest one held to `end_offset` of its segment. Nothing to walk where nothing is charged.
std::uint64_t History::charges_in_head(std::uint32_t end_offset) const noexcept {
  if (charged_bytes_ == 0) return 0;
  std::uint64_t charges = 0;
  for (std::uint32_t offset = head_offset_bytes_; offset < end_offset;) {
    const RecordView record = view_record(segments_[head_]->data() + offset);
    charges += record.charge_bytes;
    offset += record.stride_bytes;
  }
  return charges;
}

std::uint64_t History::lower_bound_key(double key) const {
  if (!(key > 0)) return first_position_;
  if (key > static_cast<double>(kSeqMax)) return end_position_;
  const double whole = std::floor(key);
  const auto seq = static_cast<std::uint64_t>(whole);
  const std::uint64_t position = lower_bound(seq);
  if (key == whole || position == end_position_) return position;
  // Local records behind one seq follow one another, in the order of their ordinals.
  const RecordView record = at(position);
  if (record.seq != seq) return position;
  const double wanted = std::ceil((key - whole) * (static_cast<double>(ordinals_max(seq)) + 1));
  const double ahead = wanted - static_cast<double>(record.ordinal);
  if (ahead <= 0) return position;
  return std::min(position + static_cast<std::uint64_t>(ahead), lower_bound(seq + 1));
}

}  // namespace ringfence
