// MarkInbox<Item>: the items of one shard in which something has changed, each at most once, and how that shard is woken.
// Inbox: that of channels with new records, and the shard's counters.
//
// Threads  mark: any thread. take, attach, detach: the shard's thread, or one after it ended.
// Bounds   an item enters only on the rise of its mark for this shard, so there are at most as many entries as items
//          alive (`items_max`, e.g. --channels). attach() reserves the memory for all of them.
// Cost     mark: an atomic or; on its rise a short mutex, and one post to the shard if none is on its way.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include "realtime/channel.h"
#include "realtime/counters.h"

namespace ringfence {

template <typename Item>
class MarkInbox {
 public:
  using ItemPtr = boost::intrusive_ptr<Item>;

  MarkInbox(unsigned shard, std::size_t items_max) : shard_(shard), items_max_(items_max) {}

  void mark(Item& item) {
    if (!item.mark(shard_)) return;
    const std::lock_guard lock(mutex_);
    items_.emplace_back(&item);
    if (woken_ || !wake_) return;
    woken_ = true;
    wake_();
  }
  // Swaps the entries with `out` (empty, with room for items_max) and lets the next mark wake the shard again.
  void take(std::vector<ItemPtr>& out) {
    const std::lock_guard lock(mutex_);
    out.swap(items_);
    woken_ = false;
  }

  // `wake` posts to the shard's thread; called under the inbox's mutex, so never after detach().
  void attach(std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    items_.reserve(items_max_);
    wake_ = std::move(wake);
    if (items_.empty()) return;
    woken_ = true;
    wake_();
  }
  void detach() {
    std::vector<ItemPtr> left;
    const std::lock_guard lock(mutex_);
    wake_ = nullptr;
    woken_ = false;
    left.swap(items_);
  }

  unsigned shard() const noexcept { return shard_; }

 private:
  const unsigned shard_;
  const std::size_t items_max_;
  std::mutex mutex_;
  std::vector<ItemPtr> items_;
  bool woken_ = false;
  std::function<void()> wake_;
};

class Inbox : public MarkInbox<Channel> {
 public:
  using MarkInbox::MarkInbox;
  ShardCounters& counters() noexcept { return counters_; }

 private:
  ShardCounters counters_;
};

}  // namespace ringfence
