// NatsLink: one connection of cnats, from its connect to its end, driven by an io_context.
//
// cnats has an interface for event loops: it asks for the socket to be watched, and is called when it is ready. So nothing
// here blocks but connect(), and reading can be stopped, which makes the broker wait. cnats's own reconnecting is off: a link
// that is closed is done with, and NatsService makes another.
// Owns     the connection, and a copy of its descriptor, so that cnats may close its own at any time. Since 3.10 it leaves
//          that to us: it is closed with the copy.
// Threads  the io_context's. cnats calls back from threads of its own: that is passed on.
// Bounds   the write buffer is what the caller lets it be: look at buffered() before publishing.
// Errors   connect(): false, with the reason in words. Later ones come by the hooks.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "bus/nats_options.h"

struct __natsConnection;
struct __natsSubscription;

namespace ringfence {

class NatsLink : public std::enable_shared_from_this<NatsLink> {
 public:
  struct Hooks {
    std::function<void(std::string why)> closed;  // by the broker, the network, or at the end of drain()
    std::function<void(std::string what)> error;  // of the broker, without an end
    std::function<void()> progress;               // something was read or written
  };

  NatsLink(boost::asio::io_context& io, const NatsOptions& options, Hooks hooks);
  NatsLink(const NatsLink&) = delete;
  NatsLink& operator=(const NatsLink&) = delete;

  // Blocks for twice connect_timeout_ms for each URL, and a moment, at most. Once.
  bool connect(std::string& why, bool& refused_credentials);
  // No hook is called from here on.
  void close();
  // Unsubscribes all, lets what has come be delivered, then closes itself: the hook `closed` tells.
  void drain(int timeout_ms);

  void pause_reading() { paused_ = true; }
  void resume_reading();
  bool paused() const noexcept { return paused_; }

  __natsConnection* raw() const noexcept { return raw_; }
  // Keeps the connection from being freed, not from being closed; may outlive the link.
  std::shared_ptr<__natsConnection> connection() const noexcept { return owner_; }
  std::size_t buffered() const;  // bytes that are not written yet
  std::uint64_t max_payload() const;
  bool headers() const;  // the broker takes and gives headers
  std::string server() const;

 private:
  struct Calls;  // cnats's callbacks
  void arm_read();
  void arm_write();
  void forget_descriptor();

  boost::asio::io_context& io_;
  const NatsOptions& options_;
  Hooks hooks_;
  boost::asio::posix::stream_descriptor descriptor_;
  int socket_ = -1;  // cnats's own, until it is closed
  std::shared_ptr<__natsConnection> owner_;
  __natsConnection* raw_ = nullptr;  // the same
  std::atomic<bool> want_read_{false}, want_write_{false};
  bool reading_ = false, writing_ = false, paused_ = false, ended_ = false;
};

}  // namespace ringfence
