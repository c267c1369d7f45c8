// LineBuffer: bytes in, lines out, each at most as long as allowed. publish_message: a line as the op that publishes it.
//
// Owns     at most line_bytes_max and one chunk of input.
// Threads  none.
// Errors   a line that is too long is dropped up to its end, and counted by next() once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ringfence {

class LineBuffer {
 public:
  static constexpr std::size_t kChunkBytes = 64 * 1024;

  explicit LineBuffer(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}
  void set_line_bytes_max(std::size_t bytes) noexcept { line_bytes_max_ = bytes; }

  // Where the next bytes of input go: kChunkBytes at the returned place, then filled(how many came).
  char* room();
  void filled(std::size_t bytes);
  void end() noexcept { ended_ = true; }  // the rest is the last line

  enum class Got : std::uint8_t { line, too_long, nothing };
  // `line` is valid until room(). Without its line break, also a Windows one.
  Got next(std::string_view& line);
  // The lines that next() has not given, half a one at the end among them. Reads all that is held.
  std::uint64_t left() const noexcept;

 private:
  std::string bytes_;
  std::size_t begin_ = 0;
  std::size_t scanned_ = 0;  // no line break before it
  std::size_t line_bytes_max_;
  bool dropping_ = false;
  bool ended_ = false;
};

// What stands before the data of every message of one pipe, save the id.
struct PublishFrame {
  std::string channel;
  std::string type;
  // None if the line is not UTF-8. JSON as it is (its line breaks cannot be there), other text wrapped.
  std::optional<std::string> message(std::uint64_t id, std::string_view line) const;
};

}  // namespace ringfence
