// Shard: what one thread owns: an io_context, the sessions on it, their subscriptions, the flush and the sweep.
//
// A flush takes the channels with new records, marks their subscribers here as ready, and lets every session that is
// not writing start one write, a few at a time: in between the thread reads, and those whose turn is later get what is new
// by then, at --flush-ms old. It runs at once when the shard has been idle, else once the last one is max(flush_ms, what its
// writes cost of the thread's time) ago: under load there are fewer and larger messages.
// Owns     sessions are kept alive by their own operations in flight; the shard lists them.
// Threads  run() on one thread. stop(), io().get_executor(): any thread. All else: the thread of run().
// Bounds   sessions by --connections, feeds by the ledger; cuts kept between flushes: of kFeedsWithCutsMax feeds.
// Errors   none; stop() ends what does not end itself at its deadline.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include "net/socket.h"
#include "services.h"
#include "realtime/feed.h"
#include "realtime/hub.h"
#include "realtime/outgoing.h"
#include "realtime/presence_watches.h"

namespace ringfence {

class Shard {
 public:
  // The services must outlive the shard; services.hub is set.
  Shard(const Services& services, unsigned index);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;
  ~Shard();

  boost::asio::io_context& io() noexcept { return io_; }
  const Services& services() const noexcept { return services_; }
  Hub& hub() noexcept { return hub_; }
  unsigned index() const noexcept { return index_; }

  // Runs until stop() has done its work. Call it once.
  void run();
  // Tells every session `closing` with a spread retry_after_ms, gives them until `deadline` to close, then resets them
  // and ends run(). A second call with an earlier deadline hastens the first. Other work on io() ends with it.
  void stop(std::chrono::steady_clock::time_point deadline);
  // Sessions that had to be reset by stop(). Valid after run() has returned.
  std::size_t left() const noexcept { return left_; }

  // What follows is for sessions.
  void add(ShardSession& session);  // its hook takes it out again
  bool stopping() const noexcept { return stopping_; }
  static std::int64_t now_ms() noexcept;

  // too_many_channels, seq_in_future; the feed to subscribe to, and where. Or none: then the engine of the bus may have
  // more than is here, and Hub::when_ready() has to be waited for, up to after's seq. `waited`: it was.
  struct Started {
    Feed* feed;
    StartPoint at;
    std::string epoch;
    ChannelPtr channel;
  };
  Result<Started> start(std::string_view channel, const std::optional<ResumePoint>& after,
                        std::optional<std::uint32_t> last, bool waited = false);
  // Tells every WebSocket session so, and closes it.
  void close_all(const CloseReason& why);
  void attach(Feed& feed, Subscriber& subscriber);
  // Ends the feed with its last subscriber.
  void detach(Subscriber& subscriber);

  const CutPtr& cut(const Subscriber& subscriber);
  PresenceWatches& watches() noexcept { return watches_; }
  // Asks for pump() in a while: record memory was refused.
  void retry_later(ShardSession& session);

  std::unique_ptr<Outgoing> take_outgoing();
  void give_outgoing(std::unique_ptr<Outgoing> outgoing);
  // Where bytes go that nobody wants: shared by all sessions of the thread, never read.
  std::span<char> discarded() noexcept { return discarded_; }
  ShardCounters& counters() noexcept { return hub_.inbox(index_).counters(); }

 private:
  static constexpr std::size_t kFeedsWithCutsMax = 64;
  static constexpr std::size_t kSpareOutgoingMax = 4096;

  void on_wake();
  void flush();
  void pump(std::size_t sessions_max);
  void go_on();
  void pump_waiting();
  void drop_cuts();
  void arm_sweep();
  void sweep();
  void begin_stop();
  void check_stopped();
  std::size_t abandon_all();
  void release_if_unused(Feed& feed);
  void start_at_kept(Channel& channel, StartPoint& at);

  const Services& services_;
  Hub& hub_;
  const unsigned index_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<Executor> work_;
  Timer flush_timer_;
  Timer retry_timer_;
  Timer sweep_timer_;
  SessionList sessions_;
  PumpList to_pump_;
  PumpList waiting_;  // for record memory
  FeedList with_cuts_;
  std::size_t with_cuts_count_ = 0;
  std::unordered_map<Channel*, std::unique_ptr<Feed>> feeds_;
  PresenceWatches watches_;
  std::vector<ChannelPtr> taken_;
  std::vector<std::unique_ptr<Outgoing>> spare_;
  std::chrono::steady_clock::time_point next_flush_{};
  std::chrono::steady_clock::time_point flush_began_{};
  std::chrono::steady_clock::time_point cuts_at_{};  // the oldest cut kept is not older
  std::chrono::nanoseconds flush_cost_{};            // of the thread's own time, for its writes
  bool flushing_ = false;
  bool woken_ = false;  // since it began
  std::chrono::steady_clock::time_point deadline_{};
  std::array<char, 4096> discarded_;
  std::minstd_rand random_;
  bool stopping_ = false;
  bool retry_armed_ = false;
  std::size_t left_ = 0;
};

}  // namespace ringfence
