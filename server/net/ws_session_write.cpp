// WsSession: messages out, one at a time.
#include <algorithm>
#include <utility>

#include "net/ws_session.h"
#include "protocol/replies.h"

namespace ringfence {

void WsSession::pump() {
  if (writing_ || state_ != State::open) return;
  if (presence_rest_) return write_presence_rest();
  if (!replies_.empty()) return write_reply();
  if (close_why_ && !closing_told_) {
    closing_told_ = true;
    push(closing_text(close_why_->reason, retry_after_ms_, close_why_->reconnect));
    return write_reply();
  }
  if (close_code_ != 0) return start_close();
  if (conflated_) return write_conflated();
  if (draining_) {
    if (closing_told_) {
      close_code_ = boost::beast::websocket::close_code::going_away;
      return start_close();
    }
    const bool sent = ready.empty() && publishing_ == 0 && answers_.empty();
    if (sent || Shard::now_ms() >= drain_until_ms_) {
      closing_told_ = true;
      push(closing_text("the server stops", retry_after_ms_));
      return write_reply();
    }
  }
  // In turn, so that neither much coming and going nor many events hold up the other.
  if (presence_turn_ && write_presence()) return;
  if (!ready.empty()) write_events();
  if (writing_)
    presence_turn_ = true;
  else
    write_presence();
}

void WsSession::push(std::string text) {
  Reply reply;
  reply.text = std::move(text);
  push(std::move(reply));
}

void WsSession::push(Reply reply) {
  reply_bytes_ += reply.size();
  INVARIANT(replies_.try_push(std::move(reply)));
}

void WsSession::write_reply() {
  writing_reply_ = *replies_.pop();
  reply_bytes_ -= writing_reply_.size();
  write_text();
}

void WsSession::write_text() {
  writing_ = true;
  write_at_ms_ = progress_at_ms_ = Shard::now_ms();
  ws_.text(true);
  const SegmentRef& segment = writing_reply_.segment;
  const auto buffer =
      segment ? boost::asio::const_buffer(segment->data() + writing_reply_.segment_offset, writing_reply_.segment_bytes)
              : boost::asio::const_buffer(writing_reply_.text.data(), writing_reply_.text.size());
  ws_.async_write(buffer, [self = Self(this)](ErrorCode error, std::size_t bytes) { self->on_written(error, bytes); });
}

void WsSession::write_gap(Subscriber& subscriber, const Gap& gap) {
  shard_.counters().gaps.add(1);
  shard_.counters().missed.add(gap.missed);
  writing_reply_.text = gap_text(subscriber.feed->channel(), gap, gap.lost ? "lost" : "evicted");
  subscriber.cursor = gap.to;
  write_text();
}

// The cursor goes behind what was taken. What was skipped for it is told next, before any other event.
void WsSession::take_cut(Subscriber& subscriber, const Cut& cut, std::uint64_t last_seq, std::uint32_t count) {
  subscriber.position += count;
  if (cut.conflated) {
    shard_.counters().conflated.add(cut.conflated->missed);
    subscriber.conflated_after = subscriber.cursor;
    subscriber.conflated_to = cut.conflated->to;
    subscriber.conflated = cut.conflated->missed;
    subscriber.position = cut.end_position;
    conflated_ = true;
  }
  subscriber.cursor = last_seq;
  subscriber.lagging = false;
}

void WsSession::write_conflated() {
  for (const auto& subscriber : subscribers_) {
    const std::uint64_t after = subscriber->conflated_after;
    const std::uint64_t to = std::exchange(subscriber->conflated_to, after);
    if (to == after) continue;
    writing_reply_.text = gap_text(subscriber->feed->channel(), {after + 1, to, subscriber->conflated}, "conflated");
    return write_text();
  }
  conflated_ = false;
  pump();
}

void WsSession::close_slow(const Subscriber& subscriber, const Gap& gap) {
  shard_.hub().count_refused(Error::too_slow);
  shard_.counters().slow_closed.add(1);
  close_code_ = boost::beast::websocket::close_code::policy_error;
  push(error_text({}, Error::too_slow,
                  "channel " + subscriber.feed->channel().name() + ": " + std::to_string(gap.missed) +
                      " records behind what it holds; the server closes the connection",
                  std::nullopt));
  write_reply();
}

void WsSession::write_events() {
  auto out = shard_.take_outgoing();
  const Collected collected = collect(*out);
  if (collected != Collected::events) {
    shard_.give_outgoing(std::move(out));
    if (collected == Collected::no_memory) shard_.retry_later(*this);
    return;
  }
  outgoing_ = std::move(out);
  writing_ = true;
  write_at_ms_ = progress_at_ms_ = Shard::now_ms();
  const bool binary = choice_.protocol == WsProtocol::binary;
  ws_.binary(binary);
  ws_.async_write(binary ? outgoing_->finish_batch() : outgoing_->finish_text(),
                  [self = Self(this)](ErrorCode error, std::size_t bytes) { self->on_written(error, bytes); });
}

// Takes what lies behind the ready cursors, one after another, until the message is full.
WsSession::Collected WsSession::collect(Outgoing& out) {
  const std::uint32_t content_max =
      choice_.protocol == WsProtocol::binary ? shard_.hub().limits().frame_bytes : Cut::kTextBytesMax;
  bool no_memory = false;
  Subscriber* served = nullptr;
  while (!ready.empty() && !out.full()) {
    Subscriber& subscriber = ready.front();
    const CutPtr& cut = shard_.cut(subscriber);
    if (cut->gap) {
      if (!out.empty()) break;
      subscriber.position = std::max(subscriber.position, cut->first_position);
      if (subscriber.feed->channel().policy() == SlowPolicy::close && !cut->gap->lost)
        close_slow(subscriber, *cut->gap);
      else
        write_gap(subscriber, *cut->gap);
      return Collected::told;
    }
    bool more = false;
    if (cut->slice.count > 0) {
      if (choice_.protocol == WsProtocol::binary) {
        if (!out.empty() && out.content_bytes() + cut->slice.bytes > content_max) break;
        take_cut(subscriber, *cut, cut->slice.last_seq, cut->slice.count);
        more = cut->more;
        out.add_section(cut);
      } else {
        if (!cut->render(shard_.hub(), subscriber.feed->channel())) {
          no_memory = true;
          break;
        }
        if (!out.empty() && out.content_bytes() + cut->text_bytes > content_max) break;
        take_cut(subscriber, *cut, cut->text_last_seq, cut->text_count);
        more = cut->more || cut->text_last_seq < cut->slice.last_seq;
        out.add_text(cut);
      }
    }
    served = &subscriber;
    if (!more) subscriber.ready_hook.unlink();
  }
  // A channel with much to send goes to the end of the line.
  if (!ready.empty() && &ready.front() == served) ready.splice(ready.end(), ready, ready.begin());
  if (!out.empty()) return Collected::events;
  return no_memory ? Collected::no_memory : Collected::nothing;
}

void WsSession::on_written(ErrorCode error, std::size_t bytes) {
  writing_ = false;
  writing_reply_ = {};
  if (outgoing_) {
    if (!error) {
      ShardCounters& counters = shard_.counters();
      counters.messages.add(1);
      counters.delivered.add(outgoing_->records());
      counters.delivered_bytes.add(bytes);
    }
    // An ended session may outlive its shard's lists.
    if (state_ == State::ended)
      outgoing_.reset();
    else
      shard_.give_outgoing(std::move(outgoing_));
  }
  if (error) return end();
  if (state_ != State::open) return;
  end_forbidden();
  push_answers();
  subscribe_initial();
  read_on();
  pump();
}

}  // namespace ringfence
