// Presence over real sockets: ops, messages, rights, bounds and what stays behind.
#include <map>
#include <set>

#include "realtime/presence.h"
#include "support/catch.h"
#include "support/http_client.h"
#include "support/presence_client.h"
#include "support/tokens.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

Json users(std::initializer_list<const char*> names) {
  Json list = Json::array();
  for (const char* name : names) list.push_back({{"user", name}});
  return list;
}

// Users may connect as often as a test likes.
void many_attempts(Options& options) { options.limits.user_attempts = 1'000'000; }

bool eventually(const TestServer& test, const std::function<bool(const PresenceStats&)>& done) {
  return const_cast<TestServer&>(test).eventually(
      [&](const HubStats&) { return done(const_cast<TestServer&>(test).server.presence().stats()); });
}

HttpClient::Response get(std::uint16_t port, const std::string& target, const std::string& more = "") {
  HttpClient client(port);
  client.send("GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\n" + more + "\r\n");
  return client.read();
}

}  // namespace

TEST_CASE("Who watches a channel is told who is there, who comes and who goes", "[presence]") {
  TestServer test(many_attempts);
  Member ann(test, "ann");
  ann.join("room", {{"data", {{"mood", "fine"}}}});
  for (const char* protocol : {"ringfence.v1", "ringfence.v1.json"}) {
    CAPTURE(protocol);
    Member eye(test, "", protocol);
    const Json all = eye.watch("room");
    CHECK(all["id"] == 1);
    CHECK(all["channel"] == "room");
    CHECK(all["watching"] == true);
    CHECK(all["count"] == 1);
    CHECK(all["more"] == false);
    CHECK(all["members"] == Json{{{"user", "ann"}, {"data", {{"mood", "fine"}}}}});
    CHECK(eye.code_of(presence_op("presence", "room", {{"watch", true}})) == "already_subscribed");

    Member bob(test, "bob");
    bob.join("room");
    Json told = eye.client.expect("join");
    CHECK(told["members"] == users({"bob"}));
    CHECK(told["count"] == 2);
    bob.join("room", {{"data", "away\nfor now"}});
    CHECK(eye.client.expect("join")["members"] == Json{{{"user", "bob"}, {"data", "away\nfor now"}}});
    bob.leave("room");
    told = eye.client.expect("leave");
    CHECK(told["members"] == users({"bob"}));
    CHECK(told["count"] == 1);
    CHECK(bob.code_of(presence_op("leave", "room")) == "not_joined");

    eye.client.request(presence_op("presence", "room", {{"watch", false}}), "ok");
    eye.client.request(presence_op("presence", "room", {{"watch", false}}), "ok");
    bob.join("room");
    bob.leave("room");
    CHECK(eye.client.request(presence_op("presence", "room"), "presence")["watching"] == false);
  }
  CHECK(test.server.hub().stats().channels == 0);  // presence alone makes no history
}

TEST_CASE("A user with two connections leaves with the last of them", "[presence]") {
  TestServer test(many_attempts);
  Member eye(test, "");
  eye.watch("room");
  Member one(test, "ann"), two(test, "ann");
  one.join("room");
  two.join("room");
  CHECK(eye.client.expect("join")["members"] == users({"ann"}));
  one.leave("room");
  two.leave("room");
  const Json left = eye.client.expect("leave");  // and no message in between
  CHECK(left["members"] == users({"ann"}));
  CHECK(left["count"] == 0);
  const PresenceStats stats = test.server.presence().stats();
  CHECK(stats.joined == 1);
  CHECK(stats.left == 1);
}

TEST_CASE("A user whose connection is lost may come back within the grace, of which nobody is told", "[presence]") {
  TestServer test([](Options& options) {
    many_attempts(options);
    options.limits.grace_ms = 60'000;
  });
  Member eye(test, "");
  eye.watch("room");
  {
    Member ann(test, "ann");
    ann.join("room");
    eye.client.expect("join");
    ann.client.drop();
  }
  CHECK(eventually(test, [](const PresenceStats& stats) { return stats.in_grace == 1; }));
  CHECK(eye.client.request(presence_op("presence", "room"), "presence")["members"] == users({"ann"}));
  Member again(test, "ann");
  again.join("room");
  CHECK(test.server.presence().stats().in_grace == 0);
  // Who is told to go is not expected back.
  CHECK(test.server.connections().disconnect_user("ann", "", {1000, "banned", false}) == 1);
  CHECK(eye.client.expect("leave")["members"] == users({"ann"}));
}

TEST_CASE("A user who does not come back within the grace is gone", "[presence]") {
  TestServer test([](Options& options) {
    many_attempts(options);
    options.limits.grace_ms = 200;
    options.limits.sweep_ms = 20;
  });
  Member eye(test, "");
  eye.watch("room");
  Member ann(test, "ann");
  ann.join("room");
  eye.client.expect("join");
  const auto dropped = std::chrono::steady_clock::now();
  ann.client.drop();
  CHECK(eye.client.expect("leave")["members"] == users({"ann"}));
  CHECK(std::chrono::steady_clock::now() - dropped > std::chrono::milliseconds(199));  // the server counts whole ms
}

TEST_CASE("Presence needs the right to it, and a refresh without it ends memberships and watches", "[presence]") {
  TestServer test([](Options& options) {
    options.auth.jwt_secret = kSecret;
    options.limits.user_attempts = 1'000'000;
  });
  const auto token_for = [](const std::string& user, Json patterns) {
    return token(claims_of(user, {{"ringfence", {{"presence", std::move(patterns)}}}}));
  };
  const auto connect = [&](const std::string& its_token) {
    return std::make_unique<WsClient>(test.server.port(), "ringfence.v1.json, bearer." + its_token);
  };
  const auto ann = connect(token_for("ann", {"room:*", "hall"}));
  const auto eye = connect(token_for("eye", {"*"}));
  for (const char* name : {"join", "leave", "presence"})
    CHECK(ann->error_of(presence_op(name, "attic").dump()) == "forbidden");
  ann->request(presence_op("join", "room:1"), "ok");
  ann->request(presence_op("join", "hall"), "ok");
  ann->request(presence_op("presence", "room:1", {{"watch", true}}), "presence");
  ann->request(presence_op("presence", "room:2", {{"watch", true}}), "presence");
  eye->request(presence_op("presence", "room:1", {{"watch", true}}), "presence");
  ann->request({{"op", "refresh"}, {"id", 2}, {"token", token_for("ann", {"hall"})}}, "ok");
  std::set<std::string> ended;
  while (ended.size() < 2) {
    const Json told = ann->expect("presence");
    CHECK(told["reason"] == "forbidden");
    CHECK(told["watching"] == false);
    CHECK(ended.insert(told["channel"]).second);
  }
  CHECK(ended == std::set<std::string>{"room:1", "room:2"});
  CHECK(eye->expect("leave")["members"] == users({"ann"}));
  const PresenceStats stats = test.server.presence().stats();
  CHECK(stats.members == 1);
  CHECK(stats.watches == 1);
  ann->request(presence_op("leave", "hall"), "ok");
}

TEST_CASE("Joins of a connection and watches have their bounds, and data its own", "[presence]") {
  TestServer test([](Options& options) {
    many_attempts(options);
    options.limits.presence_joins_max = 2;
    options.limits.subscriptions_max = 2;
    options.limits.presence_data_bytes = 8;
    options.limits.presence_members_max = 3;
  });
  Member ann(test, "ann");
  ann.join("a", {{"data", "123456"}});  // with its quotes
  CHECK(ann.code_of(presence_op("join", "a", {{"data", "1234567"}})) == "member_too_large");
  CHECK(ann.code_of(presence_op("join", "b", {{"data", "1234567"}})) == "member_too_large");
  ann.join("b");
  CHECK(ann.code_of(presence_op("join", "c")) == "too_many_members");
  ann.join("b", {{"data", 1}});
  Member bob(test, "bob"), cid(test, "cid"), dan(test, "dan");
  bob.join("a");
  cid.join("a");
  CHECK(dan.code_of(presence_op("join", "a")) == "too_many_members");
  ann.watch("a");
  ann.client.subscribe("a");
  CHECK(ann.code_of(presence_op("presence", "b", {{"watch", true}})) == "too_many_subscriptions");
  CHECK(ann.code_of(presence_op("subscribe", "b")) == "too_many_subscriptions");
  ann.client.request(presence_op("presence", "a", {{"watch", false}}), "ok");
  ann.watch("b");
  const auto refused = test.server.hub().stats().refused;
  CHECK(refused[static_cast<std::size_t>(Error::too_many_members)] == 2);
  CHECK(refused[static_cast<std::size_t>(Error::member_too_large)] == 2);
  for (const Json& wrong :
       {presence_op("presence", "a", {{"watch", 1}}), presence_op("presence", "a", {{"limit", 0}}),
        presence_op("presence", "a", {{"limit", 1001}}), presence_op("presence", "a", {{"after", -1}})})
    CHECK(dan.code_of(wrong) == "bad_field");
  CHECK(dan.code_of({{"op", "join"}}) == "missing_field");
  CHECK(dan.code_of({{"op", "leave"}, {"channel", "no name"}}) == "bad_channel");
}

TEST_CASE("GET /v1/presence gives the members a page at a time", "[presence]") {
  TestServer test(many_attempts);
  Member ann(test, "ann"), again(test, "ann"), bob(test, "bob"), nobody(test, "");
  ann.join("room", {{"data", {{"n", 1}}}});
  again.join("room");
  nobody.join("room");
  bob.join("room");
  bob.client.drop();
  CHECK(eventually(test, [](const PresenceStats& stats) { return stats.in_grace == 1; }));
  const auto port = test.server.port();
  const Json first = Json::parse(get(port, "/v1/presence?channel=room&limit=2").body());
  CHECK(first["channel"] == "room");
  CHECK(first["count"] == 3);
  CHECK(first["more"] == true);
  REQUIRE(first["members"].size() == 2);
  CHECK(first["members"][0]["user"] == "ann");
  CHECK(first["members"][0]["data"] == Json{{"n", 1}});
  CHECK(first["members"][0]["connections"] == 2);
  CHECK(first["members"][0]["in_grace"] == false);
  CHECK(first["members"][0]["since"].get<std::string>().ends_with("Z"));
  CHECK(first["members"][1]["connection"] == nobody.client.welcome["connection"]);
  const Json second = Json::parse(get(port, "/v1/presence?channel=room&after=" + first["version"].dump()).body());
  REQUIRE(second["members"].size() == 1);
  CHECK(second["more"] == false);
  CHECK(second["members"][0]["user"] == "bob");
  CHECK(second["members"][0]["in_grace"] == true);
  CHECK(Json::parse(get(port, "/v1/presence?channel=nobody-here").body())["count"] == 0);
  CHECK(error_code_of(get(port, "/v1/presence")) == "missing_field");
  CHECK(error_code_of(get(port, "/v1/presence?channel=a%20b")) == "bad_channel");
  for (const char* wrong : {"limit=0", "limit=1001", "after=x"})
    CHECK(error_code_of(get(port, std::string("/v1/presence?channel=room&") + wrong)) == "bad_field");
  CHECK(get(port, "/metrics").body().find("\nringfence_presence_members 3\n") != std::string::npos);
}

TEST_CASE("A watcher that does not read is told where things are when it reads again, and costs nothing meanwhile",
          "[presence]") {
  TestServer test([](Options& options) {
    many_attempts(options);
    options.limits.presence_joins_max = 4'000;
    // It stalls for as long as the changes take, and that is long where each access is checked.
    options.limits.write_stall_ms = 600'000;
    options.limits.dead_after_ms = 600'000;
  });
  Member slow(test, "slow");
  WsClient stalled(test.server.port(), "ringfence.v1", "", 4096);
  stalled.request(presence_op("presence", "room", {{"watch", true}}), "presence");
  Member busy(test, "busy");
  const std::string data(400, 'x');
  // Until its socket is full: what is told stops to rise with what changes.
  constexpr int kChanges = 30'000;
  std::uint64_t used_bytes = 0;
  for (int i = 0; i < kChanges; ++i) {
    busy.join("room", {{"data", data + std::to_string(i)}});
    if (i % 100 == 0) {
      Member guest(test, "");
      guest.join("room");
      guest.leave("room");
    }
    if (i == kChanges / 2) used_bytes = test.server.ledger().used_bytes();
  }
  slow.join("room");
  // One message on its way, of at most a page: no more than half way through.
  CHECK(test.server.ledger().used_bytes() <= used_bytes + 256 * 1024);
  std::map<std::string, Json> known;
  int messages = 0;
  for (std::uint64_t count = 0; count != 2 || known.size() != 2 || !known.contains("slow");) {
    const Json told = stalled.read().json;
    ++messages;
    if (told["op"] == "presence") known.clear();
    for (const Json& member : told["members"]) {
      const std::string key = member.contains("user") ? member["user"].get<std::string>() : member["connection"].dump();
      if (told["op"] == "leave")
        known.erase(key);
      else
        known[key] = member.value("data", Json());
    }
    count = told["count"];
  }
  CHECK(known["busy"] == data + std::to_string(kChanges - 1));
  CHECK(messages < kChanges * 3 / 4);  // it had stalled: what changed meanwhile was told as one
}

TEST_CASE("Ten thousand joins and leaves leave the ledger where it was", "[presence]") {
  TestServer test([](Options& options) {
    many_attempts(options);
    options.limits.grace_ms = 1;
    options.limits.sweep_ms = 20;
  });
  const auto before = test.server.ledger().rows();
  {
    std::vector<std::unique_ptr<Member>> members;
    for (int i = 0; i < 10; ++i) members.push_back(std::make_unique<Member>(test, i < 8 ? numbered("u", i / 2) : ""));
    for (int i = 0; i < 10'000; ++i) {
      Member& member = *members[static_cast<std::size_t>(i) % members.size()];
      const std::string channel = numbered("room:", static_cast<std::uint64_t>(i / 10 % 5));
      member.join(channel, {{"data", i}});
      // Every tenth is left to the end of its connection.
      if (i % 10 != i / 100 % 10) member.leave(channel);
      if (i % 1000 == 999) {
        members[0]->client.drop();
        members[0] = std::make_unique<Member>(test, "u0");
      }
    }
  }
  CHECK(eventually(test, [](const PresenceStats& stats) { return stats.channels == 0 && stats.members == 0; }));
  CHECK(test.eventually([](const HubStats& stats) { return stats.connections == 0; }));
  CHECK(test.eventually([&](const HubStats&) { return test.server.connections().stats().users_in_grace == 0; }));
  const auto after = test.server.ledger().rows();
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    INFO(after[i].name);
    CHECK(after[i].used_bytes == before[i].used_bytes);
    CHECK(after[i].refused == 0);
  }
  const PresenceStats stats = test.server.presence().stats();
  CHECK(stats.joined == stats.left);
  CHECK(stats.joins == 0);
}

TEST_CASE("Comings and goings are events on the bus", "[presence]") {
  TestServer test(many_attempts);
  std::mutex mutex;
  std::vector<std::string> seen;
  const auto note = [&](const char* what, const auto& event) {
    const std::lock_guard lock(mutex);
    std::string text(what);
    text.append(event.channel).append(" ");
    text.append(event.user.empty() ? std::to_string(event.connection) : event.user);
    seen.push_back(std::move(text));
  };
  const auto owner = test.server.events().owner("test").value();
  const auto joined = test.server.events().subscribe<Joined>([&](const Joined& e) { note("+", e); }, owner).value();
  const auto left = test.server.events().subscribe<Left>([&](const Left& e) { note("-", e); }, owner).value();
  Member ann(test, "ann"), nobody(test, "");
  ann.join("a");
  ann.join("a", {{"data", 1}});  // is no coming
  ann.leave("a");
  nobody.join("b");
  nobody.client.drop();
  CHECK(test.eventually([&](const HubStats&) {
    const std::lock_guard lock(mutex);
    return seen.size() == 4;
  }));
  const std::lock_guard lock(mutex);
  const std::string id = nobody.client.welcome["connection"];
  REQUIRE(seen.size() == 4);
  CHECK(seen[0] == "+a ann");
  CHECK(seen[1] == "-a ann");
  CHECK(seen[2].substr(3) == id);
  CHECK(seen[3].substr(3) == id);
}
