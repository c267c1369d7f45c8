// WsClient: a WebSocket client for tests, blocking, with a limit on every wait. TestServer: a whole server on a free port.
//
// Threads  a client belongs to one thread; a server runs its own.
// Errors   a wait that is too long, or a message that is not due, throws: the test fails with what came instead.
#pragma once

#include <sys/socket.h>
#include <sys/time.h>

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
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <nlohmann/json.hpp>

#include <ringfence/batch.h>

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
                    int receive_buffer_bytes = 0)
      : ws_(io_) {
    auto& socket = ws_.next_layer();
    socket.open(boost::asio::ip::tcp::v4());
    // As small as the system lets it be: for a reader that is to stall soon.
    if (receive_buffer_bytes > 0)
      socket.set_option(boost::asio::socket_base::receive_buffer_size(receive_buffer_bytes));
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), port});
    socket.set_option(boost::asio::ip::tcp::no_delay(true));
    set_wait(std::chrono::seconds(30));
    ws_.set_option(boost::beast::websocket::stream_base::decorator([protocol](auto& request) {
      if (!protocol.empty()) request.set(boost::beast::http::field::sec_websocket_protocol, protocol);
    }));
    ws_.read_message_max(256 << 20);
    ws_.handshake(response_, numbered("127.0.0.1:", port), "/v1/ws" + query);
    welcome = expect("welcome");
  }

  void set_wait(std::chrono::milliseconds limit) {
    timeval wait{};
    wait.tv_sec = limit.count() / 1000;
    wait.tv_usec = limit.count() % 1000 * 1000;
    for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
      ::setsockopt(ws_.next_layer().native_handle(), SOL_SOCKET, option, &wait, sizeof wait);
  }

  void send(std::string_view text, bool binary = false) {
    ws_.binary(binary);
    ws_.write(boost::asio::buffer(text.data(), text.size()));
  }
  void send_op(const Json& op) { send(op.dump()); }

  // The next message, control or events.
  Message read() {
    boost::beast::flat_buffer buffer;
    ws_.read(buffer);
    Message message;
    message.binary = ws_.got_binary();
    message.text = boost::beast::buffers_to_string(buffer.data());
    if (message.binary)
      read_batch(message);
    else
      read_text(message);
    return message;
  }

  // The next message must be this op.
  Json expect(const std::string& op) {
    Message message = read();
    if (message.json.is_null() || message.json["op"] != op)
      throw std::runtime_error("expected " + op + ", got " + (message.binary ? "a batch" : message.text));
    return message.json;
  }
  // The op of the next message; "event" for events.
  std::string op() {
    const Message message = read();
    return message.json.is_null() ? "event" : message.json["op"].get<std::string>();
  }
  Json request(const Json& op, const std::string& answer) {
    send_op(op);
    return expect(answer);
  }
  std::string error_of(std::string_view text, bool binary = false) {
    send(text, binary);
    return expect("error")["code"].get<std::string>();
  }
  Json subscribe(const std::string& channel, Json more = Json::object()) {
    more["op"] = "subscribe";
    more["channel"] = channel;
    return request(more, "subscribed");
  }

  // Reads events until `count` have come; another message is an error.
  std::vector<Event> events(std::size_t count) {
    std::vector<Event> all;
    while (all.size() < count) {
      Message message = read();
      if (message.events.empty()) throw std::runtime_error("expected events, got " + message.text);
      for (Event& event : message.events) all.push_back(std::move(event));
    }
    if (all.size() != count) throw std::runtime_error("more events than asked for");
    return all;
  }

  // Reads on until the server closes; the code of its close frame, 0 if there was none.
  std::uint16_t read_close() {
    boost::system::error_code error;
    for (boost::beast::flat_buffer buffer; !error; buffer.clear()) ws_.read(buffer, error);
    return ws_.reason().code;
  }

  void close() {
    boost::system::error_code ignored;
    ws_.close(boost::beast::websocket::close_code::normal, ignored);
  }
  // Without a close frame.
  void drop(bool reset = false) {
    boost::system::error_code ignored;
    if (reset) ws_.next_layer().set_option(boost::asio::socket_base::linger(true, 0), ignored);
    ws_.next_layer().close(ignored);
  }

  std::string protocol() const { return std::string(response_[boost::beast::http::field::sec_websocket_protocol]); }
  auto& stream() { return ws_; }

  Json welcome;

 private:
  static void read_batch(Message& message) {
    const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(message.text.data()),
                                           message.text.size());
    if (!validate_batch(bytes)) throw std::runtime_error("a batch that does not validate");
    BatchCursor cursor(bytes);
    while (const auto section = cursor.next()) {
      const std::byte* at = section->records.data();
      std::uint64_t prev_seq = section->prev_seq;
      for (std::uint32_t i = 0; i < section->count; ++i) {
        const RecordView record = view_record(at);
        message.events.push_back(
            {{}, section->channel_id, prev_seq, record.seq, std::string(record.type), std::string(record.payload)});
        prev_seq = record.seq;
        at += record.stride_bytes;
      }
    }
  }

  static void read_text(Message& message) {
    std::string_view rest = message.text;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      const Json line = Json::parse(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (line["op"] != "event") {
        if (!message.events.empty() || !rest.empty()) throw std::runtime_error("a control message beside another line");
        message.json = line;
        return;
      }
      const std::uint64_t seq = line["seq"];
      message.events.push_back(
          {line["channel"], 0, line.value("prev", seq - 1), seq, line["type"], line["data"].dump()});
    }
  }

  boost::asio::io_context io_;
  boost::beast::websocket::stream<boost::asio::ip::tcp::socket, false> ws_;
  boost::beast::websocket::response_type response_;
};

}  // namespace ringfence::test
