// HttpService: what all HTTP sessions share, and the routes: which request gets which answer.
//
//   /metrics, /v1/...       by the router: monitoring/, api/
//   GET /v1/ws              a WebSocket (the session hands itself over)
//   GET, HEAD of all else   static files
//
// Owns     the routes and what answers them; options, services, ledger and log outlive it.
// Threads  any thread.
// Bounds   answers above kAnswerBytesFree are counted as inbound memory until they are sent; full: overloaded.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include <boost/beast/http/message_generator.hpp>
#include <boost/beast/http/string_body.hpp>

#include <ringfence/ledger.h>

#include "api/router.h"
#include "net/http_reply.h"
#include "net/static_files.h"
#include "options.h"
#include "realtime/hub.h"
#include "services.h"

namespace ringfence {

class ChannelLog;
class ChannelsApi;
class ConnectionsApi;
class MonitoringApi;
class PublishApi;

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

  ~HttpService();

  struct Answer {
    boost::beast::http::message_generator message;
    std::uint64_t counted_bytes;  // of the hub's inbound account: to be given back when it is sent
  };
  // The answer to a request that is no upgrade, or none: then `later` is called with it, once, as router.h says, or was.
  // Takes its body.
  std::optional<Answer> answer(Request& request, const ReplyTo& to, const ApiDone& later);
  Answer finish(ApiResponse response, const ReplyTo& to);
  // The most that the body of such a request may have.
  std::uint64_t body_bytes_max(boost::beast::http::verb method, std::string_view target) const;

  // Whether this path is the server's own, and no file's.
  static bool routed(std::string_view path) noexcept;
  // Without authentication no page but those of origin_allowed() may ask for what is routed, not only for a WebSocket;
  // and on a loopback address, which alone protects the server then, every request's Host must be of this machine.
  bool origins_checked() const noexcept { return !options_.auth.enabled(); }
  bool hosts_checked() const noexcept { return hosts_checked_; }

  std::optional<ConnectionSlot> try_connect() { return hub_.try_connect(); }
  std::uint64_t connections() const { return hub_.stats().connections; }
  const Options& options() const noexcept { return options_; }
  HttpCounters& counters() noexcept { return counters_; }
  const HttpCounters& counters() const noexcept { return counters_; }
  bool stopping() const noexcept { return stopping_.load(std::memory_order_relaxed); }
  void set_stopping() noexcept { stopping_.store(true, std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kAnswerBytesFree = 4 * 1024;

  ApiResponse answer_unknown(const Request& request, std::string_view path);
  std::optional<ApiResponse> answer_api(Request& request, const Route* route, std::string_view parameter,
                                        const ApiDone& later);

  const Options& options_;
  const bool hosts_checked_;
  const Services& services_;
  Hub& hub_;
  const StaticFiles files_;
  std::atomic<bool> stopping_{false};
  HttpCounters counters_;
  Router router_;
  const std::unique_ptr<MonitoringApi> monitoring_;
  const std::unique_ptr<PublishApi> publishing_;
  const std::unique_ptr<ChannelsApi> channels_;
  const std::unique_ptr<ConnectionsApi> connections_api_;
};

}  // namespace ringfence
