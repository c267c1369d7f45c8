// StreamBridge: the bus whose engine gives the order (bus.h, Numbers::stream).
//
// A channel that somebody reads is followed: its records come with the number of the one before them, so a hole shows at the
// next record. Until a hole is filled from the stream, what comes behind it waits. What the stream no longer has is told
// to readers as a gap; but on a connection that was not lost, only after Settings::loss_ms, as the broker's threads may let one
// record overtake another. One that was overtaken across a purge, where no hole shows, is told by another epoch. A channel
// begins with such a filling, and so does each after a connection was lost.
// Owns     one Follower for each channel that is followed; records that wait for a hole to be filled.
// Threads  see Bus; the followers belong to the engine's thread. stop(): any, and nothing is called after it.
// Bounds   followers by --channels (account "bus channels"); records that wait, and those of fillings that are not proved
//          yet, by --nats-held-memory ("bus records"): when it is full those that wait are let go and the filling goes on
//          until it has caught up. kFillsMax fillings at once, in turn.
// Cost     a record that comes in order: one look-up by name, one append.
// Errors   when_ready: broker_unavailable after Settings::ready_ms; publish: what the engine says.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <ringfence/ledger.h>

#include "bus/bus.h"

namespace ringfence {

class Hub;

struct StreamBridgeStats {
  std::uint64_t followed = 0;        // channels
  std::uint64_t records = 0;         // appended
  std::uint64_t filled_records = 0;  // of them, by a filling
  std::uint64_t duplicates = 0;      // came again, and were skipped
  std::uint64_t holes = 0;           // found
  std::uint64_t fills = 0;           // begun
  std::uint64_t losses = 0;        // holes that the stream could not fill, and records that came too late to be placed
  std::uint64_t held_dropped = 0;  // records that had to wait and found no room: filled later
  std::uint64_t epochs = 0;        // lives of the stream seen
};

class StreamBridge final : public Bus, public BusEngine::Sink, public std::enable_shared_from_this<StreamBridge> {
 public:
  struct Settings {
    std::uint64_t held_bytes_max = 8ull << 20;
    std::uint32_t interest_ms = 5'000;  // a channel without readers is followed for so long
    std::uint32_t ready_ms = 5'000;     // a reader waits for so long at most
    std::uint32_t retry_ms = 250;       // after a filling that failed
    std::uint32_t loss_ms = 1'000;      // for so long a record that the stream has no more may still come by itself
  };
  static constexpr unsigned kFillsMax = 64;
  static constexpr std::size_t kBatch = 16;             // records that a filling proves at once
  static constexpr std::uint64_t kFollowerBytes = 640;  // with its places in the tables, and a name of 128 bytes
  static constexpr std::uint64_t kHeldBytes = 112;      // beside type and payload

  // Hub, ledger and engine outlive it. The hub is told of it by Hub::attach_bus().
  static std::shared_ptr<StreamBridge> create(Hub& hub, Ledger& ledger, BusEngine& engine, const Settings& settings);
  ~StreamBridge() override;

  Numbers numbers() const noexcept override { return Numbers::stream; }
  Result<void> publish(std::string_view channel, std::string_view type, std::string_view payload,
                       PublishDone done) override;
  void relay(Channel&, std::uint64_t, std::int64_t, std::string_view, std::string_view) override {}
  void wanted(const ChannelPtr& channel) override;
  void when_ready(const ChannelPtr& channel, std::uint64_t seq, Ready ready) override;
  void sweep(std::int64_t now_ms) override;

  void on_record(std::string_view channel, const BusRecord& record) override;
  void on_connected(const StreamView& stream) override;
  void on_disconnected() override;

  std::uint64_t followed() const noexcept override { return stats().followed; }
  std::vector<BusCount> counts() const override;
  std::optional<EngineUse> engine_use() const override { return engine_.use(); }

  // After it nobody is called any more; who waits is told nothing.
  void stop();
  // Any thread: as of a moment ago.
  StreamBridgeStats stats() const noexcept;

 private:
  struct Held {
    std::uint64_t seq;
    std::uint64_t prev_seq;
    std::int64_t time_us;
    std::string type;
    std::string payload;
    std::uint64_t bytes() const noexcept { return kHeldBytes + type.size() + payload.size(); }
  };
  struct Waiter {
    std::uint64_t seq;
    std::uint64_t fill;  // the last one begun when it came
    std::int64_t until_ms;
    Ready ready;
  };
  enum class Fill : std::uint8_t { none, queued, running };
  struct Follower {
    ChannelPtr channel;
    Fill fill = Fill::none;
    bool live = false;     // it was filled once: readers may have it
    bool certain = false;  // nothing was lost on the way since: what is missing shows in what comes behind it
    bool again = false;    // it must be filled once more
    // Of the filling:
    std::uint64_t from_seq = 0;  // it fetches what is behind this
    bool proved = false;         // it goes on from a record that was seen in the stream
    bool at_end = false;         // there is nothing behind `batch`
    bool looked = false;
    std::vector<Held> batch;  // fetched, not appended yet
    std::uint64_t fill_number = 0;
    std::uint64_t stuck_at =
        0;  // what was held at the end of the last filling came behind a hole after this seq, plus one
    std::int64_t retry_at_ms = 0;
    std::int64_t hole_at_ms = 0;  // found so on a connection that was not lost since; 0: there is none
    std::uint64_t held_bytes = 0;
    std::deque<Held> held;
    std::vector<Waiter> waiters;
  };
  struct NameHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const noexcept { return std::hash<std::string_view>()(name); }
  };
  using Table = std::unordered_map<std::string, std::unique_ptr<Follower>, NameHash, std::equal_to<>>;

  StreamBridge(Hub& hub, Ledger& ledger, BusEngine& engine, const Settings& settings);

  template <typename Work>
  void post(Work work);
  Follower* follow(const ChannelPtr& channel);
  void unfollow(Follower& follower);
  Follower* find(std::string_view name, std::uint64_t fill_number);
  std::uint64_t last_seq(Follower& follower);
  bool append(Follower& follower, const BusRecord& record);
  void skip(Follower& follower, std::uint64_t seq);
  void hold(Follower& follower, const BusRecord& record);
  void drop_held(Follower& follower);
  void drain_held(Follower& follower);
  static bool follows(const Follower& follower, std::uint64_t prev_seq, std::uint64_t last);
  void lose(Follower& follower, std::uint64_t through);
  // stream_fill.cpp
  void begin_fill(Follower& follower);
  void start_queued();
  template <typename Value, typename Take>
  auto of_fill(Follower& follower, Take take);
  void ask(Follower& follower);
  void on_next(Follower& follower, const BusRecord* record);
  void prove(Follower& follower);
  bool outrun(Follower& follower);
  void look(Follower& follower);
  void on_look(Follower& follower, const StreamView& stream);
  void take_batch(Follower& follower);
  void drop_first(Follower& follower);
  void end_fill(Follower& follower);
  void fail_fill(Follower& follower);
  bool may_still_come(const Follower& follower) const;
  void finish_fill(Follower& follower);
  void answer_waiters(Follower& follower);
  void answer(const Ready& ready, Result<void> result);
  void begin_epoch(std::uint64_t epoch);
  void sweep_followers(std::int64_t now_ms);

  Hub& hub_;
  BusEngine& engine_;
  const Settings settings_;
  Account followers_account_;
  Account held_account_;
  Table followers_;
  std::deque<std::string> queue_;  // of fillings
  unsigned filling_ = 0;
  bool starting_ = false;  // those of the queue
  std::uint64_t fills_begun_ = 0;
  bool connected_ = false;
  std::uint64_t stream_epoch_ = 0;
  bool overtaken_ = false;  // another epoch is about to begin
  std::uint64_t newest_seq_ = 0;
  std::uint64_t newest_at_loss_ = 0;  // seen of the stream when the connection was lost
  std::atomic<std::uint64_t> acked_seq_{0};
  std::atomic<bool> sweeping_{false};
  std::mutex gate_;  // around each call to the outside, so that none comes after stop()
  bool gate_closed_ = false;
  struct Counters {
    std::atomic<std::uint64_t> followed{0}, records{0}, filled_records{0}, duplicates{0}, holes{0}, fills{0}, losses{0},
        held_dropped{0}, epochs{0};
  } counters_;
};

}  // namespace ringfence
