// Listener: the one acceptor. It deals accepted sockets to the shards in turn, and no error of accept ends it.
//
// Out of descriptors or memory, it gives up a spare descriptor to tell one client 503, waits kBackoffMs, and goes on.
// At --connections a client is told 503 as well.
// Owns     the acceptor, a spare descriptor, and the refused sockets while they close.
// Threads  start(): before the shards run. All else on the thread of the first shard; stop(): any thread.
// Bounds   kAcceptsMax sockets a turn; kRefusedMax refused sockets that are given kRefusedMs to read their answer.
// Errors   start() throws std::runtime_error with one line: the port is in use, the address is not here.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "net/http_service.h"
#include "net/socket.h"
#include "realtime/shard.h"

namespace ringfence {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  static constexpr int kAcceptsMax = 64;
  static constexpr std::size_t kRefusedMax = 64;
  static constexpr std::int64_t kRefusedMs = 1000;
  static constexpr std::int64_t kBackoffMs = 100;
  static constexpr int kBacklog = 4096;  // the system's own limit may be lower

  // `shards` is not empty; shards and service outlive the listener.
  Listener(std::vector<Shard*> shards, HttpService& service);
  ~Listener();

  void start(const std::string& host, std::uint16_t port);
  std::uint16_t port() const noexcept { return port_; }
  // Closes the acceptor and calls `done` on the first shard's thread.
  void stop(std::function<void()> done);

 private:
  using ErrorCode = boost::system::error_code;
  using Acceptor = boost::asio::basic_socket_acceptor<Tcp, Executor>;
  struct Refused {
    Socket socket;
    std::int64_t until_ms;
  };

  void wait();
  void accept_some();
  void deal(Socket&& socket, ConnectionSlot&& slot, Shard& shard);
  void refuse(Socket&& socket);
  void refuse_with_spare();
  void back_off(const ErrorCode& error);
  void forget_refused();
  void take_spare() noexcept;

  const std::vector<Shard*> shards_;
  HttpService& service_;
  Acceptor acceptor_;
  Timer backoff_timer_;
  Timer refused_timer_;
  std::deque<Refused> refused_;
  std::size_t next_shard_ = 0;
  std::uint16_t port_ = 0;
  int spare_ = -1;
  bool stopped_ = false;
  std::int64_t logged_at_ms_ = 0;
  std::uint64_t errors_unlogged_ = 0;
};

}  // namespace ringfence
