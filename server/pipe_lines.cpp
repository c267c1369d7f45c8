#include "pipe_lines.h"

#include <algorithm>
#include <utility>

#include "protocol/json.h"

namespace ringfence {

namespace {
constexpr std::uint32_t kDepthMax = 1000;  // the server has the word on the depth; this only tells JSON from text
}

char* LineBuffer::room() {
  bytes_.erase(0, begin_);
  scanned_ -= begin_;
  begin_ = 0;
  const std::size_t size = bytes_.size();
  bytes_.resize(size + kChunkBytes);
  return bytes_.data() + size;
}

void LineBuffer::filled(std::size_t bytes) { bytes_.resize(bytes_.size() - kChunkBytes + bytes); }

LineBuffer::Got LineBuffer::next(std::string_view& line) {
  for (;;) {
    const std::size_t found = bytes_.find('\n', scanned_);
    if (found == std::string::npos) {
      scanned_ = bytes_.size();
      if (dropping_ || scanned_ - begin_ > line_bytes_max_ + 1) {
        dropping_ = true;
        begin_ = scanned_;
      }
      if (!ended_) return Got::nothing;
      if (std::exchange(dropping_, false)) return Got::too_long;
      if (begin_ == scanned_) return Got::nothing;
      line = std::string_view(bytes_).substr(begin_);
      begin_ = scanned_;
    } else {
      line = std::string_view(bytes_).substr(begin_, found - begin_);
      begin_ = scanned_ = found + 1;
      if (std::exchange(dropping_, false)) return Got::too_long;
    }
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line.size() > line_bytes_max_ ? Got::too_long : Got::line;
  }
}

std::uint64_t LineBuffer::left() const noexcept {
  const std::string_view rest = std::string_view(bytes_).substr(begin_);
  const auto ends = static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '\n'));
  const bool half = rest.empty() ? dropping_ : rest.back() != '\n';
  return ends + (half ? 1 : 0);
}

std::optional<std::string> PublishFrame::message(std::uint64_t id, std::string_view line) const {
  if (!valid_utf8(line)) return std::nullopt;
  std::string text;
  text.reserve(line.size() + channel.size() + type.size() + 96);
  text += R"({"op":"publish","id":)";
  text += std::to_string(id);
  text += R"(,"channel":")";
  text += channel;  // a valid name: nothing in it needs an escape
  text += R"(","type":)";
  append_json_string(text, type);
  text += R"(,"data":)";
  if (!line.empty() && !check_json(line, kDepthMax)) {
    text += line;
  } else {
    text += R"({"text":)";
    append_json_string(text, line);
    text += '}';
  }
  text += '}';
  return text;
}

}  // namespace ringfence
