// WsClient: a WebSocket client for tests, blocking, with a limit on every wait. TestServer: a whole server on a free port.
//
// Threads  a client belongs to one thread; a server runs its own.
// Errors   a wait that is too long, or a message that is not due, throws: the test fails with what came instead.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <nlohmann/json.hpp>

#include "log.h"
#include "server.h"

namespace ringfence::test {

using Json = nlohmann::json;

// A JSON string of so many bytes, quotes included.
inline std::string json_filler(std::size_t bytes) {
  std::string text(bytes, 'x');
  text.front() = text.back() = '"';
  return text;
}

// A name with a number behind it.
inline std::string numbered(std::string_view stem, std::uint64_t number) {
  std::string name(stem);
  name += std::to_string(number);
  return name;
}

struct TestServer {
  explicit TestServer(const std::function<void(Options&)>& change = {}) : server(options(change)) { server.start(); }

  static Options options(const std::function<void(Options&)>& change) {
    Options options;
    options.port = 0;
    options.threads = 2;
    options.log_level = "warn";
    options.limits.sweep_ms = 100;
    // Tests send as fast as they can, and large strings.
    options.limits.inbound_messages = 1'000'000;
    options.limits.json_string_chars_max = 1'000'000;
    if (change) change(options);
    set_up_logs(options.log_level);
    return options;
  }

  // Waits until `done`, looking every few milliseconds: for what the server does in its own time.
  template <typename Done>
  bool eventually(Done&& done, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    for (const auto until = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < until;) {
      if (done(server.hub().stats())) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return done(server.hub().stats());
  }

  std::uint64_t publish(std::string_view channel, std::string_view data) {
    return server.publish(channel, "message", data).value();
  }

  // Publishes in step with all `subscribers`, so that none misses a thing, until one of them no longer takes any: its
  // socket is full. Returns the last seq.
  std::uint64_t publish_until_stalled(std::string_view channel, std::string_view data, std::uint64_t subscribers) {
    const std::uint64_t before = server.hub().stats().delivered;
    for (std::uint64_t count = 1;; ++count) {
      const std::uint64_t seq = publish(channel, data);
      const auto all = [&](const HubStats& stats) { return stats.delivered == before + count * subscribers; };
      const auto soon = std::chrono::steady_clock::now() + std::chrono::microseconds(500);
      while (!all(server.hub().stats()) && std::chrono::steady_clock::now() < soon) std::this_thread::yield();
      if (!eventually(all, std::chrono::seconds(1))) return seq;
    }
  }

  Server server;
};

class WsClient {
 public:
  struct Event {
    std::string channel;           // JSON mode
    std::uint32_t channel_id = 0;  // binary mode
    std::uint64_t prev_seq = 0;
    std::uint64_t seq = 0;
    std::string type;
    std::string data;
  };
  struct Message {
    bool binary = false;
    std::string text;
    Json json;  // of a control message
    std::vector<Event> events;
  };

  // `protocol` empty: none is offered.
  explicit WsClient(std::uint16_t port, const std::string& protocol = "ringfence.v1", const std::string& query = "",
                    int receive_buffer_bytes = 0);

  void set_wait(std::chrono::milliseconds limit);

  void send(std::string_view text, bool binary = false);
  void send_op(const Json& op) { send(op.dump()); }

  // The next message, control or events.
  Message read();

  // The next message must be this op.
  Json expect(const std::string& op);
  // The op of the next message; "event" for events.
  std::string op();
  Json request(const Json& op, const std::string& answer) {
    send_op(op);
    return expect(answer);
  }
  std::string error_of(std::string_view text, bool binary = false);
  Json subscribe(const std::string& channel, Json more = Json::object());

  // Reads events until `count` have come; another message is an error.
  std::vector<Event> events(std::size_t count);

  // Reads on until the server closes; the code of its close frame, 0 if there was none.
  std::uint16_t read_close();

  void close();
  // Without a close frame.
  void drop(bool reset = false);

  std::string protocol() const;
  auto& stream() { return ws_; }

  Json welcome;

 private:
  boost::asio::io_context io_;
  boost::beast::websocket::stream<boost::asio::ip::tcp::socket, false> ws_;
  boost::beast::websocket::response_type response_;
};

}  // namespace ringfence::test
