// WsSession: one WebSocket connection: reads ops, answers them, and sends what lies behind its cursors.
//
// It has no queue of events. It writes one message at a time: replies first, then a gap, else a batch of what its
// ready subscribers have not got. It reads the next op only when there is room for one more reply.
// Owns     its socket, its ConnectionSlot, its subscribers. Kept alive by its operations in flight.
// Threads  its shard's thread only.
// With a bus whose engine numbers the records (bus/bus.h), a publish is answered when the engine has it, up to kPublishesMax
// at a time, and a subscribe or history whose channel is not here yet waits, and with it what comes behind.
// Bounds   subscriptions_max cursors; kRepliesMax replies and kReplyBytesMax of them before it stops reading; an inbound
//          message of message_bytes, counted in the ledger beyond its first kInboundSmallBytes; presence_joins_max rooms,
//          counted by Presence. In all at most Hub::kConnectionBytesMax and that.
// Errors   the codes of protocol.md. An error leaves connection and subscriptions as they were; errors_max of
//          them in 10 s close it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <ringfence/ring_buffer.h>

#include "auth/identity.h"
#include "events/server_events.h"
#include "net/socket.h"
#include "protocol/request.h"
#include "realtime/connection.h"
#include "realtime/hub.h"
#include "realtime/rate_limiter.h"
#include "realtime/shard.h"
#include "realtime/shard_session.h"

namespace ringfence {

enum class WsProtocol : std::uint8_t { binary, json };

struct WsChoice {
  WsProtocol protocol;
  bool named;  // the client offered it, so the response names it
};
// From all Sec-WebSocket-Protocol values joined by commas; none if only unknown ones are offered (unsupported_protocol).
// bearer.<token>, by which a browser shows who it is, is none of them.
std::optional<WsChoice> choose_ws_protocol(std::string_view offered) noexcept;

using UpgradeRequest = boost::beast::http::request<boost::beast::http::string_body>;

class WsSession final : public ShardSession,
                        public boost::intrusive_ref_counter<WsSession, boost::thread_unsafe_counter> {
 public:
  static constexpr std::size_t kRepliesMax = 8;
  static constexpr std::size_t kReplyBytesMax = 4 * 1024;
  static constexpr std::size_t kInboundSmallBytes = 512;
  static constexpr std::int64_t kErrorWindowMs = 10'000;
  // Publishes that the engine of the bus has not answered. Beyond the first, room for more is taken by the block from the
  // "inbound messages" account, and given back when all are answered.
  static constexpr std::size_t kPublishesOwn = 16;
  static constexpr std::size_t kPublishesBlock = 48;
  static constexpr std::size_t kPublishesMax = kPublishesOwn + 5 * kPublishesBlock;

  // Takes over a socket whose upgrade request was read, on the shard's thread. Sends the 101 (or Beast's 400) once those
  // that the connection replaces are gone, then `welcome`, and subscribes to `?channels=` of the request's target.
  static void accept(Shard& shard, Socket&& socket, UpgradeRequest&& request, ConnectionSlot&& slot, WsChoice choice,
                     ConnectionPtr connection);

  ~WsSession();

  // Who it speaks for; never null. A `refresh` may change it.
  const IdentityPtr& identity() const noexcept { return identity_; }

  void pump() override;
  void sweep(std::int64_t now_ms) override;
  void shut_down(std::uint32_t retry_after_ms, std::int64_t drain_until_ms) override;
  void close(const CloseReason& why) override;
  void abandon() override;

 private:
  using Stream = boost::beast::websocket::stream<Socket, false>;
  using Self = boost::intrusive_ptr<WsSession>;
  using ErrorCode = boost::system::error_code;
  // A text message to the client: a short one, or record memory with a rendered `history` or `presence`.
  struct Reply {
    std::string text;
    SegmentRef segment;
    std::uint32_t segment_offset = 0;
    std::uint32_t segment_bytes = 0;
    std::size_t size() const noexcept { return text.size() + segment_bytes; }
  };
  enum class State : std::uint8_t { handshake, open, closing, ended };

  WsSession(Shard& shard, Socket&& socket, ConnectionSlot&& slot, WsChoice choice, ConnectionPtr connection,
            std::string channels);
  void set_up();

  // ws_session.cpp: the connection's life.
  void on_accepted(ErrorCode error);
  void look_at_progress(std::int64_t now_ms);
  void note_health(std::int64_t now_ms);
  void start_close();
  void end();
  // ws_session_read.cpp: messages in.
  void read_on();  // if it may
  void read();
  void on_read(ErrorCode error, std::size_t bytes);
  std::span<char> inbound_room();
  void grow_inbound();
  void release_inbound() noexcept;
  std::uint32_t inbound_wait_ms();
  void take_message();
  void subscribe_initial();
  // ws_session_write.cpp: messages out.
  void write_reply();
  void write_events();
  enum class Collected : std::uint8_t { events, nothing, told, no_memory };
  Collected collect(Outgoing& out);
  void write_text();
  void write_gap(Subscriber& subscriber, const Gap& gap);
  void take_cut(Subscriber& subscriber, const Cut& cut, std::uint64_t last_seq, std::uint32_t count);
  void write_conflated();
  void close_slow(const Subscriber& subscriber, const Gap& gap);
  void on_written(ErrorCode error, std::size_t bytes);
  bool reply_room() const noexcept;
  void push(std::string text);
  void push(Reply reply);
  void refuse(std::string_view id, Error code, std::string_view message = {});  // counts and answers
  // Counted by another. `retry_after_ms` 0: none is told.
  void answer_error(std::string_view id, Error code, std::string_view message = {}, std::uint32_t retry_after_ms = 0);
  // ws_session_ops.cpp: what each op does.
  void handle(const Request& request);
  void subscribe(const Request& request);
  void unsubscribe(const Request& request);
  void publish(const Request& request);
  void history(const Request& request);
  void tell_unsubscribed(std::string_view channel);
  void count_resume(const StartPoint& at);
  bool may_hold_more() const noexcept;  // of subscriptions, watches of presence included
  Subscriber* find_subscriber(std::string_view channel) noexcept;
  // ws_session_presence.cpp: who is there.
  using JoinedRooms = std::vector<PresenceRoomPtr>;
  using Watches = std::vector<std::unique_ptr<PresenceWatch>>;
  PresenceWho who() const noexcept;
  JoinedRooms::iterator find_joined(std::string_view channel) noexcept;
  Watches::iterator find_watch(std::string_view channel) noexcept;
  void join(const Request& request);
  void leave(const Request& request);
  void presence(const Request& request);
  void watch(const Request& request);
  void end_joined(JoinedRooms::iterator held);
  void end_watch(Watches::iterator held);
  bool push_large(std::string text);  // false if there is no record memory for it
  bool write_presence();
  void write_presence_rest();
  bool end_forbidden_presence();
  void end_presence();
  // ws_session_bus.cpp: what has to wait for the engine of the bus.
  void publish_later(const Request& request, EventPlace<ClientMessage> place);
  struct PublishAnswer {
    std::string id;
    Result<std::uint64_t> seq;
  };
  static constexpr std::size_t kPublishBytes = sizeof(PublishAnswer) + 80;
  bool take_publish_room() noexcept;
  void release_publish_room() noexcept;
  Self let_go();
  void on_published(PublishAnswer answer);
  void push_answers();
  void wait_for(const Request& request, const ChannelPtr& channel);
  void go_on(Result<void> ready);
  // ws_session_auth.cpp: who it speaks for.
  bool permitted(Op op, std::string_view channel) const noexcept;
  void refresh(const Request& request);
  void end_forbidden();
  bool identity_expired() const noexcept;
  void check_identity(std::int64_t now_ms);
  void end_identity(Error why);

  Shard& shard_;
  ConnectionSlot slot_;
  Stream ws_;
  const WsChoice choice_;
  const ConnectionPtr connection_;
  IdentityPtr identity_;  // the connection's; a refresh changes what it may do
  RateLimiter inbound_rate_;
  State state_ = State::handshake;
  bool reading_ = false;
  bool pinging_ = false;
  bool drop_message_ = false;  // inbound memory was refused: read to its end, answer overloaded
  bool closing_told_ = false;
  bool draining_ = false;
  bool ending_forbidden_ = false;         // some subscriptions or memberships may have to end after a refresh
  std::uint16_t close_code_ = 0;          // close once the replies are sent
  std::optional<CloseReason> close_why_;  // to tell before that
  std::int64_t close_by_ms_ = 0;          // 0: not told to close
  std::uint32_t retry_after_ms_ = 0;      // told by `closing`
  std::int64_t drain_until_ms_ = 0;
  std::int64_t heard_at_ms_;
  std::int64_t checked_at_ms_;       // when the identity was last verified
  std::int64_t op_at_ms_;            // of the last message from the client
  std::int64_t message_at_ms_ = 0;   // when the message that is being read began; 0: none is
  std::int64_t state_at_ms_;         // when `state_` was entered
  std::int64_t write_at_ms_ = 0;     // when the message in flight was begun
  std::int64_t progress_at_ms_ = 0;  // when a sweep last saw the peer take some of it; at first the same
  std::uint64_t acked_bytes_ = 0;    // by the peer, at that sweep
  std::int64_t errors_since_ms_ = 0;
  std::uint32_t errors_ = 0;

  std::array<char, kInboundSmallBytes> inbound_small_;
  std::unique_ptr<char[]> inbound_large_;
  std::size_t inbound_capacity_ = kInboundSmallBytes;
  std::size_t inbound_size_ = 0;
  std::uint64_t inbound_excess_ = 0;  // bytes read and dropped

  RingBuffer<Reply> replies_;
  std::size_t reply_bytes_ = 0;
  Reply writing_reply_;
  std::unique_ptr<Outgoing> outgoing_;
  std::vector<std::unique_ptr<Subscriber>> subscribers_;
  JoinedRooms joined_;
  Watches watches_;
  PresenceTextPtr presence_rest_;  // its second message is still to be sent
  bool presence_turn_ = true;      // before events
  bool conflated_ = false;         // a subscriber has skipped records to tell of
  std::string initial_channels_;   // of ?channels=, still to subscribe to
  struct Parked {
    Request request;
    std::string id;  // which the request only looks at
  };
  std::unique_ptr<Parked> parked_;  // a subscribe or history that waits for its channel
  Self held_;                       // itself, while it waits for the engine
  bool waited_ = false;             // the request at hand has done that
  std::uint32_t publishing_ = 0;    // without an answer
  std::size_t publish_room_ = kPublishesOwn;
  std::deque<PublishAnswer> answers_;  // that wait for room among the replies
};

}  // namespace ringfence
