#include "api/channels_api.h"

#include <charconv>
#include <mutex>

#include <nlohmann/json.hpp>

#include <ringfence/record.h>

#include "bus/cluster_view.h"
#include "net/query.h"
#include "protocol/json.h"
#include "protocol/presence_texts.h"
#include "realtime/history_text.h"

namespace ringfence {

namespace http = boost::beast::http;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::uint64_t kHistoryLimitMax = 1'000;

// The number that a query names, `fallback` if it does not; false if it is none in range.
bool query_number(std::string_view target, std::string_view name, std::uint64_t low, std::uint64_t high,
                  std::uint64_t& value) {
  const std::string text = query_value(target, name);
  if (text.empty()) return true;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && stop == text.data() + text.size() && value >= low && value <= high;
}

ApiResponse out_of_range(std::string_view name, std::uint64_t low, std::uint64_t high) {
  return ApiResponse::fail(Error::bad_field, "`" + std::string(name) + "` is not an integer from " +
                                                 std::to_string(low) + " to " + std::to_string(high));
}

}  // namespace

void ChannelsApi::add_routes(Router& router) {
  router.add(
      {http::verb::get, "/v1/history", Access::back_end, 0, {}, [this](ApiRequest& request, const ApiDone& done) {
         history(request, done);
       }});
  router.add({http::verb::get, "/v1/channels", Access::back_end, 0, [this](ApiRequest& r) { return channels(r); }});
  router.add({http::verb::get, "/v1/presence", Access::back_end, 0, [this](ApiRequest& r) { return presence(r); }});
  router.add({http::verb::get, "/v1/info", Access::back_end, 0, [this](ApiRequest&) { return info(); }});
}

void ChannelsApi::history(const ApiRequest& request, const ApiDone& done) {
  auto asked = std::make_shared<Request>();
  if (auto refused = history_asked(request, *asked)) return done([refused] { return *refused; });
  hub_.when_readable(asked->channel, [this, asked, done](Result<void> ready) {
    done([this, asked, ready] {
      if (!ready) return ApiResponse::fail(ready.error(), {});
      const auto text = history_text(hub_, events_, *asked);
      if (!text) return ApiResponse::fail(text.error(), {});
      ApiResponse response;
      response.body = text->view();
      return response;
    });
  });
}

std::optional<ApiResponse> ChannelsApi::history_asked(const ApiRequest& request, Request& asked) {
  asked.op = Op::history;
  asked.channel = query_value(request.target, "channel");
  if (asked.channel.empty()) return ApiResponse::fail(Error::missing_field, "`channel` is missing");
  if (!valid_channel_name(asked.channel)) return ApiResponse::fail(Error::bad_channel, {});
  std::uint64_t limit = asked.limit;
  if (!query_number(request.target, "limit", 1, kHistoryLimitMax, limit))
    return out_of_range("limit", 1, kHistoryLimitMax);
  if (!query_number(request.target, "after", 0, kSeqMax, asked.after_seq)) return out_of_range("after", 0, kSeqMax);
  asked.limit = static_cast<std::uint32_t>(limit);
  if (std::string epoch = query_value(request.target, "epoch"); !epoch.empty()) asked.epoch = std::move(epoch);
  return std::nullopt;
}

ApiResponse ChannelsApi::channels(const ApiRequest& request) {
  std::string pattern = query_value(request.target, "pattern");
  if (pattern.empty()) pattern = "*";
  if (!valid_pattern(pattern))
    return ApiResponse::fail(Error::bad_field, "`pattern` is not a channel name, or a beginning of one and *");
  std::uint64_t limit = kPageDefault;
  if (!query_number(request.target, "limit", 1, kPageMax, limit)) return out_of_range("limit", 1, kPageMax);
  const std::string after = query_value(request.target, "after");
  if (!after.empty() && !valid_channel_name(after)) return ApiResponse::fail(Error::bad_channel, {});

  const auto names = hub_.channel_names(pattern, after, limit + 1);
  Json page = Json::array();
  for (std::size_t i = 0; i < names.size() && i < limit; ++i) {
    const ChannelPtr channel = hub_.find(names[i]);
    if (!channel) continue;  // forgotten meanwhile
    const std::lock_guard lock(channel->mutex);
    if (channel->forgotten) continue;
    const History& history = channel->history;
    page.push_back({{"channel", names[i]},
                    {"epoch", channel->epoch()},
                    {"first", history.first_seq()},
                    {"next", history.next_seq()},
                    {"records", history.size()},
                    {"bytes", history.allocated_bytes()},
                    {"evicted", history.evicted_total()}});
  }
  Json answer{{"channels", std::move(page)}, {"more", names.size() > limit}};
  if (names.size() > limit) answer["after"] = names[limit - 1];
  ApiResponse response;
  response.body = answer.dump();
  return response;
}

ApiResponse ChannelsApi::presence(const ApiRequest& request) const {
  const std::string channel = query_value(request.target, "channel");
  if (channel.empty()) return ApiResponse::fail(Error::missing_field, "`channel` is missing");
  if (!valid_channel_name(channel)) return ApiResponse::fail(Error::bad_channel, {});
  std::uint64_t limit = kPageDefault;
  std::uint64_t after = 0;
  if (!query_number(request.target, "limit", 1, kPageMax, limit)) return out_of_range("limit", 1, kPageMax);
  if (!query_number(request.target, "after", 0, kSeqMax, after)) return out_of_range("after", 0, kSeqMax);
  ApiResponse response;
  response.body = presence_answer(channel, presence_.members(channel, after, limit, options_.limits.frame_bytes, true));
  return response;
}

ApiResponse ChannelsApi::info() const {
  const HubStats stats = hub_.stats();
  const Limits& limits = options_.limits;
  Json answer{{"server", "ringfence/" RINGFENCE_VERSION},
              {"threads", hub_.shards()},
              {"channels", stats.channels},
              {"connections", stats.connections},
              {"subscriptions", stats.subscriptions},
              {"published", stats.published},
              {"delivered", stats.delivered},
              {"limits",
               {{"connections", limits.connections_max},
                {"channels", limits.channels_max},
                {"subscriptions", limits.subscriptions_max},
                {"history_records", limits.history_records_max},
                {"history_bytes", limits.history_bytes_max},
                {"history_age_s", limits.history_age_max_s},
                {"message_bytes", limits.message_bytes},
                {"http_publish_bytes", limits.http_publish_bytes},
                {"memory_budget_bytes", options_.memory_budget_bytes}}}};
  if (cluster_) {
    ClusterNode all;
    Json nodes = Json::array();
    for (const ClusterNode& node : cluster_->nodes()) {
      all.connections += node.connections;
      all.users += node.users;
      all.subscriptions += node.subscriptions;
      nodes.push_back({{"node", node.name},
                       {"self", node.self},
                       {"connections", node.connections},
                       {"users", node.users},
                       {"channels", node.channels},
                       {"subscriptions", node.subscriptions},
                       {"published", node.published},
                       {"heard_ms_ago", node.heard_ms_ago}});
    }
    answer["node"] = cluster_->name();
    answer["nodes"] = std::move(nodes);
    answer["nodes_not_listed"] = cluster_->not_listed();
    answer["cluster"] = {{"connections", all.connections}, {"users", all.users}, {"subscriptions", all.subscriptions}};
  }
  ApiResponse response;
  response.body = answer.dump();
  return response;
}

}  // namespace ringfence
