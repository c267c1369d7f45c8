// What ClusterPresence makes of another server's messages: lost, late, twice, wrong; of its silence and its end. The other
// server is this test, which says what it likes.
#include <array>
#include <future>
#include <set>

#include "bus/cluster_presence.h"
#include "realtime/clock.h"
#include "support/catch.h"
#include "support/nats.h"
#include "support/presence_client.h"
#include "support/random.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

using Members = std::map<std::string, Json>;

struct Node {
  explicit Node(const NatsBroker& broker, const std::function<void(NatsOptions&, Limits&)>& change = {})
      : presence(set_up(broker, change), ledger, 1, nullptr),
        nats(options, ledger, nullptr),
        cluster(nats, presence, ledger, limits) {
    nats.start();
    if (!nats.wait_connected(std::chrono::steady_clock::now() + std::chrono::seconds(20)))
      throw std::runtime_error("not connected");
    cluster.start();
    flush();
  }
  // What it has subscribed to has reached the broker.
  void flush() {
    std::promise<void> answered;
    while (
        !nats.request({.subject = "nobody.listens.here", .data = {}}, [&](const NatsAnswer&) { answered.set_value(); })
             .ok())
      std::this_thread::yield();
    answered.get_future().wait();
  }
  ~Node() { cluster.stop(); }
  const Limits& set_up(const NatsBroker& broker, const std::function<void(NatsOptions&, Limits&)>& change) {
    options = nats_options(broker.url());
    options.name = "node";
    options.heartbeat_ms = 60'000;  // so that none but the test's come
    if (change) change(options, limits);
    return limits;
  }
  Members members(const std::string& channel) const {
    const PresencePage page = presence.members(channel, 0, 1'000, 1 << 20, false);
    std::string list(1, '[');
    return who(Json::parse(list.append(page.joined).append(1, ']')));
  }
  bool sees(const Members& expected) const {
    return test::eventually([&] { return members("room") == expected; });
  }
  std::uint64_t used_bytes() const {
    for (const LedgerRow& row : ledger.rows())
      if (row.name == "cluster presence") return row.used_bytes;
    throw std::runtime_error("no such account");
  }

  Ledger ledger;
  NatsOptions options;
  Limits limits;
  Presence presence;
  NatsService nats;
  ClusterPresence cluster;
};

// The other server, with one part in its table.
struct Peer {
  explicit Peer(const NatsBroker& broker, std::string its_name = "peer", std::string its_run = "a1")
      : nats(broker.url()), name(std::move(its_name)), run(std::move(its_run)) {
    questions = nats.subscribe(
        "ringfence.presence-of." + name,
        [this](NatsMessage& message) {
          const Json asked = Json::parse(message.data());
          if (asked["run"] != run) return;
          const std::lock_guard lock(mutex);
          const std::size_t at = std::min(asked_for.size(), pages.size() - 1);
          asked_for.push_back(asked);
          Json page = pages.at(at);
          page["run"] = run;
          page["part"] = asked["part"];
          (void)nats->publish({.subject = std::string(message.reply()), .data = page.dump()});
        },
        "test");
    nats.flush();
  }
  void say(Json message) {
    message["run"] = run;
    REQUIRE(nats->publish({.subject = "ringfence.presence." + name, .data = message.dump()}).ok());
  }
  void beat(std::uint64_t count) { say({{"counts", {count}}}); }
  void change(std::uint64_t count, const std::string& user, Json more = Json::object()) {
    more["count"] = count;
    more["part"] = 0;
    more["channel"] = "room";
    more["user"] = user;
    say(std::move(more));
  }
  static Json member(std::uint64_t count, const std::string& user) {
    return {{"count", count}, {"channel", "room"}, {"user", user}, {"since", 1}};
  }
  // The answers to questions, in turn; the last one for all further ones.
  void answer(std::vector<Json> with) {
    const std::lock_guard lock(mutex);
    pages = std::move(with);
    asked_for.clear();
  }
  static Json page(std::uint64_t count, Json members, bool more = false, std::uint64_t until = 0) {
    return {{"count", count}, {"until", until ? until : count}, {"more", more}, {"members", std::move(members)}};
  }
  std::vector<Json> asked() {
    const std::lock_guard lock(mutex);
    return asked_for;
  }

  Nats nats;
  const std::string name, run;
  std::mutex mutex;
  std::vector<Json> pages{page(0, Json::array())};
  std::vector<Json> asked_for;
  NatsSubscription questions;
};

}  // namespace

TEST_CASE("ClusterPresence asks for what it has not heard, and tells nothing twice", "[cluster_presence]") {
  NatsBroker broker;
  Node node(broker);
  Peer peer(broker);
  const auto room = node.presence.watch("room", 0).value();
  peer.beat(0);
  peer.change(1, "ann");
  REQUIRE(node.sees({{"ann", nullptr}}));
  CHECK(peer.asked().empty());
  SECTION("a change before another") {
    peer.answer({Peer::page(3, {Peer::member(1, "ann"), Peer::member(2, "bob"), Peer::member(3, "cyd")})});
    peer.change(3, "cyd");
    CHECK(node.sees({{"ann", nullptr}, {"bob", nullptr}, {"cyd", nullptr}}));
    CHECK(node.cluster.stats().lost == 1);
    CHECK(node.cluster.stats().received == 2);
  }
  SECTION("the last one, as a heartbeat says") {
    peer.answer({Peer::page(3, {Peer::member(2, "bob")})});
    peer.beat(3);
    CHECK(node.sees({{"ann", nullptr}, {"bob", nullptr}}));
    CHECK(node.cluster.stats().lost == 2);
    // That ann has gone was lost, and how: she has the grace time.
    CHECK(test::eventually([&] { return node.presence.stats().in_grace == 1; }));
    node.presence.sweep(steady_ms() + node.limits.grace_ms + 1);
    CHECK(node.members("room") == Members{{"bob", nullptr}});
  }
  SECTION("in pages, however the members change in between") {
    peer.answer({Peer::page(4, {Peer::member(1, "ann"), Peer::member(2, "bob")}, true),
                 Peer::page(4, {Peer::member(4, "cyd")}, false, 4)});
    peer.beat(4);
    CHECK(node.sees({{"ann", nullptr}, {"bob", nullptr}, {"cyd", nullptr}}));
    const std::vector<Json> asked = peer.asked();
    REQUIRE(asked.size() == 2);
    CHECK(asked[0]["after"] == 0);
    CHECK(asked[0]["until"] == 0);
    CHECK(asked[1]["after"] == 2);
    CHECK(asked[1]["until"] == 4);
    peer.change(5, "bob", {{"gone", "left"}});
    CHECK(node.sees({{"ann", nullptr}, {"cyd", nullptr}}));
    CHECK(peer.asked().size() == 2);
  }
  SECTION("a page that is older than what has come since is asked for again") {
    peer.answer({Peer::page(1, {Peer::member(1, "ann")}), Peer::page(4, {Peer::member(4, "dan")})});
    peer.change(3, "ann", {{"gone", "left"}});  // and the page still has her
    CHECK(node.sees({{"dan", nullptr}}));
    CHECK(peer.asked().size() == 2);
    CHECK(node.presence.stats().left == 1);
  }
  SECTION("once if nothing comes of it, until the next heartbeat") {
    peer.answer({Peer::page(3, {{{"nonsense", true}}}, true)});
    peer.beat(3);
    REQUIRE(test::eventually([&] { return node.cluster.stats().bad == 2; }));
    peer.nats.flush();
    CHECK(peer.asked().size() == 1);
    peer.answer({Peer::page(3, {Peer::member(2, "bob"), Peer::member(3, "ann")})});
    peer.beat(3);
    CHECK(node.sees({{"ann", nullptr}, {"bob", nullptr}}));
  }
  // ann stayed, or left once.
  CHECK(node.presence.stats().joined == node.presence.stats().members + node.presence.stats().left);
  node.presence.unwatch(*room, 0, true);
}

TEST_CASE("ClusterPresence skips what comes again or too late", "[cluster_presence]") {
  NatsBroker broker;
  Node node(broker);
  Peer peer(broker);
  peer.change(1, "early");  // of a server that is not known: its heartbeat will come
  peer.beat(0);
  const Json said = {{"said", {10, "a1"}}, {"data", "1"}};
  for (int twice = 0; twice < 2; ++twice) peer.change(1, "ann", said);
  peer.change(2, "ann", {{"gone", "left"}});
  peer.change(1, "ann", said);
  peer.change(3, "bob", said);
  peer.beat(2);  // was made before that change
  CHECK(node.sees({{"bob", 1}}));
  CHECK(test::eventually([&] { return node.cluster.stats().received == 3; }));
  CHECK(node.presence.stats().joined == 2);
  CHECK(node.cluster.stats().lost == 0);
  CHECK(peer.asked().empty());
}

TEST_CASE("ClusterPresence: of what a user says at two servers the later holds, and outlives its leaving of either",
          "[cluster_presence]") {
  NatsBroker broker;
  Node node(broker);
  Peer peer(broker);
  Received heard;
  const auto told = peer.nats.subscribe("ringfence.presence.node", heard.handler(), "test");
  peer.nats.flush();
  const auto says = [&](std::uint64_t count, std::int64_t time_us, const char* run, const char* data) {
    peer.change(count, "bob", {{"said", {time_us, run}}, {"data", data}});
    REQUIRE(test::eventually([&] { return node.cluster.stats().received == count; }));
  };
  peer.beat(0);
  says(1, 10, "a1", "1");
  const auto room = node.presence.join("room", {"bob", 1}, std::nullopt).value();
  says(2, 9, "a1", "0");  // said before
  CHECK(node.sees({{"bob", 1}}));
  says(3, 10, "a2", "2");  // at the same time: of the greater run
  CHECK(node.sees({{"bob", 2}}));
  // What is said here is later than that, though the clock of the other is ahead.
  constexpr std::int64_t kAhead_us = 4'000'000'000'000'000;
  says(4, kAhead_us, "a1", "3");
  CHECK(node.sees({{"bob", 3}}));
  REQUIRE(node.presence.update(*room, {"bob", 1}, "4").ok());
  CHECK(node.members("room") == Members{{"bob", 4}});
  says(5, kAhead_us + 1'000, "a1", "5");
  CHECK(node.sees({{"bob", 5}}));
  // When it has left there, this server says so: others may not have heard it.
  peer.change(6, "bob", {{"gone", "left"}});
  REQUIRE(test::eventually(
      [&] { return heard.count() > 0 && heard.at(heard.count() - 1).find(R"("data":"5")") != std::string::npos; }));
  CHECK(node.members("room") == Members{{"bob", 5}});
  // And when it is only there, what it says there holds whatever was said before.
  says(7, kAhead_us + 2'000, "a1", "6");
  node.presence.leave(*room, {"bob", 1}, PresenceEnd::left, 0);
  says(8, 20, "a1", "7");
  CHECK(node.sees({{"bob", 7}}));
}

TEST_CASE("ClusterPresence: a server that is silent for three heartbeats has its members disconnected",
          "[cluster_presence]") {
  NatsBroker broker;
  Node node(broker, [](NatsOptions& options, Limits&) { options.heartbeat_ms = 50; });
  Peer peer(broker);
  peer.beat(0);
  peer.change(1, "ann");
  peer.say({{"part", 0}, {"count", 2}, {"channel", "room"}, {"connection", 17}});
  // A connection does not come back; a user may.
  REQUIRE(test::eventually([&] { return node.presence.stats().joined == 2; }));
  CHECK(node.sees({{"ann", nullptr}}));
  CHECK(node.presence.stats().in_grace == 1);
  CHECK(node.cluster.stats().servers == 0);
  CHECK(node.cluster.stats().servers_ended == 1);
  CHECK(node.cluster.stats().members == 0);
  CHECK(node.used_bytes() == 0);
  // It is heard again: all is asked for, and ann has never been away.
  peer.answer({Peer::page(2, {Peer::member(1, "ann")})});
  peer.beat(2);
  CHECK(test::eventually([&] { return node.presence.stats().in_grace == 0; }));
  CHECK(node.presence.stats().joined == 2);
  REQUIRE(test::eventually([&] { return node.presence.stats().in_grace == 1; }));  // silent once more
  node.presence.sweep(steady_ms() + node.limits.grace_ms + 1);
  CHECK(node.members("room").empty());
}

TEST_CASE("ClusterPresence: a server that has begun anew has none of its members of before", "[cluster_presence]") {
  NatsBroker broker;
  Node node(broker);
  Peer before(broker, "peer", "a1"), after(broker, "peer", "a2");
  before.beat(0);
  before.change(1, "ann");
  before.change(2, "bob");
  before.say({{"part", 0}, {"count", 3}, {"channel", "room"}, {"connection", 1}});
  REQUIRE(node.sees({{"ann", nullptr}, {"bob", nullptr}, {"#1@peer", nullptr}}));
  after.answer(
      {Peer::page(2, {Peer::member(1, "bob"),
                      {{"count", 2}, {"channel", "room"}, {"connection", 1}, {"said", {5, "a2"}}, {"data", "1"}}})});
  after.beat(2);
  REQUIRE(node.sees({{"ann", nullptr}, {"bob", nullptr}, {"#1@peer", 1}}));
  CHECK(node.presence.stats().in_grace == 1);  // ann
  CHECK(node.presence.stats().joined == 4);    // another connection, of the same name
  CHECK(node.cluster.stats().servers == 1);
  CHECK(node.cluster.stats().servers_ended == 1);
  after.say({{"leaving", true}});
  REQUIRE(test::eventually([&] { return node.cluster.stats().servers == 0; }));
  CHECK(node.members("room") == Members{{"ann", nullptr}, {"bob", nullptr}});
  CHECK(node.presence.stats().in_grace == 2);
}

TEST_CASE("ClusterPresence counts messages that are none, and takes nothing of them", "[cluster_presence]") {
  NatsBroker broker;
  Node node(broker, [](NatsOptions& options, Limits& limits) {
    options.nodes_max = 1;
    limits.presence_data_bytes = 8;
  });
  Peer peer(broker), other(broker, "other", "b1");
  peer.beat(0);
  const Json good{{"part", 0}, {"count", 1}, {"channel", "room"}, {"user", "ann"}};
  std::uint64_t bad = 0;
  for (const char* patch :
       {R"({"part":1})", R"({"part":"x"})", R"({"count":0})", R"({"count":-1})", R"({"channel":"a b"})",
        R"({"channel":7})", R"({"user":"a\u0001"})", R"({"user":""})", R"({"connection":1})", R"({"gone":"away"})",
        R"({"data":"{"})", R"({"data":"1\n"})", R"({"data":"[[[[[[[[[[[1]]]]]]]]]]]"})", R"({"counts":7})",
        R"({"counts":[]})", R"({"counts":["1"]})", R"({"counts":[1,2]})",
        R"({"user":null,"connection":9223372036854775808})"}) {
    Json wrong = good;
    wrong.merge_patch(Json::parse(patch));
    peer.say(wrong);
    ++bad;
  }
  for (const char* text : {"", "[]", "{}", R"({"run":"0"})", R"({"run":"xyz","counts":[1]})", R"({"run":7})"}) {
    REQUIRE(peer.nats->publish({.subject = "ringfence.presence.peer", .data = text}).ok());
    ++bad;
  }
  for (const char* text : {"", "{}", R"({"run":"1","part":0})"}) {
    const auto asked = peer.nats->publish({.subject = "ringfence.presence-of.node", .data = text, .reply = "nobody"});
    REQUIRE(asked.ok());
    ++bad;
  }
  CHECK(test::eventually([&] { return node.cluster.stats().bad == bad; }));
  CHECK(node.members("room").empty());
  CHECK(node.cluster.stats().received == 0);
  // More servers than it lists; and data above the limit here.
  other.beat(0);
  CHECK(test::eventually([&] { return node.cluster.stats().servers_refused == 1; }));
  peer.change(1, "ann", {{"said", {1, "a1"}}, {"data", "\"12345678\""}});
  CHECK(test::eventually([&] { return node.cluster.stats().refused == 1; }));
  peer.change(2, "bob", {{"said", {1, "a1"}}, {"data", "\"1234\""}});
  REQUIRE(node.sees({{"bob", "1234"}}));
  peer.change(3, "bob", {{"said", {2, "a1"}}, {"data", "\"12345678\""}});
  CHECK(test::eventually([&] { return node.cluster.stats().refused == 2; }));
  CHECK(node.members("room") == Members{{"bob", "1234"}});
  CHECK(node.used_bytes() == ClusterPresence::kServerBytes + ClusterPresence::kJoinBytes);
}

TEST_CASE("ClusterPresence answers in pages that have a bound, without what no message can hold",
          "[cluster_presence]") {
  NatsBroker broker;
  Node node(broker, [](NatsOptions& options, Limits&) { options.payload_bytes = 1024; });
  Nats nats(broker.url());
  // Its identity, and which part the channel is in, from what it tells.
  Received heard;
  const auto told = nats.subscribe("ringfence.presence.node", heard.handler(), "test");
  nats.flush();
  // In a message each \\ is two.
  const std::string large = json_filler(500), huge = std::string(1, '"').append(500, '\\').append(1, '"');
  std::vector<std::string> users;
  for (std::uint64_t i = 0; i < 20; ++i) users.push_back(numbered("user", i));
  for (std::uint64_t i = 0; i < users.size(); ++i)
    REQUIRE(node.presence.join("room", {users[i], i + 1}, i == 7 ? huge : large).ok());
  REQUIRE(heard.wait_for(19));
  CHECK(node.cluster.stats().not_sent == 1);
  const auto body = [&](std::size_t i) { return Json::parse(heard.at(i).substr(heard.at(i).find(' ') + 1)); };
  const Json first = body(0);
  CHECK(first["user"] == "user0");
  CHECK(body(18)["count"] == 20);
  std::set<std::string> seen;
  Json page;
  std::uint64_t after = 0, pages = 0;
  do {
    const Json question{{"run", first["run"]}, {"part", first["part"]}, {"after", after}, {"until", 20}};
    const auto answer = nats.ask("ringfence.presence-of.node", question.dump());
    REQUIRE(answer.result.ok());
    CHECK(answer.text.size() <= 1024);
    page = Json::parse(answer.text);
    CHECK(page["count"] == 20);
    REQUIRE(page["members"].size() == 1);
    seen.insert(page["members"][0]["user"]);
    after = page["members"][0]["count"];
    ++pages;
  } while (page["more"]);
  CHECK(pages == 19);
  CHECK(seen.size() == 19);
  CHECK(node.cluster.stats().pages == pages);
}

TEST_CASE("ClusterPresence: whatever is lost between servers, in the end all know the same", "[cluster_presence]") {
  NatsBroker broker;
  auto random = seeded_random();
  const auto below = [&](std::uint64_t limit) { return pick(random, 0, limit - 1); };
  // Two messages may wait at a time: of more that are told at once the rest is lost.
  const auto narrow = [](NatsOptions& options, Limits& limits) {
    options.pending_max = 2;
    options.heartbeat_ms = 100;
    limits.grace_ms = 50;
  };
  std::vector<std::unique_ptr<Node>> nodes;
  for (const char* name : {"one", "two", "three"})
    nodes.push_back(std::make_unique<Node>(broker, [&](NatsOptions& options, Limits& limits) {
      narrow(options, limits);
      options.name = name;
    }));
  const std::array<std::string, 4> channels{"a", "b", "c", "d"};
  struct Connection {
    Node* node;
    std::string channel, user;
    std::uint64_t id;
    PresenceRoomPtr room;
  };
  std::vector<Connection> joined;
  std::map<std::string, int> said;  // last, by channel and name
  const auto note = [&](const Connection& one, int data) {
    said[one.channel + (one.user.empty() ? numbered("#", one.id) : one.user)] = data;
  };
  std::uint64_t last_id = 0;
  const auto leave = [&](std::size_t at, PresenceEnd end) {
    const Connection& one = joined[at];
    one.node->presence.leave(*one.room, {one.user, one.id}, end, steady_ms());
    joined[at] = std::move(joined.back());
    joined.pop_back();
  };
  for (int i = 0; i < 6'000; ++i) {
    Node& node = *nodes[below(nodes.size())];
    const std::string data = std::to_string(i);
    const std::uint64_t what = below(10);
    if (joined.size() < 10 || (what < 4 && joined.size() < 60)) {
      // Nobody; a user of this server alone; one who is anywhere.
      const std::string user = what == 0 ? "" : numbered(what == 1 ? node.options.name : "u", below(8));
      Connection one{&node, channels[below(4)], user, ++last_id, nullptr};
      one.room = node.presence.join(one.channel, {one.user, one.id}, data).value();
      note(one, i);
      joined.push_back(std::move(one));
    } else if (what < 6) {
      const Connection& one = joined[below(joined.size())];
      REQUIRE(one.node->presence.update(*one.room, {one.user, one.id}, data).ok());
      note(one, i);
    } else {
      leave(below(joined.size()), below(2) == 0 ? PresenceEnd::left : PresenceEnd::disconnected);
    }
    if (below(200) == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    for (const auto& one : nodes) one->presence.sweep(steady_ms());
  }
  const auto lost = [&] {
    std::uint64_t sum = 0;
    for (const auto& one : nodes) sum += one->cluster.stats().lost;
    return sum;
  };
  CHECK(lost() > 0);
  // Who is there by what was done; and what those say who are at one server only.
  const auto agree = [&](const std::string& channel) {
    for (const auto& one : nodes) {
      one->presence.sweep(steady_ms());
      Members expected, members = one->members(channel);
      for (const Connection& connection : joined) {
        if (connection.channel != channel) continue;
        std::string name = connection.user.empty() ? numbered("#", connection.id) : connection.user;
        if (connection.user.empty() && connection.node != one.get())
          name.append("@").append(connection.node->options.name);
        expected[name] = members.count(name) ? members[name] : Json();
      }
      if (members != expected) return false;
      for (const auto& [name, data] : members)
        if (name[0] != 'u' && data != said[channel + name.substr(0, name.find('@'))]) return false;
    }
    return true;
  };
  for (const std::string& channel : channels)
    CHECK(test::eventually([&] { return agree(channel); }, std::chrono::seconds(60)));
  while (!joined.empty()) leave(joined.size() - 1, PresenceEnd::left);
  for (const auto& one : nodes) {
    CHECK(test::eventually([&] {
      one->presence.sweep(steady_ms());
      return one->presence.stats().joins == 0;
    }));
    CHECK(one->cluster.stats().bad == 0);
  }
}

TEST_CASE("ClusterPresence lets a member go who was told of in two parts, each time once", "[cluster_presence]") {
  NatsBroker broker;
  Node node(broker);
  Peer peer(broker);
  peer.say({{"counts", {0, 0}}});
  for (const int part : {0, 1})
    peer.say({{"part", part}, {"count", 1}, {"channel", "room"}, {"user", "ann"}, {"since", 1}});
  REQUIRE(test::eventually([&] { return node.cluster.stats().members == 2; }));
  CHECK(node.members("room") == Members{{"ann", nullptr}});
  peer.say({{"part", 1}, {"count", 2}, {"channel", "room"}, {"user", "ann"}, {"gone", "left"}});
  REQUIRE(test::eventually([&] { return node.cluster.stats().members == 1; }));
  CHECK(node.members("room") == Members{{"ann", nullptr}});
  peer.say({{"leaving", true}});
  REQUIRE(test::eventually([&] { return node.cluster.stats().members == 0; }));
  node.presence.sweep(steady_ms() + node.limits.grace_ms + 1);
  CHECK(node.presence.stats().joins == 0);
}
