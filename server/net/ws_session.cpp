#include "net/ws_session.h"

#include <utility>

#include <boost/beast/websocket/rfc6455.hpp>

#include "events/server_events.h"
#include "log.h"
#include "net/query.h"
#include "net/tcp_progress.h"
#include "protocol/replies.h"
#include "realtime/clock.h"
#include "realtime/connection_manager.h"

namespace ringfence {
namespace {

namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

constexpr std::string_view kBinaryName = "ringfence.v1";
constexpr std::string_view kJsonName = "ringfence.v1.json";
// A Connection, its place in the manager's tables, its names and address.
constexpr std::size_t kConnectionEntryBytes = sizeof(Connection) + sizeof(Identity) + 512 + 64;
constexpr std::uint64_t kReadMaxFactor = 16;  // times message_bytes: then the connection ends with 1009

std::string_view protocol_name(WsProtocol protocol) noexcept {
  return protocol == WsProtocol::binary ? kBinaryName : kJsonName;
}

}  // namespace

std::optional<WsChoice> choose_ws_protocol(std::string_view offered) noexcept {
  bool any = false;
  while (!offered.empty()) {
    const std::size_t comma = offered.find(',');
    std::string_view name = offered.substr(0, comma);
    offered = comma == std::string_view::npos ? std::string_view() : offered.substr(comma + 1);
    while (!name.empty() && (name.front() == ' ' || name.front() == '\t')) name.remove_prefix(1);
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    if (name == kBinaryName) return WsChoice{WsProtocol::binary, true};
    if (name == kJsonName) return WsChoice{WsProtocol::json, true};
    any = any || !(name.empty() || name.starts_with("bearer."));
  }
  if (any) return std::nullopt;
  return WsChoice{WsProtocol::json, false};
}

WsSession::WsSession(Shard& shard, Socket&& socket, ConnectionSlot&& slot, WsChoice choice, ConnectionPtr connection,
                     std::string channels)
    : shard_(shard),
      slot_(std::move(slot)),
      ws_(std::move(socket)),
      choice_(choice),
      connection_(std::move(connection)),
      identity_(connection_->identity),
      heard_at_ms_(Shard::now_ms()),
      checked_at_ms_(heard_at_ms_),
      op_at_ms_(heard_at_ms_),
      state_at_ms_(heard_at_ms_),
      replies_(RingBuffer<Reply>::create(kRepliesMax).value()),
      initial_channels_(std::move(channels)) {
  // Beast's stream is some 2.5 KB; a reply's string may have twice its size; --channels come from a header of 8 KiB.
  static_assert(sizeof(WsSession) + 3 * 1024 + kRepliesMax * sizeof(Reply) + 2 * (kReplyBytesMax + kReplyBytes) +
                    sizeof(Outgoing) + kConnectionEntryBytes + kPublishesOwn * kPublishBytes + sizeof(Parked) + 512 +
                    Outgoing::kSectionsMax * (sizeof(Cut) + 16) + sizeof(PresenceText) + 16 + 1024 <=
                Hub::kConnectionBytesMax);
  static_assert(sizeof(Subscriber) + 16 + 2 * sizeof(void*) <= Hub::kSubscriberBytes);
  static_assert(sizeof(Feed) + 64 <= Hub::kFeedBytes);
}

WsSession::~WsSession() {
  INVARIANT(subscribers_.empty() && joined_.empty() && watches_.empty());
  release_inbound();
  release_publish_room();
}

void WsSession::accept(Shard& shard, Socket&& socket, UpgradeRequest&& request, ConnectionSlot&& slot, WsChoice choice,
                       ConnectionPtr connection) {
  std::string channels = query_list(std::string_view(request.target().data(), request.target().size()), "channels");
  const Self self(
      new WsSession(shard, std::move(socket), std::move(slot), choice, std::move(connection), std::move(channels)));
  self->connection_->session = self.get();
  self->connection_->attach();
  shard.add(*self);
  if (shard.stopping()) return self->end();
  self->set_up();
  auto held = std::make_shared<UpgradeRequest>(std::move(request));  // shared: a std::function is copied
  shard.services().connections->when_ready(self->connection_, [self, held = std::move(held)]() mutable {
    if (self->state_ != State::handshake) return;
    UpgradeRequest& upgrade = *held;
    self->ws_.async_accept(upgrade, [self, held = std::move(held)](ErrorCode error) { self->on_accepted(error); });
  });
}

void WsSession::set_up() {
  const Limits& limits = shard_.hub().limits();
  ErrorCode ignored;
  ws_.next_layer().set_option(Tcp::no_delay(true), ignored);
  // The shard's sweep keeps all times: no timer per connection.
  websocket::stream_base::timeout timeout;
  timeout.handshake_timeout = websocket::stream_base::none();
  timeout.idle_timeout = websocket::stream_base::none();
  timeout.keep_alive_pings = false;
  ws_.set_option(timeout);
  const std::string_view name = choice_.named ? protocol_name(choice_.protocol) : std::string_view();
  ws_.set_option(websocket::stream_base::decorator([name](websocket::response_type& response) {
    response.set(beast::http::field::server, "ringfence/" RINGFENCE_VERSION);
    if (!name.empty())
      response.set(beast::http::field::sec_websocket_protocol, beast::string_view(name.data(), name.size()));
  }));
  ws_.auto_fragment(false);
  ws_.read_message_max(kReadMaxFactor * limits.message_bytes);
  ws_.control_callback([this](websocket::frame_type, beast::string_view) { heard_at_ms_ = Shard::now_ms(); });
}

void WsSession::on_accepted(ErrorCode error) {
  if (state_ != State::handshake) return;
  if (error) return end();
  state_ = State::open;
  heard_at_ms_ = op_at_ms_ = Shard::now_ms();
  push(welcome_text(slot_.id(), protocol_name(choice_.protocol), shard_.hub().limits(),
                    !connection_->identity->back_end));
  (void)shard_.services().events->emit<Connected>(
      [&] { return Connected{slot_.id(), identity_, connection_->address}; });
  subscribe_initial();
  read_on();
  pump();
}

void WsSession::sweep(std::int64_t now_ms) {
  const Self self(this);  // while it is not read from, nothing else may hold it
  const Limits& limits = shard_.hub().limits();
  switch (state_) {
    case State::handshake:
      if (now_ms - state_at_ms_ > limits.handshake_timeout_ms) abandon();
      return;
    case State::closing:
      if (now_ms - state_at_ms_ > limits.close_timeout_ms) abandon();
      return;
    case State::ended: return;
    case State::open: break;
  }
  if (!reading_) heard_at_ms_ = now_ms;  // who is not read from is not silent
  note_health(now_ms);
  if (close_by_ms_ != 0 && now_ms > close_by_ms_) return abandon();
  if (writing_) {
    const bool holds_memory = outgoing_ || writing_reply_.segment;
    const bool pressing = holds_memory && shard_.hub().under_pressure();
    const std::uint32_t stall_ms = pressing ? limits.write_stall_pressure_ms : limits.write_stall_ms;
    // A slow reader may take its time over a message, but not while others need the memory that it pins.
    look_at_progress(now_ms);
    if (now_ms - (pressing ? write_at_ms_ : progress_at_ms_) > stall_ms) {
      // No close frame: it would have to stand in the middle of the message that does not get through.
      shard_.counters().stalled_closed.add(1);
      abandon();
      return logger("ws")->warn("connection {}: write_stalled: {} for {} ms, reset", slot_.id(),
                                pressing ? "one message did not get through" : "nothing could be written", stall_ms);
    }
  }
  const std::int64_t silent_ms = now_ms - heard_at_ms_;
  if (silent_ms > limits.dead_after_ms) {
    shard_.counters().dead_closed.add(1);
    abandon();
    return logger("ws")->info("connection {}: nothing heard for {} ms, reset", slot_.id(), silent_ms);
  }
  check_identity(now_ms);
  if (silent_ms > limits.ping_interval_ms && !pinging_) {
    pinging_ = true;
    ws_.async_ping({}, [self = Self(this)](ErrorCode) { self->pinging_ = false; });
  }
  // What there is of it holds inbound memory that others are refused for, whatever else the client sends in between.
  if (message_at_ms_ != 0 && close_code_ == 0 && now_ms - message_at_ms_ > limits.message_timeout_ms) {
    shard_.counters().unfinished_closed.add(1);
    close({boost::beast::websocket::close_code::policy_error, "message_timeout", true});
    return logger("ws")->info("connection {}: a message has not arrived whole in {} ms, closed", slot_.id(),
                              limits.message_timeout_ms);
  }
  if (subscribers_.empty() && joined_.empty() && watches_.empty() && close_code_ == 0 &&
      now_ms - op_at_ms_ > limits.idle_timeout_ms) {
    shard_.counters().idle_closed.add(1);
    return close({boost::beast::websocket::close_code::normal, "idle", true});
  }
  pump();
}

void WsSession::note_health(std::int64_t now_ms) {
  const Limits& limits = shard_.hub().limits();
  connection_->last_seen_us.store(wall_us() - (now_ms - heard_at_ms_) * 1000, std::memory_order_relaxed);
  connection_->subscriptions.store(static_cast<std::uint32_t>(subscribers_.size()), std::memory_order_relaxed);
  const bool answers = now_ms - heard_at_ms_ <= 2 * std::int64_t{limits.ping_interval_ms};
  const bool takes = !writing_ || now_ms - progress_at_ms_ <= limits.write_stall_ms / 2;
  connection_->set_healthy(answers && takes);
}

void WsSession::look_at_progress(std::int64_t now_ms) {
  const std::uint64_t acked_bytes = tcp_acked_bytes(ws_.next_layer().native_handle());
  if (std::exchange(acked_bytes_, acked_bytes) != acked_bytes) progress_at_ms_ = now_ms;
}

void WsSession::shut_down(std::uint32_t retry_after_ms, std::int64_t drain_until_ms) {
  if (state_ == State::handshake) return end();
  draining_ = true;
  retry_after_ms_ = retry_after_ms;
  drain_until_ms_ = drain_until_ms;
  pump();
}

void WsSession::close(const CloseReason& why) {
  if (state_ == State::handshake) return end();
  if (state_ != State::open || close_code_ != 0) return;
  close_why_ = why;
  close_code_ = why.code;
  close_by_ms_ = Shard::now_ms() + shard_.hub().limits().close_timeout_ms;
  pump();
}

void WsSession::start_close() {
  state_ = State::closing;
  state_at_ms_ = Shard::now_ms();
  websocket::close_reason why(close_code_);
  if (close_why_) why.reason = close_why_->reason;
  ws_.async_close(why, [self = Self(this)](ErrorCode) { self->end(); });
}

void WsSession::abandon() {
  ErrorCode ignored;
  ws_.next_layer().set_option(boost::asio::socket_base::linger(true, 0), ignored);
  end();
}

// Leaves the shard. What is still in flight completes with an error and lets go of the session.
void WsSession::end() {
  const State was = std::exchange(state_, State::ended);
  if (was == State::ended) return;
  const Self self(this);
  for (const auto& subscriber : subscribers_) {
    shard_.detach(*subscriber);
    shard_.hub().subscriptions().sub(Hub::kSubscriberBytes);
  }
  subscribers_.clear();
  end_presence();
  held_.reset();  // what the engine still says finds no session
  if (pump_hook.is_linked()) pump_hook.unlink();
  if (shard_hook.is_linked()) shard_hook.unlink();
  connection_->session = nullptr;
  shard_.services().connections->remove(connection_, Shard::now_ms());
  if (was != State::handshake)
    (void)shard_.services().events->emit<Disconnected>([&] { return Disconnected{slot_.id(), identity_}; });
  ErrorCode ignored;
  ws_.next_layer().close(ignored);
}

}  // namespace ringfence
