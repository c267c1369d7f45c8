// WsSession: what each op does.
#include <algorithm>
#include <utility>
#include <vector>

#include "events/server_events.h"
#include "net/ws_session.h"
#include "protocol/meaning.h"
#include "protocol/replies.h"
#include "realtime/clock.h"
#include "realtime/history_text.h"

namespace ringfence {

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
    case Op::presence: return presence(request);
    case Op::join: return join(request);
    case Op::leave: return leave(request);
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
  if ((code == Error::overloaded || code == Error::shutting_down || code == Error::broker_unavailable) &&
      retry_after_ms == 0)
    retry_after_ms = Hub::kOverloadedRetryMs;
  const bool ours = retry_after_ms > 0 || code == Error::broker_timeout || code == Error::broker_refused;
  if (!ours && ++errors_ > shard_.hub().limits().errors_max) {
    shard_.hub().count_refused(Error::too_many_errors);
    shard_.counters().errors_closed.add(1);
    close_code_ = boost::beast::websocket::close_code::policy_error;
    return push(error_text({}, Error::too_many_errors, error_meaning(Error::too_many_errors), std::nullopt));
  }
  push(error_text(id, code, message.empty() ? error_meaning(code) : message,
                  retry_after_ms > 0 ? std::optional(retry_after_ms) : std::nullopt));
}

Subscriber* WsSession::find_subscriber(std::string_view channel) noexcept {
  for (const auto& subscriber : subscribers_)
    if (subscriber->feed->channel().name() == channel) return subscriber.get();
  return nullptr;
}

bool WsSession::may_hold_more() const noexcept {
  return subscribers_.size() + watches_.size() < shard_.hub().limits().subscriptions_max;
}

void WsSession::subscribe(const Request& request) {
  Hub& hub = shard_.hub();
  if (find_subscriber(request.channel)) return refuse(request.id, Error::already_subscribed);
  if (!may_hold_more()) return refuse(request.id, Error::too_many_subscriptions);
  if (!hub.subscriptions().try_add(Hub::kSubscriberBytes)) return refuse(request.id, Error::too_many_subscriptions);
  std::optional<ResumePoint> after;
  if (request.epoch) after = ResumePoint{*request.epoch, request.after_seq};
  const auto started = shard_.start(request.channel, after, request.last, waited_);
  if (!started.ok()) {
    hub.subscriptions().sub(Hub::kSubscriberBytes);
    return refuse(request.id, started.error());
  }
  if (!started->feed) {
    hub.subscriptions().sub(Hub::kSubscriberBytes);
    return wait_for(request, started->channel);
  }
  if (after) count_resume(started->at);
  Feed& feed = *started->feed;
  subscribers_.push_back(std::make_unique<Subscriber>(feed, *this, started->at.after, started->at.position));
  shard_.attach(feed, *subscribers_.back());
  if (started->at.after + 1 < started->at.next) ready.push_back(*subscribers_.back());
  push(subscribed_text(request.id, feed.channel(), started->epoch, started->at));
  (void)shard_.services().events->emit<Subscribed>(
      [&] { return Subscribed{slot_.id(), identity_, feed.channel().name(), started->at.recovered}; });
}

void WsSession::count_resume(const StartPoint& at) {
  ShardCounters& counters = shard_.counters();
  Counter& counter = at.recovered ? counters.resumes_exact
                     : at.missed  ? counters.resumes_missed
                                  : counters.resumes_unknown;
  counter.add(1);
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
  if (shard_.hub().numbers() == Numbers::stream) return publish_later(request, std::move(place));
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
  if (shard_.hub().numbers() == Numbers::stream && !waited_) {
    const auto channel = shard_.hub().find_or_create(request.channel);
    if (!channel) return refuse(request.id, channel.error());
    return wait_for(request, *channel);
  }
  auto text = history_text(shard_.hub(), shard_.services().events, request);
  if (!text) return refuse(request.id, text.error());
  Reply reply;
  reply.segment = std::move(text->segment);
  reply.segment_bytes = text->bytes;
  push(std::move(reply));
}

}  // namespace ringfence
