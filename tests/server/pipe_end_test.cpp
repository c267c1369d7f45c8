// How ringfence-server pipe ends: by signals, without its server, and when it cannot read. It runs as a process.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "options.h"
#include "support/catch.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

// Below the 5 s that a first signal gives, and no less: the machine may be busy.
constexpr auto kAtOnce = seconds(4);

// ringfence-server with these arguments, killed at the end if it still runs. `input`: its stdin; -1: closed. `output`:
// which of its stdout and stderr is read here.
class Program {
 public:
  Program(std::vector<std::string> args, int input, int output) {
    args.insert(args.begin(), RINGFENCE_SERVER_BINARY);
    std::vector<char*> raw;
    for (std::string& arg : args) raw.push_back(arg.data());
    raw.push_back(nullptr);
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      if (input >= 0) ::dup2(input, STDIN_FILENO);
      if (input < 0) ::close(STDIN_FILENO);
      ::dup2(ends[1], output);
      ::execv(raw[0], raw.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    output_ = ends[0];
  }
  ~Program() {
    kill();
    ::close(output_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const { REQUIRE(::kill(pid_, number) == 0); }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  std::string line() {
    while (text_.find('\n') == std::string::npos)
      if (!more(seconds(30))) throw std::runtime_error("no line, but: " + text_);
    return text_;
  }
  // All that it said, and its exit status; -1 if it was not at its end in time.
  std::string end(int& status, seconds limit) {
    const auto until = Clock::now() + limit;
    status = -1;
    while (more(until - Clock::now())) continue;
    int code = 0;
    if (pid_ > 0 && ended_ && ::waitpid(pid_, &code, 0) == pid_) {
      status = WIFEXITED(code) ? WEXITSTATUS(code) : -1;
      pid_ = 0;
    }
    return text_;
  }

 private:
  bool more(Clock::duration wait) {
    const auto wait_ms = std::chrono::duration_cast<std::chrono::milliseconds>(wait).count();
    pollfd ready{output_, POLLIN, 0};
    if (::poll(&ready, 1, static_cast<int>(std::max<std::int64_t>(0, wait_ms))) != 1) return false;
    char bytes[1024];
    const ssize_t got = ::read(output_, bytes, sizeof bytes);
    ended_ = got <= 0;
    if (!ended_) text_.append(bytes, static_cast<std::size_t>(got));
    return !ended_;
  }

  pid_t pid_ = 0;
  int output_ = -1;
  std::string text_;
  bool ended_ = false;
};

// What a pipe reads. It holds the text at once, so that a test never waits to write.
class Input {
 public:
  Input() {
    REQUIRE(::pipe2(ends_, O_CLOEXEC) == 0);
    REQUIRE(::fcntl(ends_[1], F_SETPIPE_SZ, 1 << 20) >= 1 << 20);
  }
  ~Input() {
    ::close(ends_[0]);
    end();
  }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  int reader() const { return ends_[0]; }
  void write(std::string_view text) {
    REQUIRE(::write(ends_[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    text_ += text;
  }
  void end() {
    if (ends_[1] >= 0) ::close(ends_[1]);
    ends_[1] = -1;
  }
  // The lines that were taken out of it; half a one counts.
  std::uint64_t lines_read() const {
    int left = 0;
    REQUIRE(::ioctl(ends_[0], FIONREAD, &left) == 0);
    const std::string_view read = std::string_view(text_).substr(0, text_.size() - static_cast<std::size_t>(left));
    const auto lines = static_cast<std::uint64_t>(std::count(read.begin(), read.end(), '\n'));
    return lines + (!read.empty() && read.back() != '\n' ? 1 : 0);
  }
  bool eventually_read(std::uint64_t lines) const {
    for (const auto until = Clock::now() + seconds(20); lines_read() < lines; std::this_thread::yield())
      if (Clock::now() >= until) return false;
    return true;
  }

 private:
  int ends_[2] = {-1, -1};
  std::string text_;
};

// The number behind a name in a report, 0 if it is not there.
std::uint64_t count_of(const std::string& report, const std::string& name) {
  const std::string counts = ", " + report.substr(0, report.find(';'));
  const std::size_t at = counts.find(", " + name + " ");
  return at == std::string::npos ? 0 : std::stoull(counts.substr(at + name.size() + 3));
}

std::uint64_t all_of(const std::string& report) {
  std::uint64_t sum = 0;
  for (const char* name : {"sent", "refused", "unknown", "not sent"}) sum += count_of(report, name);
  return sum;
}

std::vector<std::string> pipe_to(std::uint16_t port, const std::string& reconnect_s = "60") {
  return {"pipe",          "--channel", "logs", "--url", "ws://127.0.0.1:" + std::to_string(port) + "/v1/ws",
          "--reconnect-s", reconnect_s};
}

std::string numbers(int count) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += std::to_string(i) + "\n";
  return text;
}

// As many messages a minute as a server without a key allows.
void usual_rate(Options& options) {
  options.limits.inbound_messages = 100;
  options.limits.inbound_window_s = 60;
}

bool published(TestServer& server, std::uint64_t count) {
  return server.eventually([count](const HubStats& stats) { return stats.published >= count; });
}

// A server that may be stopped or killed.
struct ServerProgram : Program {
  ServerProgram() : Program({"--port", "0", "--log-level", "warn"}, STDIN_FILENO, STDOUT_FILENO) {
    const std::string address = line();
    port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  }
  // Back once it stands still: its threads run on for a moment after the signal.
  void freeze() const {
    signal(SIGSTOP);
    REQUIRE(::waitpid(pid(), nullptr, WUNTRACED) == pid());
  }
  std::uint16_t port = 0;
};

// A server's end of the connection of a pipe, in the test's hands.
class Peer {
 public:
  Peer() : acceptor_(io_, {boost::asio::ip::make_address("127.0.0.1"), 0}) {}
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  boost::asio::ip::tcp::socket accept() {
    pollfd ready{acceptor_.native_handle(), POLLIN, 0};
    if (::poll(&ready, 1, 30'000) != 1) throw std::runtime_error("nobody connects");
    return acceptor_.accept();
  }
  // Says welcome, takes so many messages, answers none, and hangs up.
  void take_and_drop(int messages) {
    boost::beast::websocket::stream<boost::asio::ip::tcp::socket, false> ws(accept());
    ws.accept();
    ws.write(boost::asio::buffer(std::string_view(R"({"op":"welcome","limits":{}})")));
    for (int i = 0; i < messages; ++i) {
      boost::beast::flat_buffer buffer;
      ws.read(buffer);
    }
  }
  void refuse() { acceptor_.close(); }

 private:
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
};

}  // namespace

TEST_CASE("pipe ends within seconds of a signal while the rate holds it", "[pipe]") {
  TestServer server(usual_rate);
  Input input;
  input.write(numbers(50'000));
  Program pipe(pipe_to(server.server.port()), input.reader(), STDERR_FILENO);
  REQUIRE(published(server, 100));
  pipe.signal(SIGTERM);
  int status = 0;
  const std::string report = pipe.end(status, seconds(15));
  INFO(report);
  CHECK(status == kExitRuntime);
  CHECK(report.ends_with("; the input was not read to its end\n"));
  CHECK(count_of(report, "sent") >= 100);
  CHECK(all_of(report) == input.lines_read());
  CHECK(input.lines_read() < 50'000);
  const std::uint64_t came = server.server.hub().stats().published;
  CHECK(came >= count_of(report, "sent"));
  CHECK(came <= count_of(report, "sent") + count_of(report, "unknown"));
}

TEST_CASE("pipe ends at once at a second signal", "[pipe]") {
  TestServer server(usual_rate);
  Input input;
  input.write(numbers(1000));
  Program pipe(pipe_to(server.server.port()), input.reader(), STDERR_FILENO);
  REQUIRE(published(server, 100));
  pipe.signal(SIGINT);
  pipe.signal(SIGTERM);
  int status = 0;
  const std::string report = pipe.end(status, kAtOnce);
  INFO(report);
  CHECK(status == kExitRuntime);
  CHECK(all_of(report) == 1000);
}

TEST_CASE("pipe sends what it has read before a signal, save half a line", "[pipe]") {
  TestServer server;
  for (const bool half : {false, true}) {
    Input input;
    Program pipe(pipe_to(server.server.port()), input.reader(), STDERR_FILENO);
    const std::uint64_t before = server.server.hub().stats().published;
    input.write(half ? "1\n2\n3\n{\"half\":" : "1\n2\n3\n");
    REQUIRE(published(server, before + 3));
    pipe.signal(SIGTERM);
    int status = 0;
    const std::string report = pipe.end(status, kAtOnce);
    CHECK(report ==
          (half ? "sent 3, refused 0, not sent 1; the input was not read to its end\n" : "sent 3, refused 0\n"));
    CHECK(status == (half ? kExitRuntime : kExitOk));
  }
}

TEST_CASE("pipe ends within seconds of a signal while the server stands still, which leaves lines unknown", "[pipe]") {
  ServerProgram server;
  Input input;
  Program pipe(pipe_to(server.port), input.reader(), STDERR_FILENO);
  {
    WsClient reader(server.port, "ringfence.v1.json");
    reader.subscribe("logs");
    input.write("1\n");
    (void)reader.events(1);
  }
  server.freeze();
  input.write("2\n3\n4\n");
  REQUIRE(input.eventually_read(4));
  pipe.signal(SIGTERM);
  int status = 0;
  const std::string report = pipe.end(status, seconds(15));
  INFO(report);
  CHECK(status == kExitRuntime);
  CHECK(count_of(report, "unknown") >= 3);
  CHECK(all_of(report) == 4);
}

TEST_CASE("pipe does not connect again after a signal", "[pipe]") {
  for (const bool hung_up : {false, true}) {
    Peer peer;
    Input input;
    input.write(numbers(1000));
    Program pipe(pipe_to(peer.port()), input.reader(), STDERR_FILENO);
    peer.take_and_drop(10);
    std::optional<boost::asio::ip::tcp::socket> again = peer.accept();
    if (hung_up) {
      peer.refuse();
      again.reset();
    }
    pipe.signal(SIGTERM);
    int status = 0;
    const std::string report = pipe.end(status, kAtOnce);
    INFO(report);
    CHECK(status == kExitRuntime);
    CHECK(report.find("; no connection to ws://127.0.0.1:") != std::string::npos);
    CHECK(count_of(report, "unknown") >= 10);
    CHECK(all_of(report) == 1000);
  }
}

TEST_CASE("pipe ends when the connection is lost after a signal", "[pipe]") {
  TestServer server(usual_rate);
  Input input;
  input.write(numbers(1000));
  Program pipe(pipe_to(server.server.port()), input.reader(), STDERR_FILENO);
  REQUIRE(published(server, 100));
  pipe.signal(SIGTERM);
  (void)server.server.stop();
  int status = 0;
  const std::string report = pipe.end(status, seconds(10));
  INFO(report);
  CHECK(status == kExitRuntime);
  CHECK(all_of(report) == 1000);
}

TEST_CASE("pipe ends at a signal before it ever had a connection", "[pipe]") {
  Peer peer;
  Input input;
  input.write("1\n");
  Program pipe(pipe_to(peer.port()), input.reader(), STDERR_FILENO);
  const auto silent = peer.accept();
  pipe.signal(SIGINT);
  int status = 0;
  const std::string report = pipe.end(status, kAtOnce);
  CHECK(report.starts_with("sent 0, refused 0; no connection to ws://127.0.0.1:"));
  CHECK(status == kExitRuntime);
  CHECK(input.lines_read() == 0);
}

TEST_CASE("pipe counts every line that it has read when its server is killed", "[pipe]") {
  for (const bool still : {false, true}) {
    ServerProgram server;
    Input input;
    Program pipe(pipe_to(server.port, "1"), input.reader(), STDERR_FILENO);
    {
      WsClient reader(server.port, "ringfence.v1.json");
      reader.subscribe("logs");
      input.write("1\n");
      (void)reader.events(1);
      if (still) server.freeze();
      // Twice as much as it reads at a time, and half a line.
      input.write(numbers(20'000) + "half");
      input.end();
      for (std::size_t events = 0; !still && events < 50;) events += reader.read().events.size();
    }
    REQUIRE(input.eventually_read(5'000));
    server.kill();
    int status = 0;
    const std::string report = pipe.end(status, seconds(20));
    INFO(report);
    CHECK(status == kExitRuntime);
    CHECK(report.find("; the connection to ws://127.0.0.1:") != std::string::npos);
    CHECK(report.ends_with("; the input was not read to its end\n"));
    CHECK(count_of(report, "sent") + count_of(report, "unknown") >= (still ? 1u : 51u));
    if (still) CHECK(count_of(report, "unknown") > 0);
    CHECK(count_of(report, "not sent") > 0);
    CHECK(all_of(report) == input.lines_read());
    CHECK(input.lines_read() < 20'000);
  }
}

TEST_CASE("pipe needs no server once all is sent and its input has ended", "[pipe]") {
  TestServer server;
  Input input;
  Program pipe(pipe_to(server.server.port()), input.reader(), STDERR_FILENO);
  input.write("1\n");
  REQUIRE(published(server, 1));
  CHECK(server.server.stop() == 0);
  input.end();
  int status = 0;
  CHECK(pipe.end(status, kAtOnce) == "sent 1, refused 0\n");
  CHECK(status == kExitOk);
}

TEST_CASE("pipe says that it cannot read its input", "[pipe]") {
  TestServer server;
  const int folder = ::open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int write_only = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  const std::pair<int, std::string> inputs[] = {
      {folder, "Is a directory"}, {write_only, "Bad file descriptor"}, {-1, "Bad file descriptor"}};
  for (const auto& [input, why] : inputs) {
    Program pipe(pipe_to(server.server.port()), input, STDERR_FILENO);
    int status = 0;
    CHECK(pipe.end(status, kAtOnce) == "sent 0, refused 0; cannot read the input: " + why + "\n");
    CHECK(status == kExitRuntime);
  }
  ::close(folder);
  ::close(write_only);
  CHECK(server.server.hub().stats().published == 0);
}

TEST_CASE("pipe reads a terminal, whose end may be typed, or that fails", "[pipe]") {
  TestServer server;
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE((::grantpt(master) == 0 && ::unlockpt(master) == 0));
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(terminal >= 0);
  int status = 0;
  SECTION("typed") {
    Program pipe(pipe_to(server.server.port()), terminal, STDERR_FILENO);
    REQUIRE(::write(master, "1\n2\n", 4) == 4);
    REQUIRE(published(server, 2));
    REQUIRE(::write(master, "\x04", 1) == 1);
    CHECK(pipe.end(status, kAtOnce) == "sent 2, refused 0\n");
    CHECK(status == kExitOk);
    CHECK((::fcntl(terminal, F_GETFL) & O_NONBLOCK) == 0);
    ::close(terminal);
  }
  SECTION("failed: the side of a program that ran in one, once that is gone") {
    Program pipe(pipe_to(server.server.port()), master, STDERR_FILENO);
    REQUIRE(::write(terminal, "1\n2\nhalf", 8) == 8);
    REQUIRE(published(server, 2));
    ::close(terminal);
    CHECK(pipe.end(status, kAtOnce) == "sent 2, refused 0, not sent 1; cannot read the input: Input/output error\n");
    CHECK(status == kExitRuntime);
  }
  ::close(master);
}
