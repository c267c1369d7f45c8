#include "pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <nlohmann/json.hpp>

#include "net/socket.h"
#include "pipe_lines.h"
#include "realtime/rate_limiter.h"

namespace ringfence {
namespace {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;
using ErrorCode = boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

constexpr std::size_t kLineBytesMaxUnknown = 64 * 1024;  // until `welcome` tells
constexpr auto kConnectTimeout = std::chrono::seconds(10);
constexpr auto kIdleTimeout = std::chrono::seconds(60);
constexpr auto kEndTimeout = std::chrono::seconds(5);  // for the last answers after a signal
constexpr auto kCloseTimeout = std::chrono::seconds(1);
constexpr std::int64_t kBackoffMsMin = 100;
constexpr std::int64_t kBackoffMsMax = 5'000;

struct Url {
  std::string host, port, path;
};

Url parse_url(const std::string& url) {
  if (url.starts_with("wss://")) throw UsageError("pipe --url: wss is not supported, only ws");
  if (!url.starts_with("ws://")) throw UsageError("pipe --url: '" + url + "' does not begin with ws://");
  const std::string rest = url.substr(5);
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string authority = rest.substr(0, slash);
  Url parts{authority, "80", slash < rest.size() ? rest.substr(slash) : "/v1/ws"};
  const std::size_t colon = authority.rfind(':');
  if (colon != std::string::npos && authority.find(']', colon) == std::string::npos) {
    parts.host = authority.substr(0, colon);
    parts.port = authority.substr(colon + 1);
  }
  if (parts.host.starts_with('[') && parts.host.ends_with(']'))
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  if (parts.host.empty() || parts.port.empty()) throw UsageError("pipe --url: '" + url + "' has no host or port");
  return parts;
}

// A line that was read and is not done. Its text is shared with the write in flight.
struct Line {
  std::uint64_t id;
  std::shared_ptr<const std::string> message;
};

class Pipe {
 public:
  Pipe(const PipeOptions& options, int input)
      : options_(options),
        url_(parse_url(options.url)),
        frame_{options.channel, options.type},
        input_error_(error_of(input)),
        input_(io_),
        timer_(io_),
        hold_timer_(io_),
        end_timer_(io_),
        signals_(io_, SIGINT, SIGTERM),
        lines_(kLineBytesMaxUnknown) {
    open_input(input);
  }

  int run(std::FILE* report) {
    if (failure_.empty()) {
      signals_.async_wait([this](ErrorCode error, int) { on_signal(error); });
      connect();
      io_.run();
      // Asio made the descriptor non-blocking, and a terminal's is shared with the shell and with stderr.
      (void)::fcntl(input_.native_handle(), F_SETFL, input_flags_);
    }
    const std::uint64_t unknown = unknown_ + under_way_.size();
    std::string text = "sent " + std::to_string(sent_) + ", refused " + std::to_string(refused_total_);
    const char* before = " (";
    for (const auto& [code, count] : refused_) {
      text += before + code + ": " + std::to_string(count);
      before = ", ";
    }
    if (!refused_.empty()) text += ')';
    if (unknown > 0) text += ", unknown " + std::to_string(unknown);
    if (not_sent() > 0) text += ", not sent " + std::to_string(not_sent());
    if (!failure_.empty()) text += "; " + failure_;
    if (!eof_ && (not_sent() > 0 || !failure_.empty())) text += "; the input was not read to its end";
    std::fprintf(report, "%s\n", text.c_str());
    std::fflush(report);
    return refused_total_ + unknown + not_sent() == 0 && failure_.empty() ? kExitOk : kExitRuntime;
  }

 private:
  using Stream = websocket::stream<Socket, false>;

  // --- the connection -----------------------------------------------------------------------------------------------

  void connect() {
    ws_ = std::make_shared<Stream>(io_);
    buffer_.clear();
    open_ = writing_ = false;
    closing_ = false;
    ErrorCode error;
    asio::ip::basic_resolver<Tcp, Executor> resolver(io_);
    const auto endpoints = resolver.resolve(url_.host, url_.port, error);
    if (error) return lost(error);
    timer_.expires_after(kConnectTimeout);
    timer_.async_wait([this, ws = ws_](ErrorCode failed) {
      if (!failed && ws == ws_ && !open_) close_socket();
    });
    asio::async_connect(ws_->next_layer(), endpoints, [this, ws = ws_](ErrorCode failed, const Tcp::endpoint&) {
      if (failed) return lost(failed);
      ErrorCode ignored;
      ws->next_layer().set_option(Tcp::no_delay(true), ignored);
      auto timeouts = websocket::stream_base::timeout::suggested(boost::beast::role_type::client);
      timeouts.idle_timeout = kIdleTimeout;
      timeouts.keep_alive_pings = true;
      ws->set_option(timeouts);
      const std::string& credential = options_.api_key.empty() ? options_.token : options_.api_key;
      ws->set_option(websocket::stream_base::decorator([credential](websocket::request_type& request) {
        if (!credential.empty()) request.set(boost::beast::http::field::authorization, "Bearer " + credential);
        request.set(boost::beast::http::field::sec_websocket_protocol, "ringfence.v1.json");
        request.set(boost::beast::http::field::user_agent, "ringfence-pipe/" RINGFENCE_VERSION);
      }));
      ws->auto_fragment(false);
      ws->async_handshake(response_, url_.host + ":" + url_.port, url_.path, [this, ws](ErrorCode refused) {
        if (refused == websocket::error::upgrade_declined)
          return give_up("the server answered with HTTP " + std::to_string(response_.result_int()) + declined_code());
        if (refused) return lost(refused);
        read();
      });
    });
  }

  // ", token_expired": what the body says, if it is one of ours.
  std::string declined_code() const {
    const Json body = Json::parse(response_.body(), nullptr, false);
    const Json* const error = body.is_object() && body.contains("error") ? &body["error"] : nullptr;
    const bool coded = error && error->is_object() && error->contains("code") && (*error)["code"].is_string();
    return coded ? ", " + (*error)["code"].get<std::string>() : std::string();
  }

  void read() {
    ws_->async_read(buffer_, [this, ws = ws_](ErrorCode error, std::size_t) {
      if (ws != ws_) return;
      if (error) return lost(error);
      const auto data = buffer_.cdata();
      take({static_cast<const char*>(data.data()), data.size()});
      buffer_.clear();
      if (!finished()) read();
    });
  }

  // What was under way when the connection ended, and how it goes on.
  void lost(ErrorCode error) {
    timer_.cancel();
    if (finished_) return;
    // A close frame comes behind all answers: what has none by then was not taken.
    if (error == websocket::error::closed && ws_->reason().code != websocket::close_code::internal_error) {
      todo_.insert(todo_.begin(), under_way_.begin(), under_way_.end());
    } else {
      unknown_ += under_way_.size();
      for (const Line& line : under_way_) window_bytes_ -= line.message->size();
    }
    under_way_.clear();
    const bool was_open = std::exchange(open_, false);
    writing_ = false;
    close_socket();
    if (was_open || !lost_at_) {
      lost_at_ = was_open ? Clock::now() : lost_at_;
      if (was_open) attempts_ = 0;
    }
    if (needless()) return finish();
    if (!was_open && !ever_open_) return give_up("cannot reach " + options_.url + ": " + error.message());
    if (signalled_ || Clock::now() - *lost_at_ >= std::chrono::seconds(options_.reconnect_s))
      return give_up("the connection to " + options_.url + " was lost: " + error.message());
    const std::int64_t cap = std::min(kBackoffMsMax, kBackoffMsMin << std::min(attempts_++, 10));
    const std::int64_t delay = std::uniform_int_distribution<std::int64_t>(cap / 2, cap)(random_);
    timer_.expires_after(std::chrono::milliseconds(std::max<std::int64_t>(delay, retry_after_ms_)));
    retry_after_ms_ = 0;
    timer_.async_wait([this](ErrorCode failed) {
      if (!failed) connect();
    });
  }

  void give_up(const std::string& why) {
    fail(why);
    finish();
  }

  void fail(const std::string& why) {
    if (!failure_.empty()) failure_ += "; ";
    failure_ += why;
  }

  bool finished() {
    if (finished_) return true;
    if (!input_ended_ || !todo_.empty() || !under_way_.empty()) return false;
    finish();
    return true;
  }

  void finish() {
    if (std::exchange(finished_, true)) return;
    if (!open_) return stop();
    timer_.expires_after(kCloseTimeout);
    timer_.async_wait([this](ErrorCode failed) {
      if (!failed) stop();
    });
    ws_->async_close(websocket::close_code::normal, [this, ws = ws_](ErrorCode) { stop(); });
  }

  // Without waiting for anyone. A stream may keep a timer of its own for a minute, so the io_context is stopped, too.
  void stop() {
    finished_ = true;
    close_socket();
    io_.stop();
  }

  void close_socket() {
    ErrorCode ignored;
    if (ws_) ws_->next_layer().close(ignored);
  }

  void on_signal(ErrorCode error) {
    if (error) return;
    if (finished_ || std::exchange(signalled_, true)) return stop();
    input_ended_ = true;  // what was read is still sent
    if (!open_) return needless() ? finish() : give_up("no connection to " + options_.url);
    signals_.async_wait([this](ErrorCode failed, int) { on_signal(failed); });
    end_timer_.expires_after(kEndTimeout);
    end_timer_.async_wait([this](ErrorCode failed) {
      if (!failed) stop();
    });
    (void)finished();
  }

  // --- messages of the server -------------------------------------------------------------------------------------------

  void take(std::string_view text) {
    const Json message = Json::parse(text, nullptr, false);
    if (!message.is_object()) return;
    try {
      take_message(message);
    } catch (const Json::exception&) {  // a field that is missing, or of another type
      give_up("the server at " + options_.url + " does not speak ringfence.v1.json");
    }
  }

  void take_message(const Json& message) {
    const std::string op = message.value("op", std::string());
    if (op == "ok") {
      if (remove(message)) ++sent_;
    } else if (op == "error") {
      take_error(message);
    } else if (op == "closing") {
      closing_ = true;
      retry_after_ms_ = message.value("retry_after_ms", std::int64_t{0});
    } else if (op == "welcome") {
      timer_.cancel();
      open_ = ever_open_ = true;
      const Json& limits = message.at("limits");
      message_bytes_max_ = limits.value("message_bytes", kLineBytesMaxUnknown);
      pace_.reset();
      if (const std::uint32_t count = limits.value("inbound_messages", 0u))
        pace_ = Rate{count, std::max(1u, limits.value("inbound_window_s", 60u)) * 1000};
      pacer_ = {};
      lines_.set_line_bytes_max(message_bytes_max_);
    }
    pump();
  }

  void take_error(const Json& message) {
    const std::string code = message.value("code", std::string("unknown"));
    if (code == "too_many_errors") return;  // the server closes next; what it did not answer is published again
    const auto line = remove(message);
    if (!line) return;
    if (code != "overloaded" && code != "rate_limited") return refuse(code);
    // Nothing is lost: it goes back to its place, and all wait.
    window_bytes_ += line->message->size();
    todo_.insert(std::upper_bound(todo_.begin(), todo_.end(), line->id,
                                  [](std::uint64_t id, const Line& other) { return id < other.id; }),
                 *line);
    hold(message.value("retry_after_ms", std::int64_t{100}));
  }

  // Nothing is written for so long.
  void hold(std::int64_t wait_ms) {
    if (std::exchange(held_, true)) return;
    hold_timer_.expires_after(std::chrono::milliseconds(wait_ms));
    hold_timer_.async_wait([this](ErrorCode failed) {
      if (failed) return;
      held_ = false;
      if (!finished_) pump();
    });
  }

  // The line that an answer is about: by its id, or, without one, the oldest, as answers come in order.
  std::optional<Line> remove(const Json& message) {
    auto it = under_way_.begin();
    if (const auto id = message.find("id"); id != message.end() && id->is_number_unsigned())
      it = std::find_if(it, under_way_.end(), [&](const Line& line) { return line.id == id->get<std::uint64_t>(); });
    if (it == under_way_.end()) return std::nullopt;
    Line line = std::move(*it);
    under_way_.erase(it);
    window_bytes_ -= line.message->size();
    return line;
  }

  void refuse(const std::string& code) {
    ++refused_total_;
    ++refused_[code];
  }

  // --- lines ----------------------------------------------------------------------------------------------------------

  static std::int64_t now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count();
  }

  // What was read, and neither written nor refused.
  std::uint64_t not_sent() const { return todo_.size() + lines_.left(); }

  // Whether there is nothing to connect again for.
  bool needless() const { return (eof_ || signalled_) && ever_open_ && not_sent() == 0; }

  bool window_full() const {
    return todo_.size() + under_way_.size() >= options_.window_lines || window_bytes_ >= options_.window_bytes;
  }

  void pump() {
    if (finished_) return;
    if (!open_) return needless() ? finish() : void();
    take_lines();
    write();
    if (!finished()) wait_for_input();
  }

  void take_lines() {
    std::string_view line;
    while (!window_full()) {
      const auto got = lines_.next(line);
      if (got == LineBuffer::Got::nothing) {
        if (eof_) input_ended_ = true;
        return;
      }
      if (got == LineBuffer::Got::too_long) {
        refuse("message_too_large");
        continue;
      }
      auto message = frame_.message(next_id_, line);
      if (!message) {
        refuse("invalid_utf8");
        continue;
      }
      if (message->size() > message_bytes_max_) {
        refuse("message_too_large");
        continue;
      }
      window_bytes_ += message->size();
      todo_.push_back({next_id_++, std::make_shared<const std::string>(std::move(*message))});
    }
  }

  void wait_for_input() {
    if (waiting_ || eof_ || input_ended_ || window_full()) return;
    waiting_ = true;
    input_.async_wait(asio::posix::stream_descriptor::wait_read, [this](ErrorCode error) {
      waiting_ = false;
      if (finished_ || input_ended_) return;
      // A regular file cannot be waited for, and need not be.
      if (error && error != asio::error::operation_not_supported) end_input(error);
      if (!eof_) read_input();
      pump();
    });
  }

  // What a read fails with; of no bytes, so that it takes none.
  static ErrorCode error_of(int input) {
    char none = 0;
    return ::read(input, &none, 0) < 0 ? last_error() : ErrorCode();
  }

  void open_input(int input) {
    if (input_error_) return end_input(input_error_);
    const int copy = ::fcntl(input, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return end_input(last_error());
    input_flags_ = ::fcntl(copy, F_GETFL);
    input_.assign(copy);
  }

  void read_input() {
    const ssize_t bytes = ::read(input_.native_handle(), lines_.room(), LineBuffer::kChunkBytes);
    const ErrorCode error = bytes < 0 ? last_error() : ErrorCode();
    lines_.filled(bytes > 0 ? static_cast<std::size_t>(bytes) : 0);
    if (bytes > 0 || error == asio::error::try_again || error == asio::error::interrupted) return;
    end_input(error);
  }

  static ErrorCode last_error() { return {errno, boost::system::system_category()}; }

  // Half a line is a line at the end, but not at a failure: it would be published as if it were whole.
  void end_input(ErrorCode error) {
    eof_ = true;
    if (!error) return lines_.end();
    fail("cannot read the input: " + error.message());
  }

  void write() {
    if (writing_ || todo_.empty() || held_ || closing_) return;
    // At the pace that the server takes, so that it need not refuse.
    if (const std::uint32_t wait_ms = pace_ ? pacer_.take(now_ms(), *pace_) : 0) return hold(wait_ms);
    writing_ = true;
    under_way_.push_back(std::move(todo_.front()));
    todo_.pop_front();
    const auto message = under_way_.back().message;
    ws_->async_write(asio::buffer(*message), [this, ws = ws_, message](ErrorCode error, std::size_t) {
      if (ws != ws_ || finished_) return;
      writing_ = false;
      if (!error) pump();  // else: the read tells, behind the last answers
    });
  }

  const PipeOptions options_;
  const Url url_;
  const PublishFrame frame_;
  // Before all that opens a descriptor: where stdin is closed, that takes its number.
  const ErrorCode input_error_;
  asio::io_context io_{1};
  asio::posix::basic_stream_descriptor<Executor> input_;
  Timer timer_;       // for connecting, connecting again, closing
  Timer hold_timer_;  // while the server is overloaded, or its rate is used up
  Timer end_timer_;   // from the first signal on
  asio::basic_signal_set<Executor> signals_;
  std::shared_ptr<Stream> ws_;
  websocket::response_type response_;
  boost::beast::flat_buffer buffer_;
  LineBuffer lines_;
  int input_flags_ = 0;
  std::deque<Line> todo_;       // read, not yet written; by id
  std::deque<Line> under_way_;  // written, not yet answered
  std::size_t window_bytes_ = 0;
  std::size_t message_bytes_max_ = kLineBytesMaxUnknown;
  std::optional<Rate> pace_;  // of `welcome`; none: only back-pressure
  RateLimiter pacer_;
  std::uint64_t next_id_ = 1;
  std::uint64_t sent_ = 0;
  std::uint64_t refused_total_ = 0;
  std::uint64_t unknown_ = 0;
  std::map<std::string, std::uint64_t> refused_;
  std::string failure_;
  std::optional<Clock::time_point> lost_at_;
  int attempts_ = 0;
  std::int64_t retry_after_ms_ = 0;
  bool open_ = false;
  bool ever_open_ = false;
  bool closing_ = false;
  bool writing_ = false;
  bool waiting_ = false;
  bool held_ = false;
  bool eof_ = false;          // of the input, or a failure; lines may still be in lines_
  bool input_ended_ = false;  // and those are taken
  bool finished_ = false;
  bool signalled_ = false;
  std::minstd_rand random_{std::random_device()()};
};

}  // namespace

int run_pipe(const PipeOptions& options, int input, std::FILE* report) { return Pipe(options, input).run(report); }

}  // namespace ringfence
