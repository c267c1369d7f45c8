// The end of a server while HTTP connections are in the middle of something.
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "server.h"
#include "support/catch.h"

using namespace ringfence;

namespace {

using Clock = std::chrono::steady_clock;

// Sends a request, and reads nothing of its answer.
class DeafClient {
 public:
  DeafClient(std::uint16_t port, const std::string& request) {
    socket_.open(boost::asio::ip::tcp::v4());
    socket_.set_option(boost::asio::socket_base::receive_buffer_size(4096));
    socket_.connect({boost::asio::ip::make_address("127.0.0.1"), port});
    boost::asio::write(socket_, boost::asio::buffer(request));
    char first;
    if (!request.empty()) boost::asio::read(socket_, boost::asio::buffer(&first, 1));
  }

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::socket socket_{io_};
};

Options options(const std::string& static_dir) {
  Options options;
  options.port = 0;
  options.threads = 1;
  options.static_dir = static_dir;
  options.limits.shutdown_timeout_ms = 200;
  return options;
}

}  // namespace

TEST_CASE("stop() resets a download that its client does not read, at the deadline", "[server]") {
  const auto folder = std::filesystem::temp_directory_path() / ("ringfence_stop_" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  std::ofstream(folder / "large.bin").seekp(64 << 20).put('x');
  Server server(options(folder.string()));
  server.start();
  const DeafClient deaf(server.port(), "GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto before = Clock::now();
  CHECK(server.stop() == 1);
  CHECK(Clock::now() - before < std::chrono::seconds(10));
  std::filesystem::remove_all(folder);
}

TEST_CASE("A server that is destroyed lets go of idle HTTP connections at once", "[server]") {
  const auto before = Clock::now();
  std::optional<DeafClient> idle;  // it outlives the server
  {
    Server server(options(""));
    server.start();
    idle.emplace(server.port(), "GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(server.hub().stats().connections == 1);
  }
  CHECK(Clock::now() - before < std::chrono::seconds(10));
}
