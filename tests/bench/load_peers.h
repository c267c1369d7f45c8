// What differs between the servers of the fan-out benchmark: how a subscriber and the publisher
// introduce themselves, how a message is published, and how arriving messages are counted.
//
//   ws         one WebSocket message each; the server under test is fanout_ws.mjs
//   nchan      one WebSocket message each; nginx with the Nchan module
//   nats       NATS's own text protocol inside WebSocket frames, cut anywhere
//   ringfence  the sub-protocol ringfence.v1: batches of records; every sequence number is checked
//
// Threads  one thread.
// Bounds   NATS lines of 4 KiB; Ringfence messages of 16 MiB. Beyond it the subscriber is broken.
// Errors   Counter::broken is set, and the subscriber is counted as lost from then on.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "load_wire.h"

namespace ringfence::bench {

enum class Peer { kWs, kNchan, kNats, kRingfence };

inline constexpr std::string_view kChannel = "bench";

struct Totals {
  std::uint64_t delivered = 0;  // application messages, all subscribers together
  std::uint64_t frames = 0;     // WebSocket data frames they came in
  std::uint64_t bytes = 0;      // read from the sockets
  std::uint64_t skipped = 0;    // Ringfence: sequence numbers jumped over, or told as a gap
  std::uint64_t wrong = 0;      // messages of another size than was published
  std::uint64_t refused = 0;    // error messages, to publisher or subscribers
};

inline std::string subscriber_path(Peer peer) {
  if (peer == Peer::kNchan) return "/sub/bench";
  if (peer == Peer::kRingfence) return "/v1/ws?channels=bench";
  return "/";
}

inline std::string publisher_path(Peer peer) {
  if (peer == Peer::kNchan) return "/pub/bench";
  if (peer == Peer::kRingfence) return "/v1/ws";
  return peer == Peer::kWs ? "/publish" : "/";
}

inline std::string_view sub_protocol(Peer peer) { return peer == Peer::kRingfence ? "ringfence.v1" : ""; }

// What is sent behind the upgrade; "" when the upgrade is all.
inline std::string hello(Peer peer, bool subscriber) {
  if (peer != Peer::kNats) return {};
  std::string text = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":false}\r\n";
  if (subscriber) text += "SUB bench 1\r\n";
  return text + "PING\r\n";
}

inline void append_publish(std::string& out, Peer peer, std::string_view data) {
  std::string body;
  switch (peer) {
    case Peer::kWs:
    case Peer::kNchan: return append_frame(out, kText, data);
    case Peer::kNats:
      body = "PUB bench " + std::to_string(data.size()) + "\r\n";
      body.append(data).append("\r\n");
      return append_frame(out, kBinary, body);
    case Peer::kRingfence:
      body = R"({"op":"publish","channel":"bench","type":"chat","data":)";
      body.append(data).append("}");
      return append_frame(out, kText, body);
  }
}

template <class T>
T little_endian(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Counts what one connection receives.
class Counter {
 public:
  Counter(Peer peer, std::size_t message_bytes) : peer_(peer), message_bytes_(message_bytes) {}

  bool live = false;    // the subscription has been confirmed
  bool broken = false;  // the stream made no sense
  bool pong = false;    // NATS asked for a PONG

  void part(const FramePart& part, Totals& totals) {
    if (part.opcode >= kClose) return;
    if (part.first) ++totals.frames;
    if (part.first && part.opcode != kContinuation) message_opcode_ = part.opcode;
    if (peer_ == Peer::kNats) return nats(part.bytes, totals);
    if (peer_ != Peer::kRingfence) {
      held_bytes_ += part.bytes.size();
      if (!part.last || !part.fin) return;
      if (held_bytes_ != message_bytes_) ++totals.wrong;
      held_bytes_ = 0;
      ++totals.delivered;
      return;
    }
    const bool ends = part.last && part.fin;
    if (ends && held_.empty()) return message(part.bytes, totals);
    if (held_.size() + part.bytes.size() > kMessageBytesMax) broken = true;
    if (broken) return;
    held_.append(reinterpret_cast<const char*>(part.bytes.data()), part.bytes.size());
    if (!ends) return;
    message({reinterpret_cast<const std::uint8_t*>(held_.data()), held_.size()}, totals);
    held_.clear();
  }

 private:
  static constexpr std::size_t kLineBytesMax = 4096, kMessageBytesMax = 16 << 20;

  void message(Bytes bytes, Totals& totals) {
    if (message_opcode_ == kBinary) return batch(bytes, totals);
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (text.find("\"op\":\"subscribed\"") != text.npos) live = true;
    if (text.find("\"op\":\"error\"") != text.npos) ++totals.refused;
  }

  void batch(Bytes in, Totals& totals) {
    if (in.size() < 8 || std::memcmp(in.data(), "RFB1\x01\0", 6) != 0) return void(broken = true);
    unsigned sections = little_endian<std::uint16_t>(in.data() + 6);
    for (in = in.subspan(8); sections > 0; --sections) {
      if (in.size() < 24) return void(broken = true);
      const auto count = little_endian<std::uint32_t>(in.data() + 4);
      const auto bytes = little_endian<std::uint32_t>(in.data() + 16);
      if (bytes > in.size() - 24 || !records(in.subspan(24, bytes), count, totals)) return void(broken = true);
      in = in.subspan(24 + bytes);
    }
    if (!in.empty()) broken = true;
  }

  bool records(Bytes in, std::uint32_t count, Totals& totals) {
    for (; count > 0; --count) {
      if (in.size() < 24) return false;
      const auto size = little_endian<std::uint32_t>(in.data());
      const auto seq = little_endian<std::uint64_t>(in.data() + 8);
      const std::size_t type_bytes = in[6], padded = (std::size_t{size} + 7) & ~std::size_t{7};
      if (size < 24 + type_bytes || padded > in.size() || seq <= seq_) return false;
      if (size - 24 - type_bytes != message_bytes_) ++totals.wrong;
      if (seq_ != 0) totals.skipped += seq - seq_ - 1;
      seq_ = seq;
      ++totals.delivered;
      in = in.subspan(padded);
    }
    return in.empty();
  }

  void nats(Bytes in, Totals& totals) {
    while (!in.empty() && !broken) {
      if (body_left_ > 0) {
        const std::size_t size = body_left_ < in.size() ? body_left_ : in.size();
        in = in.subspan(size);
        body_left_ -= size;
        if (body_left_ == 0) ++totals.delivered;
        continue;
      }
      const auto* end = static_cast<const std::uint8_t*>(std::memchr(in.data(), '\n', in.size()));
      const std::size_t size = end ? static_cast<std::size_t>(end - in.data()) + 1 : in.size();
      std::string_view text(reinterpret_cast<const char*>(in.data()), size);
      in = in.subspan(size);
      if (!held_.empty() || !end) {
        held_.append(text);
        if (held_.size() > kLineBytesMax) broken = true;
        if (!end) return;
        text = held_;
      }
      line(text, totals);
      held_.clear();
    }
  }

  void line(std::string_view text, Totals& totals) {
    if (text.starts_with("MSG ")) {
      std::size_t bytes = 0;
      for (char c : text.substr(text.find_last_of(' ') + 1))
        if (c >= '0' && c <= '9') bytes = bytes * 10 + static_cast<std::size_t>(c - '0');
      if (bytes != message_bytes_) ++totals.wrong;
      body_left_ = bytes + 2;
    } else if (text.starts_with("PONG")) {
      live = true;
    } else if (text.starts_with("PING")) {
      pong = true;
    } else if (text.starts_with("-ERR")) {
      ++totals.refused;
    } else if (!text.starts_with("INFO") && !text.starts_with("+OK")) {
      broken = true;
    }
  }

  Peer peer_;
  std::size_t message_bytes_, held_bytes_ = 0, body_left_ = 0;
  std::uint8_t message_opcode_ = 0;
  std::uint64_t seq_ = 0;
  std::string held_;  // a message or line that is not complete yet
};

}  // namespace ringfence::bench
