// WsSession: what has to wait for the engine of the bus (bus/bus.h). It answers on a thread of its own, and a session belongs
// to its shard's: so what it says is posted there, by way of the Connection, which knows whether the session still is.
#include <utility>

#include <boost/asio/post.hpp>

#include "net/ws_session.h"
#include "protocol/replies.h"

namespace ringfence {
namespace {

// What a handler of messages is to get once the record has its number.
struct Waiting {
  EventPlace<ClientMessage> place;
  ClientMessage message;
};

}  // namespace

void WsSession::publish_later(const Request& request, EventPlace<ClientMessage> place) {
  std::shared_ptr<Waiting> waiting;
  if (place) {
    waiting = std::make_shared<Waiting>();
    waiting->place = std::move(place);
    waiting->message = {slot_.id(), 0, identity_, request.channel, request.type, std::string(request.data)};
  }
  const auto taken = shard_.hub().publish_later(
      request.channel, request.type, request.data,
      [connection = connection_, id = std::string(request.id), waiting](Result<std::uint64_t> seq) {
        if (waiting && seq) {
          waiting->message.seq = *seq;
          waiting->place.publish(std::move(waiting->message));
        }
        boost::asio::post(connection->executor, [connection, id, seq] {
          if (connection->session) static_cast<WsSession*>(connection->session)->on_published({id, seq});
        });
      });
  if (!taken) return answer_error(request.id, taken.error());
  ++publishing_;
  held_ = this;
}

// For one more publish that waits. False: an answer will come, and then it is looked at again.
bool WsSession::take_publish_room() noexcept {
  if (publishing_ + answers_.size() < publish_room_) return true;
  if (publish_room_ == kPublishesMax || !shard_.hub().inbound().try_add(kPublishesBlock * kPublishBytes)) return false;
  publish_room_ += kPublishesBlock;
  return true;
}

void WsSession::release_publish_room() noexcept {
  if (publish_room_ == kPublishesOwn) return;
  shard_.hub().inbound().sub((publish_room_ - kPublishesOwn) * kPublishBytes);
  publish_room_ = kPublishesOwn;
}

// Nothing else may be in flight while the engine is waited for, so that is what keeps the session.
WsSession::Self WsSession::let_go() {
  Self self(this);
  if (!parked_ && publishing_ == 0) held_.reset();
  return self;
}

void WsSession::on_published(PublishAnswer answer) {
  --publishing_;
  const Self self = let_go();
  if (state_ != State::open) return;
  if (!answer.id.empty() || !answer.seq) answers_.push_back(std::move(answer));
  push_answers();
  read_on();
  pump();
}

void WsSession::push_answers() {
  while (!answers_.empty() && close_code_ == 0 && reply_room()) {
    const PublishAnswer answer = std::move(answers_.front());
    answers_.pop_front();
    if (answer.seq)
      push(ok_text(answer.id, *answer.seq));
    else
      answer_error(answer.id, answer.seq.error());
  }
  if (publishing_ + answers_.size() == 0) release_publish_room();
}

void WsSession::wait_for(const Request& request, const ChannelPtr& channel) {
  parked_ = std::make_unique<Parked>(Parked{request, std::string(request.id)});
  held_ = this;
  // Of another epoch the seq says nothing here; when the channel is here, start() looks at both.
  bool same_epoch = false;
  {
    const std::lock_guard lock(channel->mutex);
    same_epoch = request.epoch && *request.epoch == channel->epoch();
  }
  shard_.hub().when_ready(channel, same_epoch ? request.after_seq : 0, [connection = connection_](Result<void> ready) {
    boost::asio::post(connection->executor, [connection, ready] {
      if (connection->session) static_cast<WsSession*>(connection->session)->go_on(ready);
    });
  });
}

void WsSession::go_on(Result<void> ready) {
  const auto parked = std::move(parked_);
  const Self self = let_go();
  if (!parked || state_ != State::open || close_code_ != 0) return;
  parked->request.id = parked->id;
  if (ready) {
    waited_ = true;
    handle(parked->request);
    waited_ = false;
  } else {
    refuse(parked->id, ready.error());
  }
  push_answers();
  subscribe_initial();
  read_on();
  pump();
}

}  // namespace ringfence
