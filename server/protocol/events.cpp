#include "protocol/events.h"

#include <charconv>

#include "protocol/json.h"

namespace ringfence {
namespace {

constexpr std::string_view kChannel = R"({"op":"event","channel":")";
constexpr std::string_view kSeq = R"(","seq":)";
constexpr std::string_view kPrev = R"(,"prev":)";
constexpr std::string_view kTime = R"(,"time":")";
constexpr std::string_view kType = R"(","type":)";
constexpr std::string_view kData = R"(,"data":)";

std::size_t digits(std::uint64_t value) noexcept {
  std::size_t count = 1;
  for (; value >= 10; value /= 10) ++count;
  return count;
}

char* put(char* out, std::string_view text) noexcept { return out + text.copy(out, text.size()); }
char* put(char* out, std::uint64_t value) noexcept { return std::to_chars(out, out + 20, value).ptr; }

}  // namespace

std::size_t EventText::bytes(const RecordView& record, std::uint64_t prev_seq) const noexcept {
  std::size_t bytes = kChannel.size() + channel.size() + kSeq.size() + digits(record.seq) + kTime.size() +
                      kRfc3339Bytes + kType.size() + json_string_bytes(record.type) + kData.size() +
                      record.payload.size() + 1;
  if (prev_seq + 1 != record.seq) bytes += kPrev.size() + digits(prev_seq);
  return bytes;
}

char* EventText::write(char* out, const RecordView& record, std::uint64_t prev_seq) const noexcept {
  out = put(put(out, kChannel), channel);
  // Through a buffer: to_chars wants room for the longest number.
  char number[20];
  const auto put_number = [&](std::uint64_t value) {
    out = put(out, std::string_view(number, static_cast<std::size_t>(put(number, value) - number)));
  };
  out = put(out, kSeq);
  put_number(record.seq);
  if (prev_seq + 1 != record.seq) {
    out = put(out, kPrev);
    put_number(prev_seq);
  }
  const auto time = rfc3339(record.time_us);
  out = put(put(out, kTime), std::string_view(time.data(), time.size()));
  out = write_json_string(put(out, kType), record.type);
  out = put(put(out, kData), record.payload);
  *out++ = '}';
  return out;
}

}  // namespace ringfence
