#include "bus/cluster_view.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <limits>
#include <random>
#include <utility>

#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include "auth/identity.h"
#include "events/event_bus.h"
#include "realtime/clock.h"
#include "realtime/connection_manager.h"
#include "realtime/hub.h"

namespace ringfence {

using Json = nlohmann::json;

namespace {

constexpr std::int64_t kHeartbeatsMissed = 3;
constexpr std::string_view kWho = "name";

std::string random_run() {
  std::random_device device;
  return std::to_string(std::uint64_t{device()} << 32 | device());
}

std::uint64_t number(const Json& body, const char* field) {
  const auto found = body.find(field);
  return found != body.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string text(const Json& body, const char* field) {
  const auto found = body.find(field);
  return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool flag(const Json& body, const char* field) {
  const auto found = body.find(field);
  return found != body.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace

ClusterView::ClusterView(NatsService& nats, EventBus& events, Hub& hub, ConnectionManager& connections, Ledger& ledger)
    : nats_(nats),
      hub_(hub),
      connections_(connections),
      name_(nats.options().name),
      run_(random_run()),
      node_subject_(nats.options().prefix + ".node."),
      ask_subject_(nats.options().prefix + ".ask"),
      heartbeat_ms_(nats.options().heartbeat_ms),
      account_(ledger.open("cluster nodes", nats.options().nodes_max * kNodeBytes).value()),
      timer_(nats.executor()),
      owner_(events.owner("cluster").value()) {
  connected_ = events.subscribe<Connected>([this](const Connected& event) { on_connected(event); }, owner_).value();
}

ClusterView::~ClusterView() {
  stop();
  account_.sub(account_.used_bytes());
}

void ClusterView::start() {
  if (std::exchange(running_, true)) return;
  nodes_ = nats_.subscribe(node_subject_ + "*", [this](NatsMessage& message) { on_node(message); }, "cluster").value();
  asks_ = nats_.subscribe(ask_subject_, [this](NatsMessage& message) { on_ask(message); }, "cluster").value();
  boost::asio::post(nats_.executor(), [this] { beat(); });
}

void ClusterView::stop() {
  if (!std::exchange(running_, false)) return;
  nodes_.end();
  asks_.end();
  tell(true);
  // The timer is the service's thread's, which still runs. A beat that is due already comes before the second post.
  std::promise<void> stopped;
  boost::asio::post(nats_.executor(), [&] {
    stopped_ = true;
    timer_.cancel();
    boost::asio::post(nats_.executor(), [&] { stopped.set_value(); });
  });
  stopped.get_future().wait();
}

void ClusterView::beat() {
  if (stopped_) return;
  tell(false);
  expire(steady_ms());
  timer_.expires_after(std::chrono::milliseconds(heartbeat_ms_));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) beat();
  });
}

ClusterNode ClusterView::self() const {
  const HubStats hub = hub_.stats();
  const ConnectionStats connected = connections_.stats();
  return {name_, true, connected.connections, connected.users, hub.channels, hub.subscriptions, hub.published, 0};
}

void ClusterView::tell(bool leaving) {
  const ClusterNode node = self();
  // One that waits for the broker is as good as the next: it is not kept for long.
  if (nats_.state() != NatsState::connected && nats_.state() != NatsState::degraded) return;
  (void)nats_.publish({.subject = node_subject_ + name_,
                       .data = Json{{"run", run_},
                                    {"leaving", leaving},
                                    {"connections", node.connections},
                                    {"users", node.users},
                                    {"channels", node.channels},
                                    {"subscriptions", node.subscriptions},
                                    {"published", node.published}}
                                   .dump()});
}

void ClusterView::on_node(NatsMessage& message) {
  const std::string name(message.subject().substr(node_subject_.size()));
  if (name.size() > 64 || !valid_name(name)) return;
  const Json body = Json::parse(message.data(), nullptr, false);
  if (!body.is_object()) return;
  if (name == name_) {
    if (text(body, "run") != run_) note_namesake(flag(body, "leaving"));
    return;
  }
  const std::int64_t now_ms = steady_ms();
  expire(now_ms);
  const std::lock_guard lock(mutex_);
  auto found = heard_.find(name);
  if (flag(body, "leaving")) {
    if (found == heard_.end()) return;
    heard_.erase(found);
    account_.sub(kNodeBytes);
    return;
  }
  if (found == heard_.end()) {
    if (!account_.try_add(kNodeBytes)) {
      ++not_listed_;
      return;
    }
    found = heard_.emplace(name, Heard{}).first;
  }
  found->second = {{name, false, number(body, "connections"), number(body, "users"), number(body, "channels"),
                    number(body, "subscriptions"), number(body, "published"), 0},
                   now_ms};
}

void ClusterView::note_namesake(bool leaving) {
  namesake_ms_ = leaving ? 0 : steady_ms();
  nats_.set_degraded(
      kWho, leaving ? std::string() : "another server has the name " + name_ + " too; give each its own --nats-name");
}

void ClusterView::expire(std::int64_t now_ms) {
  if (namesake_ms_ != 0 && now_ms - namesake_ms_ > kHeartbeatsMissed * heartbeat_ms_) note_namesake(true);
  const std::lock_guard lock(mutex_);
  const std::size_t gone = std::erase_if(
      heard_, [&](const auto& entry) { return now_ms - entry.second.at_ms > kHeartbeatsMissed * heartbeat_ms_; });
  account_.sub(gone * kNodeBytes);
}

std::vector<ClusterNode> ClusterView::nodes() const {
  std::vector<ClusterNode> all{self()};
  const std::int64_t now_ms = steady_ms();
  const std::lock_guard lock(mutex_);
  for (const auto& [name, heard] : heard_) {
    if (now_ms - heard.at_ms > kHeartbeatsMissed * heartbeat_ms_) continue;
    all.push_back(heard.node);
    all.back().heard_ms_ago = now_ms - heard.at_ms;
  }
  return all;
}

std::uint64_t ClusterView::not_listed() const {
  const std::lock_guard lock(mutex_);
  return not_listed_;
}

std::size_t ClusterView::disconnect_user(std::string_view user, std::string_view session, const CloseReason& why) {
  const auto sent = nats_.publish({.subject = ask_subject_,
                                   .data = Json{{"op", "disconnect"},
                                                {"run", run_},
                                                {"user", user},
                                                {"session", session},
                                                {"code", why.code},
                                                {"reason", why.reason},
                                                {"reconnect", why.reconnect}}
                                               .dump()});
  if (!sent.ok()) return 0;
  const std::lock_guard lock(mutex_);
  return heard_.size();
}

// A session that begins here replaces the user's others anywhere: those that began before it, by time and then by name, so
// that of two that begin at once on two servers one is left.
void ClusterView::on_connected(const Connected& event) {
  if (!event.who || event.who->user.empty() || event.who->session.empty()) return;
  const auto info = connections_.find(event.connection);
  if (!info) return;
  (void)nats_.publish({.subject = ask_subject_,
                       .data = Json{{"op", "session"},
                                    {"run", run_},
                                    {"node", name_},
                                    {"user", event.who->user},
                                    {"session", event.who->session},
                                    {"established_us", info->established_us}}
                                   .dump()});
}

void ClusterView::on_ask(NatsMessage& message) {
  const Json body = Json::parse(message.data(), nullptr, false);
  if (!body.is_object()) return;
  const std::string run = text(body, "run"), user = text(body, "user"), session = text(body, "session");
  if (run.empty() || run == run_ || user.empty()) return;
  const std::string op = text(body, "op");
  if (op == "disconnect") {
    const std::uint64_t code = number(body, "code");
    CloseReason why{static_cast<std::uint16_t>(code), text(body, "reason"), flag(body, "reconnect")};
    const bool good = code == 1000 || code == 1008 || (code >= 3000 && code <= 4999);
    if (good && why.reason.size() <= 100) connections_.disconnect_user(user, session, why);
  } else if (op == "session" && !session.empty()) {
    const auto at = body.find("established_us");
    if (at == body.end() || !at->is_number_integer()) return;
    // Of two at the same microsecond, that of the server whose name, or else life, comes later stays.
    const std::string from = text(body, "node");
    const bool later = name_ != from ? name_ < from : run_ < run;
    const std::int64_t at_us = std::min(at->get<std::int64_t>(), std::numeric_limits<std::int64_t>::max() - 1);
    const std::int64_t before_us = at_us + (later ? 1 : 0);
    connections_.replace_sessions(user, session, before_us);
  }
}

}  // namespace ringfence
