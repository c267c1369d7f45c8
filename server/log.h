// The server's own log lines: on stderr, and, with --log-channel, published as events of type `log`.
//
//   2026-01-15T12:00:00.000000Z info  server: listening on http://127.0.0.1:8080
//
// Threads  any thread logs. ChannelLog::attach, detach: one thread, while no other attaches or detaches.
// Bounds   a ChannelLog holds at most kLinesMax lines that wait, and as many that are being published; full: the oldest
//          is dropped, counted, and the next event says so. A line is cut at kLineBytesMax.
// Errors   none: a line that cannot be published is on stderr all the same.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <spdlog/spdlog.h>

namespace ringfence {

class Hub;

// Sets the level, the format and the default logger, named "server".
void set_up_logs(const std::string& level);
// The logger of one part: the same sinks under its own name. Cached by the caller or not; costs a lookup.
std::shared_ptr<spdlog::logger> logger(const std::string& name);

// Publishes log lines. Logging only puts a line into a queue: it never waits for a channel, and a line logged while
// lines are being published (by the publishing thread) is left out, so nothing feeds itself.
class ChannelLog {
 public:
  static constexpr std::size_t kLinesMax = 256;
  static constexpr std::size_t kLineBytesMax = 2048;
  static constexpr std::uint64_t kBytesMax = 2 * kLinesMax * (kLineBytesMax + 128);  // for the ledger

  // `post` runs a function soon on a thread that may publish. Both must stay valid until detach().
  void attach(Hub& hub, std::string channel, std::function<void(std::function<void()>)> post);
  void detach();
  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

  ~ChannelLog() { detach(); }

 private:
  class Sink;
  struct Line {
    std::string level;
    std::string logger;
    std::string text;
  };

  void take(Line&& line);
  void publish_queued();

  std::mutex mutex_;
  std::deque<Line> queue_;  // under mutex_, as are the next two
  bool posted_ = false;
  std::uint64_t dropped_unsaid_ = 0;
  std::atomic<std::uint64_t> dropped_{0};
  Hub* hub_ = nullptr;
  std::string channel_;
  std::function<void(std::function<void()>)> post_;
  std::shared_ptr<Sink> sink_;
};

}  // namespace ringfence
