// Nats: a connected NatsService for tests, and what waits for it.
//
// Errors   a wait of more than 20 s throws, or is false.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "bus/nats_service.h"
#include "events/event_bus.h"
#include "support/nats_broker.h"

namespace ringfence::test {

inline bool eventually(const std::function<bool()>& condition, std::chrono::seconds limit = std::chrono::seconds(20)) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// A text with a number behind it.
inline std::string text(std::string_view stem, std::uint64_t number) {
  return std::string(stem).append(std::to_string(number));
}

// Quick, but with room for a loaded machine.
inline NatsOptions nats_options(const std::string& url) {
  NatsOptions options;
  options.urls = {url};
  options.reconnect_min_ms = 10;
  options.reconnect_max_ms = 100;
  options.pending_age_ms = 60'000;
  return options;
}

// What a handler got, as "subject data [Number header]".
class Received {
 public:
  NatsService::Handler handler() {
    return [this](NatsMessage& message) {
      std::string text = std::string(message.subject()) + " " + std::string(message.data());
      if (const auto number = message.header("Number")) text += " " + std::string(*number);
      const std::lock_guard lock(mutex_);
      texts_.push_back(std::move(text));
      changed_.notify_all();
    };
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return texts_.size() >= count; });
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return texts_.size();
  }
  std::string at(std::size_t i) const {
    const std::lock_guard lock(mutex_);
    return texts_.at(i);
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> texts_;
};

class Nats {
 public:
  struct Answer {
    Result<void> result;
    std::string text;
  };

  explicit Nats(const std::string& url, const std::function<void(NatsOptions&)>& change = {},
                EventBus* events = nullptr, bool connect = true)
      : service_(std::make_unique<NatsService>(changed(url, change), ledger_, events)) {
    if (!connect) return;
    service_->start();
    if (!service_->wait_connected(std::chrono::steady_clock::now() + std::chrono::seconds(20)))
      throw std::runtime_error("not connected: " + service_->reason());
  }
  NatsService* operator->() { return service_.get(); }
  Ledger& ledger() { return ledger_; }

  NatsSubscription subscribe(const std::string& subject, NatsService::Handler handler, std::string_view owner) {
    return service_->subscribe(subject, std::move(handler), owner).value();
  }
  // Everything before it has reached the broker, and what the broker had sent by then was handled.
  void flush() { (void)ask("nobody.listens.here", ""); }
  Answer ask(const std::string& subject, const std::string& data, std::uint32_t timeout_ms = 20'000) {
    struct Wait {
      std::mutex mutex;
      std::condition_variable changed;
      std::unique_ptr<Answer> answer;
    };
    const auto wait = std::make_shared<Wait>();
    const auto asked = service_->request(
        {.subject = subject, .data = data},
        [wait](const NatsAnswer& answer) {
          const std::lock_guard lock(wait->mutex);
          wait->answer = std::make_unique<Answer>(
              Answer{answer.result, answer.message ? std::string(answer.message->data()) : answer.text});
          wait->changed.notify_all();
        },
        timeout_ms);
    if (!asked.ok()) return {asked, {}};
    std::unique_lock lock(wait->mutex);
    if (!wait->changed.wait_for(lock, std::chrono::seconds(40), [&] { return wait->answer != nullptr; }))
      throw std::runtime_error("no answer at all");
    return *wait->answer;
  }

 private:
  static NatsOptions changed(const std::string& url, const std::function<void(NatsOptions&)>& change) {
    NatsOptions options = nats_options(url);
    if (change) change(options);
    return options;
  }

  Ledger ledger_;
  std::unique_ptr<NatsService> service_;
};

}  // namespace ringfence::test
