// Outgoing: one message with events on its way to a socket: the cuts it is made of and the buffers that point into them.
//
// Owns     references to its cuts, which hold the segments sent from, until clear().
// Threads  the shard's thread only.
// Bounds   kSectionsMax sections. One for each session that is writing events; the shard keeps spare ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <boost/asio/buffer.hpp>

#include "realtime/feed.h"

namespace ringfence {

class Outgoing {
 public:
  static constexpr std::size_t kSectionsMax = 16;

  // Against a vector of buffers: what the write operations copy is two pointers.
  class Buffers {
   public:
    using value_type = boost::asio::const_buffer;
    using const_iterator = const value_type*;
    explicit Buffers(std::span<const value_type> buffers) : buffers_(buffers) {}
    const_iterator begin() const noexcept { return buffers_.data(); }
    const_iterator end() const noexcept { return buffers_.data() + buffers_.size(); }

   private:
    std::span<const value_type> buffers_;
  };

  bool empty() const noexcept { return cuts_ == 0; }
  bool full() const noexcept { return cuts_ == kSectionsMax; }
  std::uint32_t content_bytes() const noexcept { return content_bytes_; }  // of records, or of text
  std::uint64_t records() const noexcept { return records_; }

  void add_section(const CutPtr& cut);  // binary: the cut's slice
  void add_text(const CutPtr& cut);     // JSON: the cut's text
  // The message; valid until clear().
  Buffers finish_batch() noexcept;
  Buffers finish_text() const noexcept { return Buffers({buffers_.data() + 1, count_ - 1}); }

  void clear() noexcept;

 private:
  void hold(const CutPtr& cut, std::uint32_t bytes, std::uint32_t records);

  std::array<std::byte, kBatchHeaderBytes> batch_header_{};
  std::array<CutPtr, kSectionsMax> held_;
  std::array<boost::asio::const_buffer, 1 + 2 * kSectionsMax> buffers_;  // [0]: the batch header
  std::size_t cuts_ = 0;
  std::size_t count_ = 1;
  std::uint32_t content_bytes_ = 0;
  std::uint64_t records_ = 0;
};

}  // namespace ringfence
