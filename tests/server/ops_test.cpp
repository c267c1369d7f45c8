// Every op and every error code of protocol.md, over real sockets.
#include <algorithm>
#include <thread>

#include "support/catch.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::uint64_t refused(TestServer& test, Error error) {
  return test.server.hub().stats().refused[static_cast<std::size_t>(error)];
}

}  // namespace

TEST_CASE("A connection is welcomed with its limits, in the sub-protocol it offered first", "[ops]") {
  TestServer test;
  WsClient binary(test.server.port(), "ringfence.v1, ringfence.v1.json");
  CHECK(binary.protocol() == "ringfence.v1");
  CHECK(binary.welcome["protocol"] == "ringfence.v1");
  CHECK(binary.welcome["limits"]["message_bytes"] == 65536);
  CHECK(binary.welcome["limits"]["subscriptions"] == 128);
  CHECK(binary.welcome["limits"]["json_depth"] == 10);
  WsClient json(test.server.port(), "other, ringfence.v1.json,ringfence.v1");
  CHECK(json.protocol() == "ringfence.v1.json");
  WsClient plain(test.server.port(), "");
  CHECK(plain.protocol().empty());
  CHECK(plain.welcome["protocol"] == "ringfence.v1.json");
  CHECK(plain.welcome["connection"] != json.welcome["connection"]);
  CHECK_THROWS(WsClient(test.server.port(), "chat.v2"));
}

TEST_CASE("A publish reaches subscribers of both sub-protocols, in order, byte for byte", "[ops]") {
  TestServer test;
  WsClient publisher(test.server.port());
  WsClient binary(test.server.port(), "ringfence.v1");
  WsClient json(test.server.port(), "ringfence.v1.json");
  const Json told = binary.subscribe("room:1", {{"id", "s1"}});
  CHECK(told["id"] == "s1");
  CHECK(told["channel"] == "room:1");
  CHECK(told["first"] == 1);
  CHECK(told["next"] == 1);
  CHECK(told["after"] == 0);
  CHECK(told["recovered"] == false);
  CHECK(told["missed"] == 0);
  CHECK(json.subscribe("room:1")["epoch"] == told["epoch"]);

  publisher.send(R"({"op":"publish","channel":"room:1","type":"big \"one\"","data": {"a":[1e400,1180591620717411303424,
 -0.10],"s":"\u00e9\n"} , "id":7})");
  CHECK(publisher.expect("ok") == Json{{"op", "ok"}, {"id", 7}, {"seq", 1}});
  publisher.send(R"({"op":"publish","channel":"room:1","data":null})");
  publisher.request({{"op", "ping"}, {"id", "p"}}, "pong");

  const auto got = binary.events(2);
  CHECK(got[0].channel_id == told["channel_id"]);
  CHECK(got[0].seq == 1);
  CHECK(got[0].type == "big \"one\"");
  CHECK(got[0].data == R"({"a":[1e400,1180591620717411303424,  -0.10],"s":"\u00e9\n"})");
  CHECK(got[1].seq == 2);
  CHECK(got[1].type == "message");
  CHECK(got[1].data == "null");

  // The same line, as text: the test's own JSON reader would refuse 1e400.
  boost::beast::flat_buffer buffer;
  std::string lines;
  while (std::count(lines.begin(), lines.end(), '{') < 3) {
    json.stream().read(buffer);
    lines += boost::beast::buffers_to_string(buffer.data()) + "\n";
    buffer.clear();
  }
  CHECK(lines.starts_with(R"({"op":"event","channel":"room:1","seq":1,"time":"2)"));
  CHECK(contains(lines, R"(Z","type":"big \"one\"","data":{"a":[1e400,1180591620717411303424,  -0.10],"s":"\u00e9\n"}})"
                        "\n"));
  CHECK(contains(lines, R"(,"seq":2,"time":")"));
  CHECK(test.eventually([](const HubStats& stats) { return stats.delivered == 4; }));
}

TEST_CASE("Channels in the address are subscribed to as if asked for, and a bad name is told", "[ops]") {
  TestServer test;
  test.publish("a", "1");
  WsClient client(test.server.port(), "ringfence.v1", "?x=1&channels=a,room%3A1,b%20ad,a");
  CHECK(client.expect("subscribed")["channel"] == "a");
  CHECK(client.expect("subscribed")["channel"] == "room:1");
  CHECK(client.expect("error")["code"] == "bad_channel");
  CHECK(client.expect("error")["code"] == "already_subscribed");
  test.publish("room:1", "2");
  CHECK(client.events(1)[0].data == "2");
  // Given several times they are one list, with its limits.
  WsClient twice(test.server.port(), "ringfence.v1", "?channels=c,d&user=ann&channels=&channels=e&channels=c");
  for (const char* name : {"c", "d", "e"}) CHECK(twice.expect("subscribed")["channel"] == name);
  CHECK(twice.expect("error")["code"] == "already_subscribed");
  // As many as there may be, and more replies than a connection holds at a time.
  std::string names = "n0";
  for (int i = 1; i < 130; ++i) names += numbered(i == 64 ? "&channels=n" : ",n", i);
  WsClient many(test.server.port(), "ringfence.v1", "?channels=" + names);
  for (int i = 0; i < 128; ++i) CHECK(many.expect("subscribed")["channel"] == numbered("n", i));
  CHECK(many.expect("error")["code"] == "too_many_subscriptions");
  CHECK(many.expect("error")["code"] == "too_many_subscriptions");
}

TEST_CASE("Every refused message has its code, and leaves the connection and other subscribers working", "[ops]") {
  TestServer test([](Options& options) { options.limits.history_bytes_max = 8192; });
  WsClient other(test.server.port());
  other.subscribe("room");
  WsClient client(test.server.port());
  client.subscribe("held", {{"last", 4294967295}});

  struct Case {
    std::string text;
    Error error;
  };
  const std::string deep =
      R"({"op":"publish","channel":"room","data":)" + std::string(10, '[') + std::string(10, ']') + "}";
  const Case cases[] = {
      {"", Error::bad_json},
      {"{", Error::bad_json},
      {"[]", Error::bad_json},
      {"nonsense", Error::bad_json},
      {R"({"op":"ping"} x)", Error::bad_json},
      {R"({"op":"ping",})", Error::bad_json},
      {R"({"op":"publish","channel":"room","data":01})", Error::bad_json},
      {"{\"op\":\"pi\nng\"}", Error::bad_json},
      {deep, Error::bad_json},
      {R"({"op":"shout"})", Error::unknown_op},
      {R"({"channel":"room"})", Error::missing_field},
      {R"({"op":"subscribe"})", Error::missing_field},
      {R"({"op":"publish","channel":"room"})", Error::missing_field},
      {R"({"op":"subscribe","channel":"room","after":{"epoch":"a"}})", Error::missing_field},
      {R"({"op":5})", Error::bad_field},
      {R"({"op":"subscribe","channel":["room"]})", Error::bad_field},
      {R"({"op":"subscribe","channel":"room","last":-1})", Error::bad_field},
      {R"({"op":"subscribe","channel":"room","last":4294967296})", Error::bad_field},
      {R"({"op":"subscribe","channel":"room","last":1.5})", Error::bad_field},
      {R"({"op":"subscribe","channel":"room","after":7})", Error::bad_field},
      {R"({"op":"subscribe","channel":"room","after":{"epoch":"NO","seq":1}})", Error::bad_field},
      {R"({"op":"subscribe","channel":"room","after":{"epoch":"a","seq":9007199254740992}})", Error::bad_field},
      {R"({"op":"subscribe","channel":"room","after":{"epoch":"a","seq":1,"seq":2}})", Error::bad_field},
      {R"({"op":"ping","op":"ping"})", Error::bad_field},
      {R"({"op":"publish","channel":"room","data":1,"data":2})", Error::bad_field},
      {R"({"op":"ping","id":1.0})", Error::bad_field},
      {R"({"op":"ping","id":[]})", Error::bad_field},
      {R"({"op":"ping","id":")" + std::string(65, 'x') + R"("})", Error::bad_field},
      {R"({"op":"publish","channel":"room","type":"\ud800","data":1})", Error::bad_field},
      {R"({"op":"history","channel":"held","limit":0})", Error::bad_field},
      {R"({"op":"history","channel":"held","limit":1001})", Error::bad_field},
      {R"({"op":"subscribe","channel":"ro om"})", Error::bad_channel},
      {R"({"op":"publish","channel":"","data":1})", Error::bad_channel},
      {R"({"op":"publish","channel":")" + std::string(129, 'x') + R"(","data":1})", Error::bad_channel},
      {R"({"op":"publish","channel":"room","type":"","data":1})", Error::bad_type},
      {R"({"op":"publish","channel":"room","type":"a\u0000b","data":1})", Error::bad_type},
      {R"({"op":"publish","channel":"room","type":")" + std::string(256, 'x') + R"(","data":1})", Error::bad_type},
      {std::string(65'537, ' '), Error::message_too_large},
      {std::string(1'000'000, 'x'), Error::message_too_large},
      {R"({"op":"publish","channel":"room","data":")" + std::string(9000, 'x') + R"("})", Error::record_too_large},
      {R"({"op":"presence","channel":"room","watch":1})", Error::bad_field},
      {R"({"op":"join"})", Error::missing_field},
      {R"({"op":"leave","channel":"room"})", Error::not_joined},
      {R"({"op":"subscribe","channel":"held"})", Error::already_subscribed},
      {R"({"op":"unsubscribe","channel":"room"})", Error::not_subscribed},

      {R"({"op":"history","channel":"nowhere"})", Error::no_such_channel},
      {R"({"op":"history","channel":"held","after":1})", Error::seq_in_future},
  };
  std::uint64_t published = 0;
  for (const Case& each : cases) {
    INFO(each.text.substr(0, 120));
    const std::uint64_t before = refused(test, each.error);
    CHECK(client.error_of(each.text) == error_code(each.error));
    CHECK(refused(test, each.error) == before + 1);
    test.publish("room", std::to_string(++published));
    CHECK(other.events(1)[0].seq == published);
  }
  CHECK(client.error_of("binary", true) == "text_expected");
  CHECK(refused(test, Error::text_expected) == 1);

  // Echoes the id; says where the JSON is broken.
  client.send(R"({"op":"shout","id":"x\u0041"})");
  CHECK(client.expect("error")["id"] == "xA");
  client.send(R"({"op":"ping",,})");
  CHECK(contains(client.expect("error")["message"].get<std::string>(), "byte 13"));
  // The largest message that may be.
  std::string largest = R"({"op":"ping","id":-9007199254740991})";
  largest += std::string(65'536 - largest.size(), ' ');
  client.send(largest);
  CHECK(client.expect("pong")["id"] == -9007199254740991);
  // Deep, but not too deep; unknown fields are nobody's business.
  client.send(R"({"op":"ping","extra":)" + std::string(9, '[') + std::string(9, ']') + R"(,"extra":{}})");
  client.expect("pong");
  test.publish("held", "1");
  CHECK(client.events(1)[0].data == "1");
}

TEST_CASE("A resume from the future is refused, and subscribing goes on to work", "[ops]") {
  TestServer test;
  WsClient client(test.server.port());
  const std::string epoch = client.subscribe("room")["epoch"];
  client.request({{"op", "unsubscribe"}, {"channel", "room"}}, "unsubscribed");
  const Json op = {{"op", "subscribe"}, {"channel", "room"}, {"after", {{"epoch", epoch}, {"seq", 1}}}};
  CHECK(client.request(op, "error")["code"] == "seq_in_future");
  test.publish("room", "1");
  CHECK(client.request(op, "subscribed")["recovered"] == true);
}

TEST_CASE("Invalid UTF-8 ends its connection with 1007, is counted, and nobody else notices", "[ops]") {
  TestServer test;
  WsClient other(test.server.port());
  other.subscribe("room");
  WsClient client(test.server.port());
  client.send("{\"op\":\"ping\",\"id\":\"\xff\"}");
  CHECK(client.read_close() == 1007);
  CHECK(test.eventually([](const HubStats& stats) { return stats.invalid_utf8 == 1 && stats.connections == 1; }));
  test.publish("room", "1");
  CHECK(other.events(1).size() == 1);
}

TEST_CASE("A message above 16 times the limit ends its connection with 1009", "[ops]") {
  TestServer test;
  WsClient client(test.server.port());
  // The byte too many comes by itself: were there more that the server leaves unread, its close could be lost in a reset.
  const std::string most(16 * 65'536, 'x');
  client.stream().text(true);
  client.stream().write_some(false, boost::asio::buffer(most));
  client.stream().write_some(true, boost::asio::buffer("x", 1));
  CHECK(client.read_close() == 1009);
  CHECK(test.eventually([](const HubStats& stats) { return stats.connections == 0; }));
}

TEST_CASE("A connection that only makes errors is told, and closed with 1008", "[ops]") {
  TestServer test([](Options& options) { options.limits.errors_max = 5; });
  WsClient client(test.server.port());
  for (int i = 0; i < 5; ++i) CHECK(client.error_of("?") == "bad_json");
  CHECK(client.error_of("?") == "too_many_errors");
  CHECK(client.read_close() == 1008);
  CHECK(refused(test, Error::too_many_errors) == 1);
  CHECK(test.eventually([](const HubStats& stats) { return stats.errors_closed == 1 && stats.connections == 0; }));
}

TEST_CASE("Limits of channels and subscriptions are told with their codes", "[ops]") {
  TestServer test([](Options& options) {
    options.limits.channels_max = 3;
    options.limits.subscriptions_max = 2;
  });
  WsClient client(test.server.port());
  client.subscribe("a");
  client.subscribe("b");
  CHECK(client.error_of(R"({"op":"subscribe","channel":"c"})") == "too_many_subscriptions");
  test.publish("c", "1");
  CHECK(client.error_of(R"({"op":"publish","channel":"d","data":1})") == "too_many_channels");
  CHECK(test.server.hub().publish("d", "t", "1").error() == Error::too_many_channels);
  CHECK(test.server.hub().stats().channels == 3);
}

TEST_CASE("History answers what is held, what is gone and whether there is more", "[ops]") {
  TestServer test([](Options& options) { options.limits.history_records_max = 50; });
  WsClient client(test.server.port());
  for (int i = 1; i <= 80; ++i) test.publish("room", std::to_string(i));
  Json answer = client.request({{"op", "history"}, {"channel", "room"}, {"id", 1}, {"limit", 20}}, "history");
  CHECK(answer["id"] == 1);
  CHECK(answer["first"] == 31);
  CHECK(answer["next"] == 81);
  CHECK(answer["missed"] == 30);
  CHECK(answer["more"] == true);
  REQUIRE(answer["events"].size() == 20);
  CHECK(answer["events"][0]["seq"] == 31);
  CHECK(answer["events"][19]["data"] == 50);
  answer =
      client.request({{"op", "history"}, {"channel", "room"}, {"after", 50}, {"epoch", answer["epoch"]}}, "history");
  CHECK(answer["missed"] == 0);
  CHECK(answer["more"] == false);
  CHECK(answer["events"].size() == 30);
  answer = client.request({{"op", "history"}, {"channel", "room"}, {"after", 80}}, "history");
  CHECK(answer["events"].empty());
  CHECK(answer["more"] == false);
  answer = client.request({{"op", "history"}, {"channel", "room"}, {"after", 99}, {"epoch", "other"}}, "history");
  CHECK(answer["missed"].is_null());
  CHECK(answer["events"].size() == 50);
}

TEST_CASE("A history answer is bounded by frame_bytes, and pages on from the last event", "[ops]") {
  TestServer test;
  WsClient client(test.server.port());
  for (int i = 1; i <= 100; ++i) test.publish("room", json_filler(3000));
  std::uint64_t after = 0;
  int pages = 0;
  for (bool more = true; more; ++pages) {
    client.send_op(Json{{"op", "history"}, {"channel", "room"}, {"after", after}, {"limit", 1000}});
    const auto message = client.read();
    REQUIRE(message.json["op"] == "history");
    CHECK(message.text.size() < 65536 + 512);
    for (const Json& event : message.json["events"]) {
      CHECK(event["seq"] == after + 1);
      after = event["seq"];
    }
    more = message.json["more"];
  }
  CHECK(after == 100);
  CHECK(pages == 5);
}

TEST_CASE("No event of a channel follows unsubscribed, while it is being published to", "[ops]") {
  TestServer test;
  std::jthread publisher([&](std::stop_token stop) {
    while (!stop.stop_requested()) test.publish("room", "1");
  });
  WsClient client(test.server.port());
  for (int round = 0; round < 50; ++round) {
    client.subscribe("room");
    REQUIRE_FALSE(client.read().text.empty());
    client.send_op(Json{{"op", "unsubscribe"}, {"channel", "room"}});
    // Events, and gaps where the publisher was faster, until the answer.
    while (client.op() != "unsubscribed") {
    }
    client.request({{"op", "ping"}}, "pong");  // expect() fails on a batch before it
  }
}
