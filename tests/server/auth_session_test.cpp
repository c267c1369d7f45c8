// What an open connection may do, and how its rights change and end.
#include "auth/api_keys.h"
#include "auth/authenticator.h"
#include "support/catch.h"
#include "support/tokens.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

void with_tokens(Options& options) {
  options.auth.jwt_secret = kSecret;
  options.auth.jwt_clock_skew_s = 0;
}

// {"sub":user,"exp":…,"ringfence":rights}
std::string token_with(const std::string& user, const Json& rights, double exp_s = 0) {
  Json claims = claims_of(user, {{"ringfence", rights}});
  if (exp_s != 0) claims["exp"] = exp_s;
  return token(claims);
}

struct Member {
  Member(const TestServer& test, const std::string& token, const std::string& query = "")
      : client(test.server.port(), "ringfence.v1.json, bearer." + token, query) {}
  std::string code_of(const Json& op) { return client.error_of(op.dump()); }
  WsClient client;
};

Json op(const char* name, const char* channel) {
  Json json{{"op", name}, {"channel", channel}};
  if (json["op"] == "publish") json["data"] = 1;
  return json;
}

}  // namespace

TEST_CASE("A channel that the token does not name is forbidden, op by op", "[auth]") {
  TestServer test(with_tokens);
  test.publish("news", "1");
  Member ann(test, token_with("ann", {{"subscribe", {"room:*"}}, {"publish", {"room:1"}}}));
  for (const char* name : {"subscribe", "history", "presence", "join", "leave", "publish"}) {
    CAPTURE(name);
    CHECK(ann.code_of(op(name, "news")) == "forbidden");
  }
  CHECK(ann.code_of(op("publish", "room:2")) == "forbidden");
  ann.client.subscribe("room:2");
  ann.client.subscribe("room:1");
  ann.client.send_op(op("publish", "room:1"));
  CHECK(ann.client.events(1)[0].channel == "room:1");
  CHECK(test.server.hub().stats().refused[static_cast<std::size_t>(Error::forbidden)] == 7);
  CHECK(test.server.hub().stats().published == 2);
}

TEST_CASE("A forbidden channel in ?channels= is refused, and the others are subscribed to", "[auth]") {
  TestServer test(with_tokens);
  Member ann(test, token_with("ann", {{"subscribe", {"room:*"}}}), "?channels=news,room:1");
  CHECK(ann.client.expect("error")["code"] == "forbidden");
  CHECK(ann.client.expect("subscribed")["channel"] == "room:1");
}

TEST_CASE("A refresh changes what a connection may do", "[auth]") {
  TestServer test(with_tokens);
  Member ann(test, token_with("ann", {{"subscribe", {"a"}}}));
  CHECK(ann.code_of(op("subscribe", "b")) == "forbidden");
  const Json answer = ann.client.request(
      {{"op", "refresh"}, {"id", 7}, {"token", token_with("ann", {{"subscribe", {"a", "b"}}})}}, "ok");
  CHECK(answer == Json{{"op", "ok"}, {"id", 7}});
  ann.client.subscribe("b");
}

TEST_CASE("A refresh with a bad token is an error and leaves the old identity", "[auth]") {
  TestServer test(with_tokens);
  Member ann(test, token_with("ann", {{"subscribe", {"a"}}}));
  const auto refresh = [&](const std::string& token) { return ann.code_of({{"op", "refresh"}, {"token", token}}); };
  CHECK(refresh("nonsense") == "token_malformed");
  CHECK(refresh(token_with("ann", {{"subscribe", {"b"}}}, static_cast<double>(now_s() - 10))) == "token_expired");
  CHECK(refresh(token_with("bob", {{"subscribe", {"b"}}})) == "token_user");
  CHECK(refresh(token(claims_of("ann", {{"sid", "other"}}))) == "token_user");
  CHECK(refresh(std::string(20'000, 'a')) == "token_malformed");
  CHECK(ann.client.error_of(R"({"op":"refresh"})") == "missing_field");
  CHECK(ann.client.error_of(R"({"op":"refresh","token":7})") == "bad_field");
  CHECK(ann.code_of(op("subscribe", "b")) == "forbidden");
  ann.client.subscribe("a");
}

TEST_CASE("Subscriptions that a refresh no longer allows end, each told why, and no event of theirs follows",
          "[auth]") {
  TestServer test(with_tokens);
  Member ann(test, token(claims_of("ann")));
  constexpr int kLost = 100;  // far more than may wait for the client
  for (int i = 0; i < kLost; ++i) ann.client.subscribe(numbered("lost:", static_cast<std::uint64_t>(i)));
  ann.client.subscribe("kept");
  ann.client.send_op({{"op", "refresh"}, {"id", 1}, {"token", token_with("ann", {{"subscribe", {"kept"}}})}});
  ann.client.expect("ok");
  for (int i = 0; i < kLost; ++i) test.publish(numbered("lost:", static_cast<std::uint64_t>(i)), "1");
  test.publish("kept", "2");
  std::vector<std::string> ended;
  while (ended.size() < kLost) {
    const WsClient::Message message = ann.client.read();
    for (const auto& event : message.events) CHECK(event.channel == "kept");
    if (!message.events.empty()) continue;
    REQUIRE(message.json["op"] == "unsubscribed");
    CHECK(message.json["reason"] == "forbidden");
    ended.push_back(message.json["channel"]);
  }
  std::sort(ended.begin(), ended.end());
  CHECK(std::unique(ended.begin(), ended.end()) == ended.end());
  CHECK(test.server.hub().stats().subscriptions == 1);
  test.publish("lost:1", "3");
  test.publish("kept", "4");
  std::string last;
  while (last != "4") {
    const auto events = ann.client.read().events;
    REQUIRE_FALSE(events.empty());
    for (const auto& event : events) {
      CHECK(event.channel == "kept");
      last = event.data;
    }
  }
}

TEST_CASE("A token that expires closes its connection with 1008, and says so first, unless it was refreshed",
          "[auth]") {
  TestServer test(with_tokens);
  const Json rights{{"subscribe", {"a"}}};
  const double soon_s = static_cast<double>(now_s()) + 6;
  Member ann(test, token_with("ann", rights, soon_s));
  Member bob(test, token_with("bob", rights, soon_s));
  bob.client.request({{"op", "refresh"}, {"token", token_with("bob", rights, soon_s + 60)}}, "ok");
  const Json closing = ann.client.expect("closing");
  CHECK(static_cast<double>(now_s()) >= soon_s);
  CHECK(closing["reason"] == "token_expired");
  CHECK_FALSE(closing.contains("reconnect"));  // it may come back, with another token
  CHECK(ann.client.read_close() == 1008);
  CHECK(test.eventually([](const HubStats& stats) { return stats.auth_closed == 1 && stats.connections == 1; }));
  bob.client.subscribe("a");
}

TEST_CASE("A key that is taken out of its file ends what it vouched for, and a new one is known", "[auth]") {
  const NewApiKey old_key = make_api_key("old", "back_end");
  const NewApiKey new_key = make_api_key("new", "back_end");
  const KeyFile file(old_key.line);
  TestServer test([&](Options& options) {
    with_tokens(options);
    options.auth.api_keys = file.path();
    options.auth.recheck_s = 1;
  });
  Member ann(test, token(claims_of("ann")));
  Member feed(test, old_key.key);
  feed.client.send_op(op("publish", "a"));
  file.write("not a line");  // a mistake is logged, and nothing changes
  CHECK(test.eventually([&](const HubStats&) { return test.server.auth().reloads_failed() > 0; }));
  CHECK(feed.client.request({{"op", "ping"}}, "pong")["op"] == "pong");
  file.write(new_key.line);
  CHECK(feed.client.expect("closing")["reason"] == "key_unknown");
  CHECK(feed.client.read_close() == 1008);
  CHECK_THROWS(Member(test, old_key.key));
  Member other(test, new_key.key);
  ann.client.request({{"op", "ping"}}, "pong");  // is none of its business
}

TEST_CASE("Without authentication there is nothing to refresh", "[auth]") {
  TestServer test;
  WsClient client(test.server.port());
  client.send(R"({"op":"refresh","token":"x"})");
  const Json error = client.expect("error");
  CHECK(error["code"] == "unsupported");
  CHECK(error["message"].get<std::string>().find("authentication is off") == 0);
}
