#include "realtime/presence_watches.h"

#include <cstring>
#include <string>
#include <utility>

#include "protocol/presence_texts.h"
#include "realtime/hub.h"

namespace ringfence {

PresenceWatches::PresenceWatches(Presence& presence, Hub& hub, unsigned shard)
    : presence_(presence), hub_(hub), shard_(shard) {
  static_assert(sizeof(PresenceWatch) + sizeof(PresenceFeed) + 2 * sizeof(void*) + 2 * 16 + 64 + 16 <=
                Presence::kWatchBytes);
  taken_.reserve(hub.limits().presence_watches_max);
}

Result<std::unique_ptr<PresenceWatch>> PresenceWatches::start(std::string_view channel, ShardSession& session) {
  auto room = presence_.watch(channel, shard_);
  if (!room) return room.error();
  PresenceRoom* const key = room->get();
  auto& feed = feeds_[key];
  if (!feed) feed = std::make_unique<PresenceFeed>(std::move(room).value());
  auto watch = std::make_unique<PresenceWatch>();
  watch->feed = feed.get();
  watch->session = &session;
  feed->watches.push_back(*watch);
  return watch;
}

void PresenceWatches::stop(PresenceWatch& watch) {
  const PresenceRoomPtr room = watch.feed->room;
  watch.feed_hook.unlink();
  if (watch.ready_hook.is_linked()) watch.ready_hook.unlink();
  const bool last = watch.feed->watches.empty();
  if (last) feeds_.erase(room.get());
  presence_.unwatch(*room, shard_, last);
}

void PresenceWatches::flush(PumpList& to_pump) {
  drop_texts();
  inbox().take(taken_);
  for (const PresenceRoomPtr& room : taken_) {
    room->take_mark(shard_);
    const auto found = feeds_.find(room.get());
    if (found == feeds_.end()) continue;
    for (PresenceWatch& watch : found->second->watches) {
      ShardSession& session = *watch.session;
      if (!watch.ready_hook.is_linked()) session.presence_ready.push_back(watch);
      if (!session.writing() && !session.pump_hook.is_linked()) to_pump.push_back(session);
    }
  }
  taken_.clear();
}

void PresenceWatches::drop_texts() noexcept {
  for (PresenceTextPtr& text : texts_) text.reset();
}

PresenceTextPtr PresenceWatches::take(PresenceWatch& watch) {
  PresenceRoom& room = *watch.feed->room;
  PresenceTextPtr text;
  for (const PresenceTextPtr& held : texts_)
    if (held && held->room.get() == &room && held->before == watch.seen) text = held;
  if (!text) text = read(room, watch.seen);
  if (text) watch.seen = text->after;
  return text;
}

PresenceTextPtr PresenceWatches::read(PresenceRoom& room, const PresenceSeen& seen) {
  const PresencePage page = presence_.changes(room, seen, hub_.limits().frame_bytes);
  PresenceTextPtr text(new PresenceText);
  text->room = &room;
  text->before = seen;
  text->after = page.seen;
  text->more = page.more;
  std::string first, second;
  if (page.whole) {
    first = presence_text({}, room.name(), page, true);
  } else {
    if (!page.left.empty()) first = leave_text(room.name(), page);
    if (!page.joined.empty()) (first.empty() ? first : second) = join_text(room.name(), page);
  }
  if (!first.empty()) {
    text->segment = hub_.acquire(SegmentPool::kHeaderBytes + first.size() + second.size());
    if (!text->segment) return nullptr;
    std::memcpy(text->segment->data(), first.data(), first.size());
    std::memcpy(text->segment->data() + first.size(), second.data(), second.size());
    text->first_bytes = static_cast<std::uint32_t>(first.size());
    text->second_bytes = static_cast<std::uint32_t>(second.size());
  }
  texts_[next_text_++ % kTextsHeld] = text;
  return text;
}

}  // namespace ringfence
