#include "realtime/outgoing.h"

namespace ringfence {
namespace {

constexpr char kLineBreak[] = "\n";

}  // namespace

void Outgoing::hold(const CutPtr& cut, std::uint32_t bytes, std::uint32_t records) {
  INVARIANT(!full());
  held_[cuts_++] = cut;
  content_bytes_ += bytes;
  records_ += records;
}

void Outgoing::add_section(const CutPtr& cut) {
  hold(cut, cut->slice.bytes, cut->slice.count);
  buffers_[count_++] = boost::asio::buffer(cut->header);
  buffers_[count_++] = boost::asio::buffer(cut->slice.data, cut->slice.bytes);
}

void Outgoing::add_text(const CutPtr& cut) {
  if (!empty()) buffers_[count_++] = boost::asio::buffer(kLineBreak, 1);
  hold(cut, cut->text_bytes, cut->text_count);
  buffers_[count_++] = boost::asio::buffer(cut->text->data(), cut->text_bytes);
}

Outgoing::Buffers Outgoing::finish_batch() noexcept {
  encode_batch_header(batch_header_.data(), static_cast<std::uint16_t>(cuts_));
  buffers_[0] = boost::asio::buffer(batch_header_);
  return Buffers({buffers_.data(), count_});
}

void Outgoing::clear() noexcept {
  for (std::size_t i = 0; i < cuts_; ++i) held_[i].reset();
  cuts_ = 0;
  count_ = 1;
  content_bytes_ = 0;
  records_ = 0;
}

}  // namespace ringfence
