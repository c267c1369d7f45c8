// Channel: a name and its history, shared by all threads.
//
// Owns     its History. Counted references: the Hub's table, the shards with subscribers, inboxes, callers.
// Threads  `history`, `interested_shards`, `used_at_ms` and `forgotten` under `mutex`, for short; the flags of
//          take_mark and mark are atomic; the rest never changes. Nothing is logged under the mutex.
// Bounds   the History's. Small: 100,000 quiet channels with their first segments fit in 100 MiB.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <ringfence/history.h>

#include "realtime/channel_policy.h"
#include "realtime/shard_marks.h"

namespace ringfence {

class Channel;
using ChannelPtr = boost::intrusive_ptr<Channel>;

// A place in a history as a client names it.
struct ResumePoint {
  std::string_view epoch;
  std::uint64_t seq = 0;
};

// What `subscribed` tells.
struct StartPoint {
  std::uint64_t first = 0;
  std::uint64_t next = 0;
  std::uint64_t after = 0;
  std::uint64_t position = 0;  // of the first record behind `after` (history.h)
  bool recovered = false;
  std::optional<std::uint64_t> missed;  // none: not known
};

// Who gives a channel's records their numbers.
enum class Numbers : std::uint8_t {
  own,     // this server: 1, 2, 3
  stream,  // an engine that many servers share: they rise, and those between are other channels'
};

class Channel {
 public:
  Channel(std::string_view name, std::uint32_t id, std::uint64_t epoch, History history, Account& account,
          SlowPolicy policy = SlowPolicy::catch_up, Numbers numbers = Numbers::own);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel();

  const std::string& name() const noexcept { return name_; }
  std::uint32_t id() const noexcept { return id_; }
  SlowPolicy policy() const noexcept { return policy_; }
  std::string epoch() const;                                        // base 36; under `mutex`
  std::uint64_t epoch_number() const noexcept { return epoch_; }    // under `mutex`
  void set_epoch(std::uint64_t epoch) noexcept { epoch_ = epoch; }  // under `mutex`; goes with history.reset()
  Numbers numbers() const noexcept { return numbers_; }

  // Where a subscription begins (protocol.md, "Resume"). Under `mutex`. seq_in_future.
  Result<StartPoint> start(const std::optional<ResumePoint>& after, std::optional<std::uint32_t> last) const;

  // What a subscriber who has read up to `after`, and is to read `position` next, can no longer get. Under `mutex`.
  std::optional<Gap> gap(std::uint64_t after, std::uint64_t position) const;
  // Records between it and the last one. Under `mutex`.
  std::uint64_t between(std::uint64_t after, std::uint64_t position) const noexcept;

  bool mark(unsigned shard) noexcept { return marks_.rise(shard); }
  void take_mark(unsigned shard) noexcept { marks_.take(shard); }

  std::mutex mutex;
  History history;
  std::uint64_t interested_shards = 0;  // a bit for each shard with subscribers
  std::int64_t used_at_ms = 0;          // last publish, subscribe or unsubscribe; steady clock
  bool forgotten = false;               // no longer in the table: look the name up again
  bool behind = false;                  // the engine has records that are not here: ask Hub::when_ready()
  std::uint64_t relayed = 0;            // records published here and sent to other servers, each with its number

  // What the "channels" account counts for each.
  static std::uint64_t bytes_max(std::uint64_t history_bytes_max) noexcept;

 private:
  friend void intrusive_ptr_add_ref(Channel* channel) noexcept;
  friend void intrusive_ptr_release(Channel* channel) noexcept;

  std::atomic<std::uint32_t> references_{0};
  const std::uint32_t id_;
  const SlowPolicy policy_;
  ShardMarks marks_;
  std::uint64_t epoch_;
  const Numbers numbers_;
  Account& account_;
  const std::string name_;
};

// Matches [A-Za-z0-9_:.-]{1,128}.
bool valid_channel_name(std::string_view name) noexcept;

void intrusive_ptr_add_ref(Channel* channel) noexcept;
void intrusive_ptr_release(Channel* channel) noexcept;

}  // namespace ringfence
