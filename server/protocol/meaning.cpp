#include "protocol/meaning.h"

namespace ringfence {

std::string_view error_meaning(Error code) noexcept {
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
    case Error::broker_unavailable: return "the broker that joins the servers is not reached; nothing was published";
    case Error::broker_timeout: return "the broker has not answered in time; whether it was published is not known";
    case Error::broker_refused: return "the broker has refused it; nothing was published";
    case Error::overloaded: return "the record memory is full and held by slow readers";
    case Error::string_too_long: return "a string has more characters than it may";
    case Error::rate_limited: return "this connection sends more messages than it may";
    case Error::too_many_errors: return "too many errors; the server closes the connection";
    case Error::too_many_members: return "there are as many members as there may be";
    case Error::member_too_large: return "what a member says of itself is above --presence-data-bytes";
    case Error::not_joined: return "this connection has not joined the channel";
    case Error::forbidden: return "this identity may not do that on this channel";
    default: return "refused";
  }
}

}  // namespace ringfence
