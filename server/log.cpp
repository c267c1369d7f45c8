#include "log.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "realtime/hub.h"

namespace ringfence {
namespace {

std::shared_ptr<spdlog::sinks::dist_sink_mt> sinks() {
  static const auto all = [] {
    auto dist = std::make_shared<spdlog::sinks::dist_sink_mt>();
    dist->add_sink(std::make_shared<spdlog::sinks::stderr_sink_mt>());
    return dist;
  }();
  return all;
}

thread_local bool publishing = false;

}  // namespace

void set_up_logs(const std::string& level) {
  spdlog::set_default_logger(logger("server"));
  spdlog::set_level(level == "warn" ? spdlog::level::warn : spdlog::level::from_str(level));
  spdlog::flush_on(spdlog::level::info);
}

std::shared_ptr<spdlog::logger> logger(const std::string& name) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  if (auto known = spdlog::get(name)) return known;
  auto made = std::make_shared<spdlog::logger>(name, sinks());
  spdlog::initialize_logger(made);
  made->set_formatter(
      std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%fZ %-5l %n: %v", spdlog::pattern_time_type::utc));
  return made;
}

class ChannelLog::Sink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit Sink(ChannelLog& log) : log_(log) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (publishing) return;
    const auto level = spdlog::level::to_string_view(message.level);
    const std::size_t bytes = std::min(message.payload.size(), kLineBytesMax);
    log_.take({std::string(level.data(), level.size()),
               std::string(message.logger_name.data(), message.logger_name.size()),
               std::string(message.payload.data(), bytes)});
  }
  void flush_() override {}

  ChannelLog& log_;
};

void ChannelLog::attach(Hub& hub, std::string channel, std::function<void(std::function<void()>)> post) {
  hub_ = &hub;
  channel_ = std::move(channel);
  post_ = std::move(post);
  sink_ = std::make_shared<Sink>(*this);
  sinks()->add_sink(sink_);
}

void ChannelLog::detach() {
  if (!sink_) return;
  sinks()->remove_sink(sink_);
  sink_.reset();
  const std::lock_guard lock(mutex_);
  queue_.clear();
}

void ChannelLog::take(Line&& line) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() == kLinesMax) {
    queue_.pop_front();
    ++dropped_unsaid_;
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
  queue_.push_back(std::move(line));
  if (std::exchange(posted_, true)) return;
  post_([this] { publish_queued(); });
}

void ChannelLog::publish_queued() {
  std::deque<Line> lines;
  std::uint64_t dropped = 0;
  {
    const std::lock_guard lock(mutex_);
    lines.swap(queue_);
    dropped = std::exchange(dropped_unsaid_, 0);
    posted_ = false;
  }
  publishing = true;
  for (const Line& line : lines) {
    nlohmann::ordered_json event{{"level", line.level}, {"logger", line.logger}, {"text", line.text}};
    if (dropped > 0) event["dropped_before"] = std::exchange(dropped, 0);
    (void)hub_->publish_later(channel_, "log", event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                              [](Result<std::uint64_t>) {});
  }
  publishing = false;
}

}  // namespace ringfence
