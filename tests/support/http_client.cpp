#include "support/http_client.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <stdexcept>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <nlohmann/json.hpp>

namespace ringfence::test {

HttpClient::HttpClient(std::uint16_t port) {
  socket_.connect({boost::asio::ip::make_address("127.0.0.1"), port});
  timeval wait{};
  wait.tv_sec = 20;
  ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
}

void HttpClient::send(std::string_view bytes) {
  boost::asio::write(socket_, boost::asio::buffer(bytes.data(), bytes.size()));
}

HttpClient::Response HttpClient::read(bool head) {
  boost::beast::http::response_parser<boost::beast::http::string_body> parser;
  parser.skip(head);
  boost::beast::http::read(socket_, buffer_, parser);
  return parser.release();
}

HttpClient::Response HttpClient::request(std::string_view method, std::string_view target,
                                         std::string_view more_headers) {
  send(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" +
       std::string(more_headers) + "\r\n");
  return read(method == "HEAD");
}

bool HttpClient::closed() {
  char byte;
  boost::system::error_code error;
  const std::size_t bytes = socket_.read_some(boost::asio::buffer(&byte, 1), error);
  if (error == boost::asio::error::would_block) throw std::runtime_error("the server did not close");
  return bytes == 0;
}

std::string error_code_of(const HttpClient::Response& response) {
  return nlohmann::json::parse(response.body())["error"]["code"];
}

}  // namespace ringfence::test
