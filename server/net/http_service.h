// HttpService: what all HTTP sessions share, and the routes: which request gets which answer.
//
//   GET /v1/health             status, version, uptime, counts
//   GET /v1/monitoring/ledger  every bound: used, capacity, refused, evicted; the worst case against the budget
//   GET /v1/monitoring/eventbus, /tasks  see events/event_stats.h, tasks/task_registry.h
//   GET /v1/ws                 a WebSocket (the session hands itself over)
//   GET, HEAD of all else      static files
//
// Owns     nothing but the folder's path; options, hub, ledger and log outlive it.
// Threads  const, any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>

#include <boost/beast/http/message_generator.hpp>
#include <boost/beast/http/string_body.hpp>

#include <ringfence/ledger.h>

#include "log.h"
#include "net/http_reply.h"
#include "net/static_files.h"
#include "options.h"
#include "realtime/hub.h"
#include "services.h"

namespace ringfence {

// Of the listener and the HTTP sessions.
struct HttpCounters {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> errors{0};    // answered with 4xx or 5xx of our own making
  std::atomic<std::uint64_t> timeouts{0};  // connections ended for want of a request, or of progress
  std::atomic<std::uint64_t> refused{0};   // at --connections, with 503
  std::atomic<std::uint64_t> accept_errors{0};
};

class HttpService {
 public:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;

  // `log` is null without --log-channel.
  HttpService(const Options& options, const Ledger& ledger, const Services& services, const ChannelLog* log);

  // The answer to a request that is no upgrade.
  boost::beast::http::message_generator answer(const Request& request, const ReplyTo& to);

  std::string health_json() const;
  std::string ledger_json() const;

  std::optional<ConnectionSlot> try_connect() { return hub_.try_connect(); }
  std::uint64_t connections() const { return hub_.stats().connections; }
  const Options& options() const noexcept { return options_; }
  HttpCounters& counters() noexcept { return counters_; }
  void set_stopping() noexcept { stopping_.store(true, std::memory_order_relaxed); }

 private:
  const Options& options_;
  const Ledger& ledger_;
  const Services& services_;
  Hub& hub_;
  const ChannelLog* const log_;
  const StaticFiles files_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::atomic<bool> stopping_{false};
  HttpCounters counters_;
};

}  // namespace ringfence
