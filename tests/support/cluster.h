// ClusterServer: a TestServer joined to others by a broker; and what tests of several servers ask of the broker.
#pragma once

#include <chrono>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

#include <ringfence/ledger.h>

#include "bus/nats_service.h"
#include "support/nats_broker.h"
#include "support/ws_client.h"

namespace ringfence::test {

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
