#include "net/listener.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

#include "support/catch.h"
#include "support/http_client.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;
namespace http = boost::beast::http;

namespace {

// Takes every descriptor that the process may still have, under a lowered limit.
class NoDescriptors {
 public:
  explicit NoDescriptors(rlim_t limit) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit lowered = before_;
    lowered.rlim_cur = limit;
    ::setrlimit(RLIMIT_NOFILE, &lowered);
    for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::dup(fd)) taken_.push_back(fd);
  }
  ~NoDescriptors() {
    for (const int fd : taken_) ::close(fd);
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  std::size_t taken() const { return taken_.size(); }

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

std::uint64_t counted(const TestServer& server, const char* name) {
  HttpClient client(const_cast<TestServer&>(server).server.port());
  return Json::parse(client.get("/v1/health").body())["http"][name];
}

}  // namespace

TEST_CASE("Listener says 503 when there is no descriptor left, and goes on when there is", "[listener]") {
  TestServer server;
  WsClient subscriber(server.server.port());
  subscriber.subscribe("a");
  boost::asio::io_context io;
  std::vector<boost::asio::ip::tcp::socket> clients;
  for (int i = 0; i < 5; ++i) clients.emplace_back(io, boost::asio::ip::tcp::v4());
  {
    const NoDescriptors none(512);
    REQUIRE(none.taken() > 0);
    REQUIRE(::open("/dev/null", O_RDONLY) < 0);
    for (auto& client : clients) {
      client.connect({boost::asio::ip::make_address("127.0.0.1"), server.server.port()});
      std::string answer;
      boost::system::error_code error;
      for (char part[512]; !error;) answer.append(part, client.read_some(boost::asio::buffer(part), error));
      CHECK(answer.find("HTTP/1.1 503") == 0);
      CHECK(answer.find("too_many_connections") != std::string::npos);
    }
    // Who was there before is served all along.
    server.publish("a", "1");
    CHECK(subscriber.events(1)[0].data == "1");
  }
  HttpClient client(server.server.port());
  CHECK(client.get("/v1/health").result() == http::status::ok);
  CHECK(counted(server, "accept_errors") >= 5);
  CHECK(counted(server, "connections_refused") >= 5);
}

TEST_CASE("Listener refuses what is above --connections with 503, and takes it when there is room", "[listener]") {
  TestServer server([](Options& options) { options.limits.connections_max = 2; });
  HttpClient first(server.server.port());
  auto second = std::make_unique<WsClient>(server.server.port());
  CHECK(first.get("/v1/health").result() == http::status::ok);
  for (int i = 0; i < 100; ++i) {  // more than are given time to read their answer
    HttpClient third(server.server.port());
    const auto response = third.get("/v1/health");
    CHECK(response.result() == http::status::service_unavailable);
    CHECK(error_code_of(response) == "too_many_connections");
  }
  CHECK(first.get("/v1/health").result() == http::status::ok);
  second->close();
  CHECK(server.eventually([](const HubStats& stats) { return stats.connections == 1; }));
  HttpClient again(server.server.port());
  CHECK(again.get("/v1/health").result() == http::status::ok);
}

TEST_CASE("Connections are dealt to all threads", "[listener]") {
  TestServer server;
  std::vector<std::unique_ptr<WsClient>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<WsClient>(server.server.port()));
    clients.back()->subscribe("a");
  }
  server.publish("a", "1");
  for (auto& client : clients) CHECK(client->events(1)[0].data == "1");
  for (unsigned shard = 0; shard < 2; ++shard)
    CHECK(server.eventually(
        [&](const HubStats&) { return server.server.hub().inbox(shard).counters().delivered.get() == 2; }));
}

TEST_CASE("A port in use is one line, and takes nothing with it", "[listener]") {
  TestServer server;
  Options options = TestServer::options({});
  options.port = server.server.port();
  Server second(options);
  std::string message;
  try {
    second.start();
  } catch (const std::runtime_error& error) {
    message = error.what();
  }
  CHECK(message.find("127.0.0.1:" + std::to_string(options.port)) != std::string::npos);
  CHECK(message.find("in use") != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
  HttpClient client(server.server.port());
  CHECK(client.get("/v1/health").result() == http::status::ok);
}
