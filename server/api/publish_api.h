// Publishing for back ends over HTTP (protocol.md, "HTTP for back ends"):
//
//   POST /v1/publish    one event, or an array of at most kEventsMax
//   POST /v1/broadcast  one event to the channels named, or to all existing ones that match a pattern
//
// An Idempotency-Key makes a repeated request safe: the second one gets the first one's answer and publishes nothing.
// Owns     the answers by key, within --idempotency-keys and kAnswerBytesMax each, for ten minutes; in "caches".
// Over JetStream the answer comes when the stream has it, and no thread waits for that.
// Threads  any. Two requests with one key at the same time: the second is answered with the first.
// Bounds   requests under way: one for each connection. The body by --http-publish-bytes; each event as a client's, but no limit of rate or of strings.
// Errors   bad_json (with the byte), missing_field, bad_field, bad_channel, bad_type, too_many_events, record_too_large,
//          too_many_channels, overloaded, idempotency_key_reused (422: another body), bad_idempotency_key; over JetStream
//          broker_timeout (504: whether it was published is not known), broker_unavailable (503), broker_refused (502).
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/router.h"
#include "caching/cache_manager.h"
#include "realtime/hub.h"

namespace ringfence {

class PublishApi {
 public:
  static constexpr std::size_t kEventsMax = 1'000;
  static constexpr std::size_t kKeyBytesMax = 128;
  static constexpr std::int64_t kKeyTtlMs = 600'000;

  PublishApi(Hub& hub, CacheManager& caches, std::size_t keys_max, std::uint32_t json_depth_max);

  void add_routes(Router& router, std::uint64_t body_bytes_max);

 private:
  struct Answer {
    std::size_t body_hash = 0;
    boost::beast::http::status status{};
    std::string body;
    std::uint32_t retry_after_ms = 0;
  };
  using AnswerPtr = std::shared_ptr<const Answer>;
  using Handler = void (PublishApi::*)(ApiRequest&, const ApiDone&);
  // A request with a key that is not answered yet, and the others with that key, which wait for its answer.
  struct UnderWay {
    std::size_t body_hash;
    std::vector<ApiDone> waiting;
  };

  void once(ApiRequest& request, const ApiDone& done, Handler handler);
  void land(const std::string& key, const AnswerPtr& answer);
  static ApiResponse again(const Answer& answer);
  void publish(ApiRequest& request, const ApiDone& done);
  void publish_many(std::string body, const ApiDone& done);
  void broadcast(ApiRequest& request, const ApiDone& done);

  Hub& hub_;
  const std::uint32_t json_depth_max_;
  std::shared_ptr<Cache<std::string, AnswerPtr>> answers_;
  std::mutex mutex_;
  std::unordered_map<std::string, UnderWay> under_way_;  // under it
};

}  // namespace ringfence
