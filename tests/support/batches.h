// BatchBuilder: builds the bytes of a batch for tests, section by section, as protocol.md lays them out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <ringfence/batch.h>
#include <ringfence/bytes.h>

namespace ringfence::test {

using Bytes = std::vector<std::byte>;

inline Bytes record_bytes(std::uint64_t seq, std::int64_t time_us, std::string_view type, std::string_view payload) {
  Bytes bytes(record_stride_bytes(type.size(), payload.size()));
  encode_record(bytes.data(), seq, time_us, type, payload);
  return bytes;
}

class BatchBuilder {
 public:
  BatchBuilder() : bytes_(kBatchHeaderBytes) {}

  BatchBuilder& section(std::uint32_t channel_id, std::uint64_t prev_seq) {
    seal();
    channel_id_ = channel_id;
    prev_seq_ = prev_seq;
    ++sections_;
    return *this;
  }
  BatchBuilder& record(std::uint64_t seq, std::string_view payload = "1", std::string_view type = "t",
                       std::int64_t time_us = 1000) {
    const Bytes one = record_bytes(seq, time_us, type, payload);
    records_.insert(records_.end(), one.begin(), one.end());
    ++count_;
    return *this;
  }
  Bytes build() {
    seal();
    encode_batch_header(bytes_.data(), sections_);
    return bytes_;
  }

 private:
  void seal() {
    if (count_ > 0) {
      Bytes header(kSectionHeaderBytes);
      encode_section_header(header.data(), channel_id_, count_, prev_seq_, static_cast<std::uint32_t>(records_.size()));
      bytes_.insert(bytes_.end(), header.begin(), header.end());
      bytes_.insert(bytes_.end(), records_.begin(), records_.end());
    }
    records_.clear();
    count_ = 0;
  }

  Bytes bytes_;
  Bytes records_;
  std::uint16_t sections_ = 0;
  std::uint32_t channel_id_ = 0;
  std::uint32_t count_ = 0;
  std::uint64_t prev_seq_ = 0;
};

}  // namespace ringfence::test
