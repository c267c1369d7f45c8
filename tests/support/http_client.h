// HttpClient: a blocking TCP connection for tests that sends any bytes and reads one HTTP response at a time.
//
// Errors   a wait of more than 20 s, or a response that does not parse, throws.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>

namespace ringfence::test {

class HttpClient {
 public:
  using Response = boost::beast::http::response<boost::beast::http::string_body>;

  explicit HttpClient(std::uint16_t port);

  void send(std::string_view bytes);
  Response read(bool head = false);
  Response request(std::string_view method, std::string_view target, std::string_view more_headers = {});
  Response get(std::string_view target, std::string_view more_headers = {}) {
    return request("GET", target, more_headers);
  }
  // True if the server closed, in order or by reset; throws if it does not within the wait.
  bool closed();
  auto& socket() { return socket_; }

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::socket socket_{io_};
  boost::beast::flat_buffer buffer_;
};

// The code in the body of a refusal.
std::string error_code_of(const HttpClient::Response& response);

}  // namespace ringfence::test
