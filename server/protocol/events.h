// EventText: records as the JSON of protocol.md, "Events, JSON mode". Measured first, then written into memory that was
// taken for it.
//
// Cost     bytes: O(type); write: one copy of the payload.
#pragma once

#include <cstddef>
#include <string_view>

#include <ringfence/record.h>

namespace ringfence {

struct EventText {
  std::string_view channel;  // a valid name: nothing in it needs an escape

  std::size_t bytes(const RecordView& record, std::uint64_t prev_seq) const noexcept;
  // Exactly bytes(); returns the end. No line break.
  char* write(char* out, const RecordView& record, std::uint64_t prev_seq) const noexcept;
};

}  // namespace ringfence
