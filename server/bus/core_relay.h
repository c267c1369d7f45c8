// CoreRelay: the bus of --nats-mode core: what is published here is numbered here, at once, and sent to the other servers,
// which take it under numbers of their own. Nothing is kept at the broker.
//
// Each channel's records carry the channel's epoch here and a count, so who receives them sees what was lost on the way, and
// tells its readers exactly how many. A channel's epoch is this server's: a resume elsewhere is not recovered.
// Owns     a subscription for each channel that is followed: while it has readers, or a history to keep.
// Threads  see Bus; followers belong to the NatsService's thread. stats: any.
// Bounds   followers by --channels (account "bus channels"), each with the counts of kOriginsMax servers: of more than that
//          the one longest unheard is forgotten, and a loss of its next record is not seen.
// Cost     a publish: one copy of the record, and NatsService::publish. It never waits for the broker.
// Errors   none: what NatsService does not take is counted, and is a loss to the others.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <ringfence/ledger.h>

#include "bus/bus.h"
#include "bus/nats_service.h"

namespace ringfence {

class Hub;

struct CoreRelayStats {
  std::uint64_t followed = 0;
  std::uint64_t sent = 0;
  std::uint64_t not_sent = 0;    // refused by NatsService: lost to the others
  std::uint64_t received = 0;    // appended
  std::uint64_t lost = 0;        // of others' records, as their counts say
  std::uint64_t duplicates = 0;  // came again, and were skipped
  std::uint64_t bad = 0;         // no server can have sent it: skipped
};

class CoreRelay final : public Bus, public std::enable_shared_from_this<CoreRelay> {
 public:
  static constexpr std::size_t kOriginsMax = 16;
  static constexpr std::uint64_t kFollowerBytes = 512 + 2 * kOriginsMax * 24;

  // Hub, ledger and service outlive it.
  static std::shared_ptr<CoreRelay> create(Hub& hub, Ledger& ledger, NatsService& nats, std::uint32_t interest_ms);
  ~CoreRelay() override;

  Numbers numbers() const noexcept override { return Numbers::own; }
  Result<void> publish(std::string_view, std::string_view, std::string_view, PublishDone) override {
    return Error::unsupported;
  }
  void relay(Channel& channel, std::uint64_t seq, std::int64_t time_us, std::string_view type,
             std::string_view payload) override;
  void wanted(const ChannelPtr& channel) override;
  void when_ready(const ChannelPtr&, std::uint64_t, Ready ready) override { ready({}); }
  void sweep(std::int64_t now_ms) override;

  std::uint64_t followed() const noexcept override { return stats().followed; }
  std::vector<BusCount> counts() const override;

  CoreRelayStats stats() const noexcept;

 private:
  struct Origin {
    std::uint64_t epoch;
    std::uint64_t count;
    std::uint64_t heard;  // the follower's messages by then
  };
  struct Follower {
    ChannelPtr channel;
    NatsSubscription subscription;
    std::vector<Origin> origins;
    std::uint64_t heard = 0;
  };

  CoreRelay(Hub& hub, Ledger& ledger, NatsService& nats, std::uint32_t interest_ms);
  template <typename Work>
  void post(Work work);
  void follow(const ChannelPtr& channel);
  void unfollow(const std::string& name);
  void on_message(Follower& follower, const NatsMessage& message);
  Origin& origin_of(Follower& follower, std::uint64_t epoch, std::uint64_t count);
  void sweep_followers(std::int64_t now_ms);

  Hub& hub_;
  NatsService& nats_;
  const std::string prefix_;
  const std::uint32_t interest_ms_;
  Account account_;
  std::unordered_map<std::string, std::unique_ptr<Follower>> followers_;
  std::unordered_map<std::string, ChannelPtr> refused_;  // by NatsService: --nats-subscriptions
  std::atomic<bool> sweeping_{false};
  struct Counters {
    std::atomic<std::uint64_t> followed{0}, sent{0}, not_sent{0}, received{0}, lost{0}, duplicates{0}, bad{0};
  } counters_;
};

}  // namespace ringfence
