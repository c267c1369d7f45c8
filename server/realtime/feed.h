// Feed: one channel as one shard sees it: its subscribers here, and the cuts of its history that they share.
// Cut: the records behind one cursor, read once and sent to every subscriber that stands there.
//
// Owns     a Feed owns its last kCutsHeld cuts; writes in flight hold theirs. A cut holds a reference to its segment,
//          and to the segment with its JSON text if one was rendered.
// Threads  the shard's thread only; the channel's history is read under the channel's mutex.
// Bounds   one Feed for each channel with subscribers here ("feeds" in the ledger). A cut holds at most frame_bytes of
//          records, or one record; its text at most kTextBytesMax, or one record's. Cuts live until the writes that
//          hold them end, or the next flush.
// Cost     cut: a mutex and a search for the first subscriber at a cursor, four comparisons for the others.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <boost/smart_ptr/intrusive_ref_counter.hpp>

#include <ringfence/batch.h>
#include <ringfence/history.h>

#include "realtime/channel.h"
#include "realtime/last_values.h"
#include "realtime/shard_session.h"

namespace ringfence {

class Hub;

struct Cut : boost::intrusive_ref_counter<Cut, boost::thread_unsafe_counter> {
  static constexpr std::uint32_t kTextBytesMax = 32 * 1024;

  std::uint64_t after = 0;
  bool latest = false;               // read for one that lags on a `conflate` channel
  std::optional<Gap> gap;            // then there is no slice: tell it, and go on behind gap->to
  Slice slice;                       // count 0: nothing behind the cursor
  bool more = false;                 // behind the slice, when it was read
  std::optional<Gap> conflated;      // what lies between `after` and the one record of the slice
  LastRecordPtr last_record;         // what the slice points into, where the history no longer holds it
  std::uint64_t first_position = 0;  // of the history, when it was read
  std::uint64_t end_position = 0;
  std::array<std::byte, kSectionHeaderBytes> header{};

  // Renders the lines of the first records, if that is not done. False if there is no record memory for them.
  bool render(Hub& hub, const Channel& channel);
  SegmentRef text;
  std::uint32_t text_bytes = 0;
  std::uint32_t text_count = 0;  // of the records in it
  std::uint64_t text_last_seq = 0;
};
using CutPtr = boost::intrusive_ptr<Cut>;

class Feed {
 public:
  explicit Feed(ChannelPtr channel) : channel_(std::move(channel)) {}

  Channel& channel() noexcept { return *channel_; }
  SubscriberList subscribers;

  // For a subscriber that has read up to `after` and is to read `position` next. `lagging`: on a `conflate` channel the
  // latest record only.
  const CutPtr& cut(Hub& hub, std::uint64_t after, std::uint64_t position, bool lagging);
  void drop_cuts() noexcept;
  AutoHook cuts_hook;  // linked: holds cuts

 private:
  static constexpr std::size_t kCutsHeld = 4;

  void read_latest(Cut& cut, std::uint64_t position, LastValues* last_values);

  ChannelPtr channel_;
  std::array<CutPtr, kCutsHeld> cuts_;
  std::size_t next_cut_ = 0;
};

using FeedList = boost::intrusive::list<Feed, boost::intrusive::constant_time_size<false>,
                                        boost::intrusive::member_hook<Feed, AutoHook, &Feed::cuts_hook>>;

}  // namespace ringfence
