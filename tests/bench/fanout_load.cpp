// The load side of `bench fanout`: many subscribers and one paced publisher in one thread, over epoll.
// Driven by fanout.mjs through stdin, one word a line; answers with JSON lines on stdout.
//
//   fanout_load --peer ws|nchan|nats|ringfence --port P [--also PORT] [--subscribers N] [--message-bytes N]
//   --also   every second subscriber connects there: another server of the same cluster
//   rate N   publish N messages a second from now on; 0 stops
//   mark     forget the latencies sampled so far
//   stats    print the totals
//   quit
//
// Bounds   One socket, and at most one unfinished message, for each subscriber. Of the messages that are
//          due and cannot be written, 64 KiB and a tenth of a second's worth wait; later ones are
//          given up and never count as published.
// Errors   A server that refuses, closes or sends what its protocol forbids: status 1 while connecting,
//          "closed" and "broken" in the totals afterwards.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "load_peers.h"

namespace {

using namespace ringfence::bench;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kReadBytes = 256 << 10, kPendingBytesMax = 64 << 10, kLatenciesMax = 1 << 20;
constexpr int kConnectingMax = 32;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "fanout_load: %s\n", why.c_str());
  std::exit(1);
}

std::int64_t wall_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Connection {
  Connection(Peer peer, std::size_t message_bytes) : counter(peer, message_bytes) {}
  int fd = -1;
  bool subscriber = true, upgraded = false, ready = false, wants_write = false;
  std::vector<std::int64_t>* latencies_us = nullptr;  // where its latencies go; null: nowhere
  FrameReader reader;
  Counter counter;
  std::string out, head, control;
};

class Load {
 public:
  Load(Peer peer, int port, int also, std::size_t subscribers, std::size_t message_bytes)
      : peer_(peer),
        port_(port),
        also_(also),
        message_bytes_(message_bytes),
        buffer_(kReadBytes),
        epoll_(epoll_create1(0)) {
    latencies_us_.reserve(kLatenciesMax);
    if (also > 0) also_latencies_us_.reserve(kLatenciesMax);
    for (std::size_t i = 0; i <= subscribers; ++i)
      connections_.push_back(std::make_unique<Connection>(peer, message_bytes));
    connections_.back()->subscriber = false;
    // In the middle of those of their server.
    connections_[subscribers / 2 / 2 * 2]->latencies_us = &latencies_us_;
    if (also > 0 && subscribers > 1) connections_[subscribers / 2 / 2 * 2 + 1]->latencies_us = &also_latencies_us_;
  }

  int run() {
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    const auto deadline = Clock::now() + std::chrono::seconds(60);
    while (!done_) {
      if (ready_ < connections_.size()) {
        connect_more();
        if (Clock::now() > deadline) fail("only " + std::to_string(ready_) + " connections after 60 s");
      }
      poll_once();
    }
    return 0;
  }

 private:
  void poll_once() {
    epoll_event events[64];
    const int count = epoll_pwait2_ns(events, 64, wait_ns());
    publish_due();
    for (int i = 0; i < count; ++i) {
      if (!events[i].data.ptr) {
        commands();
        continue;
      }
      auto& connection = *static_cast<Connection*>(events[i].data.ptr);
      if (connection.fd >= 0 && (events[i].events & EPOLLOUT)) flush(connection);
      if (connection.fd >= 0 && (events[i].events & ~static_cast<unsigned>(EPOLLOUT))) read(connection);
      publish_due();  // a round over busy sockets is long: keep the publisher's pace in it
    }
  }

  int epoll_pwait2_ns(epoll_event* events, int size, std::int64_t ns) {
    timespec timeout{ns / 1'000'000'000, ns % 1'000'000'000};
    return epoll_pwait2(epoll_, events, size, &timeout, nullptr);
  }

  std::int64_t wait_ns() const {
    if (rate_ <= 0) return 100'000'000;
    const auto next = start_ + std::chrono::nanoseconds(static_cast<std::int64_t>(1e9 * (taken_ + 1) / rate_));
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(next - Clock::now()).count();
    return std::clamp<std::int64_t>(left, 0, 100'000'000);
  }

  void connect_more() {
    while (opened_ < connections_.size() && opened_ - ready_ < kConnectingMax) {
      const int port = also_ > 0 && opened_ % 2 == 1 && opened_ + 1 < connections_.size() ? also_ : port_;
      Connection& connection = *connections_[opened_++];
      connection.fd = socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<std::uint16_t>(port));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      const int one = 1;
      setsockopt(connection.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      if (!connection.subscriber) {  // a short queue, so that "published" is not "waits in a socket"
        const int bytes = kPendingBytesMax;
        setsockopt(connection.fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
      }
      if (connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
        fail(std::string("connect: ") + std::strerror(errno));
      fcntl(connection.fd, F_SETFL, O_NONBLOCK);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &connection;
      epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
      const std::string path = connection.subscriber ? subscriber_path(peer_) : publisher_path(peer_);
      connection.out = upgrade_request(path, "127.0.0.1:" + std::to_string(port), sub_protocol(peer_));
      flush(connection);
    }
  }

  void flush(Connection& connection) {
    if (connection.fd < 0) return;
    while (!connection.out.empty()) {
      const ssize_t sent = send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EAGAIN) break;
      if (sent < 0) return drop(connection, std::strerror(errno));
      connection.out.erase(0, static_cast<std::size_t>(sent));
    }
    if (connection.wants_write == !connection.out.empty()) return;
    connection.wants_write = !connection.wants_write;
    epoll_event event{};
    event.events = EPOLLIN | (connection.wants_write ? EPOLLOUT : 0U);
    event.data.ptr = &connection;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
  }

  void drop(Connection& connection, const std::string& why) {
    if (connection.fd < 0) return;
    if (ready_ < connections_.size()) fail("the server ended a connection: " + why);
    ++closed_;
    close(connection.fd);
    connection.fd = -1;
  }

  void read(Connection& connection) {
    const ssize_t got = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return drop(connection, got == 0 ? "closed" : std::strerror(errno));
    Bytes bytes(buffer_.data(), static_cast<std::size_t>(got));
    totals_.bytes += bytes.size();
    if (!connection.upgraded) bytes = upgrade(connection, bytes);
    if (connection.latencies_us) sample(bytes, *connection.latencies_us);
    const bool valid = connection.reader.feed(bytes, [&](const FramePart& part) {
      if (part.opcode >= kClose) return control(connection, part);
      connection.counter.part(part, connection.subscriber ? totals_ : publisher_totals_);
    });
    if (!valid || connection.counter.broken) {
      ++broken_;
      return drop(connection, "bytes that its protocol does not allow");
    }
    if (connection.counter.pong) {
      connection.counter.pong = false;
      append_frame(connection.out, kBinary, "PONG\r\n");
      flush(connection);
    }
    const bool confirms = peer_ == Peer::kNats || (peer_ == Peer::kRingfence && connection.subscriber);
    if (connection.ready || !connection.upgraded || (confirms && !connection.counter.live)) return;
    connection.ready = true;
    if (++ready_ < connections_.size()) return;
    std::printf("{\"event\":\"ready\",\"connections\":%zu}\n", ready_);
    std::fflush(stdout);
  }

  Bytes upgrade(Connection& connection, Bytes bytes) {
    const std::size_t before = connection.head.size();
    connection.head.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::size_t end = connection.head.find("\r\n\r\n");
    if (end == std::string::npos) return {};
    if (!connection.head.starts_with("HTTP/1.1 101")) fail("upgrade refused: " + connection.head);
    connection.upgraded = true;
    connection.head.clear();
    if (const std::string text = hello(peer_, connection.subscriber); !text.empty()) {
      append_frame(connection.out, kBinary, text);
      flush(connection);
    }
    return bytes.subspan(end + 4 - before);
  }

  void control(Connection& connection, const FramePart& part) {
    connection.control.append(reinterpret_cast<const char*>(part.bytes.data()), part.bytes.size());
    if (!part.last) return;
    if (part.opcode == kPing) append_frame(connection.out, kPong, connection.control);
    connection.control.clear();
    flush(connection);
  }

  // The publisher's clock lies in each message: `"t":` and 16 digits, whatever frames it.
  static void sample(Bytes bytes, std::vector<std::int64_t>& latencies_us) {
    const std::int64_t now_us = wall_us();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for (std::size_t at = text.find("\"t\":"); at != text.npos; at = text.find("\"t\":", at + 20)) {
      if (at + 20 > text.size() || latencies_us.size() == kLatenciesMax) return;
      latencies_us.push_back(now_us - std::strtoll(std::string(text.substr(at + 4, 16)).c_str(), nullptr, 10));
    }
  }

  void publish_due() {
    if (rate_ <= 0) return;
    Connection& publisher = *connections_.back();
    const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
    double due = elapsed * rate_ - taken_;
    if (due < 1 || publisher.fd < 0) return;
    const double depth = std::max(rate_ * 0.1, 1.0);
    if (due > depth) {  // too far behind: these are never sent
      taken_ += due - depth;
      due = depth;
    }
    while (due >= 1 && publisher.out.size() < kPendingBytesMax) {
      append_publish(publisher.out, peer_, message());
      ++published_;
      taken_ += 1;
      due -= 1;
    }
    flush(publisher);
  }

  std::string message() const {
    std::string text = "{\"n\":" + std::to_string(1'000'000'000 + published_) + ",\"t\":" + std::to_string(wall_us()) +
                       ",\"user\":\"ann\",\"text\":\"";
    while (text.size() + 2 < message_bytes_) text.push_back("the quick brown fox "[text.size() % 20]);
    return text + "\"}";
  }

  void commands() {
    char bytes[512];
    const ssize_t got = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (got == 0) done_ = true;
    if (got <= 0) return;
    input_.append(bytes, static_cast<std::size_t>(got));
    for (std::size_t end; (end = input_.find('\n')) != std::string::npos; input_.erase(0, end + 1))
      command(input_.substr(0, end));
  }

  void command(const std::string& line) {
    if (line.starts_with("rate ")) {
      rate_ = std::atof(line.c_str() + 5);
      start_ = Clock::now();
      taken_ = 0;
    } else if (line == "mark") {
      latencies_us_.clear();
      also_latencies_us_.clear();
    } else if (line == "stats") {
      stats();
    } else if (line == "quit") {
      done_ = true;
    } else {
      fail("unknown command: " + line);
    }
  }

  static std::int64_t percentile(const std::vector<std::int64_t>& sorted, double part) {
    if (sorted.empty()) return -1;
    return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
  }

  void stats() {
    std::sort(latencies_us_.begin(), latencies_us_.end());
    std::sort(also_latencies_us_.begin(), also_latencies_us_.end());
    const auto number = [](const char* name, auto value) {
      std::printf(",\"%s\":%lld", name, static_cast<long long>(value));
    };
    std::printf("{\"event\":\"stats\",\"at_us\":%lld",
                static_cast<long long>(
                    std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count()));
    number("published", published_);
    number("delivered", totals_.delivered);
    number("frames", totals_.frames);
    number("bytes", totals_.bytes);
    number("skipped", totals_.skipped);
    number("wrong", totals_.wrong);
    number("refused", totals_.refused + publisher_totals_.refused);
    number("closed", closed_);
    number("broken", broken_);
    number("latency_p50_us", percentile(latencies_us_, 0.5));
    number("latency_p99_us", percentile(latencies_us_, 0.99));
    if (also_ > 0) {
      number("also_latency_p50_us", percentile(also_latencies_us_, 0.5));
      number("also_latency_p99_us", percentile(also_latencies_us_, 0.99));
    }
    std::printf("}\n");
    std::fflush(stdout);
  }

  Peer peer_;
  int port_, also_;
  std::size_t message_bytes_;
  std::vector<std::uint8_t> buffer_;
  int epoll_;
  std::vector<std::unique_ptr<Connection>> connections_;  // the last one publishes
  std::size_t opened_ = 0, ready_ = 0;
  Totals totals_, publisher_totals_;
  std::uint64_t published_ = 0, closed_ = 0, broken_ = 0;
  double rate_ = 0, taken_ = 0;  // taken_: how much of rate * elapsed was published or given up
  Clock::time_point start_;
  std::vector<std::int64_t> latencies_us_, also_latencies_us_;
  std::string input_;
  bool done_ = false;
};

}  // namespace

int main(int argc, char** argv) {
  Peer peer = Peer::kRingfence;
  int port = 0, also = 0;
  std::size_t subscribers = 1000, message_bytes = 300;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i], value = argv[i + 1];
    if (flag == "--peer" && value == "ws")
      peer = Peer::kWs;
    else if (flag == "--peer" && value == "nchan")
      peer = Peer::kNchan;
    else if (flag == "--peer" && value == "nats")
      peer = Peer::kNats;
    else if (flag == "--peer" && value == "ringfence")
      peer = Peer::kRingfence;
    else if (flag == "--port")
      port = std::atoi(argv[i + 1]);
    else if (flag == "--also")
      also = std::atoi(argv[i + 1]);
    else if (flag == "--subscribers")
      subscribers = std::strtoul(argv[i + 1], nullptr, 10);
    else if (flag == "--message-bytes")
      message_bytes = std::strtoul(argv[i + 1], nullptr, 10);
    else
      fail("unknown option " + std::string(flag) + " " + std::string(value));
  }
  if (argc % 2 == 0 || port <= 0 || subscribers == 0 || message_bytes < 100)
    fail("usage: fanout_load --peer NAME --port P [--also PORT] [--subscribers N] [--message-bytes N, at least 100]");
  return Load(peer, port, also, subscribers, message_bytes).run();
}
