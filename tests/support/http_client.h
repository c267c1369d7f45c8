// HttpClient: a blocking TCP connection for tests that sends any bytes and reads one HTTP response at a time.
//
// Errors   a wait of more than 20 s, or a response that does not parse, throws.
#pragma once

#include <sys/socket.h>
#include <sys/time.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <nlohmann/json.hpp>

namespace ringfence::test {

class HttpClient {
 public:
  using Response = boost::beast::http::response<boost::beast::http::string_body>;

  explicit HttpClient(std::uint16_t port) {
    socket_.connect({boost::asio::ip::make_address("127.0.0.1"), port});
    timeval wait{};
    wait.tv_sec = 20;
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  }

  void send(std::string_view bytes) { boost::asio::write(socket_, boost::asio::buffer(bytes.data(), bytes.size())); }
  Response read(bool head = false) {
    boost::beast::http::response_parser<boost::beast::http::string_body> parser;
    parser.skip(head);
    boost::beast::http::read(socket_, buffer_, parser);
    return parser.release();
  }
  Response request(std::string_view method, std::string_view target, std::string_view more_headers = {}) {
    send(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" +
         std::string(more_headers) + "\r\n");
    return read(method == "HEAD");
  }
  Response get(std::string_view target, std::string_view more_headers = {}) {
    return request("GET", target, more_headers);
  }
  // True if the server closed, in order or by reset; throws if it does not within the wait.
  bool closed() {
    char byte;
    boost::system::error_code error;
    const std::size_t bytes = socket_.read_some(boost::asio::buffer(&byte, 1), error);
    if (error == boost::asio::error::would_block) throw std::runtime_error("the server did not close");
    return bytes == 0;
  }
  auto& socket() { return socket_; }

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::socket socket_{io_};
  boost::beast::flat_buffer buffer_;
};

inline std::string error_code_of(const HttpClient::Response& response) {
  return nlohmann::json::parse(response.body())["error"]["code"];
}

}  // namespace ringfence::test
