// TcpProxy: the network between a server and its broker, that a test can break: it passes bytes on, slowly, or none at all.
//
//   pass()          as they come
//   hold()          none, either way, and none is lost: a cable that is out. Who connects is let in, and hears nothing
//   slow(bytes/s)   each way of each connection, in steps of 20 ms
//   cut()           ends the connections that there are
//
// Owns     a thread, its listener on a free port of loopback, the connections.
// Threads  every function: any thread.
// Bounds   16 KiB each way, and the smallest buffers that the kernel gives: who sends too fast notices.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

namespace ringfence::test {

class TcpProxy {
  using Tcp = boost::asio::ip::tcp;

 public:
  explicit TcpProxy(std::uint16_t port) : to_(boost::asio::ip::make_address("127.0.0.1"), port), acceptor_(io_) {
    acceptor_.open(Tcp::v4());
    acceptor_.set_option(boost::asio::socket_base::receive_buffer_size(kBytes));  // its connections have it from here
    acceptor_.bind({boost::asio::ip::make_address("127.0.0.1"), 0});
    acceptor_.listen();
    port_ = acceptor_.local_endpoint().port();
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~TcpProxy() {
    io_.stop();
    thread_.join();
  }
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  void pass() { become(0, false); }
  void hold() { become(0, true); }
  void slow(std::uint64_t bytes_per_s) { become(bytes_per_s, false); }
  void cut() {
    boost::asio::post(io_, [this] {
      for (const auto& link : links_) link->end();
    });
  }

  std::uint16_t port() const noexcept { return port_; }
  std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }

 private:
  static constexpr int kBytes = 16 * 1024;
  static constexpr std::chrono::milliseconds kStep{20};

  struct Way {
    Way(boost::asio::io_context& io, Tcp::socket& its_from, Tcp::socket& its_to)
        : from(its_from), to(its_to), step(io) {}
    Tcp::socket &from, &to;
    boost::asio::steady_timer step;
    std::array<char, kBytes> bytes{};
    std::size_t size = 0;  // read, and not written yet
    bool waits = false;    // for hold() to be over
  };

  struct Link : std::enable_shared_from_this<Link> {
    Link(TcpProxy& its_proxy, Tcp::socket&& socket)
        : proxy(its_proxy),
          one(std::move(socket)),
          other(proxy.io_),
          there(proxy.io_, one, other),
          back(proxy.io_, other, one) {}

    void start() {
      boost::system::error_code failed;
      other.open(Tcp::v4(), failed);
      other.set_option(boost::asio::socket_base::receive_buffer_size(kBytes), failed);
      other.connect(proxy.to_, failed);  // on loopback: at once
      if (failed) return end();
      for (Tcp::socket* const socket : {&one, &other}) {
        socket->set_option(boost::asio::socket_base::send_buffer_size(kBytes), failed);
        socket->set_option(Tcp::no_delay(true), failed);
      }
      go_on(there);
      go_on(back);
    }
    void go_on(Way& way) {
      if (proxy.held_) {
        way.waits = true;
        return;
      }
      if (way.size > 0) return write(way);
      const std::size_t room = proxy.bytes_per_s_ > 0
                                   ? std::clamp<std::size_t>(proxy.bytes_per_s_ / (1000 / kStep.count()), 1, kBytes)
                                   : kBytes;
      way.from.async_read_some(
          boost::asio::buffer(way.bytes.data(), room),
          [self = shared_from_this(), &way](const boost::system::error_code& error, std::size_t bytes) {
            if (error) return self->end();
            way.size = bytes;
            if (self->proxy.bytes_per_s_ == 0) return self->go_on(way);
            way.step.expires_after(kStep);
            way.step.async_wait([self, &way](const boost::system::error_code& stopped) {
              if (!stopped) self->go_on(way);
            });
          });
    }
    void write(Way& way) {
      boost::asio::async_write(way.to, boost::asio::buffer(way.bytes.data(), way.size),
                               [self = shared_from_this(), &way](const boost::system::error_code& error, std::size_t) {
                                 if (error) return self->end();
                                 way.size = 0;
                                 self->go_on(way);
                               });
    }
    void wake() {
      for (Way* const way : {&there, &back})
        if (std::exchange(way->waits, false)) go_on(*way);
    }
    void end() {
      boost::system::error_code ignored;
      one.close(ignored);
      other.close(ignored);
      there.step.cancel();
      back.step.cancel();
    }

    TcpProxy& proxy;
    Tcp::socket one, other;
    Way there, back;
  };

  void accept() {
    acceptor_.async_accept([this](const boost::system::error_code& error, Tcp::socket socket) {
      if (error) return;
      std::erase_if(links_, [](const auto& link) { return !link->one.is_open(); });
      links_.push_back(std::make_shared<Link>(*this, std::move(socket)));
      links_.back()->start();
      accept();
    });
  }
  void become(std::uint64_t bytes_per_s, bool held) {
    boost::asio::post(io_, [this, bytes_per_s, held] {
      bytes_per_s_ = bytes_per_s;
      held_ = held;
      if (held) return;
      for (const auto& link : links_) link->wake();
    });
  }

  boost::asio::io_context io_{1};
  const Tcp::endpoint to_;
  Tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  std::uint64_t bytes_per_s_ = 0;  // 0: as they come
  bool held_ = false;
  std::vector<std::shared_ptr<Link>> links_;  // a way that waits is kept by nothing else
  std::thread thread_;
};

}  // namespace ringfence::test
