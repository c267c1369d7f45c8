// Members of a channel at several servers, as each sees and tells them: whole servers and a real broker.
#include "bus/cluster_presence.h"

#include <memory>

#include "support/catch.h"
#include "support/cluster.h"
#include "support/presence_client.h"
#include "support/server_process.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

using Members = std::map<std::string, Json>;

struct PresenceServer : ClusterServer {
  PresenceServer(const NatsBroker& broker, const std::string& name, const std::string& mode = "core",
                 const std::function<void(Options&)>& change = {})
      : ClusterServer(broker, mode, [&](Options& options) {
          options.nats.name = name;
          options.limits.user_attempts = 1'000'000;
          options.limits.address_attempts = 1'000'000;
          if (change) change(options);
        }) {}
  ClusterPresenceStats stats() { return server.cluster_presence()->stats(); }
  bool sees(const std::string& channel, const Members& members) {
    return test::eventually([&] { return who(*this, channel) == members; });
  }
  // It knows the others and misses nothing of theirs.
  bool hears(std::uint64_t servers) {
    return test::eventually([&] { return stats().servers == servers; });
  }
  std::uint64_t used_bytes(const std::string& account) {
    for (const LedgerRow& row : server.ledger().rows())
      if (row.name == account) return row.used_bytes;
    throw std::runtime_error("no account " + account);
  }
};

void grace(Options& options) { options.limits.grace_ms = 600; }

void quick_hearts(Options& options) { options.nats.heartbeat_ms = 200; }

}  // namespace

TEST_CASE("ClusterPresence: members are seen at every server, in both modes", "[cluster_presence]") {
  for (const char* mode : {"core", "jetstream"}) {
    CAPTURE(mode);
    NatsBroker broker({}, true);
    PresenceServer one(broker, "one", mode), two(broker, "two", mode);
    Member ann(one, "ann"), bob(two, "bob"), nobody(one, "");
    ann.say("room.1", {{"mood", "fine"}});
    bob.join("room.1");
    nobody.join("room.1");
    CHECK(one.sees("room.1", {{"ann", {{"mood", "fine"}}}, {"bob", nullptr}, {nobody.key(), nullptr}}));
    CHECK(two.sees("room.1", {{"ann", {{"mood", "fine"}}}, {"bob", nullptr}, {nobody.key("one"), nullptr}}));
    // The op's answer is of the same.
    const Json told = bob.ask("room.1");
    CHECK(told["count"] == 3);
    CHECK(who(told["members"]) == who(two, "room.1"));
    // Since when is the same everywhere.
    const auto since = [](const TestServer& test, const char* user) {
      const Json told = members_of(test, "room.1");
      for (const Json& member : told["members"])
        if (member.value("user", "") == user) return member["since"].get<std::string>();
      return std::string();
    };
    CHECK(since(one, "ann") == since(two, "ann"));
    ann.leave("room.1");
    nobody.client.drop();
    CHECK(two.sees("room.1", {{"bob", nullptr}}));
    bob.leave("room.1");
    CHECK(one.sees("room.1", {}));
    CHECK(one.server.presence().stats().channels == 0);
    CHECK(two.server.presence().stats().joins == 0);
    for (PresenceServer* server : {&one, &two}) {
      CHECK(server->stats().members == 0);
      CHECK(server->stats().lost == 0);
      CHECK(server->stats().bad == 0);
      CHECK(server->used_bytes("cluster presence") == ClusterPresence::kServerBytes);
      CHECK(HttpClient(server->server.port()).get("/metrics").body().find("\nringfence_cluster_presence_servers 1\n") !=
            std::string::npos);
    }
  }
}

TEST_CASE("ClusterPresence: who watches at another server is told each change once, in order", "[cluster_presence]") {
  NatsBroker broker({}, true);
  for (const char* mode : {"core", "jetstream"}) {
    CAPTURE(mode);
    PresenceServer one(broker, "one", mode), two(broker, "two", mode);
    REQUIRE(one.hears(1));
    REQUIRE(two.hears(1));
    Member eye(two, "");
    CHECK(eye.watch("room")["count"] == 0);
    Member ann(one, "ann");
    ann.join("room");
    CHECK(who(eye.client.expect("join")["members"]) == Members{{"ann", nullptr}});
    Member again(one, "ann");
    again.join("room");  // the same member: nothing to tell
    ann.say("room", 1);
    CHECK(who(eye.client.expect("join")["members"]) == Members{{"ann", 1}});
    again.say("room", 2);
    CHECK(who(eye.client.expect("join")["members"]) == Members{{"ann", 2}});
    ann.leave("room");
    Member bob(one, "bob");
    bob.join("room");
    CHECK(who(eye.client.expect("join")["members"]) == Members{{"bob", nullptr}});
    again.leave("room");
    Json told = eye.client.expect("leave");
    CHECK(who(told["members"]) == Members{{"ann", nullptr}});
    CHECK(told["count"] == 1);
    bob.leave("room");
    CHECK(who(eye.client.expect("leave")["members"]) == Members{{"bob", nullptr}});
    // And nothing else.
    eye.client.request({{"op", "ping"}, {"id", 7}}, "pong");
    CHECK(two.server.presence().stats().updated == 2);
  }
}

TEST_CASE("ClusterPresence: a user at two servers is one member, until it is at neither", "[cluster_presence]") {
  NatsBroker broker;
  PresenceServer one(broker, "one"), two(broker, "two"), three(broker, "three");
  Member here(one, "ann"), there(two, "ann");
  here.say("room", "one");
  REQUIRE(two.sees("room", {{"ann", "one"}}));
  there.join("room");  // says nothing: what she says stays
  REQUIRE(test::eventually([&] { return three.stats().members == 2; }));
  REQUIRE(test::eventually([&] { return one.stats().members == 1; }));
  for (PresenceServer* server : {&one, &two, &three}) CHECK(who(*server, "room") == Members{{"ann", "one"}});
  CHECK(members_of(three, "room")["members"][0]["connections"] == 2);  // a server each
  // The last that was said holds, wherever.
  there.say("room", "two");
  for (PresenceServer* server : {&one, &two, &three}) CHECK(server->sees("room", {{"ann", "two"}}));
  here.say("room", "three");
  for (PresenceServer* server : {&one, &two, &three}) CHECK(server->sees("room", {{"ann", "three"}}));
  here.leave("room");
  REQUIRE(test::eventually([&] { return three.stats().members == 1; }));
  for (PresenceServer* server : {&one, &two, &three}) CHECK(who(*server, "room") == Members{{"ann", "three"}});
  there.leave("room");
  for (PresenceServer* server : {&one, &two, &three}) {
    CHECK(server->sees("room", {}));
    CHECK(server->server.presence().stats().joined == 1);
    CHECK(server->server.presence().stats().left == 1);
  }
}

TEST_CASE("ClusterPresence: a user may come back at another server within the grace time, and nobody is told",
          "[cluster_presence]") {
  NatsBroker broker;
  PresenceServer one(broker, "one"), two(broker, "two");
  REQUIRE(one.hears(1));
  REQUIRE(two.hears(1));
  Member eye(one, "");
  eye.watch("room");
  auto ann = std::make_unique<Member>(one, "ann");
  ann->join("room");
  CHECK(who(eye.client.expect("join")["members"]) == Members{{"ann", nullptr}});
  REQUIRE(two.sees("room", {{"ann", nullptr}}));
  ann->client.drop();
  for (PresenceServer* server : {&one, &two})
    REQUIRE(test::eventually([&] { return server->server.presence().stats().in_grace == 1; }));
  Member back(two, "ann");
  back.join("room");
  for (PresenceServer* server : {&one, &two}) {
    REQUIRE(test::eventually([&] { return server->server.presence().stats().in_grace == 0; }));
    CHECK(server->server.presence().stats().joined == 1);
    CHECK(server->server.presence().stats().left == 0);
  }
  eye.client.request({{"op", "ping"}, {"id", 7}}, "pong");
  // Who is told to go is gone at once, everywhere.
  const std::string body = R"({"user":"ann","code":4000,"reason":"banned"})";
  HttpClient http(one.server.port());
  http.send("POST /v1/disconnect HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
            std::to_string(body.size()) + "\r\n\r\n" + body);
  CHECK(http.read().result_int() == 200);
  CHECK(who(eye.client.expect("leave")["members"]) == Members{{"ann", nullptr}});
  CHECK(two.sees("room", {}));
}

TEST_CASE("ClusterPresence: a server that comes later learns all, in pages", "[cluster_presence]") {
  NatsBroker broker;
  const auto many = [](Options& options) {
    options.limits.presence_joins_max = 1'000;
    options.limits.presence_data_bytes = 4'000;
  };
  PresenceServer one(broker, "one", "core", many), two(broker, "two", "core", many);
  Member ann(one, "ann"), bob(two, "bob");
  const std::string data(3'000, 'x');
  for (int i = 0; i < 200; ++i) ann.say(numbered("room", static_cast<std::uint64_t>(i)), data);
  std::vector<std::unique_ptr<Member>> crowd;
  for (int i = 0; i < 60; ++i) {  // of one part of the table: more than a page
    crowd.push_back(std::make_unique<Member>(one, numbered("user", static_cast<std::uint64_t>(i))));
    crowd.back()->say("crowd", data);
  }
  bob.join("room0");
  PresenceServer three(broker, "three", "core", many);
  CHECK(test::eventually([&] { return three.server.presence().stats().members == 261; }));
  CHECK(three.sees("room0", {{"ann", data}, {"bob", nullptr}}));
  CHECK(who(three, "crowd") == who(one, "crowd"));
  CHECK(three.stats().asked >= 17);
  CHECK(one.stats().pages + two.stats().pages > three.stats().asked);
  CHECK(three.stats().lost == 0);
  CHECK(three.server.presence().stats().updated == 0);
}

TEST_CASE("ClusterPresence: a server that says goodbye has its users in grace elsewhere, and then they leave",
          "[cluster_presence]") {
  NatsBroker broker;
  PresenceServer two(broker, "two", "core", grace);
  auto one = std::make_unique<PresenceServer>(broker, "one", "core", grace);
  Member ann(*one, "ann"), nobody(*one, ""), both(*one, "both"), same(two, "both");
  ann.join("room");
  nobody.join("room");
  both.join("room");
  same.join("room");
  REQUIRE(two.sees("room", {{"ann", nullptr}, {"both", nullptr}, {nobody.key("one"), nullptr}}));
  one.reset();
  CHECK(two.sees("room", {{"both", nullptr}}));
  CHECK(two.stats().servers == 0);
  CHECK(two.stats().servers_ended == 0);  // it was no silence
  CHECK(two.server.presence().stats().left == 2);
  CHECK(two.used_bytes("cluster presence") == 0);
}

TEST_CASE("ClusterPresence: a server that is killed has its members leave after three heartbeats and the grace",
          "[cluster_presence]") {
  NatsBroker broker;
  PresenceServer two(broker, "two", "core", [](Options& options) {
    quick_hearts(options);
    grace(options);
  });
  ServerProcess one(
      {"--nats", broker.url(), "--nats-mode", "core", "--nats-name", "one", "--nats-heartbeat-ms", "200"});
  Member eye(two, ""), ann(one.port(), "ann"), nobody(one.port(), "");
  eye.watch("room");
  ann.join("room");
  CHECK(who(eye.client.expect("join")["members"]) == Members{{"ann", nullptr}});
  nobody.join("room");
  CHECK(who(eye.client.expect("join")["members"]) == Members{{nobody.key("one"), nullptr}});
  one.kill();
  CHECK(who(eye.client.expect("leave")["members"]) == Members{{nobody.key("one"), nullptr}});  // it cannot come back
  CHECK(who(eye.client.expect("leave")["members"]) == Members{{"ann", nullptr}});
  CHECK(two.stats().servers == 0);
  CHECK(two.stats().servers_ended == 1);
  CHECK(two.used_bytes("cluster presence") == 0);
}

TEST_CASE("ClusterPresence: the broker killed and started again makes nobody come or go who stayed",
          "[cluster_presence]") {
  for (const char* mode : {"core", "jetstream"}) {
    CAPTURE(mode);
    NatsBroker broker({}, true);
    PresenceServer one(broker, "one", mode, quick_hearts), two(broker, "two", mode, quick_hearts);
    REQUIRE(one.hears(1));
    REQUIRE(two.hears(1));
    Member ann(one, "ann"), bob(two, "bob"), cyd(one, "cyd");
    Member eye(two, "");
    eye.watch("room");
    ann.say("room", 1);
    CHECK(who(eye.client.expect("join")["members"]) == Members{{"ann", 1}});
    cyd.join("room");
    CHECK(who(eye.client.expect("join")["members"]) == Members{{"cyd", nullptr}});
    bob.join("room");
    CHECK(who(eye.client.expect("join")["members"]) == Members{{"bob", nullptr}});
    REQUIRE(one.sees("room", {{"ann", 1}, {"bob", nullptr}, {"cyd", nullptr}}));
    broker.kill();
    REQUIRE(test::eventually([&] { return one.server.nats()->state() != NatsState::connected; }));
    REQUIRE(test::eventually([&] { return two.server.nats()->state() != NatsState::connected; }));
    // What happens meanwhile is learnt afterwards.
    cyd.leave("room");
    ann.say("room", 2);
    Member dan(one, "dan");
    dan.join("room");
    bob.say("room", "b");
    CHECK(who(eye.client.expect("join")["members"]) == Members{{"bob", "b"}});
    // Longer than three heartbeats: the others' are in grace.
    REQUIRE(test::eventually([&] { return two.stats().members == 0; }));
    CHECK(who(two, "room") == Members{{"ann", 1}, {"bob", "b"}, {"cyd", nullptr}});
    broker.start();
    CHECK(two.sees("room", {{"ann", 2}, {"bob", "b"}, {"cyd", nullptr}, {"dan", nullptr}}));
    CHECK(one.sees("room", {{"ann", 2}, {"bob", "b"}, {"dan", nullptr}}));
    Members told;
    while (told.size() < 2)
      for (const auto& [name, data] : who(eye.client.expect("join")["members"])) {
        CHECK(told.count(name) == 0);
        told[name] = data;
      }
    CHECK(told == Members{{"ann", 2}, {"dan", nullptr}});
    eye.client.request({{"op", "ping"}, {"id", 7}}, "pong");  // and nothing of those who stayed
    CHECK(two.server.presence().stats().left == 0);           // cyd is in grace there
    CHECK(one.server.presence().stats().joined == 4);
  }
}

TEST_CASE("ClusterPresence: 10,000 joins and leaves leave both ledgers where they were", "[cluster_presence]") {
  NatsBroker broker;
  PresenceServer one(broker, "one"), two(broker, "two");
  REQUIRE(one.hears(1));
  REQUIRE(two.hears(1));
  Member ann(one, "ann"), bob(two, "bob");
  const auto used = [&](PresenceServer& server) {
    return std::pair(server.used_bytes("presence"), server.used_bytes("cluster presence"));
  };
  const auto before = std::pair(used(one), used(two));
  std::string joins, leaves;
  for (int i = 0; i < 5'000; ++i) {
    const std::string channel = numbered("room", static_cast<std::uint64_t>(i));
    for (Member* member : {&ann, &bob}) {
      member->client.send_op({{"op", "join"}, {"channel", channel}, {"data", i}});
      if (i >= 16) {  // so that some are there at all times
        const std::string past = numbered("room", static_cast<std::uint64_t>(i - 16));
        member->client.send_op({{"op", "leave"}, {"channel", past}});
      }
    }
  }
  for (int i = 5'000 - 16; i < 5'000; ++i)
    for (Member* member : {&ann, &bob}) member->leave(numbered("room", static_cast<std::uint64_t>(i)));
  CHECK(test::eventually([&] { return std::pair(used(one), used(two)) == before; }));
  for (PresenceServer* server : {&one, &two}) {
    const PresenceStats stats = server->server.presence().stats();
    CHECK(stats.joined == stats.left);
    CHECK(stats.joined >= 5'000);
    CHECK(stats.joins == 0);
    CHECK(stats.channels == 0);
    CHECK(server->stats().sent == 10'000);
    CHECK(server->stats().members == 0);
    CHECK(server->stats().refused == 0);
  }
}

TEST_CASE("ClusterPresence: members elsewhere have no more place than those here; who had none comes when there is",
          "[cluster_presence]") {
  NatsBroker broker;
  PresenceServer one(broker, "one", "core", quick_hearts), two(broker, "two", "core", [](Options& options) {
    options.limits.presence_members_max = 2;
    options.limits.presence_members_total_max = 3;
    quick_hearts(options);
  });
  REQUIRE(one.hears(1));
  REQUIRE(two.hears(1));
  std::vector<std::unique_ptr<Member>> all;
  for (const char* user : {"a", "b", "c"}) {
    all.push_back(std::make_unique<Member>(one, user));
    all.back()->join("room");
  }
  REQUIRE(test::eventually([&] { return two.stats().refused >= 1; }));
  CHECK(who(two, "room") == Members{{"a", nullptr}, {"b", nullptr}});
  all[0]->join("hall");
  all[1]->join("hall");
  REQUIRE(test::eventually([&] { return two.stats().refused >= 2; }));
  CHECK(two.server.presence().stats().joins == 3);
  Member local(two, "local");
  CHECK(local.code_of(presence_op("join", "room")) == "too_many_members");
  CHECK(test::eventually([&] {
    return two.used_bytes("cluster presence") == ClusterPresence::kServerBytes + 3 * ClusterPresence::kJoinBytes;
  }));
  all[0]->leave("room");
  all[0]->leave("hall");
  all[1]->leave("hall");
  CHECK(two.sees("room", {{"b", nullptr}, {"c", nullptr}}));  // asked for again
}

TEST_CASE("ClusterPresence: comings and goings elsewhere are events too, with the server's name of a connection",
          "[cluster_presence]") {
  NatsBroker broker;
  PresenceServer one(broker, "one"), two(broker, "two");
  std::mutex mutex;
  std::vector<std::string> seen;
  const auto note = [&](const char* what, const auto& event) {
    const std::lock_guard lock(mutex);
    std::string text(what);
    text.append(event.channel).append(" ").append(event.user);
    if (event.user.empty()) text.append("#").append(std::to_string(event.connection)).append("@").append(event.node);
    seen.push_back(std::move(text));
  };
  const auto owner = two.server.events().owner("test").value();
  const auto joined = two.server.events().subscribe<Joined>([&](const Joined& e) { note("+", e); }, owner).value();
  const auto left = two.server.events().subscribe<Left>([&](const Left& e) { note("-", e); }, owner).value();
  Member ann(one, "ann"), nobody(one, "");
  const auto has = [&](const std::string& text) {
    return test::eventually([&] {
      const std::lock_guard lock(mutex);
      return !seen.empty() && seen.back() == text;
    });
  };
  ann.join("room");
  CHECK(has("+room ann"));
  nobody.join("room");
  CHECK(has(std::string("+room ").append(nobody.key("one"))));
  nobody.leave("room");
  CHECK(has(std::string("-room ").append(nobody.key("one"))));
  ann.leave("room");
  CHECK(has("-room ann"));
  const std::lock_guard lock(mutex);
  CHECK(seen.size() == 4);
}
