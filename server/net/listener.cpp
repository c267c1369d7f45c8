#include "net/listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>

#include "log.h"
#include "net/http_session.h"

namespace ringfence {

namespace asio = boost::asio;

namespace {

constexpr std::int64_t kLogEveryMs = 5'000;

bool out_of_resources(const boost::system::error_code& error) {
  return error.value() == EMFILE || error.value() == ENFILE || error.value() == ENOBUFS || error.value() == ENOMEM;
}

// Sends what fits, without waiting: the answer is short, and the socket's buffer is empty.
void say_too_many(int fd) {
  static const std::string text =
      error_text(HttpError::too_many_connections, "the server is at its limit of connections; try again later");
  char dropped[1024];
  (void)::recv(fd, dropped, sizeof dropped, MSG_DONTWAIT);
  (void)::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ::shutdown(fd, SHUT_WR);
}

}  // namespace

Listener::Listener(std::vector<Shard*> shards, HttpService& service)
    : shards_(std::move(shards)),
      service_(service),
      acceptor_(shards_.front()->io()),
      backoff_timer_(shards_.front()->io()),
      refused_timer_(shards_.front()->io()) {}

Listener::~Listener() {
  if (spare_ >= 0) ::close(spare_);
}

void Listener::start(const std::string& host, std::uint16_t port) {
  const auto check = [&](const ErrorCode& error, const char* what) {
    if (error)
      throw std::runtime_error("cannot " + std::string(what) + " " + host + ":" + std::to_string(port) + ": " +
                               error.message());
  };
  ErrorCode error;
  const Tcp::endpoint endpoint(asio::ip::make_address(host, error), port);
  check(error, "listen on");
  acceptor_.open(endpoint.protocol(), error);
  check(error, "open a socket for");
  acceptor_.set_option(asio::socket_base::reuse_address(true), error);
  acceptor_.bind(endpoint, error);
  check(error, "listen on");
  acceptor_.listen(kBacklog, error);
  check(error, "listen on");
  acceptor_.non_blocking(true, error);
  check(error, "listen on");
  port_ = acceptor_.local_endpoint(error).port();
  take_spare();
  wait();
}

void Listener::stop(std::function<void()> done) {
  asio::post(shards_.front()->io(), [self = shared_from_this(), done = std::move(done)] {
    self->stopped_ = true;
    ErrorCode ignored;
    self->acceptor_.close(ignored);
    self->backoff_timer_.cancel();
    self->refused_timer_.cancel();
    self->refused_.clear();
    done();
  });
}

void Listener::wait() {
  if (stopped_) return;
  acceptor_.async_wait(Acceptor::wait_read, [self = shared_from_this()](const ErrorCode& error) {
    if (self->stopped_) return;
    error ? self->back_off(error) : self->accept_some();
  });
}

void Listener::accept_some() {
  for (int i = 0; i < kAcceptsMax; ++i) {
    Shard& shard = *shards_[next_shard_];
    ErrorCode error;
    Socket socket(shard.io());
    acceptor_.accept(socket, error);
    if (error == asio::error::would_block || error == asio::error::try_again) break;
    if (error == asio::error::connection_aborted || error.value() == EINTR || error.value() == EPROTO) {
      service_.counters().accept_errors.fetch_add(1, std::memory_order_relaxed);
      continue;  // of that one client
    }
    if (error) {
      if (out_of_resources(error)) refuse_with_spare();
      return back_off(error);
    }
    auto slot = service_.try_connect();
    if (!slot) {
      refuse(std::move(socket));
      continue;
    }
    next_shard_ = (next_shard_ + 1) % shards_.size();
    deal(std::move(socket), std::move(*slot), shard);
  }
  wait();
}

void Listener::deal(Socket&& socket, ConnectionSlot&& slot, Shard& shard) {
  ErrorCode ignored;
  socket.set_option(Tcp::no_delay(true), ignored);
  asio::post(shard.io(), [&shard, &service = service_, socket = std::move(socket), slot = std::move(slot)]() mutable {
    HttpSession::start(shard, std::move(socket), std::move(slot), service);
  });
}

void Listener::refuse(Socket&& socket) {
  service_.counters().refused.fetch_add(1, std::memory_order_relaxed);
  say_too_many(socket.native_handle());
  if (refused_.size() == kRefusedMax) refused_.pop_front();  // the oldest has had the most time
  const bool idle = refused_.empty();
  refused_.push_back({std::move(socket), Shard::now_ms() + kRefusedMs});
  if (idle) forget_refused();
}

// Closes the refused whose time is over. Until then what their clients send is left unread: closing at once would reset
// the connection, and the answer be lost with it.
void Listener::forget_refused() {
  const std::int64_t now = Shard::now_ms();
  while (!refused_.empty() && refused_.front().until_ms <= now) refused_.pop_front();
  if (refused_.empty() || stopped_) return;
  refused_timer_.expires_after(std::chrono::milliseconds(std::max<std::int64_t>(1, refused_.front().until_ms - now)));
  refused_timer_.async_wait([self = shared_from_this()](const ErrorCode& error) {
    if (!error) self->forget_refused();
  });
}

void Listener::refuse_with_spare() {
  refused_.clear();  // they hold descriptors
  if (spare_ < 0) return;
  ::close(spare_);
  spare_ = -1;
  const int fd = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) {
    service_.counters().refused.fetch_add(1, std::memory_order_relaxed);
    say_too_many(fd);
    ::close(fd);
  }
  take_spare();
}

void Listener::take_spare() noexcept {
  if (spare_ < 0) spare_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void Listener::back_off(const ErrorCode& error) {
  if (stopped_) return;
  service_.counters().accept_errors.fetch_add(1, std::memory_order_relaxed);
  ++errors_unlogged_;
  const std::int64_t now = Shard::now_ms();
  if (logged_at_ms_ == 0 || now - logged_at_ms_ >= kLogEveryMs) {
    logger("listener")
        ->warn("accept failed {} times, last: {}; open connections: {}", errors_unlogged_, error.message(),
               service_.connections());
    logged_at_ms_ = now;
    errors_unlogged_ = 0;
  }
  take_spare();
  backoff_timer_.expires_after(std::chrono::milliseconds(kBackoffMs));
  backoff_timer_.async_wait([self = shared_from_this()](const ErrorCode& failed) {
    if (!failed) self->accept_some();
  });
}

}  // namespace ringfence
