// The HTTP API for back ends: publishing, looking and disconnecting, over real sockets.
#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "api/router.h"
#include "support/catch.h"
#include "support/http_client.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

HttpClient::Response post(std::uint16_t port, std::string_view path, const std::string& body,
                          const std::string& more = "Content-Type: application/json\r\n") {
  HttpClient client(port);
  client.send("POST " + std::string(path) + " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " +
              std::to_string(body.size()) + "\r\n" + more + "\r\n" + body);
  return client.read();
}

Json json(const HttpClient::Response& response) { return Json::parse(response.body()); }

std::string code_of(const HttpClient::Response& response) { return json(response)["error"]["code"]; }

}  // namespace

TEST_CASE("Router prefers an exact path, tells the methods of a path, and isolates a handler that throws", "[api]") {
  namespace http = boost::beast::http;
  Router router;
  const auto says = [](std::string text) {
    return [text](ApiRequest& request) {
      ApiResponse response;
      response.body = text + std::string(request.parameter);
      return response;
    };
  };
  router.add({http::verb::get, "/v1/users/{user}", Access::open, 0, says("user ")});
  router.add({http::verb::get, "/v1/users/stats", Access::open, 0, says("stats")});
  router.add({http::verb::post, "/v1/users/{user}", Access::open, 10, says("posted ")});
  router.add({http::verb::get, "/v1/throws", Access::open, 0,
              [](ApiRequest&) -> ApiResponse { throw std::runtime_error("a handler's own mistake"); }});
  router.add({http::verb::get, "/v1/later", Access::open, 0, {}, [&](ApiRequest&, const ApiDone& done) {
                done([&] {
                  ApiRequest none;
                  return says("later")(none);
                });
              }});
  router.add({http::verb::get, "/v1/throws-later", Access::open, 0, {}, [](ApiRequest&, const ApiDone& done) {
                done([]() -> ApiResponse { throw std::runtime_error("a handler's own mistake"); });
              }});
  router.add({http::verb::get, "/v1/throws-early", Access::open, 0, {}, [](ApiRequest&, const ApiDone&) {
                throw std::runtime_error("a handler's own mistake");
              }});
  const auto answer = [&](http::verb method, std::string_view path) {
    std::string_view parameter;
    const Route* const route = router.find(method, path, &parameter);
    if (!route) return router.answer_unknown(path);
    ApiRequest request;
    request.parameter = parameter;
    std::optional<ApiResponse> later;
    const auto now = Router::call(*route, request, [&](const ApiMake& make) { later = Router::call(make); });
    REQUIRE(now.has_value() != later.has_value());
    return now ? *now : *later;
  };
  CHECK(answer(http::verb::get, "/v1/users/stats").body == "stats");
  CHECK(answer(http::verb::head, "/v1/users/stats").body == "stats");
  CHECK(answer(http::verb::get, "/v1/users/ann").body == "user ann");
  CHECK(answer(http::verb::post, "/v1/users/ann").body == "posted ann");
  CHECK(answer(http::verb::get, "/v1/users/ann/x").status == http::status::not_found);
  CHECK(answer(http::verb::get, "/v1/users/").status == http::status::not_found);
  const ApiResponse wrong = answer(http::verb::delete_, "/v1/users/ann");
  CHECK(wrong.status == http::status::method_not_allowed);
  CHECK(wrong.allow == "GET, HEAD, POST");
  CHECK(answer(http::verb::get, "/v1/throws").status == http::status::internal_server_error);
  CHECK(answer(http::verb::get, "/v1/later").body == "later");
  CHECK(answer(http::verb::get, "/v1/throws-later").status == http::status::internal_server_error);
  CHECK(answer(http::verb::get, "/v1/throws-early").status == http::status::internal_server_error);
}

TEST_CASE("POST /v1/publish takes one event or many, and tells what became of each", "[api]") {
  TestServer test;
  const auto port = test.server.port();
  WsClient reader(port, "ringfence.v1.json", "?channels=a");
  reader.expect("subscribed");
  const auto one =
      post(port, "/v1/publish", R"({"channel":"a","type":"chat","data":{"n":123456789012345678901234567890}})");
  CHECK(one.result_int() == 200);
  CHECK(json(one) == Json{{"channel", "a"}, {"seq", 1}});
  const auto many = post(port, "/v1/publish",
                         " [ {\"channel\":\"a\",\"data\":[1,\n2]} , {\"channel\":\"bad name\",\"data\":1},\n"
                         "{\"channel\":\"a\",\"type\":\"x\",\"data\":\"]\"},{\"channel\":\"a\"} ]");
  CHECK(many.result_int() == 200);
  const Json told = json(many);
  CHECK(told["published"] == 2);
  CHECK(told["refused"] == 2);
  CHECK(told["results"][0]["seq"] == 2);
  CHECK(told["results"][1]["error"]["code"] == "bad_channel");
  CHECK(told["results"][2]["seq"] == 3);
  CHECK(told["results"][3]["error"]["code"] == "missing_field");
  CHECK(json(post(port, "/v1/publish", "[]"))["published"] == 0);
  std::vector<std::string> data;
  for (const auto& event : reader.events(3)) data.push_back(event.data);
  CHECK(data[1] == "[1,2]");
  CHECK(data[2] == "\"]\"");
  CHECK(test.server.hub().stats().published == 3);
}

TEST_CASE("The HTTP API refuses bad input with a code, and goes on", "[api]") {
  TestServer test([](Options& options) { options.limits.http_publish_bytes = 2048; });
  const auto port = test.server.port();
  const auto publish = [&](const std::string& body) { return post(port, "/v1/publish", body); };
  const auto bad = publish(R"({"channel":"a","data":x})");
  CHECK(bad.result_int() == 400);
  CHECK(code_of(bad) == "bad_json");
  CHECK(json(bad)["error"]["message"].get<std::string>().find("at byte 22") != std::string::npos);
  CHECK(code_of(publish("[1,]")) == "bad_json");
  CHECK(code_of(publish("")) == "bad_json");
  CHECK(code_of(publish("1")) == "bad_json");
  CHECK(json(publish("[1]"))["results"][0]["error"]["code"] == "bad_json");
  CHECK(code_of(publish("\xff")) == "bad_json");
  CHECK(code_of(publish(R"({"channel":"a","type":"","data":1})")) == "bad_type");
  CHECK(publish(std::string(2049, ' ')).result_int() == 413);
  CHECK(post(port, "/v1/disconnect", std::string(1025, ' ')).result_int() == 413);
  CHECK(post(port, "/v1/publish", R"({"channel":"a","data":1})", "Content-Type: text/plain\r\n").result_int() == 415);
  CHECK(post(port, "/v1/publish", R"({"channel":"a","data":1})", "").result_int() == 200);
  const auto wrong = HttpClient(port).get("/v1/publish");
  CHECK(wrong.result_int() == 405);
  CHECK(wrong["Allow"] == "POST");
  CHECK(post(port, "/v1/info", "{}").result_int() == 405);
  CHECK(code_of(HttpClient(port).get("/v1/nothing")) == "not_found");
  CHECK(code_of(HttpClient(port).get("/v1/history")) == "missing_field");
  CHECK(HttpClient(port).get("/v1/history?channel=none").result_int() == 404);
  CHECK(code_of(HttpClient(port).get("/v1/history?channel=a&limit=0")) == "bad_field");
  CHECK(code_of(HttpClient(port).get("/v1/history?channel=a&after=x")) == "bad_field");
  CHECK(code_of(HttpClient(port).get("/v1/history?channel=a&after=99")) == "seq_in_future");
  CHECK(code_of(HttpClient(port).get("/v1/channels?limit=1001")) == "bad_field");
  CHECK(code_of(HttpClient(port).get("/v1/channels?pattern=**")) == "bad_field");
  CHECK(HttpClient(port).get("/v1/connections/nobody").result_int() == 404);
  CHECK(code_of(post(port, "/v1/disconnect", R"({"user":"a","connection":"1"})")) == "missing_field");
  CHECK(code_of(post(port, "/v1/disconnect", R"({"user":"a","code":1006})")) == "bad_field");
  CHECK(code_of(post(port, "/v1/broadcast", R"({"data":1})")) == "missing_field");
  CHECK(code_of(post(port, "/v1/broadcast", R"({"channels":["a","b c"],"data":1})")) == "bad_channel");
  CHECK(test.server.hub().stats().published == 1);
}

TEST_CASE("A body in chunks is taken within its limit, and its memory given back", "[api]") {
  TestServer test([](Options& options) {
    options.limits.http_publish_bytes = 100'000;
    options.limits.inbound_memory_bytes = 64 * 1024 * 4;
  });
  const auto used = [&] {
    for (const auto& row : test.server.ledger().rows())
      if (row.name == "inbound messages") return row.used_bytes;
    return std::uint64_t{1};
  };
  const std::string event = R"({"channel":"a","data":)" + json_filler(20'000) + "}";
  const auto chunked = [&](int times) {
    HttpClient client(test.server.port());
    client.send("POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    char size[16];
    std::snprintf(size, sizeof size, "%zx\r\n", event.size());
    for (int i = 0; i < times; ++i) client.send(size + event + "\r\n");
    client.send("0\r\n\r\n");
    return client.read().result_int();
  };
  CHECK(chunked(1) == 200);
  CHECK(test.eventually([&](const HubStats&) { return used() == 0; }));
  CHECK(post(test.server.port(), "/v1/publish", event).result_int() == 200);
  CHECK(test.eventually([&](const HubStats&) { return used() == 0; }));
  // Two bodies under way take all of it: the third is told to come again.
  std::vector<std::unique_ptr<HttpClient>> slow;
  for (int i = 0; i < 2; ++i) {
    slow.push_back(std::make_unique<HttpClient>(test.server.port()));
    slow.back()->send("POST /v1/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99000\r\n\r\n[");
  }
  CHECK(test.eventually([&](const HubStats&) { return used() == 198'000; }));
  const auto refused = post(test.server.port(), "/v1/publish", std::string(99'000, ' '));
  CHECK(refused.result_int() == 503);
  CHECK(code_of(refused) == "overloaded");
  CHECK(refused["Retry-After"] == "1");
  slow.clear();
  CHECK(test.eventually([&](const HubStats&) { return used() == 0; }));
}

TEST_CASE("An Idempotency-Key publishes once, however often and from however many at once", "[api]") {
  TestServer test;
  const auto port = test.server.port();
  const auto publish = [&](const std::string& key, const std::string& body) {
    return post(port, "/v1/publish", body, "Idempotency-Key: " + key + "\r\n");
  };
  const auto first = publish("k1", R"({"channel":"a","data":1})");
  const auto again = publish("k1", R"({"channel":"a","data":1})");
  CHECK(first.body() == again.body());
  CHECK(first["Idempotency-Replayed"].empty());
  CHECK(again["Idempotency-Replayed"] == "true");
  CHECK(test.server.hub().stats().published == 1);
  const auto other = publish("k1", R"({"channel":"a","data":2})");
  CHECK(other.result_int() == 422);
  CHECK(code_of(other) == "idempotency_key_reused");
  // A refusal is an answer too.
  CHECK(publish("k2", R"({"channel":"b c","data":1})").result_int() == 400);
  CHECK(publish("k2", R"({"channel":"b c","data":1})")["Idempotency-Replayed"] == "true");
  CHECK(code_of(publish(std::string(129, 'k'), "{}")) == "bad_idempotency_key");
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] { good += json(publish("k3", R"({"channel":"a","data":3})"))["seq"] == 2; });
  for (auto& thread : threads) thread.join();
  CHECK(good == 8);
  CHECK(test.server.hub().stats().published == 2);
}

TEST_CASE("POST /v1/broadcast reaches the channels named, or all that match", "[api]") {
  TestServer test;
  const auto port = test.server.port();
  for (const char* name : {"room:1", "room:2", "hall"}) test.publish(name, "0");
  CHECK(json(post(port, "/v1/broadcast", R"({"pattern":"room:*","type":"news","data":1e400})"))["published"] == 2);
  CHECK(json(post(port, "/v1/broadcast", R"({"channels":["hall","new"],"data":[1]})"))["published"] == 2);
  CHECK(json(post(port, "/v1/broadcast", R"({"pattern":"nothing*","data":1})"))["published"] == 0);
  CHECK(json(post(port, "/v1/broadcast", R"({"pattern":"*","data":1})"))["published"] == 4);
  const Json history = json(HttpClient(port).get("/v1/history?channel=hall&after=1"));
  CHECK(history["events"].size() == 2);
  CHECK(history["events"][0]["data"] == Json::array({1}));
  CHECK(HttpClient(port).get("/v1/history?channel=room:1").body().find("1e400") != std::string::npos);
}

TEST_CASE("GET /v1/history answers as the op does", "[api]") {
  TestServer test;
  for (int i = 1; i <= 5; ++i) test.publish("a", std::to_string(i));
  WsClient client(test.server.port(), "ringfence.v1.json");
  const Json by_op = client.request({{"op", "history"}, {"channel", "a"}, {"after", 2}, {"limit", 2}}, "history");
  const Json by_http = json(HttpClient(test.server.port()).get("/v1/history?channel=a&after=2&limit=2"));
  CHECK(by_http == by_op);
  CHECK(by_http["events"][0]["data"] == 3);
  CHECK(by_http["more"] == true);
}

TEST_CASE("GET /v1/channels lists every channel once, page by page", "[api]") {
  TestServer test;
  std::set<std::string> expected;
  for (std::uint64_t i = 0; i < 250; ++i) {
    test.publish(numbered("room:", i), "1");
    expected.insert(numbered("room:", i));
  }
  test.publish("hall", "1");
  std::set<std::string> seen;
  std::string after;
  int pages = 0;
  for (bool more = true; more; ++pages) {
    const Json page = json(HttpClient(test.server.port()).get("/v1/channels?pattern=room:*&limit=100&after=" + after));
    for (const Json& channel : page["channels"]) {
      CHECK(seen.insert(channel["channel"]).second);
      CHECK(channel["records"] == 1);
      CHECK(channel["next"] == 2);
    }
    more = page["more"];
    if (more) after = page["after"];
  }
  CHECK(pages == 3);
  CHECK(seen == expected);
  const Json info = json(HttpClient(test.server.port()).get("/v1/info"));
  CHECK(info["channels"] == 251);
  CHECK(info["limits"]["channels"] == 10'000);
}

TEST_CASE("A user's connections are told, and POST /v1/disconnect tells them to go", "[api]") {
  TestServer test;
  const auto port = test.server.port();
  WsClient ann(port, "ringfence.v1.json", "?user=ann%20b&session=s1&channels=a,b");
  const Json of_ann = json(HttpClient(port).get("/v1/connections/ann%20b"));
  CHECK(of_ann["user"] == "ann b");
  REQUIRE(of_ann["connections"].size() == 1);
  CHECK(of_ann["connections"][0]["connection"] == ann.welcome["connection"]);
  CHECK(of_ann["connections"][0]["session"] == "s1");
  CHECK(json(HttpClient(port).get("/v1/connections/stats"))["users"] == 1);
  CHECK(json(post(port, "/v1/disconnect", R"({"user":"bob"})"))["disconnected"] == 0);
  CHECK(json(post(
            port, "/v1/disconnect",
            R"({"user":"ann b","session":"s1","code":4001,"reason":"banned","reconnect":false})"))["disconnected"] ==
        1);
  CHECK(ann.read_close() == 4001);
  CHECK(test.eventually([&](const HubStats&) { return test.server.connections().stats().users_in_grace == 1; }));
  CHECK(json(HttpClient(port).get("/v1/connections/ann%20b"))["in_grace"] == true);
  WsClient other(port, "ringfence.v1.json");
  CHECK(json(post(port, "/v1/disconnect", Json{{"connection", other.welcome["connection"]}}.dump()))["disconnected"] ==
        1);
  CHECK(other.read_close() == 1000);
}

TEST_CASE("Who is told to go sees why, whatever is on its way in both directions", "[api]") {
  TestServer test([](Options& options) { options.limits.user_attempts = 1'000; });
  const auto port = test.server.port();
  for (int round = 0; round < 20; ++round) {
    WsClient ann(port, "ringfence.v1.json", "?user=ann");
    ann.subscribe("a");
    // It does not read, and sends more than is read of it before it is told to go.
    for (int i = 0; i < 50; ++i) test.publish("a", json_filler(2'000));
    for (int i = 0; i < 200; ++i) ann.send(R"({"op":"publish","id":1,"channel":"b","data":)" + json_filler(500) + "}");
    REQUIRE(json(post(port, "/v1/disconnect", R"({"user":"ann","code":4001,"reason":"banned"})"))["disconnected"] == 1);
    for (int i = 0; i < 50; ++i) ann.send(R"({"op":"ping"})");
    Json closing;
    while (closing.is_null()) {
      const auto message = ann.read();
      if (!message.json.is_null() && message.json["op"] == "closing") closing = message.json;
    }
    CHECK(closing["reason"] == "banned");
    CHECK(closing["reconnect"] == false);
    CHECK(ann.read_close() == 4001);
    REQUIRE(test.eventually([](const HubStats& stats) { return stats.connections == 0; }));
  }
}
