// A record as servers send it to one another, read back.
//
// Threads  none: a function of its argument.
// Refs     the view is of `data`.
// Errors   what no server can have made is nothing (nullopt).
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include <ringfence/record.h>

namespace ringfence {

inline std::optional<RecordView> read_bus_record(std::string_view data) {
  const auto bytes = std::as_bytes(std::span(data.data(), data.size()));
  if (!check_record(bytes)) return std::nullopt;
  const RecordView record = view_record(bytes.data());
  // A history counts ages from the time: it must leave room for that.
  const bool good_time = record.time_us >= 0 && static_cast<std::uint64_t>(record.time_us) <= kSeqMax;
  return good_time && valid_type(record.type) ? std::optional(record) : std::nullopt;
}

}  // namespace ringfence
