// HttpSession: one accepted connection while it speaks HTTP/1.1; on an upgrade to /v1/ws it hands its socket over.
//
// Owns     its socket and its ConnectionSlot. Kept alive by its operation in flight: there is always exactly one. While it waits
//          for an answer there is none, and it keeps itself: what the client sends meanwhile stays in the socket.
// Threads  its shard's thread only.
// Bounds   one request at a time; a head of http_header_bytes and kFieldLinesMax lines, a body of http_body_bytes; the
//          whole within Hub::kConnectionBytesMax. A request must be there handshake_timeout_ms after the one before;
//          an answer that waits for the broker comes within http_answer_ms, or broker_timeout does; a response must make
//          progress within write_stall_ms.
// Errors   of protocol.md, "Errors of HTTP". After one that leaves the request unread the connection is closed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <boost/beast/http/message_generator.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include "auth/authenticator.h"
#include "net/http_service.h"
#include "net/socket.h"
#include "realtime/connection.h"
#include "realtime/shard.h"
#include "realtime/shard_session.h"

namespace ringfence {

class HttpSession final : public ShardSession,
                          public boost::intrusive_ref_counter<HttpSession, boost::thread_unsafe_counter> {
 public:
  static constexpr std::size_t kFieldLinesMax = 64;  // each costs the parser about 80 bytes beside its text

  // On the shard's thread.
  static void start(Shard& shard, Socket&& socket, ConnectionSlot&& slot, HttpService& service);

  void pump() override {}  // has no cursors
  void sweep(std::int64_t now_ms) override;
  void shut_down(std::uint32_t retry_after_ms, std::int64_t drain_until_ms) override;
  void close(const CloseReason&) override {}  // is for who reads a channel
  void abandon() override;

 private:
  using Self = boost::intrusive_ptr<HttpSession>;
  using ErrorCode = boost::system::error_code;
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  enum class State : std::uint8_t { head, body, waiting, reply, linger, ended };
  static constexpr std::size_t kBufferBytesMin = 1024;

  // What an answer that comes later finds of the session. All but `thread` belong to the shard's thread.
  struct Waiting {
    const std::thread::id thread = std::this_thread::get_id();
    bool asking = true;                 // the handler has not returned yet
    std::optional<ApiResponse> answer;  // that came before it did
    HttpSession* session = nullptr;     // null: it does not wait, or no longer
  };
  using WaitingPtr = std::shared_ptr<Waiting>;

  HttpSession(Shard& shard, Socket&& socket, ConnectionSlot&& slot, HttpService& service);

  void next_request();
  void read();
  void on_read(ErrorCode error, std::size_t bytes);
  void take_head();
  bool room_for_body();
  bool count_bytes(std::uint64_t bytes);
  void release_bytes() noexcept;
  void refuse_body(std::uint64_t bytes_max);
  void take_body();
  void take_request();
  bool origins_allowed(const Parser::value_type& request);
  void answer(Parser::value_type&& request, const ReplyTo& to);
  ApiDone answers_later(const WaitingPtr& waiting);
  void on_answer(ApiResponse response);
  void send(HttpService::Answer answer, bool keep_alive);
  void upgrade(Parser::value_type&& request, const ReplyTo& to);
  ConnectionPtr admit(const Credentials& credentials, std::string_view forwarded_for, const ReplyTo& to);
  // The connection goes on.
  void fail(const ReplyTo& to, HttpError error, std::string_view message, std::uint32_t retry_after_ms = 0);
  // The request was left unread: the connection ends.
  void refuse(HttpError error, std::string_view message);
  void reply(boost::beast::http::message_generator&& message, bool keep_alive);
  void write();
  void linger();
  void end();
  void enter(State state);

  Shard& shard_;
  HttpService& service_;
  Socket socket_;
  std::optional<ConnectionSlot> slot_;
  State state_ = State::head;
  bool keep_alive_ = false;
  std::int64_t state_at_ms_ = 0;  // for `reply`: of the last progress
  std::unique_ptr<char[]> buffer_;
  std::size_t buffer_capacity_ = 0;
  std::size_t buffered_ = 0;
  std::uint64_t body_bytes_max_ = 0;  // of the request under way
  std::uint64_t counted_bytes_ = 0;   // of the inbound account: a large body, then a large answer
  std::optional<Parser> parser_;
  WaitingPtr waiting_;
  ReplyTo waiting_to_;
  Self held_;  // itself, while it waits
  std::optional<boost::beast::http::message_generator> message_;
};

}  // namespace ringfence
