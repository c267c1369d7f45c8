#include "support/ws_client.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <ringfence/batch.h>

namespace ringfence::test {
namespace {

void read_batch(WsClient::Message& message) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(message.text.data()), message.text.size());
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

void read_text(WsClient::Message& message) {
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
    message.events.push_back({line["channel"], 0, line.value("prev", seq - 1), seq, line["type"], line["data"].dump()});
  }
}

}  // namespace

WsClient::WsClient(std::uint16_t port, const std::string& protocol, const std::string& query, int receive_buffer_bytes)
    : ws_(io_) {
  auto& socket = ws_.next_layer();
  socket.open(boost::asio::ip::tcp::v4());
  // As small as the system lets it be: for a reader that is to stall soon.
  if (receive_buffer_bytes > 0) socket.set_option(boost::asio::socket_base::receive_buffer_size(receive_buffer_bytes));
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

void WsClient::set_wait(std::chrono::milliseconds limit) {
  timeval wait{};
  wait.tv_sec = limit.count() / 1000;
  wait.tv_usec = limit.count() % 1000 * 1000;
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO})
    ::setsockopt(ws_.next_layer().native_handle(), SOL_SOCKET, option, &wait, sizeof wait);
}

void WsClient::send(std::string_view text, bool binary) {
  ws_.binary(binary);
  ws_.write(boost::asio::buffer(text.data(), text.size()));
}

WsClient::Message WsClient::read() {
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

Json WsClient::expect(const std::string& op) {
  Message message = read();
  if (message.json.is_null() || message.json["op"] != op)
    throw std::runtime_error("expected " + op + ", got " + (message.binary ? "a batch" : message.text));
  return message.json;
}

std::string WsClient::op() {
  const Message message = read();
  return message.json.is_null() ? "event" : message.json["op"].get<std::string>();
}

std::string WsClient::error_of(std::string_view text, bool binary) {
  send(text, binary);
  return expect("error")["code"].get<std::string>();
}

Json WsClient::subscribe(const std::string& channel, Json more) {
  more["op"] = "subscribe";
  more["channel"] = channel;
  return request(more, "subscribed");
}

std::vector<WsClient::Event> WsClient::events(std::size_t count) {
  std::vector<Event> all;
  while (all.size() < count) {
    Message message = read();
    if (message.events.empty()) throw std::runtime_error("expected events, got " + message.text);
    for (Event& event : message.events) all.push_back(std::move(event));
  }
  if (all.size() != count) throw std::runtime_error("more events than asked for");
  return all;
}

std::uint16_t WsClient::read_close() {
  boost::system::error_code error;
  for (boost::beast::flat_buffer buffer; !error; buffer.clear()) ws_.read(buffer, error);
  return ws_.reason().code;
}

void WsClient::close() {
  boost::system::error_code ignored;
  ws_.close(boost::beast::websocket::close_code::normal, ignored);
}

void WsClient::drop(bool reset) {
  boost::system::error_code ignored;
  if (reset) ws_.next_layer().set_option(boost::asio::socket_base::linger(true, 0), ignored);
  ws_.next_layer().close(ignored);
}

std::string WsClient::protocol() const {
  return std::string(response_[boost::beast::http::field::sec_websocket_protocol]);
}

}  // namespace ringfence::test
