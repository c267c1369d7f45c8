#include "pipe.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "auth/api_keys.h"
#include "pipe_lines.h"
#include "protocol/json.h"
#include "support/catch.h"
#include "support/tokens.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

// run_pipe on a thread of its own, its input a real pipe.
class PipeRun {
 public:
  explicit PipeRun(PipeOptions options) {
    REQUIRE(::pipe2(input_, O_CLOEXEC) == 0);
    report_ = std::tmpfile();
    thread_ = std::thread([this, options = std::move(options)] { status = run_pipe(options, input_[0], report_); });
  }
  ~PipeRun() {
    (void)end();
    std::fclose(report_);
    ::close(input_[0]);
  }
  void write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = ::write(input_[1], text.data(), text.size());
      if (written <= 0) throw std::runtime_error("write to the pipe");  // also on other threads than the test's
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }
  // Ends the input and gives back the report.
  std::string end() {
    if (input_[1] >= 0) ::close(input_[1]);
    input_[1] = -1;
    if (thread_.joinable()) thread_.join();
    std::rewind(report_);
    char text[1024];
    return {text, std::fread(text, 1, sizeof text, report_)};
  }
  int status = -1;

 private:
  int input_[2] = {-1, -1};
  std::FILE* report_ = nullptr;
  std::thread thread_;
};

PipeOptions to(std::uint16_t port) {
  PipeOptions options;
  options.url = "ws://127.0.0.1:" + std::to_string(port) + "/v1/ws";
  options.channel = "logs";
  options.reconnect_s = 10;
  return options;
}

std::vector<std::string> lines_of(LineBuffer& buffer, std::string_view bytes, std::size_t chunk, int& too_long) {
  std::vector<std::string> lines;
  std::string_view line;
  const auto take = [&] {
    for (auto got = buffer.next(line); got != LineBuffer::Got::nothing; got = buffer.next(line))
      got == LineBuffer::Got::line ? lines.emplace_back(line) : (++too_long, lines.emplace_back("-"));
  };
  while (!bytes.empty()) {
    const std::size_t size = std::min(chunk, bytes.size());
    bytes.copy(buffer.room(), size);
    buffer.filled(size);
    bytes.remove_prefix(size);
    take();
  }
  buffer.end();
  take();
  return lines;
}

}  // namespace

TEST_CASE("LineBuffer gives the same lines however the bytes come", "[pipe]") {
  const std::string bytes = "one\ntwo\r\n\n0123456789\n01234567890\n" + std::string(300'000, 'x') + "\nend";
  for (const std::size_t chunk : {1, 2, 7, 65536}) {
    LineBuffer buffer(10);
    int too_long = 0;
    CHECK(lines_of(buffer, bytes, chunk, too_long) ==
          std::vector<std::string>{"one", "two", "", "0123456789", "-", "-", "end"});
    CHECK(too_long == 2);
  }
}

TEST_CASE("LineBuffer counts the lines that it has not given", "[pipe]") {
  const std::string bytes = "one\ntwo\r\n\n0123456789\n01234567890\n" + std::string(300, 'x') + "\n" + "a\nb\nc\nend";
  for (const std::size_t chunk : {1, 2, 7, 65536}) {
    LineBuffer buffer(10);
    std::uint64_t given = 0;
    std::string_view line;
    for (std::size_t fed = 0; fed < bytes.size();) {
      const std::size_t size = bytes.copy(buffer.room(), chunk, fed);
      buffer.filled(size);
      fed += size;
      const auto ends =
          static_cast<std::uint64_t>(std::count(bytes.begin(), bytes.begin() + std::ptrdiff_t(fed), '\n'));
      const std::uint64_t read = ends + (bytes[fed - 1] == '\n' ? 0 : 1);
      CHECK(given + buffer.left() == read);
      if (buffer.next(line) != LineBuffer::Got::nothing) ++given;
      CHECK(given + buffer.left() == read);
    }
    buffer.end();
    while (buffer.next(line) != LineBuffer::Got::nothing) ++given;
    CHECK(given == 10);
    CHECK(buffer.left() == 0);
  }
}

TEST_CASE("PublishFrame passes JSON on, wraps text, and refuses what is not UTF-8", "[pipe]") {
  const PublishFrame frame{"c", "t\"x"};
  const auto data = [&frame](std::string_view line) { return Json::parse(frame.message(7, line).value())["data"]; };
  CHECK(data(R"({"a":[1,2]})") == Json{{"a", {1, 2}}});
  CHECK(data("12") == 12);
  CHECK(data("null") == nullptr);
  CHECK(data("hello \"you\"\t\\") == Json{{"text", "hello \"you\"\t\\"}});
  CHECK(data("{\"a\":") == Json{{"text", "{\"a\":"}});
  CHECK(data("") == Json{{"text", ""}});
  CHECK(frame.message(7, "12345678901234567890").value().find("\"data\":12345678901234567890}") != std::string::npos);
  CHECK(Json::parse(frame.message(7, "1").value())["type"] == "t\"x");
  CHECK_FALSE(frame.message(7, "a\xff"));
  CHECK_FALSE(frame.message(7, "\"\xc3\""));
}

TEST_CASE("pipe publishes each line as it comes", "[pipe]") {
  TestServer server;
  WsClient client(server.server.port(), "ringfence.v1.json");
  client.subscribe("logs");
  PipeRun run(to(server.server.port()));
  run.write("{\"n\":1}\n");
  CHECK(client.events(1)[0].data == R"({"n":1})");  // the input is still open
  run.write("plain text\n[1]\nlast, without its end");
  const auto events = client.events(2);
  CHECK(events[0].data == R"({"text":"plain text"})");
  CHECK(events[1].data == "[1]");
  CHECK(run.end() == "sent 4, refused 0\n");
  CHECK(run.status == kExitOk);
  CHECK(client.events(1)[0].data == R"({"text":"last, without its end"})");
}

TEST_CASE("pipe keeps the order of many lines in a small window", "[pipe]") {
  constexpr int kLines = 20'000;
  TestServer server([](Options& options) {
    options.limits.history_records_max = kLines;
    options.limits.history_bytes_max = 8 << 20;
  });
  auto options = to(server.server.port());
  options.window_lines = 16;
  PipeRun run(options);
  std::string text;
  for (int i = 1; i <= kLines; ++i) text += std::to_string(i) + "\n";
  run.write(text);
  CHECK(run.end() == "sent 20000, refused 0\n");
  WsClient client(server.server.port());
  client.subscribe("logs", {{"last", kLines}});
  bool ordered = true;
  for (const auto& event : client.events(kLines)) ordered = ordered && event.data == std::to_string(event.seq);
  CHECK(ordered);
}

TEST_CASE("pipe counts what is refused, by code, and sends the rest", "[pipe]") {
  TestServer server([](Options& options) { options.limits.errors_max = 5; });
  PipeRun run(to(server.server.port()));
  std::string deep = std::string(50, '[') + std::string(50, ']');
  run.write("good\nbad \xff\n" + std::string(200'000, 'x') + "\n" + deep + "\nlast\n");
  CHECK(run.end() == "sent 2, refused 3 (bad_json: 1, invalid_utf8: 1, message_too_large: 1)\n");
  CHECK(run.status == kExitRuntime);
}

TEST_CASE("pipe goes on after the server closed it for too many errors", "[pipe]") {
  TestServer server([](Options& options) { options.limits.errors_max = 3; });
  PipeRun run(to(server.server.port()));
  const std::string deep = std::string(50, '[') + std::string(50, ']');
  std::string text;
  for (int i = 0; i < 10; ++i) text += deep + "\n" + std::to_string(i) + "\n";
  run.write(text);
  CHECK(run.end() == "sent 10, refused 10 (bad_json: 10)\n");
  CHECK(server.server.hub().stats().published == 10);
}

TEST_CASE("pipe says when no server can be reached", "[pipe]") {
  std::uint16_t port = 0;
  {
    port = TestServer().server.port();
  }
  PipeRun run(to(port));
  const std::string report = run.end();
  CHECK(report.find("sent 0, refused 0; cannot reach ws://127.0.0.1:") == 0);
  CHECK(std::count(report.begin(), report.end(), '\n') == 1);
  CHECK(run.status == kExitRuntime);
  CHECK_THROWS_AS(run_pipe({.url = "http://x", .channel = "a"}), UsageError);
  CHECK_THROWS_AS(run_pipe({.url = "wss://x", .channel = "a"}), UsageError);
}

TEST_CASE("pipe loses no line when the server stops in order and comes back", "[pipe]") {
  auto server = std::make_unique<TestServer>();
  const std::uint16_t port = server->server.port();
  PipeRun run(to(port));
  std::thread writer([&run] {
    for (int i = 0; i < 50; ++i) {
      std::string text;
      for (int j = 0; j < 400; ++j) text += "1\n";
      run.write(text);
    }
  });
  std::uint64_t published = 0;
  for (int life = 0; life < 3; ++life) {
    CHECK(server->eventually([](const HubStats& stats) { return stats.published > 100; }));
    CHECK(server->server.stop() == 0);
    published += server->server.hub().stats().published;
    server.reset();
    server = std::make_unique<TestServer>([port](Options& options) { options.port = port; });
  }
  writer.join();
  CHECK(run.end() == "sent 20000, refused 0\n");
  published += server->server.hub().stats().published;
  CHECK(published == 20000);  // and none twice
}

TEST_CASE("pipe waits while the server is overloaded, and loses nothing", "[pipe]") {
  TestServer server([](Options& options) {
    options.limits.history_memory_bytes = 1 << 20;
    options.limits.errors_max = 3;  // overload is not among them
  });
  // All record memory is held, as by writes in flight to slow readers.
  std::vector<SegmentRef> held;
  for (const std::uint64_t bytes : {64 * 1024, 512})
    for (SegmentRef one = server.server.hub().acquire(bytes); one; one = server.server.hub().acquire(bytes))
      held.push_back(std::move(one));
  PipeRun run(to(server.server.port()));
  for (int i = 1; i <= 1000; ++i) run.write(std::to_string(i) + "\n");
  CHECK(server.eventually(
      [](const HubStats& stats) { return stats.refused[static_cast<std::size_t>(Error::overloaded)] > 100; }));
  CHECK(server.server.hub().stats().published == 0);
  held.clear();
  CHECK(run.end() == "sent 1000, refused 0\n");
  WsClient client(server.server.port());
  client.subscribe("logs", {{"last", 1000}});
  std::set<int> numbers;
  for (const auto& event : client.events(1000)) numbers.insert(std::stoi(event.data));
  CHECK(numbers.size() == 1000);
  CHECK(*numbers.rbegin() == 1000);
}

TEST_CASE("pipe keeps to the rate that the server allows, and loses nothing", "[pipe]") {
  TestServer test([](Options& options) {
    options.limits.inbound_messages = 50;
    options.limits.inbound_window_s = 1;
  });
  PipeRun run(to(test.server.port()));
  for (int i = 1; i <= 150; ++i) run.write(std::to_string(i) + "\n");
  CHECK(run.end() == "sent 150, refused 0\n");
  WsClient reader(test.server.port());
  reader.subscribe("logs", {{"last", 150}});
  int expected = 0;
  for (const auto& event : reader.events(150)) REQUIRE(event.data == std::to_string(++expected));
  // It was told the rate and kept it: the server had hardly anything to refuse.
  CHECK(test.server.hub().stats().refused[static_cast<std::size_t>(Error::rate_limited)] < 10);
}

TEST_CASE("pipe says when the server's welcome is a foreign one", "[pipe]") {
  for (const char* welcome : {R"({"op":"welcome"})", R"({"op":"welcome","limits":[]})", R"({"op":7})"}) {
    boost::asio::io_context io;
    boost::asio::ip::tcp::acceptor acceptor(io, {boost::asio::ip::make_address("127.0.0.1"), 0});
    PipeRun run(to(acceptor.local_endpoint().port()));
    boost::beast::websocket::stream<boost::asio::ip::tcp::socket, false> peer(acceptor.accept());
    peer.accept();
    peer.write(boost::asio::buffer(std::string_view(welcome)));
    boost::beast::flat_buffer buffer;
    boost::system::error_code closed;
    peer.read(buffer, closed);  // answers the close
    INFO(welcome);
    CHECK(run.end().find("; the server at ws://127.0.0.1:") != std::string::npos);
    CHECK(run.status == kExitRuntime);
  }
}

TEST_CASE("pipe shows a token or an API key, and says why it is not let in", "[pipe][auth]") {
  const NewApiKey key = make_api_key("logs", "back_end");
  const KeyFile file(key.line);
  TestServer server([&](Options& options) {
    options.auth.jwt_secret = kSecret;
    options.auth.api_keys = file.path();
  });
  auto options = to(server.server.port());
  {
    PipeRun run(options);
    run.write("1\n");
    CHECK(run.end().find("the server answered with HTTP 401, token_missing") != std::string::npos);
    CHECK(run.status == kExitRuntime);
  }
  options.token = token(claims_of("ann"));
  {
    PipeRun run(options);
    run.write("1\n2\n");
    CHECK(run.end() == "sent 2, refused 0\n");
  }
  options.token = token(claims_of("ann", {{"ringfence", {{"publish", {"chat"}}}}}));
  {
    PipeRun run(options);
    run.write("1\n");
    CHECK(run.end() == "sent 0, refused 1 (forbidden: 1)\n");
  }
  options.api_key = key.key;
  PipeRun run(options);
  run.write("1\n2\n3\n");
  CHECK(run.end() == "sent 3, refused 0\n");
  CHECK(server.server.hub().stats().published == 5);
}
