// WsSession: presence: joining, leaving, watching, and telling who came and went.
#include <algorithm>
#include <cstring>
#include <utility>

#include "net/ws_session.h"
#include "protocol/presence_texts.h"
#include "protocol/replies.h"

namespace ringfence {

PresenceWho WsSession::who() const noexcept { return {identity_->user, slot_.id()}; }

WsSession::JoinedRooms::iterator WsSession::find_joined(std::string_view channel) noexcept {
  return std::find_if(joined_.begin(), joined_.end(), [channel](const auto& room) { return room->name() == channel; });
}

WsSession::Watches::iterator WsSession::find_watch(std::string_view channel) noexcept {
  return std::find_if(watches_.begin(), watches_.end(),
                      [channel](const auto& watch) { return watch->feed->room->name() == channel; });
}

void WsSession::join(const Request& request) {
  Presence& presence = shard_.watches().presence();
  const auto data = request.data.empty() ? std::nullopt : std::optional(request.data);
  if (const auto held = find_joined(request.channel); held != joined_.end()) {
    if (data)
      if (const auto said = presence.update(**held, who(), *data); !said) return refuse(request.id, said.error());
  } else {
    if (joined_.size() >= shard_.hub().limits().presence_joins_max)
      return refuse(request.id, Error::too_many_members, "this connection has joined as many channels as it may");
    auto room = presence.join(request.channel, who(), data);
    if (!room) return refuse(request.id, room.error());
    joined_.push_back(std::move(room).value());
  }
  if (!request.id.empty()) push(ok_text(request.id));
}

void WsSession::leave(const Request& request) {
  const auto held = find_joined(request.channel);
  if (held == joined_.end()) return refuse(request.id, Error::not_joined);
  end_joined(held);
  if (!request.id.empty()) push(ok_text(request.id));
}

void WsSession::end_joined(JoinedRooms::iterator held) {
  const PresenceRoomPtr room = std::move(*held);
  joined_.erase(held);
  shard_.watches().presence().leave(*room, who(), PresenceEnd::left, Shard::now_ms());
}

void WsSession::end_watch(Watches::iterator held) {
  shard_.watches().stop(**held);
  watches_.erase(held);
}

void WsSession::presence(const Request& request) {
  const std::uint32_t bytes_max = shard_.hub().limits().frame_bytes;
  if (request.watch == true) return watch(request);
  if (request.watch == false) {
    if (const auto held = find_watch(request.channel); held != watches_.end()) end_watch(held);
    return push(ok_text(request.id));
  }
  const PresencePage page =
      shard_.watches().presence().members(request.channel, request.after_seq, request.limit, bytes_max, false);
  const bool watching = find_watch(request.channel) != watches_.end();
  if (!push_large(presence_text(request.id, request.channel, page, watching))) refuse(request.id, Error::overloaded);
}

// The answer has the first page; what does not fit follows as `join`, as changes do.
void WsSession::watch(const Request& request) {
  if (find_watch(request.channel) != watches_.end()) return refuse(request.id, Error::already_subscribed);
  if (!may_hold_more()) return refuse(request.id, Error::too_many_subscriptions);
  auto started = shard_.watches().start(request.channel, *this);
  if (!started) return refuse(request.id, started.error());
  watches_.push_back(std::move(started).value());
  PresenceWatch& watch = *watches_.back();
  const PresencePage page =
      shard_.watches().presence().changes(*watch.feed->room, {}, shard_.hub().limits().frame_bytes);
  if (!push_large(presence_text(request.id, request.channel, page, true))) {
    end_watch(std::prev(watches_.end()));
    return refuse(request.id, Error::overloaded);
  }
  watch.seen = page.seen;
  if (page.more) presence_ready.push_back(watch);
}

bool WsSession::push_large(std::string text) {
  if (text.size() <= kReplyBytes) {
    push(std::move(text));
    return true;
  }
  Reply reply;
  reply.segment = shard_.hub().acquire(SegmentPool::kHeaderBytes + text.size());
  if (!reply.segment) return false;
  std::memcpy(reply.segment->data(), text.data(), text.size());
  reply.segment_bytes = static_cast<std::uint32_t>(text.size());
  push(std::move(reply));
  return true;
}

// False if there was nothing to tell, or no memory for it now.
bool WsSession::write_presence() {
  while (!presence_ready.empty()) {
    PresenceWatch& watch = presence_ready.front();
    const PresenceTextPtr text = shard_.watches().take(watch);
    if (!text) {
      shard_.retry_later(*this);
      return false;
    }
    watch.ready_hook.unlink();
    if (text->more) presence_ready.push_back(watch);  // behind the others
    if (!text->segment) continue;
    presence_turn_ = false;
    writing_reply_.segment = text->segment;
    writing_reply_.segment_bytes = text->first_bytes;
    if (text->second_bytes > 0) presence_rest_ = text;
    write_text();
    return true;
  }
  return false;
}

void WsSession::write_presence_rest() {
  const PresenceTextPtr text = std::exchange(presence_rest_, nullptr);
  writing_reply_.segment = text->segment;
  writing_reply_.segment_offset = text->first_bytes;
  writing_reply_.segment_bytes = text->second_bytes;
  write_text();
}

// A channel whose presence the identity no longer allows. False if there is none.
bool WsSession::end_forbidden_presence() {
  const auto forbidden = [this](const std::string& channel) { return !identity_->may_see_presence(channel); };
  const auto joined =
      std::find_if(joined_.begin(), joined_.end(), [&](const auto& room) { return forbidden(room->name()); });
  const auto watched = std::find_if(watches_.begin(), watches_.end(),
                                    [&](const auto& watch) { return forbidden(watch->feed->room->name()); });
  if (joined == joined_.end() && watched == watches_.end()) return false;
  const std::string channel = joined != joined_.end() ? (*joined)->name() : (*watched)->feed->room->name();
  if (joined != joined_.end()) end_joined(joined);
  if (const auto watch = find_watch(channel); watch != watches_.end()) end_watch(watch);
  shard_.hub().count_refused(Error::forbidden);
  push(presence_ended_text(channel, error_code(Error::forbidden)));
  return true;
}

// Of a connection that ends. Who was told to go is not expected back, but for one whose other session has come.
void WsSession::end_presence() {
  const bool expected = !close_why_ || close_why_->reconnect || close_why_->reason == kSessionReplaced;
  const PresenceEnd end = expected ? PresenceEnd::disconnected : PresenceEnd::left;
  for (const PresenceRoomPtr& room : joined_) shard_.watches().presence().leave(*room, who(), end, Shard::now_ms());
  joined_.clear();
  for (const auto& watch : watches_) shard_.watches().stop(*watch);
  watches_.clear();
  presence_rest_.reset();
}

}  // namespace ringfence
