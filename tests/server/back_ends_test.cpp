// Back ends over NATS: a server, a broker, and a plain client of it.
#include "bus/back_ends.h"

#include <map>

#include "support/catch.h"
#include "support/nats.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

std::function<void(Options&)> joined(const std::string& url, const std::vector<std::string>& in = {"*"}) {
  return [=](Options& options) {
    options.nats = nats_options(url);
    options.nats.mode = "core";
    options.nats.in_types = in;
  };
}

Json answer_to(Nats& back_end, const std::string& subject, const std::string& body) {
  return Json::parse(back_end.ask(subject, body).text);
}

}  // namespace

TEST_CASE("BackEnds publish on a channel by its subject, and are answered", "[back_ends]") {
  NatsBroker broker;
  TestServer server(joined(broker.url()));
  Nats back_end(broker.url());
  WsClient client(server.server.port(), "ringfence.v1.json");
  client.subscribe("room:1");
  client.subscribe("game.eu.chat");
  const Json answer =
      answer_to(back_end, "ringfence.pub.room:1", R"({"type":"chat","data":{"n":12345678901234567890}})");
  CHECK(answer["channel"] == "room:1");
  CHECK(answer["seq"].is_number_unsigned());
  CHECK(answer_to(back_end, "ringfence.pub.game.eu.chat", R"( {"data":1})")["channel"] == "game.eu.chat");
  REQUIRE(back_end->publish({.subject = "ringfence.pub.room:1", .data = R"({"data":"no answer wanted"})"}).ok());
  // In the order of each channel; between channels there is none.
  std::map<std::string, std::vector<std::string>> got;
  for (const auto& event : client.events(3)) got[event.channel].push_back(event.type + " " + event.data);
  CHECK(got["room:1"] == std::vector<std::string>{R"(chat {"n":12345678901234567890})",  // as it was sent
                                                  R"(message "no answer wanted")"});
  CHECK(got["game.eu.chat"] == std::vector<std::string>{"message 1"});
}

TEST_CASE("BackEnds are told the code of what is wrong, and nothing is published", "[back_ends]") {
  NatsBroker broker;
  TestServer server(joined(broker.url()));
  Nats back_end(broker.url());
  const auto code_of = [&](const std::string& body) {
    return answer_to(back_end, "ringfence.pub.a", body)["error"]["code"].get<std::string>();
  };
  CHECK(code_of("") == "bad_json");
  CHECK(code_of("{}") == "bad_json");
  CHECK(code_of("[1]") == "bad_json");
  CHECK(code_of("{\"data\":\"\xff\"}") == "bad_json");
  CHECK(code_of(R"({"data":1)") == "bad_json");
  CHECK(code_of(R"({"type":"t"})") == "missing_field");
  CHECK(code_of(R"({"type":"","data":1})") == "bad_type");
  CHECK(code_of(R"({"channel":"b","data":1})") == "bad_field");
  CHECK(answer_to(back_end, "ringfence.pub.a/b", R"({"data":1})")["error"]["code"] == "bad_channel");
  CHECK(server.server.hub().stats().published == 0);
}

TEST_CASE("BackEnds get what clients publish, with user and connection, and what they answer goes to the channel",
          "[back_ends]") {
  NatsBroker broker;
  TestServer server(joined(broker.url()));
  Nats back_end(broker.url());
  std::mutex mutex;
  std::vector<std::pair<std::string, Json>> got;
  auto kept = back_end.subscribe(
      "ringfence.in.>",
      [&](NatsMessage& message) {
        const std::lock_guard lock(mutex);
        got.emplace_back(std::string(message.subject()), Json::parse(message.data()));
        (void)back_end->publish(
            {.subject = std::string(message.reply()), .data = R"({"type":"command_response","data":"done"})"});
      },
      "test");
  back_end.flush();
  WsClient client(server.server.port(), "ringfence.v1.json", "?user=ann&session=s1&channels=room:1");
  const std::string connection = client.welcome["connection"];
  client.expect("subscribed");
  client.send_op({{"op", "publish"}, {"channel", "room:1"}, {"type", "go north"}, {"data", {{"n", 1}}}});
  const auto events = client.events(2);
  CHECK(events[0].type == "go north");
  CHECK(events[1].type == "command_response");
  CHECK(events[1].data == R"("done")");
  const std::lock_guard lock(mutex);
  REQUIRE(got.size() == 1);  // its own answer was published by a back end, not by a client
  CHECK(got[0].first == "ringfence.in.go_north");
  const Json& body = got[0].second;
  CHECK(body["type"] == "go north");
  CHECK(body["channel"] == "room:1");
  CHECK(body["seq"] == 1);
  CHECK(body["connection"] == connection);
  CHECK(body["data"]["n"] == 1);
  CHECK(body.contains("user"));
  CHECK(body.contains("session"));
}

TEST_CASE("BackEnds get the types that --nats-in names, and none where it names none", "[back_ends]") {
  NatsBroker broker;
  TestServer some(joined(broker.url(), {"chat_*", "command"}));
  Nats back_end(broker.url());
  Received received;
  auto kept = back_end.subscribe("ringfence.in.*", received.handler(), "test");
  back_end.flush();
  WsClient client(some.server.port(), "ringfence.v1.json");
  for (const char* type : {"ping", "chat_message", "commands", "command"})
    client.send_op({{"op", "publish"}, {"channel", "a"}, {"type", type}, {"data", 1}});
  REQUIRE(received.wait_for(2));
  CHECK(received.at(0).starts_with("ringfence.in.chat_message "));
  CHECK(received.at(1).starts_with("ringfence.in.command "));

  TestServer none(joined(broker.url(), {}));
  CHECK_FALSE(none.server.events().wanted<ClientMessage>());
}

TEST_CASE("BackEnds: of several servers one takes each message", "[back_ends]") {
  NatsBroker broker;
  TestServer one(joined(broker.url())), two(joined(broker.url()));
  Nats back_end(broker.url());
  CHECK(eventually([&] { return answer_to(back_end, "ringfence.pub.a", R"({"data":0})").contains("seq"); }));
  const auto published = [&] { return one.server.hub().stats().published + two.server.hub().stats().published; };
  for (int i = 0; i < 50; ++i) CHECK(answer_to(back_end, "ringfence.pub.a", R"({"data":1})").contains("seq"));
  CHECK(published() >= 51);
}
