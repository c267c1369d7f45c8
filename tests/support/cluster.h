// ClusterServer: a TestServer joined to others by a broker; and what tests of several servers ask of the broker.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <ringfence/ledger.h>

#include "bus/nats_service.h"
#include "support/nats_broker.h"
#include "support/ws_client.h"

namespace ringfence::test {

struct JetStreamBroker : NatsBroker {
  JetStreamBroker() : NatsBroker({}, true) {}
};

// The options that join a server to the others of this broker.
inline std::function<void(Options&)> joining(const NatsBroker& broker, const std::string& mode,
                                             const std::function<void(Options&)>& change = {}) {
  return [url = broker.url(), mode, change](Options& options) {
    options.nats.urls = {url};
    options.nats.mode = mode;
    options.nats.reconnect_min_ms = 20;
    options.nats.reconnect_max_ms = 200;
    options.nats.reconnects_max = 1'000'000;
    if (change) change(options);
  };
}

struct ClusterServer : TestServer {
  ClusterServer(const NatsBroker& broker, const std::string& mode, const std::function<void(Options&)>& change = {})
      : TestServer(joining(broker, mode, change)) {}

  bool eventually_nats(NatsState state) {
    return eventually([&](const HubStats&) { return server.nats()->state() == state; });
  }
};

inline Json health(std::uint16_t port) { return Json::parse(HttpClient(port).get("/v1/health").body()); }

// As the client's `after`.
inline Json after(const Json& epoch, std::uint64_t seq) { return {{"epoch", epoch}, {"seq", seq}}; }

// Whether every account is within its bound, and always was.
inline bool within_bounds(const Ledger& ledger) {
  for (const LedgerRow& row : ledger.rows())
    if (row.used_bytes > row.capacity_bytes || row.high_water_mark_bytes > row.capacity_bytes) return false;
  return true;
}

template <typename Done>
bool eventually(Done&& done, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
  for (const auto until = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < until;) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return done();
}

inline std::chrono::steady_clock::time_point soon() {
  return std::chrono::steady_clock::now() + std::chrono::seconds(20);
}

// The broker has so many subscriptions on the subject.
inline bool subscribed(const NatsBroker& broker, const std::string& subject, int count) {
  return eventually([&] {
    int found = 0;
    for (const auto& one : broker.look("/subsz?subs=1&limit=100000").value("subscriptions_list", Json::array()))
      found += one.value("subject", std::string()) == subject ? 1 : 0;
    return found == count;
  });
}

inline void many_channels(Options& options) {
  options.limits.channels_max = 20'000;
  options.memory_budget_bytes = 4ull << 30;
  options.nats.interest_ms = 1;
  options.limits.sweep_ms = 10;
  options.limits.channel_idle_ms = 1;
  options.limits.dead_after_ms = 600'000;  // the clients are read from in turn
}

// 10,000 channels are joined, all at once, and left: then the broker has what it had, by its own count.
inline void join_and_leave(const NatsBroker& broker, ClusterServer& server, const std::string& subjects) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr int kClients = 20;
#else
  constexpr int kClients = 100;
#endif
  constexpr int kEach = 100;
  struct Counts {
    std::uint64_t connections = 0, of_connections = 0, subscriptions = 0;
    bool operator==(const Counts&) const = default;
  };
  const auto counts = [&] {
    Counts now;
    const Json connz = broker.look("/connz");
    now.connections = connz["num_connections"];
    for (const Json& one : connz["connections"]) now.of_connections += one["subscriptions"].get<std::uint64_t>();
    now.subscriptions = broker.look("/subsz")["num_subscriptions"];
    return now;
  };
  // What is made once stays.
  WsClient(server.server.port()).subscribe("warm");
  REQUIRE(server.eventually([](const HubStats& stats) { return stats.channels == 0; }));
  REQUIRE(subscribed(broker, subjects + "warm", 0));
  const Counts before = counts();
  {
    std::vector<std::unique_ptr<WsClient>> clients;
    for (int i = 0; i < kClients; ++i) {
      clients.push_back(std::make_unique<WsClient>(server.server.port()));
      for (int k = 0; k < kEach; ++k)
        clients.back()->send_op({{"op", "subscribe"}, {"channel", numbered(numbered("c", i) + ":", k)}});
    }
    for (auto& client : clients)
      for (int k = 0; k < kEach; ++k) client->expect("subscribed");
    Counts during = before;
    during.of_connections += kClients * kEach;
    during.subscriptions += kClients * kEach;
    CHECK(eventually([&] { return counts() == during; }));
  }
  CHECK(server.eventually([&](const HubStats& stats) { return stats.channels == 0; }, std::chrono::seconds(60)));
  CHECK(eventually([&] { return counts() == before; }));
  CHECK(within_bounds(server.server.ledger()));
}

// By the client, and what it was told.
inline Json publish(WsClient& client, const std::string& channel, const std::string& data, int id = 1) {
  client.send(R"({"op":"publish","id":)" + std::to_string(id) + R"(,"channel":")" + channel + R"(","data":)" + data +
              "}");
  for (;;) {
    const auto message = client.read();
    if (!message.json.is_null() && message.json.value("id", 0) == id) return message.json;
  }
}

// Each once, in order, each behind the one before it.
inline void check_chain(const std::vector<WsClient::Event>& events) {
  for (std::size_t i = 1; i < events.size(); ++i) {
    REQUIRE(events[i].seq > events[i - 1].seq);
    REQUIRE(events[i].prev_seq == events[i - 1].seq);
  }
}

// What the reader gets, up to the last of these: all of them are in it, in a chain.
inline std::vector<WsClient::Event> read_acknowledged(WsClient& reader,
                                                      const std::vector<std::uint64_t>& acknowledged) {
  std::vector<WsClient::Event> events;
  while (events.empty() || events.back().seq < acknowledged.back())
    for (auto& event : reader.read().events) events.push_back(std::move(event));
  check_chain(events);
  for (const std::uint64_t seq : acknowledged)
    REQUIRE(std::any_of(events.begin(), events.end(), [seq](const auto& event) { return event.seq == seq; }));
  return events;
}

// One who is neither server nor client: looks at the broker and changes what is there.
class Outsider {
 public:
  explicit Outsider(const NatsBroker& broker) : nats_(options(broker), ledger_, nullptr) {
    nats_.start();
    if (!nats_.wait_connected(soon())) throw std::runtime_error("the broker is not reached");
  }
  // JetStream's answer to a request of its API.
  Json ask(const std::string& what, const Json& body = {}) {
    std::promise<Json> answered;
    const auto asked = nats_.request(
        {.subject = "$JS.API." + what, .data = body.is_null() ? "" : body.dump()}, [&](const NatsAnswer& answer) {
          answered.set_value(answer.result.ok() ? Json::parse(answer.message->data()) : Json{{"none", answer.text}});
        });
    if (!asked.ok()) throw std::runtime_error("JetStream could not be asked");
    return answered.get_future().get();
  }
  void publish(NatsOutgoing message) {
    if (!nats_.publish(std::move(message)).ok()) throw std::runtime_error("not published");
  }

 private:
  static NatsOptions options(const NatsBroker& broker) {
    NatsOptions options;
    options.urls = {broker.url()};
    return options;
  }
  Ledger ledger_;
  NatsService nats_;
};

}  // namespace ringfence::test
