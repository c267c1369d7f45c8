// WsSession: who it speaks for: what that allows, `refresh`, and the end of it.
#include <algorithm>
#include <string>
#include <utility>

#include "auth/authenticator.h"
#include "auth/meaning.h"
#include "log.h"
#include "net/ws_session.h"
#include "protocol/replies.h"
#include "realtime/clock.h"

namespace ringfence {

bool WsSession::permitted(Op op, std::string_view channel) const noexcept {
  switch (op) {
    case Op::subscribe:
    case Op::history: return identity_->may_subscribe(channel);
    case Op::publish: return identity_->may_publish(channel);
    case Op::presence:
    case Op::join:
    case Op::leave: return identity_->may_see_presence(channel);
    case Op::unsubscribe:
    case Op::refresh:
    case Op::ping: break;
  }
  return true;
}

void WsSession::refresh(const Request& request) {
  auto fresh = shard_.services().auth->refresh(*identity_, request.token);
  if (!fresh) return refuse(request.id, fresh.error(), auth_meaning(fresh.error()));
  identity_ = std::move(fresh).value();
  checked_at_ms_ = Shard::now_ms();
  push(ok_text(request.id));
  ending_forbidden_ = true;
  end_forbidden();
}

// Subscriptions and memberships that the identity no longer allows, as many as there is room to tell. Replies go before events and the
// rest follows as soon as one is sent, so no event of theirs comes in between.
void WsSession::end_forbidden() {
  while (ending_forbidden_ && close_code_ == 0 && reply_room()) {
    const auto found = std::find_if(subscribers_.begin(), subscribers_.end(), [this](const auto& held) {
      return !identity_->may_subscribe(held->feed->channel().name());
    });
    if (found == subscribers_.end()) {
      ending_forbidden_ = end_forbidden_presence();
      continue;
    }
    const std::string channel((*found)->feed->channel().name());
    shard_.detach(**found);
    subscribers_.erase(found);
    shard_.hub().subscriptions().sub(Hub::kSubscriberBytes);
    shard_.hub().count_refused(Error::forbidden);
    push(unsubscribed_text({}, channel, error_code(Error::forbidden)));
    tell_unsubscribed(channel);
  }
}

bool WsSession::identity_expired() const noexcept {
  return identity_->expires_at_us != Identity::kNever && identity_->expires_at_us <= wall_us();
}

// Its expiry is looked at by every sweep and before every op; whether its key still counts, each --auth-recheck-s.
void WsSession::check_identity(std::int64_t now_ms) {
  if (close_code_ != 0) return;
  if (identity_expired()) return end_identity(Error::token_expired);
  Authenticator& auth = *shard_.services().auth;
  if (now_ms - checked_at_ms_ < auth.recheck_ms()) return;
  checked_at_ms_ = now_ms;
  if (const auto good = auth.check(*identity_); !good) end_identity(good.error());
}

// `closing` tells the reason, then the connection is closed with 1008. With a good token the client may come back.
void WsSession::end_identity(Error why) {
  shard_.hub().count_refused(why);
  shard_.counters().auth_closed.add(1);
  logger("ws")->info("connection {}: {}, closed", slot_.id(), error_code(why));
  close({boost::beast::websocket::close_code::policy_error, std::string(error_code(why)), true});
}

}  // namespace ringfence
