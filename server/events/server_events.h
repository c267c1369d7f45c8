// The events of a running server, published by its sessions, its hub and its monitor on Services::events.
//
// Owns     plain values, made for the event; `who` is shared with the connection.
// Threads  published by any thread, outside of every lock of the hub; handled by the bus's dispatcher.
// Bounds   each names what it holds outside of itself (data_bytes), which --event-memory bounds.
// Errors   one that is refused is counted and logged. A ClientMessage never is after its publisher got `ok`: its place is
//          taken before the record is published, else the client is answered `overloaded` or `shutting_down`.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include <ringfence/ledger.h>

#include "auth/identity.h"
#include "events/event_bus.h"

namespace ringfence {

namespace detail {
// What a string of this length takes outside of itself.
constexpr std::size_t text_bytes(std::size_t bytes) noexcept { return bytes < 16 ? 0 : bytes + 1; }
inline std::size_t texts_bytes(std::initializer_list<std::size_t> sizes) noexcept {
  std::size_t sum = 0;
  for (const std::size_t size : sizes) sum += text_bytes(size);
  return sum;
}
}  // namespace detail

// A client is connected and has got its `welcome`.
struct Connected {
  static constexpr std::string_view kName = "connect";
  std::uint64_t connection = 0;
  IdentityPtr who;
  std::string address;
  std::size_t data_bytes() const noexcept { return detail::texts_bytes({address.size()}); }
};

// A connection that was told of by Connected has ended, for whatever reason.
struct Disconnected {
  static constexpr std::string_view kName = "disconnect";
  std::uint64_t connection = 0;
  IdentityPtr who;
};

// A client's `publish`, as it stands in the channel's history. `data` is the JSON that was sent.
struct ClientMessage {
  static constexpr std::string_view kName = "message";
  std::uint64_t connection = 0;
  std::uint64_t seq = 0;
  IdentityPtr who;
  std::string channel;
  std::string type;
  std::string data;
  static std::size_t data_bytes(std::size_t channel, std::size_t type, std::size_t data) noexcept {
    return detail::texts_bytes({channel, type, data});
  }
  std::size_t data_bytes() const noexcept { return data_bytes(channel.size(), type.size(), data.size()); }
};

struct Subscribed {
  static constexpr std::string_view kName = "subscribe";
  std::uint64_t connection = 0;
  IdentityPtr who;
  std::string channel;
  bool recovered = false;
  std::size_t data_bytes() const noexcept { return detail::texts_bytes({channel.size()}); }
};

// By the op. The end of a connection ends its subscriptions: that is one Disconnected.
struct Unsubscribed {
  static constexpr std::string_view kName = "unsubscribe";
  std::uint64_t connection = 0;
  IdentityPtr who;
  std::string channel;
  std::size_t data_bytes() const noexcept { return detail::texts_bytes({channel.size()}); }
};

// A record was appended to a channel, by whomever.
struct Published {
  static constexpr std::string_view kName = "publish";
  std::uint64_t seq = 0;
  std::uint64_t bytes = 0;  // of its data
  std::string channel;
  std::string type;
  std::size_t data_bytes() const noexcept { return detail::texts_bytes({channel.size(), type.size()}); }
};

// Records left a channel's history.
struct Evicted {
  static constexpr std::string_view kName = "evict";
  std::string channel;  // empty: of several channels together, see Hub::kEvictionsToldMax
  Eviction reason = Eviction::records;
  std::uint64_t records = 0;
  std::size_t data_bytes() const noexcept { return detail::texts_bytes({channel.size()}); }
};

// A member of a channel's presence has come: the first of a user's connections, or (`user` empty) a connection without one.
// With --nats on every server, wherever it came.
struct Joined {
  static constexpr std::string_view kName = "join";
  std::string channel;
  std::string user;
  std::uint64_t connection = 0;  // 0: of a user
  std::string node;              // of a connection at another server: that server's name
  std::size_t data_bytes() const noexcept { return detail::texts_bytes({channel.size(), user.size(), node.size()}); }
};

// And has gone: its last connection has left, or has ended and the grace time is over.
struct Left {
  static constexpr std::string_view kName = "leave";
  std::string channel;
  std::string user;
  std::uint64_t connection = 0;
  std::string node;
  std::size_t data_bytes() const noexcept { return detail::texts_bytes({channel.size(), user.size(), node.size()}); }
};

// The monitor has raised or cleared an alert.
struct Alert {
  static constexpr std::string_view kName = "alert";
  bool raised = true;  // false: cleared
  double value = 0;
  std::string kind;       // what was found: a word such as "growth"
  std::string structure;  // which bound, owner or table
  std::string text;       // for a person: what it means and where to look
  std::size_t data_bytes() const noexcept { return detail::texts_bytes({kind.size(), structure.size(), text.size()}); }
};

}  // namespace ringfence
