// What publishers and readers of a cluster were told, and whether it fits together.
//
// Told       what a reader got, in order: events, and the gaps between them.
// Publisher  publishes in a thread of its own, in order, and keeps the answers.
//
// Threads  a Told belongs to one thread; a Publisher's answers may be looked at once it is stopped, `acknowledged()` at any time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.h"
#include "support/ws_client.h"

namespace ringfence::test {

struct Told {
  struct Gap {
    std::uint64_t from, to;
  };
  std::map<std::uint64_t, std::string> events;
  std::vector<Gap> gaps;
  std::uint64_t last = 0;  // as a client keeps it, to resume from

  // Each record once, in order, right behind the one before it or behind the gap that was told.
  void take(const WsClient::Message& message) {
    if (!message.json.is_null()) {
      INFO(message.text);
      REQUIRE(message.json["op"] == "gap");
      REQUIRE(message.json["from"] == last + 1);
      const auto to = message.json["to"].get<std::uint64_t>();
      REQUIRE(to > last);
      gaps.push_back({last + 1, to});
      last = to;
    }
    for (const auto& event : message.events) {
      REQUIRE(event.prev_seq == last);
      REQUIRE(event.seq > last);
      last = event.seq;
      events.emplace(event.seq, event.data);
    }
  }
  void read_through(WsClient& reader, std::uint64_t seq) {
    while (last < seq) take(reader.read());
  }
  bool in_a_gap(std::uint64_t seq) const {
    for (const Gap& gap : gaps)
      if (gap.from <= seq && seq <= gap.to) return true;
    return false;
  }
};

class Publisher {
 public:
  // `bytes`: of each payload, at least.
  Publisher(std::uint16_t port, std::string channel, unsigned in_flight = 1,
            std::chrono::microseconds pause = std::chrono::milliseconds(1), std::size_t bytes = 0)
      : client_(port), channel_(std::move(channel)), in_flight_(in_flight), pause_(pause), filler_(bytes, 'x') {
    client_.set_wait(std::chrono::seconds(60));
    thread_ = std::thread([this] {
      try {
        run();
      } catch (...) {
        failed_ = std::current_exception();
      }
    });
  }
  ~Publisher() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  // Waits until all are answered.
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    if (failed_) std::rethrow_exception(failed_);
  }

  std::uint64_t sent() const noexcept { return sent_; }
  std::uint64_t acknowledged() const noexcept { return acknowledged_; }
  std::uint64_t refused() const noexcept { return refused_; }

  std::map<std::uint64_t, std::string> acked;  // data, by seq
  std::map<std::string, std::uint64_t> codes;  // of the others
  std::chrono::milliseconds slowest{0};        // answer

  // All that was acknowledged came to the reader as it is, or lies in a gap that was told. Returns how many do.
  std::size_t check(const Told& told) const {
    std::size_t lost = 0;
    for (const auto& [seq, data] : acked) {
      if (told.in_a_gap(seq)) {
        ++lost;
        continue;
      }
      INFO(channel_ << " " << seq);
      const auto found = told.events.find(seq);
      REQUIRE(found != told.events.end());
      REQUIRE(found->second == data);
    }
    return lost;
  }

 private:
  using Clock = std::chrono::steady_clock;

  void run() {
    std::map<std::uint64_t, Clock::time_point> waiting;
    std::uint64_t newest = 0;
    while (!stopping_ || !waiting.empty()) {
      while (!stopping_ && waiting.size() < in_flight_) {
        const std::uint64_t id = ++sent_;
        waiting.emplace(id, Clock::now());
        client_.send(R"({"op":"publish","id":)" + std::to_string(id) + R"(,"channel":")" + channel_ + R"(","data":)" +
                     data(id) + "}");
      }
      if (waiting.empty()) break;
      const auto message = client_.read();
      if (message.json.is_null() || !message.json.contains("id")) throw std::runtime_error(message.text);
      const auto id = message.json["id"].get<std::uint64_t>();
      const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - waiting.at(id));
      slowest = std::max(slowest, took);
      waiting.erase(id);
      if (message.json["op"] == "ok") {
        const auto seq = message.json["seq"].get<std::uint64_t>();
        // What one connection published and was told is in the order in which it was sent.
        if (id < newest) throw std::runtime_error("answered out of order: " + message.text);
        newest = id;
        if (!acked.empty() && acked.rbegin()->first >= seq) throw std::runtime_error("out of order: " + message.text);
        acked.emplace(seq, data(id));
        ++acknowledged_;
      } else {
        ++codes[message.json["code"].get<std::string>()];
        ++refused_;
      }
      if (pause_.count() > 0) std::this_thread::sleep_for(pause_);
    }
  }
  std::string data(std::uint64_t id) const { return '"' + std::to_string(id) + filler_ + '"'; }

  WsClient client_;
  const std::string channel_;
  const unsigned in_flight_;
  const std::chrono::microseconds pause_;
  const std::string filler_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> sent_{0}, acknowledged_{0}, refused_{0};
  std::exception_ptr failed_;
  std::thread thread_;
};

}  // namespace ringfence::test
