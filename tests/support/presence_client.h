// Member: a connection of a user, without authentication, that joins channels and watches them. Who: members as a test reads
// them.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support/http_client.h"
#include "support/ws_client.h"

namespace ringfence::test {

inline Json presence_op(const char* name, const std::string& channel, Json more = Json::object()) {
  more["op"] = name;
  more["channel"] = channel;
  if (!more.contains("id")) more["id"] = 1;
  return more;
}

// A connection of a user, or (empty) of nobody.
struct Member {
  Member(std::uint16_t port, const std::string& user, const std::string& protocol = "ringfence.v1")
      : client(port, protocol, user.empty() ? "" : "?user=" + user) {}
  Member(const TestServer& test, const std::string& user, const std::string& protocol = "ringfence.v1")
      : Member(test.server.port(), user, protocol) {}
  void join(const std::string& channel, Json more = Json::object()) {
    client.request(presence_op("join", channel, std::move(more)), "ok");
  }
  void say(const std::string& channel, Json data) { join(channel, Json{{"data", std::move(data)}}); }
  void leave(const std::string& channel) { client.request(presence_op("leave", channel), "ok"); }
  Json watch(const std::string& channel) {
    return client.request(presence_op("presence", channel, {{"watch", true}}), "presence");
  }
  Json ask(const std::string& channel) { return client.request(presence_op("presence", channel), "presence"); }
  std::string code_of(const Json& request) { return client.error_of(request.dump()); }
  std::string id() const { return client.welcome["connection"]; }
  // What who() calls it, at another server by that of `node`.
  std::string key(const std::string& node = {}) const {
    std::string key(1, '#');
    key.append(id());
    return node.empty() ? key : key.append(1, '@').append(node);
  }
  WsClient client;
};

// By user, or "#" and the connection: what each says.
inline std::map<std::string, Json> who(const Json& members) {
  std::map<std::string, Json> all;
  for (const Json& one : members) {
    std::string name = one.value("user", std::string(1, '#'));
    if (one.contains("connection")) name.append(one["connection"].get<std::string>());
    all[name] = one.value("data", Json());
  }
  return all;
}

// As back ends see them.
inline Json members_of(const TestServer& test, const std::string& channel) {
  return Json::parse(HttpClient(test.server.port()).get("/v1/presence?limit=1000&channel=" + channel).body());
}
inline std::map<std::string, Json> who(const TestServer& test, const std::string& channel) {
  return who(members_of(test, channel)["members"]);
}

}  // namespace ringfence::test
