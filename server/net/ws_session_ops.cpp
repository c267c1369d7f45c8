// WsSession: what each op does.
#include <algorithm>
#include <utility>
#include <vector>

#include "events/server_events.h"
#include "net/ws_session.h"
#include "protocol/events.h"
#include "protocol/replies.h"
#include "realtime/clock.h"
#include "realtime/hub_evictions.h"

namespace ringfence {
namespace {

std::string_view meaning(Error code) noexcept {
  switch (code) {
    case Error::bad_channel: return "the channel's name does not match [A-Za-z0-9_:.-]{1,128}";
    case Error::bad_type: return "the type is not 1 to 255 bytes without control characters";
    case Error::message_too_large: return "the message is above message_bytes; it was dropped";
    case Error::record_too_large: return "the record cannot fit in the channel's history";
    case Error::text_expected: return "a message to the server is text";
    case Error::unsupported: return "the op is not in this version";
    case Error::already_subscribed: return "this connection is subscribed to the channel";
    case Error::not_subscribed: return "this connection is not subscribed to the channel";
    case Error::too_many_subscriptions: return "this connection holds as many subscriptions as it may";
    case Error::too_many_channels: return "the server holds as many channels as it may";
    case Error::seq_in_future: return "the seq is above the channel's last";
    case Error::no_such_channel: return "there is no such channel";
    case Error::shutting_down: return "the server takes no more messages";
    case Error::overloaded: return "the record memory is full and held by slow readers";
    case Error::string_too_long: return "a string has more characters than it may";
    case Error::rate_limited: return "this connection sends more messages than it may";
    case Error::too_many_errors: return "too many errors; the server closes the connection";
    case Error::forbidden: return "this identity may not do that on this channel";
    default: return "refused";
  }
}

// What one `history` answers, read under the channel's mutex and rendered outside of it.
struct Found {
  HistoryHead head{};
  std::string epoch;
  std::vector<Slice> slices;
};

Result<void> read_history(Channel& channel, const Request& request, std::uint32_t bytes_max, EventBus* events,
                          Found& out) {
  Hub::Evictions evictions(events);
  const std::lock_guard lock(channel.mutex);
  if (channel.forgotten) return Error::no_such_channel;
  History& history = channel.history;
  {
    const Hub::Evictions::Look look(evictions, channel);
    history.expire(wall_us());
  }
  out.epoch = channel.epoch();
  out.head.first = history.first_seq();
  out.head.next = history.next_seq();
  std::uint64_t after = request.after_seq;
  if (request.epoch && *request.epoch != out.epoch) {
    after = history.evicted_through();  // a seq of another life says nothing here
  } else {
    if (after > history.last_seq()) return Error::seq_in_future;
    const auto gap = history.gap(after);
    out.head.missed = gap ? gap->missed : 0;
  }
  std::uint32_t bytes = 0;
  for (std::uint64_t count = 0; count < request.limit && bytes < bytes_max;) {
    Slice slice = history.read(after, bytes_max - bytes);
    if (slice.count == 0 || (count > 0 && slice.bytes > bytes_max - bytes)) break;
    count += slice.count;
    bytes += slice.bytes;
    after = slice.last_seq;
    out.slices.push_back(std::move(slice));
  }
  return {};
}

// Visits (record, prev_seq) of all slices in order while `visit` returns true.
template <typename Visit>
void each_record(const std::vector<Slice>& slices, Visit visit) {
  for (const Slice& slice : slices) {
    const std::byte* at = slice.data;
    std::uint64_t prev_seq = slice.prev_seq;
    for (std::uint32_t i = 0; i < slice.count; ++i) {
      const RecordView record = view_record(at);
      if (!visit(record, prev_seq)) return;
      prev_seq = record.seq;
      at += record.stride_bytes;
    }
  }
}

}  // namespace

void WsSession::handle(const Request& request) {
  if (identity_expired()) return end_identity(Error::token_expired);
  if (!permitted(request.op, request.channel)) return refuse(request.id, Error::forbidden);
  switch (request.op) {
    case Op::subscribe: return subscribe(request);
    case Op::unsubscribe: return unsubscribe(request);
    case Op::publish: return publish(request);
    case Op::history: return history(request);
    case Op::refresh: return refresh(request);
    case Op::ping: return push(pong_text(request.id, wall_us()));
    case Op::presence:
    case Op::join:
    case Op::leave: return refuse(request.id, Error::unsupported);
  }
}

void WsSession::refuse(std::string_view id, Error code, std::string_view message) {
  shard_.hub().count_refused(code);
  answer_error(id, code, message);
}

void WsSession::answer_error(std::string_view id, Error code, std::string_view message, std::uint32_t retry_after_ms) {
  const std::int64_t now_ms = Shard::now_ms();
  if (now_ms - errors_since_ms_ > kErrorWindowMs) {
    errors_since_ms_ = now_ms;
    errors_ = 0;
  }
  // Overload and a shutdown are not of the client's making, and who waits as told makes no error: all are told when to try
  // again.
  if ((code == Error::overloaded || code == Error::shutting_down) && retry_after_ms == 0)
    retry_after_ms = Hub::kOverloadedRetryMs;
  if (retry_after_ms == 0 && ++errors_ > shard_.hub().limits().errors_max) {
    shard_.hub().count_refused(Error::too_many_errors);
    shard_.counters().errors_closed.add(1);
    close_code_ = boost::beast::websocket::close_code::policy_error;
    return push(error_text({}, Error::too_many_errors, meaning(Error::too_many_errors), std::nullopt));
  }
  push(error_text(id, code, message.empty() ? meaning(code) : message,
                  retry_after_ms > 0 ? std::optional(retry_after_ms) : std::nullopt));
}

Subscriber* WsSession::find_subscriber(std::string_view channel) noexcept {
  for (const auto& subscriber : subscribers_)
    if (subscriber->feed->channel().name() == channel) return subscriber.get();
  return nullptr;
}

void WsSession::subscribe(const Request& request) {
  Hub& hub = shard_.hub();
  if (find_subscriber(request.channel)) return refuse(request.id, Error::already_subscribed);
  if (subscribers_.size() >= hub.limits().subscriptions_max) return refuse(request.id, Error::too_many_subscriptions);
  if (!hub.subscriptions().try_add(Hub::kSubscriberBytes)) return refuse(request.id, Error::too_many_subscriptions);
  std::optional<ResumePoint> after;
  if (request.epoch) after = ResumePoint{*request.epoch, request.after_seq};
  const auto started = shard_.start(request.channel, after, request.last);
  if (!started.ok()) {
    hub.subscriptions().sub(Hub::kSubscriberBytes);
    return refuse(request.id, started.error());
  }
  Feed& feed = *started->feed;
  subscribers_.push_back(std::make_unique<Subscriber>(feed, *this, started->at.after));
  shard_.attach(feed, *subscribers_.back());
  if (started->at.after + 1 < started->at.next) ready.push_back(*subscribers_.back());
  push(subscribed_text(request.id, feed.channel(), started->epoch, started->at));
  (void)shard_.services().events->emit<Subscribed>(
      [&] { return Subscribed{slot_.id(), identity_, feed.channel().name(), started->at.recovered}; });
}

void WsSession::unsubscribe(const Request& request) {
  Subscriber* const found = find_subscriber(request.channel);
  if (!found) return refuse(request.id, Error::not_subscribed);
  shard_.detach(*found);
  std::erase_if(subscribers_, [found](const auto& held) { return held.get() == found; });
  shard_.hub().subscriptions().sub(Hub::kSubscriberBytes);
  push(unsubscribed_text(request.id, request.channel));
  tell_unsubscribed(request.channel);
}

void WsSession::publish(const Request& request) {
  // A handler's place is taken first: a client is never told `ok` for what its handler did not get.
  EventPlace<ClientMessage> place;
  if (EventBus& events = *shard_.services().events; events.wanted<ClientMessage>()) {
    auto reserved = events.reserve<ClientMessage>(
        ClientMessage::data_bytes(request.channel.size(), request.type.size(), request.data.size()));
    if (!reserved.ok())
      return refuse(request.id, reserved.error(),
                    reserved.error() == Error::overloaded ? "the server's message handlers are behind" : "");
    place = std::move(reserved).value();
  }
  const auto seq = shard_.hub().publish(request.channel, request.type, request.data);
  if (!seq.ok()) return answer_error(request.id, seq.error());
  if (place) place.publish({slot_.id(), *seq, identity_, request.channel, request.type, std::string(request.data)});
  if (!request.id.empty()) push(ok_text(request.id, *seq));
}

void WsSession::tell_unsubscribed(std::string_view channel) {
  (void)shard_.services().events->emit<Unsubscribed>(
      [&] { return Unsubscribed{slot_.id(), identity_, std::string(channel)}; });
}

void WsSession::history(const Request& request) {
  Hub& hub = shard_.hub();
  const ChannelPtr channel = hub.find(request.channel);
  if (!channel) return refuse(request.id, Error::no_such_channel);
  Found found;
  const std::uint32_t bytes_max = hub.limits().frame_bytes;
  if (const auto read = read_history(*channel, request, bytes_max, shard_.services().events, found); !read)
    return refuse(request.id, read.error());

  const EventText event{channel->name()};
  std::uint64_t count = 0;
  std::size_t events_bytes = 0;
  std::uint64_t last_seq = found.head.next - 1;  // if there is none behind `after`
  each_record(found.slices, [&](const RecordView& record, std::uint64_t prev_seq) {
    const std::size_t bytes = event.bytes(record, prev_seq) + (count > 0 ? 1 : 0);
    if (count == request.limit || (count > 0 && events_bytes + bytes > bytes_max)) return false;
    events_bytes += bytes;
    last_seq = record.seq;
    ++count;
    return true;
  });
  found.head.epoch = found.epoch;
  found.head.more = last_seq + 1 < found.head.next;
  const std::string head = history_head_text(request.id, channel->name(), found.head);

  Reply reply;
  const std::size_t bytes = head.size() + events_bytes + kHistoryTail.size();
  reply.segment = hub.acquire(SegmentPool::kHeaderBytes + bytes);
  if (!reply.segment) return refuse(request.id, Error::overloaded);
  reply.segment_bytes = static_cast<std::uint32_t>(bytes);
  char* out = reinterpret_cast<char*>(reply.segment->data());
  out += head.copy(out, head.size());
  std::uint64_t written = 0;
  each_record(found.slices, [&](const RecordView& record, std::uint64_t prev_seq) {
    if (written == count) return false;
    if (written++ > 0) *out++ = ',';
    out = event.write(out, record, prev_seq);
    return true;
  });
  kHistoryTail.copy(out, kHistoryTail.size());
  push(std::move(reply));
}

}  // namespace ringfence
