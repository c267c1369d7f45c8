#include "api/publish_api.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "auth/identity.h"
#include "options.h"
#include "protocol/json.h"
#include "protocol/meaning.h"
#include "protocol/request.h"

namespace ringfence {

namespace http = boost::beast::http;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::uint64_t kAnswerBytesMean = 512;

bool good_key(std::string_view key) noexcept {
  return key.size() <= PublishApi::kKeyBytesMax &&
         std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c <= '~'; });
}

// An answer that needs no waiting.
void say(const ApiDone& done, ApiResponse response) {
  done([response = std::move(response)]() mutable { return std::move(response); });
}

ApiResponse bad_json(const JsonFault& fault) {
  return ApiResponse::fail(http::status::bad_request, "bad_json",
                           "at byte " + std::to_string(fault.position) + ": " + std::string(fault.what));
}

// The elements of a JSON array that was checked as a whole.
std::vector<std::span<char>> elements_of(std::string& array, std::uint32_t depth_max) {
  std::vector<std::span<char>> elements;
  const std::string_view text = array;
  std::size_t at = text.find('[') + 1;
  for (;;) {
    at = text.find_first_not_of(" \t\r\n,", at);
    if (text[at] == ']') return elements;
    JsonValue value;
    if (scan_json(text, at, 1, depth_max, value)) return elements;
    elements.emplace_back(array.data() + (value.text.data() - text.data()), value.text.size());
  }
}

Json told(std::string_view code, std::string_view message) { return {{"code", code}, {"message", message}}; }

}  // namespace

PublishApi::PublishApi(Hub& hub, CacheManager& caches, std::size_t keys_max, std::uint32_t json_depth_max)
    : hub_(hub), json_depth_max_(json_depth_max) {
  CacheOptions<std::string, AnswerPtr> options;
  options.name = "idempotency_keys";
  options.entries = keys_max;
  options.bytes = keys_max * kAnswerBytesMean;
  options.ttl_ms = kKeyTtlMs;
  options.bytes_of = [](const std::string& key, const AnswerPtr& answer) {
    return key.size() + sizeof(Answer) + 32 + answer->body.size();
  };
  auto created = caches.create(std::move(options));
  if (!created) throw UsageError("--idempotency-keys: the answers do not fit into --cache-memory");
  answers_ = std::move(created).value();
}

void PublishApi::add_routes(Router& router, std::uint64_t body_bytes_max) {
  const auto add = [&](const char* path, Handler handler) {
    router.add({http::verb::post,
                path,
                Access::back_end,
                body_bytes_max,
                {},
                [this, handler](ApiRequest& request, const ApiDone& done) { once(request, done, handler); }});
  };
  add("/v1/publish", &PublishApi::publish);
  add("/v1/broadcast", &PublishApi::broadcast);
}

void PublishApi::once(ApiRequest& request, const ApiDone& done, Handler handler) {
  if (request.idempotency_key.empty()) return (this->*handler)(request, done);
  if (!good_key(request.idempotency_key))
    return say(done, ApiResponse::fail(http::status::bad_request, "bad_idempotency_key",
                                       "an Idempotency-Key is at most 128 printable characters without spaces"));
  // Of one back end: another one may choose the same keys. The path is part of what was asked.
  std::string key = request.identity ? request.identity->user : std::string();
  key.append(1, '\n').append(request.idempotency_key);
  const std::size_t body_hash =
      std::hash<std::string_view>()(request.body) ^ std::hash<std::string_view>()(request.target) << 1;
  std::optional<AnswerPtr> held;
  bool reused = false;
  {
    const std::lock_guard lock(mutex_);
    held = answers_->get(key);
    if (held) {
      reused = (*held)->body_hash != body_hash;
    } else {
      const auto [found, first] = under_way_.try_emplace(key, UnderWay{body_hash, {}});
      reused = found->second.body_hash != body_hash;
      if (!first && !reused) return found->second.waiting.push_back(done);
    }
  }
  if (reused)
    return say(done, ApiResponse::fail(http::status::unprocessable_entity, "idempotency_key_reused",
                                       "this Idempotency-Key came with another request before"));
  if (held) return say(done, again(**held));
  try {
    (this->*handler)(request, [this, key, body_hash, done](ApiMake make) {
      done([this, key, body_hash, make = std::move(make)] {
        ApiResponse made = Router::call(make);
        land(key, std::make_shared<const Answer>(Answer{body_hash, made.status, made.body, made.retry_after_ms}));
        return made;
      });
    });
  } catch (...) {
    ApiResponse failed = ApiResponse::fail(http::status::internal_server_error, "internal_error", {});
    land(key, std::make_shared<const Answer>(Answer{body_hash, failed.status, std::move(failed.body), 0}));
    throw;
  }
}

// Who asked the same meanwhile gets the same answer.
void PublishApi::land(const std::string& key, const AnswerPtr& answer) {
  std::vector<ApiDone> waiting;
  {
    const std::lock_guard lock(mutex_);
    // What could not be done now is to be tried again under the same key. Refused (counted): it is not remembered.
    if (answer->status != http::status::service_unavailable) (void)answers_->put_for(key, answer, kKeyTtlMs);
    const auto found = under_way_.find(key);
    if (found == under_way_.end()) return;
    waiting = std::move(found->second.waiting);
    under_way_.erase(found);
  }
  for (const ApiDone& done : waiting) done([answer] { return again(*answer); });
}

ApiResponse PublishApi::again(const Answer& answer) {
  ApiResponse response;
  response.status = answer.status;
  response.body = answer.body;
  response.retry_after_ms = answer.retry_after_ms;
  response.replayed = true;
  return response;
}

void PublishApi::publish(ApiRequest& request, const ApiDone& done) {
  if (!valid_utf8(request.body))
    return say(done, ApiResponse::fail(http::status::bad_request, "bad_json", "not UTF-8"));
  const std::size_t first = request.body.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && request.body[first] == '[') return publish_many(std::move(request.body), done);
  Request event;
  if (const auto fault = parse_publish(request.body, json_depth_max_, event)) {
    hub_.count_refused(fault->code);
    return say(done, ApiResponse::fail(fault->code, fault->message));
  }
  const auto taken = hub_.publish_later(event.channel, event.type, event.data,
                                        [channel = event.channel, done](Result<std::uint64_t> seq) {
                                          done([channel, seq] {
                                            if (!seq) return ApiResponse::fail(seq.error(), {});
                                            ApiResponse response;
                                            response.body = Json{{"channel", channel}, {"seq", *seq}}.dump();
                                            return response;
                                          });
                                        });
  if (!taken) say(done, ApiResponse::fail(taken.error(), {}));
}

void PublishApi::publish_many(std::string body, const ApiDone& done) {
  if (const auto fault = check_json(body, json_depth_max_ + 1)) {
    hub_.count_refused(Error::bad_json);
    return say(done, bad_json(*fault));
  }
  struct Many {
    std::string body;
    std::vector<Request> parsed;                      // views of it
    std::vector<std::optional<RequestError>> faults;  // the same
  };
  const auto many = std::make_shared<Many>();
  many->body = std::move(body);
  const auto elements = elements_of(many->body, json_depth_max_ + 1);
  if (elements.size() > kEventsMax)
    return say(done, ApiResponse::fail(http::status::payload_too_large, "too_many_events",
                                       "one request takes at most " + std::to_string(kEventsMax) + " events"));
  many->parsed.resize(elements.size());
  std::vector<Hub::Event> events;
  for (std::size_t i = 0; i < elements.size(); ++i) {
    Request& event = many->parsed[i];
    many->faults.push_back(parse_publish(elements[i], json_depth_max_, event));
    if (many->faults[i])
      hub_.count_refused(many->faults[i]->code);
    else
      events.push_back({event.channel, event.type, event.data});
  }
  hub_.publish_all(events, [many, done](std::vector<Result<std::uint64_t>> seqs) {
    done([many, seqs = std::move(seqs)] {
      Json results = Json::array();
      std::size_t refused = 0;
      std::size_t taken = 0;
      for (std::size_t i = 0; i < many->parsed.size(); ++i) {
        const auto& fault = many->faults[i];
        const auto seq = fault ? Result<std::uint64_t>(fault->code) : seqs[taken++];
        if (seq) {
          results.push_back({{"channel", many->parsed[i].channel}, {"seq", *seq}});
          continue;
        }
        ++refused;
        results.push_back({{"error", told(error_code(seq.error()),
                                          fault ? std::string_view(fault->message) : error_meaning(seq.error()))}});
      }
      ApiResponse response;
      response.body =
          Json{{"published", many->parsed.size() - refused}, {"refused", refused}, {"results", std::move(results)}}
              .dump();
      return response;
    });
  });
}

// {"channels": [name, ...] or "pattern": "room:*", "type"?, "data"}
void PublishApi::broadcast(ApiRequest& request, const ApiDone& done) {
  if (!valid_utf8(request.body))
    return say(done, ApiResponse::fail(http::status::bad_request, "bad_json", "not UTF-8"));
  if (const auto fault = check_json(request.body, json_depth_max_)) {
    hub_.count_refused(Error::bad_json);
    return say(done, bad_json(*fault));
  }
  const auto bad = [&](Error code, std::string_view message) {
    hub_.count_refused(code);
    say(done, ApiResponse::fail(code, message));
  };
  // `data` is taken as it was sent, so that a number keeps its digits; the rest is read without it.
  const std::size_t begin = request.body.find_first_not_of(" \t\r\n");
  if (request.body[begin] != '{') return bad(Error::bad_json, "not a JSON object");
  if (request.body.find_first_not_of(" \t\r\n", begin + 1) == request.body.find('}'))
    return bad(Error::missing_field, "`data` is missing");
  std::string event = R"({"channel":"a",)";
  event.append(request.body, begin + 1);
  Request parsed;
  if (const auto fault = parse_publish(event, json_depth_max_, parsed)) return bad(fault->code, fault->message);
  std::string rest = event;
  rest.replace(static_cast<std::size_t>(parsed.data.data() - event.data()), parsed.data.size(), "null");
  const Json body = Json::parse(rest, nullptr, false);
  if (!body.is_object()) return bad(Error::bad_json, "a number is too large");
  if (body.contains("channels") == body.contains("pattern"))
    return bad(Error::missing_field, "one of `channels` and `pattern` is needed");
  std::vector<std::string> names;
  if (body.contains("channels")) {
    if (!body["channels"].is_array()) return bad(Error::bad_field, "`channels` is not an array");
    if (body["channels"].size() > kEventsMax)
      return say(done, ApiResponse::fail(http::status::payload_too_large, "too_many_events",
                                         "one request takes at most " + std::to_string(kEventsMax) + " channels"));
    for (const Json& name : body["channels"]) {
      if (!name.is_string() || !valid_channel_name(name.get_ref<const std::string&>()))
        return bad(Error::bad_channel, {});
      names.push_back(name.get<std::string>());
    }
  } else {
    if (!body["pattern"].is_string() || !valid_pattern(body["pattern"].get_ref<const std::string&>()))
      return bad(Error::bad_field, "`pattern` is not a channel name, or a beginning of one and *");
    names = hub_.channel_names(body["pattern"].get_ref<const std::string&>());
  }

  std::vector<Hub::Event> events;
  events.reserve(names.size());
  for (const std::string& name : names) events.push_back({name, parsed.type, parsed.data});
  // Each name stays where `events` looks at it.
  const auto sent = std::make_shared<const std::vector<std::string>>(std::move(names));
  hub_.publish_all(events, [sent, done](std::vector<Result<std::uint64_t>> seqs) {
    done([sent, seqs = std::move(seqs)] {
      Json refused = Json::object();
      std::size_t count = 0;
      for (std::size_t i = 0; i < sent->size(); ++i) {
        if (seqs[i])
          ++count;
        else
          refused[(*sent)[i]] = told(error_code(seqs[i].error()), error_meaning(seqs[i].error()));
      }
      ApiResponse response;
      response.body = Json{{"published", count}, {"refused", std::move(refused)}}.dump();
      return response;
    });
  });
}

}  // namespace ringfence
