#include "net/http_session.h"

#include <algorithm>
#include <cstring>

#include <boost/asio/buffer.hpp>
#include <boost/beast/websocket/rfc6455.hpp>

#include "net/client_address.h"
#include "net/origin.h"
#include "net/query.h"
#include "net/ws_session.h"
#include "realtime/connection_manager.h"

namespace ringfence {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

// 16 bytes in base64 (RFC 6455, section 4.1).
bool valid_ws_key(std::string_view key) noexcept {
  static constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return key.size() == 24 && key.ends_with("==") && key.find_first_not_of(kBase64) == 22;
}

constexpr std::uint32_t kUsersRetryMs = 1'000;

std::string_view view(boost::beast::string_view text) noexcept { return {text.data(), text.size()}; }

}  // namespace

void HttpSession::start(Shard& shard, Socket&& socket, ConnectionSlot&& slot, HttpService& service) {
  const Self self(new HttpSession(shard, std::move(socket), std::move(slot), service));
  shard.add(*self);
  if (shard.stopping()) return self->end();
  self->next_request();
}

HttpSession::HttpSession(Shard& shard, Socket&& socket, ConnectionSlot&& slot, HttpService& service)
    : shard_(shard), service_(service), socket_(std::move(socket)), slot_(std::move(slot)) {}

void HttpSession::enter(State state) {
  state_ = state;
  state_at_ms_ = Shard::now_ms();
}

void HttpSession::next_request() {
  parser_.reset();
  enter(State::head);
  if (buffered_ > 0) return take_head();  // pipelined
  if (buffer_capacity_ != kBufferBytesMin) {
    buffer_ = std::make_unique_for_overwrite<char[]>(kBufferBytesMin);
    buffer_capacity_ = kBufferBytesMin;
  }
  read();
}

void HttpSession::read() {
  const std::size_t limit = shard_.hub().limits().http_header_bytes;
  if (buffered_ == buffer_capacity_) {
    const std::size_t capacity = std::min(buffer_capacity_ * 2, std::max(limit, kBufferBytesMin));
    auto larger = std::make_unique_for_overwrite<char[]>(capacity);
    std::memcpy(larger.get(), buffer_.get(), buffered_);
    buffer_ = std::move(larger);
    buffer_capacity_ = capacity;
  }
  socket_.async_read_some(asio::buffer(buffer_.get() + buffered_, buffer_capacity_ - buffered_),
                          [self = Self(this)](ErrorCode error, std::size_t bytes) { self->on_read(error, bytes); });
}

void HttpSession::on_read(ErrorCode error, std::size_t bytes) {
  if (state_ == State::ended) return;
  if (error) return end();
  if (state_ == State::linger) return linger();  // what still comes is dropped
  buffered_ += bytes;
  state_ == State::head ? take_head() : take_body();
}

void HttpSession::take_head() {
  const Limits& limits = shard_.hub().limits();
  std::string_view text(buffer_.get(), buffered_);
  if (text.starts_with("\r\n")) text.remove_prefix(2);  // some clients end a body with one more line
  const std::size_t skipped = buffered_ - text.size();
  const std::size_t found = text.find("\r\n\r\n");
  const std::size_t head_bytes = std::min(found, text.size());
  const auto lines =
      static_cast<std::size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(head_bytes), '\n'));
  if (head_bytes + 4 > limits.http_header_bytes || lines > kFieldLinesMax)
    return refuse(HttpError::header_too_large, "the head of a request may have " +
                                                   std::to_string(limits.http_header_bytes) + " bytes and " +
                                                   std::to_string(kFieldLinesMax) + " lines");
  if (found == std::string_view::npos) return read();

  parser_.emplace();
  parser_->header_limit(limits.http_header_bytes + 8);  // we have looked; the parser counts a little differently
  parser_->body_limit(std::max<std::uint64_t>(limits.http_body_bytes, limits.http_publish_bytes));
  parser_->eager(true);
  enter(State::body);
  ErrorCode error;
  const std::size_t used = parser_->put(asio::buffer(text.data(), head_bytes + 4), error);
  buffered_ -= skipped + used;
  std::memmove(buffer_.get(), text.data() + used, buffered_);
  if (error == http::error::body_limit) return refuse_body(limits.http_publish_bytes);
  if (error && error != http::error::need_more) return refuse(HttpError::bad_request, error.message());
  // Its end could be read in two ways (RFC 9112, section 6.3); Beast takes it for a request without a body.
  if (parser_->is_header_done() && parser_->get().count(http::field::transfer_encoding) > 0 && !parser_->chunked())
    return refuse(HttpError::bad_request, "the only Transfer-Encoding is chunked");
  if (parser_->is_header_done() && !room_for_body()) return;
  take_body();
}

// Is so large a body taken on this route, and is there memory for it? If not, that was answered.
bool HttpSession::room_for_body() {
  const auto& head = parser_->get();
  body_bytes_max_ = service_.body_bytes_max(head.method(), view(head.target()));
  const auto length = parser_->content_length();
  if (length && *length > body_bytes_max_) {
    refuse_body(body_bytes_max_);
    return false;
  }
  parser_->body_limit(body_bytes_max_);
  if (!length && !parser_->chunked()) return true;
  // Of a chunked one only the limit is known, and its string may be twice as large as what is in it.
  const std::uint64_t bytes = length ? *length : 2 * body_bytes_max_;
  if (bytes <= 2 * shard_.hub().limits().http_body_bytes || count_bytes(bytes)) return true;
  shard_.hub().count_refused(Error::overloaded);
  service_.counters().errors.fetch_add(1, std::memory_order_relaxed);
  reply(api_reply({.version = 11, .keep_alive = false, .head = false},
                  ApiResponse::fail(Error::overloaded, "there is no memory for so large a body now")),
        false);
  return false;
}

bool HttpSession::count_bytes(std::uint64_t bytes) {
  if (!shard_.hub().inbound().try_add(bytes)) return false;
  counted_bytes_ += bytes;
  return true;
}

void HttpSession::release_bytes() noexcept {
  if (counted_bytes_ > 0) shard_.hub().inbound().sub(std::exchange(counted_bytes_, 0));
}

void HttpSession::refuse_body(std::uint64_t bytes_max) {
  refuse(HttpError::body_too_large, "the body of this request may have " + std::to_string(bytes_max) + " bytes");
}

void HttpSession::take_body() {
  while (!parser_->is_done()) {
    if (buffered_ == 0) return read();
    ErrorCode error;
    const std::size_t used = parser_->put(asio::buffer(buffer_.get(), buffered_), error);
    buffered_ -= used;
    std::memmove(buffer_.get(), buffer_.get() + used, buffered_);
    if (error == http::error::body_limit) return refuse_body(body_bytes_max_);
    if (error == http::error::need_more) {
      if (buffered_ == buffer_capacity_ && buffer_capacity_ >= shard_.hub().limits().http_header_bytes)
        return refuse(HttpError::bad_request, "a chunk's head is too long");
      return read();
    }
    if (error) return refuse(HttpError::bad_request, error.message());
  }
  take_request();
}

void HttpSession::take_request() {
  service_.counters().requests.fetch_add(1, std::memory_order_relaxed);
  auto request = parser_->release();
  parser_.reset();
  const ReplyTo to{.version = request.version(),
                   .keep_alive = request.keep_alive() && !shard_.stopping(),
                   .head = request.method() == http::verb::head};
  if (request.version() == 11 && request.count(http::field::host) != 1)
    return refuse(HttpError::bad_request, "a request needs one Host header");
  const std::string_view target = view(request.target());
  const std::string_view path = target.substr(0, target.find('?'));
  const bool upgrades = path == "/v1/ws" && boost::beast::websocket::is_upgrade(request);
  if ((upgrades || (service_.origins_checked() && HttpService::routed(path))) && !origins_allowed(request))
    return fail(to, HttpError::origin_not_allowed,
                "pages of this origin may not use the server; --allow-origin allows them");
  if (service_.hosts_checked() && !host_allowed(view(request[http::field::host]), service_.options().allow_origins))
    return fail(to, HttpError::host_not_allowed,
                "without authentication the server answers under names and addresses of this machine alone, such as "
                "localhost; --allow-origin allows the host of an origin");
  if (upgrades) return upgrade(std::move(request), to);
  answer(std::move(request), to);
}

// A browser sends one at most; of several, each must be allowed.
bool HttpSession::origins_allowed(const Parser::value_type& request) {
  ErrorCode error;
  const bool loopback = socket_.local_endpoint(error).address().is_loopback();
  const auto [first, last] = request.equal_range(http::field::origin);
  return std::all_of(first, last, [&](const auto& field) {
    return origin_allowed(view(field.value()), view(request[http::field::host]), service_.options().allow_origins,
                          loopback);
  });
}

void HttpSession::answer(Parser::value_type&& request, const ReplyTo& to) {
  const auto waiting = std::make_shared<Waiting>();
  auto answer = service_.answer(request, to, answers_later(waiting));
  waiting->asking = false;
  if (!answer && waiting->answer) answer = service_.finish(std::move(*waiting->answer), to);
  if (answer) return send(std::move(*answer), to.keep_alive);
  waiting->session = this;
  waiting_ = waiting;
  waiting_to_ = to;
  held_ = this;
  enter(State::waiting);
}

// The session is the shard's thread's, its reference count too: so nothing of it is touched on another one.
ApiDone HttpSession::answers_later(const WaitingPtr& waiting) {
  return [waiting, executor = shard_.io().get_executor()](ApiMake make) {
    if (std::this_thread::get_id() == waiting->thread && waiting->asking) {
      waiting->answer = Router::call(make);
      return;
    }
    asio::post(executor, [waiting, make = std::move(make)] {
      ApiResponse response = Router::call(make);
      if (waiting->session) waiting->session->on_answer(std::move(response));
    });
  };
}

void HttpSession::on_answer(ApiResponse response) {
  const Self self = std::move(held_);
  waiting_->session = nullptr;
  waiting_.reset();
  send(service_.finish(std::move(response), waiting_to_), waiting_to_.keep_alive);
}

void HttpSession::send(HttpService::Answer answer, bool keep_alive) {
  release_bytes();  // of the body
  counted_bytes_ = answer.counted_bytes;
  reply(std::move(answer.message), keep_alive);
}

// Whether this may become a WebSocket at all; admit() then asks who it is.
void HttpSession::upgrade(Parser::value_type&& request, const ReplyTo& to) {
  std::string offered;
  const auto [first, last] = request.equal_range(http::field::sec_websocket_protocol);
  for (auto it = first; it != last; ++it) {
    if (!offered.empty()) offered += ',';
    offered.append(it->value().data(), it->value().size());
  }
  const auto choice = choose_ws_protocol(offered);
  if (!choice)
    return fail(to, HttpError::unsupported_protocol, "the sub-protocols are ringfence.v1 and ringfence.v1.json");
  // Asked here, as Beast would refuse in words of its own.
  if (request[http::field::sec_websocket_version] != "13")
    return fail(to, HttpError::bad_request, "Sec-WebSocket-Version must be 13");
  if (request.count(http::field::sec_websocket_key) != 1 ||
      !valid_ws_key(view(request[http::field::sec_websocket_key])))
    return fail(to, HttpError::bad_request, "there must be one Sec-WebSocket-Key, of 16 bytes in base64");
  if (buffered_ > 0) return refuse(HttpError::bad_request, "a client must wait for the answer to its upgrade");

  Credentials credentials = credentials_of(request);
  credentials.protocols = offered;
  ConnectionPtr connection = admit(credentials, view(request["X-Forwarded-For"]), to);
  if (!connection) return;
  state_ = State::ended;
  shard_hook.unlink();
  WsSession::accept(shard_, std::move(socket_), std::move(request), std::move(*slot_), *choice, std::move(connection));
  slot_.reset();
}

// Null if it was refused, and answered.
ConnectionPtr HttpSession::admit(const Credentials& credentials, std::string_view forwarded_for, const ReplyTo& to) {
  ConnectionManager& connections = *shard_.services().connections;
  ErrorCode error;
  const auto peer = socket_.remote_endpoint(error);
  if (error) {
    end();
    return nullptr;
  }
  ClientAddress address = client_address(peer.address(), forwarded_for, service_.options().trust_forwarded_for);
  // By address before a signature is verified: who floods us with bad tokens makes little work.
  const auto held_up = [&](std::string_view user, std::string_view from) {
    const std::uint32_t wait_ms = connections.attempt(user, from, Shard::now_ms());
    if (wait_ms > 0) fail(to, HttpError::rate_limited, "too many attempts to connect", wait_ms);
    return wait_ms > 0;
  };
  if (held_up({}, address.counted)) return nullptr;
  auto identity = shard_.services().auth->identify(credentials);
  if (!identity) {
    shard_.hub().count_refused(identity.error());
    service_.counters().errors.fetch_add(1, std::memory_order_relaxed);
    reply(auth_error_reply(to, identity.error()), to.keep_alive);
    return nullptr;
  }
  if (held_up((*identity)->user, {})) return nullptr;
  auto admitted =
      connections.admit(slot_->id(), std::move(identity).value(), std::move(address.text), shard_.io().get_executor());
  if (admitted) return std::move(admitted).value();
  admitted.error() == Error::too_many_users
      ? fail(to, HttpError::too_many_users, "the server holds as many users as it may", kUsersRetryMs)
      : fail(to, HttpError::too_many_user_connections, "this user holds as many connections as it may");
  return nullptr;
}

void HttpSession::fail(const ReplyTo& to, HttpError error, std::string_view message, std::uint32_t retry_after_ms) {
  service_.counters().errors.fetch_add(1, std::memory_order_relaxed);
  reply(error_reply(to, error, message, retry_after_ms), to.keep_alive);
}

void HttpSession::refuse(HttpError error, std::string_view message) {
  service_.counters().errors.fetch_add(1, std::memory_order_relaxed);
  reply(error_reply({.version = 11, .keep_alive = false, .head = false}, error, message), false);
}

void HttpSession::reply(http::message_generator&& message, bool keep_alive) {
  keep_alive_ = keep_alive;
  message_.emplace(std::move(message));
  enter(State::reply);
  write();
}

void HttpSession::write() {
  if (message_->is_done()) {
    message_.reset();
    release_bytes();
    if (keep_alive_ && !shard_.stopping()) return next_request();
    // The client may still be sending: closing now would reset the connection and lose the answer on its way.
    ErrorCode ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
    enter(State::linger);
    buffered_ = 0;
    return linger();
  }
  ErrorCode error;
  const auto buffers = message_->prepare(error);
  if (error) return end();
  socket_.async_write_some(buffers, [self = Self(this)](ErrorCode failed, std::size_t bytes) {
    if (self->state_ == State::ended) return;
    if (failed) return self->end();
    self->message_->consume(bytes);
    self->state_at_ms_ = Shard::now_ms();
    self->write();
  });
}

void HttpSession::linger() {
  if (buffer_capacity_ == 0) return end();
  socket_.async_read_some(asio::buffer(buffer_.get(), buffer_capacity_),
                          [self = Self(this)](ErrorCode error, std::size_t bytes) { self->on_read(error, bytes); });
}

void HttpSession::sweep(std::int64_t now_ms) {
  const Limits& limits = shard_.hub().limits();
  std::int64_t allowed_ms = limits.handshake_timeout_ms;
  if (state_ == State::reply) allowed_ms = limits.write_stall_ms;
  if (state_ == State::linger) allowed_ms = limits.close_timeout_ms;
  if (state_ == State::waiting) allowed_ms = limits.http_answer_ms;
  if (state_ == State::ended || now_ms - state_at_ms_ <= allowed_ms) return;
  if (state_ == State::waiting) return on_answer(ApiResponse::fail(Error::broker_timeout, {}));
  if (state_ != State::linger) service_.counters().timeouts.fetch_add(1, std::memory_order_relaxed);
  end();
}

void HttpSession::shut_down(std::uint32_t, std::int64_t) {
  keep_alive_ = waiting_to_.keep_alive = false;
  if (state_ == State::head || state_ == State::linger) end();  // else: when the answer is sent
}

void HttpSession::abandon() {
  ErrorCode ignored;
  socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  end();
}

void HttpSession::end() {
  if (state_ == State::ended) return;
  state_ = State::ended;
  const Self self = std::move(held_);
  if (waiting_) waiting_->session = nullptr;
  waiting_.reset();
  if (shard_hook.is_linked()) shard_hook.unlink();
  ErrorCode ignored;
  socket_.close(ignored);  // the operation in flight ends with an error and lets go of us
  release_bytes();
  slot_.reset();
}

}  // namespace ringfence
