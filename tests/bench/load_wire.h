// The client's side of WebSocket, as much as a load program needs: one upgrade request, masked
// frames out, and a streaming reader of frames in. It depends on nothing of Ringfence, so that the
// load counts what arrives on the wire and not what our own code says arrived.
//
// Threads  one thread.
// Bounds   FrameReader holds at most one frame header (10 bytes); payloads are passed on in parts.
// Errors   feed() returns false on a frame no server may send (masked, reserved bits, bad opcode).
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace ringfence::bench {

using Bytes = std::span<const std::uint8_t>;

enum Opcode : std::uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

inline std::string upgrade_request(std::string_view path, std::string_view host, std::string_view protocol) {
  std::string request = "GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(host) +
                        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cmluZ2ZlbmNlLWJlbmNoIQ==\r\n";
  if (!protocol.empty()) request += "Sec-WebSocket-Protocol: " + std::string(protocol) + "\r\n";
  return request + "\r\n";
}

// The mask is zero: legal, and it leaves the payload as it is.
inline void append_frame(std::string& out, Opcode opcode, std::string_view payload) {
  out.push_back(static_cast<char>(0x80 | opcode));
  const std::size_t size = payload.size();
  if (size < 126) {
    out.push_back(static_cast<char>(0x80 | size));
  } else if (size < 65536) {
    out.push_back(static_cast<char>(0x80 | 126));
    out.push_back(static_cast<char>(size >> 8));
    out.push_back(static_cast<char>(size & 0xff));
  } else {
    out.push_back(static_cast<char>(0x80 | 127));
    for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>((size >> shift) & 0xff));
  }
  out.append(4, '\0');
  out.append(payload);
}

struct FramePart {
  std::uint8_t opcode;  // as on the wire: a continuation stays kContinuation
  bool fin;             // the frame ends its message
  bool first, last;     // part of this frame
  std::uint64_t frame_size;
  Bytes bytes;
};

class FrameReader {
 public:
  // Calls sink(FramePart) for each run of payload bytes, and once for an empty frame.
  template <class Sink>
  [[nodiscard]] bool feed(Bytes in, Sink&& sink) {
    while (!in.empty()) {
      if (left_ == 0) {
        const int taken = take_header(in);
        if (taken < 0) return false;
        in = in.subspan(static_cast<std::size_t>(taken));
        if (!header_done_) return true;
        header_done_ = false;
        first_ = true;
        if (left_ == 0) {
          sink(FramePart{opcode_, fin_, true, true, 0, {}});
          continue;
        }
      }
      const std::size_t size = left_ < in.size() ? static_cast<std::size_t>(left_) : in.size();
      left_ -= size;
      if (size > 0) sink(FramePart{opcode_, fin_, first_, left_ == 0, frame_size_, in.first(size)});
      if (size > 0) first_ = false;
      in = in.subspan(size);
    }
    return true;
  }

 private:
  int take_header(Bytes in) {
    std::size_t taken = 0;
    while (taken < in.size()) {
      header_[held_++] = in[taken++];
      if (held_ < 2) continue;
      const std::size_t length = header_[1] & 0x7f;
      const std::size_t need = length == 127 ? 10 : length == 126 ? 4 : 2;
      if (held_ < need) continue;
      if ((header_[0] & 0x70) != 0 || (header_[1] & 0x80) != 0) return -1;
      opcode_ = header_[0] & 0x0f;
      fin_ = (header_[0] & 0x80) != 0;
      if (opcode_ > kPong || (opcode_ > kBinary && opcode_ < kClose)) return -1;
      left_ = length;
      if (need > 2) left_ = 0;
      for (std::size_t i = 2; i < need; ++i) left_ = left_ << 8 | header_[i];
      frame_size_ = left_;
      held_ = 0;
      header_done_ = true;
      return static_cast<int>(taken);
    }
    return static_cast<int>(taken);
  }

  std::uint8_t header_[10] = {};
  std::size_t held_ = 0;
  bool header_done_ = false, fin_ = false, first_ = false;
  std::uint8_t opcode_ = 0;
  std::uint64_t left_ = 0, frame_size_ = 0;
};

}  // namespace ringfence::bench
