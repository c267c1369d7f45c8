// WsSession: messages in.
#include <algorithm>
#include <cstring>
#include <utility>

#include <boost/beast/websocket/error.hpp>

#include "net/ws_session.h"

namespace ringfence {

// For one more than is owed already: to the op that is being read, or waits for its channel.
bool WsSession::reply_room() const noexcept {
  const std::size_t owed = reading_ || parked_ ? 1 : 0;
  return replies_.size() + owed < kRepliesMax && reply_bytes_ < kReplyBytesMax;
}

// Back-pressure: what cannot be answered yet is not read yet. While draining nothing is, as answers would hold up
// `closing`.
void WsSession::read_on() {
  const bool may = state_ == State::open && !reading_ && !draining_ && close_code_ == 0 && initial_channels_.empty() &&
                   !ending_forbidden_ && !parked_ && reply_room();
  if (may && take_publish_room()) read();
}

void WsSession::read() {
  reading_ = true;
  const std::span<char> room = inbound_room();
  ws_.async_read_some(boost::asio::buffer(room.data(), room.size()),
                      [self = Self(this)](ErrorCode error, std::size_t bytes) { self->on_read(error, bytes); });
}

// Where the next bytes of the message go; once it is too large, or no memory is to be had, nowhere.
std::span<char> WsSession::inbound_room() {
  if (!drop_message_ && inbound_size_ == inbound_capacity_) grow_inbound();
  if (drop_message_ || inbound_size_ == inbound_capacity_) return shard_.discarded();
  char* const data = inbound_large_ ? inbound_large_.get() : inbound_small_.data();
  return {data + inbound_size_, inbound_capacity_ - inbound_size_};
}

void WsSession::grow_inbound() {
  const std::size_t capacity = std::min<std::size_t>(8 * inbound_capacity_, shard_.hub().limits().message_bytes);
  if (capacity <= inbound_capacity_) return;
  if (!shard_.hub().inbound().try_add(capacity)) {
    drop_message_ = true;
    return;
  }
  std::unique_ptr<char[]> larger(new char[capacity]);
  std::memcpy(larger.get(), inbound_large_ ? inbound_large_.get() : inbound_small_.data(), inbound_size_);
  if (inbound_large_) shard_.hub().inbound().sub(inbound_capacity_);
  inbound_large_ = std::move(larger);
  inbound_capacity_ = capacity;
}

// A large message leaves no memory behind.
void WsSession::release_inbound() noexcept {
  if (inbound_large_) shard_.hub().inbound().sub(inbound_capacity_);
  inbound_large_.reset();
  inbound_capacity_ = kInboundSmallBytes;
  inbound_size_ = 0;
  inbound_excess_ = 0;
  drop_message_ = false;
}

void WsSession::on_read(ErrorCode error, std::size_t bytes) {
  reading_ = false;
  if (state_ == State::closing) return;  // the close handshake reads on, and ends the session
  if (error) {
    if (error == boost::beast::websocket::error::bad_frame_payload) shard_.counters().invalid_utf8.add(1);
    return end();
  }
  if (state_ != State::open) return;
  heard_at_ms_ = Shard::now_ms();
  if (drop_message_ || inbound_size_ == inbound_capacity_)
    inbound_excess_ += bytes;
  else
    inbound_size_ += bytes;
  if (!ws_.is_message_done()) {
    if (message_at_ms_ == 0) message_at_ms_ = heard_at_ms_;
    return read();
  }
  message_at_ms_ = 0;
  take_message();
  release_inbound();
  read_on();
  pump();
}

// 0, or the milliseconds until the client may send again. Every message counts.
std::uint32_t WsSession::inbound_wait_ms() {
  op_at_ms_ = heard_at_ms_;
  connection_->messages.fetch_add(1, std::memory_order_relaxed);
  if (connection_->identity->back_end) return 0;
  const Limits& limits = shard_.hub().limits();
  return inbound_rate_.take(heard_at_ms_, {limits.inbound_messages, limits.inbound_window_s * 1000});
}

void WsSession::take_message() {
  const std::uint32_t wait_ms = inbound_wait_ms();
  if (drop_message_) return refuse({}, Error::overloaded, "there is no memory for so large a message now");
  if (inbound_excess_ > 0) return refuse({}, Error::message_too_large);
  if (!ws_.got_text()) return refuse({}, Error::text_expected);
  char* const data = inbound_large_ ? inbound_large_.get() : inbound_small_.data();
  Request request;
  const Limits& limits = shard_.hub().limits();
  const auto fault = parse_request({data, inbound_size_}, limits.json_depth_max, request, limits.json_string_chars_max);
  if (wait_ms > 0) {
    connection_->rate_limited.fetch_add(1, std::memory_order_relaxed);
    shard_.hub().count_refused(Error::rate_limited);
    return answer_error(fault ? fault->id : request.id, Error::rate_limited, {}, wait_ms);
  }
  if (fault) return refuse(fault->id, fault->code, fault->message);
  handle(request);
}

void WsSession::subscribe_initial() {
  while (!initial_channels_.empty() && !parked_ && close_code_ == 0 && reply_room()) {
    const std::size_t comma = initial_channels_.find(',');
    Request request;
    request.op = Op::subscribe;
    request.channel = initial_channels_.substr(0, comma);
    initial_channels_.erase(0, comma == std::string::npos ? comma : comma + 1);
    if (valid_channel_name(request.channel))
      handle(request);
    else
      refuse({}, Error::bad_channel);
  }
}

}  // namespace ringfence
