// Inbox: the channels of one shard that have new records, each at most once, and how that shard is woken.
//
// Threads  mark: any thread. take, attach, detach: the shard's thread, or one after it ended.
// Bounds   a channel enters only on the rise of its flag for this shard, so there are at most as many entries as
//          channels alive (--channels). attach() reserves the memory for all of them.
// Cost     mark: an atomic or; on its rise a short mutex, and one post to the shard if none is on its way.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

#include "realtime/channel.h"
#include "realtime/counters.h"

namespace ringfence {

class Inbox {
 public:
  Inbox(unsigned shard, std::size_t channels_max) : shard_(shard), channels_max_(channels_max) {}

  void mark(Channel& channel);
  // Swaps the entries with `out` (empty, with room for --channels) and lets the next mark wake the shard again.
  void take(std::vector<ChannelPtr>& out);

  // `wake` posts to the shard's thread; called under the inbox's mutex, so never after detach().
  void attach(std::function<void()> wake);
  void detach();

  unsigned shard() const noexcept { return shard_; }
  ShardCounters& counters() noexcept { return counters_; }

 private:
  const unsigned shard_;
  const std::size_t channels_max_;
  std::mutex mutex_;
  std::vector<ChannelPtr> channels_;
  bool woken_ = false;
  std::function<void()> wake_;
  ShardCounters counters_;
};

}  // namespace ringfence
