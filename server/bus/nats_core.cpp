// NatsCore: its life: connecting, states, the end.
#include "bus/nats_core.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include <boost/asio/post.hpp>

#include <nats/nats.h>

#include "bus/backoff.h"
#include "bus/nats_inbox.h"
#include "events/event_bus.h"
#include "log.h"
#include "realtime/clock.h"

namespace ringfence::detail {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kTick{20};
constexpr int kDrainGraceMs = 5'000;

bool is_up(NatsState state) noexcept { return state == NatsState::connected || state == NatsState::degraded; }

Account open(Ledger& ledger, std::string_view name, std::uint64_t bytes) {
  auto account = ledger.open(name, bytes);
  INVARIANT(account.ok());
  return std::move(account).value();
}

std::string hex(std::uint64_t number) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = text.size(); i-- > 0; number >>= 4) text[i] = kDigits[number & 15];
  return text;
}

std::mt19937_64 seeded() {
  std::random_device device;
  std::seed_seq seed{device(), device(), device(), device()};
  return std::mt19937_64(seed);
}

NatsOptions named(NatsOptions options) {
  if (!options.name.empty()) return options;
  char host[64] = "";
  (void)::gethostname(host, sizeof(host) - 1);
  for (const char* c = host; *c && options.name.size() < 40; ++c) {
    const bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9');
    options.name += plain ? *c : '-';
  }
  options.name += "-" + hex(seeded()()).substr(0, 8);
  return options;
}

}  // namespace

NatsCore::NatsCore(const NatsOptions& its_options, Ledger& ledger, EventBus* events)
    : options(named(its_options)),
      events_(events),
      pending_account_(open(ledger, "nats pending", options.pending_bytes + options.pending_max * kPendingBytes)),
      incoming_account_(open(ledger, "nats incoming", options.incoming_bytes + options.payload_bytes + kReadBytes)),
      connection_account_(
          open(ledger, "nats connection", options.buffer_bytes + 2 * options.payload_bytes + kReadBytes)),
      requests_account_(open(ledger, "nats requests", options.requests_max * kRequestBytes)),
      subscriptions_account_(open(ledger, "nats subscriptions", options.subscriptions_max * kSubscriptionBytes)),
      breaker_({options.circuit_failures, options.circuit_open_ms, options.circuit_successes}),
      letters_(ledger, options.dead_letters_max, options.dead_letter_bytes,
               std::int64_t{options.dead_letter_age_s} * 1'000'000),
      random_(seeded()) {
  INVARIANT(options.enabled());
  // cnats keeps these; they are bounded by when we read and write, so they are taken whole, for good.
  INVARIANT(incoming_account_.try_add(incoming_account_.capacity_bytes()));
  INVARIANT(connection_account_.try_add(connection_account_.capacity_bytes()));
  inbox_ = std::make_shared<NatsInbox>([this] { boost::asio::post(io, [this] { drain_inbox(); }); });
  reply_prefix_ = "_INBOX." + hex(random_()) + hex(random_()) + ".";
}

NatsCore::~NatsCore() {
  INVARIANT(!thread_.joinable());
  pending_account_.sub(pending_account_.used_bytes());
  requests_account_.sub(requests_account_.used_bytes());
  subscriptions_account_.sub(subscriptions_account_.used_bytes());
}

// --- Beginning

void NatsCore::start() {
  const std::lock_guard life(life_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (accepting_) return;
    accepting_ = true;
  }
  if (!reply_node_) {
    reply_node_ =
        subscribe(reply_prefix_ + "*", [this](NatsMessage& message) { on_reply(message); }, "nats", {}, true).value();
  }
  boost::asio::post(io, [this] { begin(); });
  if (thread_.joinable()) return;
  work_.emplace(io.get_executor());
  thread_ = std::thread([this] {
    thread_id_ = std::this_thread::get_id();
    io.run();
  });
}

void NatsCore::begin() {
  wanted_ = true;
  tries_ = 0;
  ever_connected_ = false;
  become(NatsState::connecting, "not connected yet");
  try_connect();
}

void NatsCore::try_connect() {
  if (!wanted_ || link_) return;
  NatsLink::Hooks hooks;
  hooks.closed = [this](std::string why) { lost(std::move(why)); };
  hooks.error = [this](const std::string& what) {
    logger("nats")->warn("the broker says: {}", what);
    const std::lock_guard lock(mutex_);
    last_error_ = what;
  };
  hooks.progress = [this] {
    note_read();
    watch_incoming();
    pump();
  };
  auto link = std::make_shared<NatsLink>(io, options, std::move(hooks));
  std::erase_if(links_, [](const auto& held) { return held.expired(); });
  links_.push_back(link);
  std::string why;
  bool refused = false;
  if (!link->connect(why, refused)) return connect_failed(std::move(why), refused);
  link_ = std::move(link);
  connected();
}

void NatsCore::connected() {
  tries_ = 0;
  connected_at_ = Clock::now();
  ever_connected_ = true;
  refused_credentials = false;
  reads_.clear();
  read_ = done_ = {};
  handled_ = handled_seen_ = 0;
  waits_to_retry_ = false;
  retry_timer_.cancel();
  std::vector<NatsNodePtr> nodes;
  {
    const std::lock_guard lock(mutex_);
    raw_ = link_->connection();
    server_ = link_->server();
    ++counts_.connects;
    counts_.max_payload = link_->max_payload();
    counts_.headers = link_->headers();
    breaker_.try_now();
    for (const auto& [id, node] : nodes_) nodes.push_back(node);
  }
  for (const NatsNodePtr& node : nodes)
    if (!node->ended) make_on_broker(node);
  refresh_state();
  pump();
}

void NatsCore::connect_failed(std::string why, bool refused) {
  ++tries_;
  refused_credentials = refused;
  std::string urls;
  for (const std::string& url : options.urls) urls += (urls.empty() ? "" : ", ") + nats_url_for_log(url);
  std::string text = (refused ? "the broker refuses these credentials: " : "no connection to ") + urls + ": " + why;
  {
    const std::lock_guard lock(mutex_);
    last_error_ = why;
    ++counts_.connect_failures;
  }
  // What the broker refuses is not mended by trying often.
  const bool open = refused || tries_ >= options.reconnects_max;
  become(open              ? NatsState::circuit_open
         : ever_connected_ ? NatsState::reconnecting
                           : NatsState::connecting,
         std::move(text));
  if (open) {
    wait_and_try(options.reconnect_max_ms);
  } else {
    const double random = std::uniform_real_distribution<double>(0, 1)(random_);
    wait_and_try(backoff_ms(tries_ - 1, options.reconnect_min_ms, options.reconnect_max_ms, random));
  }
}

void NatsCore::wait_and_try(std::uint32_t ms) {
  reconnect_timer_.expires_after(milliseconds(ms));
  reconnect_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) try_connect();
  });
}

void NatsCore::lost(std::string why) {
  {
    const std::lock_guard lock(mutex_);
    last_error_ = why;
    ++counts_.disconnects;
  }
  let_go_of_link();
  if (!wanted_) return;  // drained
  become(NatsState::reconnecting, "the connection is lost: " + why);
  // One that the broker ends as soon as it is made, over and over, is not tried ever again at once.
  const bool brief = Clock::now() - connected_at_ < milliseconds(options.reconnect_max_ms);
  brief_ = brief ? brief_ + 1 : 1;
  wait_and_try(backoff_ms(brief_ - 1, options.reconnect_min_ms, options.reconnect_max_ms, 0.5));
}

void NatsCore::let_go_of_link() {
  if (!link_) return;
  link_->close();
  link_.reset();
  incoming_timer_.cancel();
  std::vector<NatsNodePtr> nodes;
  {
    const std::lock_guard lock(mutex_);
    raw_.reset();
    for (const auto& [id, node] : nodes_) nodes.push_back(node);
  }
  for (const NatsNodePtr& node : nodes) take_from_broker(node, false);
  fail_sent_requests();
  changed_.notify_all();
}

// --- States

void NatsCore::set_degraded(std::string_view who, std::string reason) {
  {
    const std::lock_guard lock(mutex_);
    if (reason.empty()) {
      if (const auto found = degraded_by_.find(who); found != degraded_by_.end()) degraded_by_.erase(found);
    } else {
      degraded_by_.insert_or_assign(std::string(who), std::move(reason));
    }
  }
  boost::asio::post(io, [this] { refresh_state(); });
}

void NatsCore::set_stream_ready(bool ready) {
  {
    const std::lock_guard lock(mutex_);
    stream_ready_ = ready;
    if (ready) breaker_.try_now();
  }
  boost::asio::post(io, [this] {
    refresh_state();
    arm_tick();  // which probes
  });
}

void NatsCore::refresh_state() {
  if (!link_ || !wanted_) return;
  NatsState to = NatsState::connected;
  std::string reason;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [who, why] : degraded_by_)
      reason.append(reason.empty() ? "" : "; ").append(who).append(": ").append(why);
    if (!reason.empty()) to = NatsState::degraded;
    if (breaker_.state() == CircuitBreaker::State::open) {
      to = NatsState::circuit_open;
      reason = std::to_string(options.circuit_failures) + " publishes in a row were not answered by the stream";
    } else if (breaker_.state() == CircuitBreaker::State::half_open) {
      to = NatsState::degraded;
      reason = "trying whether the stream answers again";
    }
  }
  become(to, std::move(reason));
}

void NatsCore::become(NatsState to, std::string reason) {
  const NatsState from = state.load();
  {
    const std::lock_guard lock(mutex_);
    if (from == to && reason == reason_) return;
    reason_ = reason;
    state = to;
  }
  changed_.notify_all();
  if (is_up(to) && reason.empty())
    logger("nats")->info("{}: {}", nats_state_name(to), link_ ? link_->server() : std::string());
  else if (to == NatsState::disconnected || to == NatsState::connecting)
    logger("nats")->info("{}: {}", nats_state_name(to), reason);
  else
    logger("nats")->warn("{}: {}", nats_state_name(to), reason);
  if (from == to) return;  // for another reason
  if (events_) (void)events_->emit<NatsStateChanged>([&] { return NatsStateChanged{from, to, reason}; });
  for (const auto& watcher : watchers_) watcher(from, to);
}

std::string NatsCore::reason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

bool NatsCore::wait_connected(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, until, [this] { return is_up(state) || refused_credentials; });
  return is_up(state);
}

std::shared_ptr<natsConnection> NatsCore::connection() const {
  const std::lock_guard lock(mutex_);
  return raw_;
}

// --- The tick: what has a deadline

void NatsCore::arm_tick() {
  if (ticking_) return;
  ticking_ = true;
  tick_timer_.expires_after(kTick);
  tick_timer_.async_wait([this](const boost::system::error_code& error) {
    ticking_ = false;
    if (!error) tick();
  });
}

void NatsCore::tick() {
  const std::int64_t now_ms = steady_ms();
  expire_requests(now_ms);
  expire_pending(now_ms - options.pending_age_ms);
  bool more = !batch_.empty();
  bool half_open = false;
  {
    const std::lock_guard lock(mutex_);
    letters_.expire(wall_us());
    breaker_.look(now_ms);
    half_open = breaker_.state() == CircuitBreaker::State::half_open;
    more = more || !pending_.empty() || !waiting_.empty() || breaker_.state() != CircuitBreaker::State::closed;
  }
  if (half_open) probe();
  refresh_state();
  if (more) arm_tick();
}

// So that a breaker closes again where nobody publishes: JetStream is asked how it is.
void NatsCore::probe() {
  if (probing_ || !link_ || options.mode != "jetstream") return;
  std::optional<CircuitBreaker::Ticket> ticket;
  {
    const std::lock_guard lock(mutex_);
    ticket = breaker_.enter(steady_ms());
  }
  if (!ticket) return;
  probing_ = true;
  const auto asked = request(
      {.subject = "$JS.API.INFO", .data = {}},
      [this, ticket](const NatsAnswer& answer) {
        probing_ = false;
        const std::lock_guard lock(mutex_);
        if (answer.result.ok())
          breaker_.succeeded(*ticket, steady_ms());
        else
          breaker_.failed(*ticket, steady_ms());
      },
      0);
  if (asked.ok()) return;
  probing_ = false;
  const std::lock_guard lock(mutex_);
  breaker_.gave_up(*ticket);
}

// --- The end

NatsLeft NatsCore::disconnect(Clock::time_point until, const std::function<bool()>& hastened) {
  INVARIANT(!on_thread());
  const std::lock_guard life(life_mutex_);
  if (!thread_.joinable()) return {};
  const auto log = logger("nats");
  {
    const std::lock_guard lock(mutex_);
    if (!accepting_) return {};
    accepting_ = false;
  }
  const auto subscriptions = active();
  log->info("disconnecting: {} active subscriptions", subscriptions.size());
  constexpr std::size_t kToldMax = 20;
  for (std::size_t i = 0; i < std::min(subscriptions.size(), kToldMax); ++i)
    log->info("  active: {} of {}", subscriptions[i].subject, subscriptions[i].owner);

  const auto wait = [&](const std::function<bool()>& done) {  // under the lock
    std::unique_lock lock(mutex_);
    while (!done()) {
      if (Clock::now() >= until || (hastened && hastened())) return false;
      changed_.wait_until(lock, std::min(until, Clock::now() + milliseconds(10)));
    }
    return true;
  };
  // 1. What is pending goes out, and the requests are answered, as long as there is somebody to send it to.
  wait([this] { return !raw_ || (pending_.empty() && under_way_ == 0 && waiting_.empty()); });
  const auto left_ms = [&] {
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
    return hastened && hastened() ? 0 : static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
  };
  // 2. Flush: the broker has answered, so it has read all of it.
  const bool answers = [&] {
    const auto raw = connection();
    return raw && left_ms() > 0 && natsConnection_FlushTimeout(raw.get(), left_ms()) == NATS_OK;
  }();
  // 3. Unsubscribe, and let what has come be handled: cnats closes when that is done. Not at a broker that does not answer.
  const int drain_ms = answers ? left_ms() : 0;
  NatsLeft left;
  const bool at_once = hastened && hastened();
  boost::asio::post(io, [this, &left, drain_ms, at_once] {
    wanted_ = false;
    reconnect_timer_.cancel();
    // Beyond the deadline: a drain that cnats itself gives up looks like one that has ended, with nothing left.
    if (link_ && drain_ms > 0) return link_->drain(drain_ms + kDrainGraceMs);
    if (!at_once) left.subscriptions = left_on_broker();  // nobody hears that they end
    let_go_of_link();
  });
  const bool drained = wait([this] { return !raw_; });
  // 4. Nothing may be left; if it is, it ends with the connection.
  std::atomic<bool> closed{false};
  boost::asio::post(io, [this, &left, &closed, drained] {
    if (!drained) left.subscriptions += left_on_broker();
    let_go_of_link();
    drain_inbox();
    {
      const std::lock_guard lock(mutex_);
      left.requests = waiting_.size();
      left.pending = pending_.size() + batch_.size();
    }
    expire_pending(std::numeric_limits<std::int64_t>::max());
    expire_requests(std::numeric_limits<std::int64_t>::max());
    become(NatsState::disconnected, "disconnected");
    closed = true;
    changed_.notify_all();
  });
  std::unique_lock lock(mutex_);
  while (!closed) changed_.wait_for(lock, milliseconds(10));
  if (left.subscriptions > 0) log->warn("{} subscriptions were left after the unsubscribing", left.subscriptions);
  return left;
}

// How many subscriptions the broker still has.
std::size_t NatsCore::left_on_broker() const {
  std::size_t left = 0;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, node] : nodes_)
    if (!node->internal && node->raw && natsSubscription_IsValid(node->raw)) ++left;
  return left;
}

void NatsCore::end() {
  (void)disconnect(Clock::now(), [] { return true; });
  const std::lock_guard life(life_mutex_);
  if (!thread_.joinable()) return;
  if (reply_node_) end_node(reply_node_);
  work_.reset();
  io.stop();
  thread_.join();
  thread_id_ = std::thread::id();
  inbox_->close();
  // cnats's threads may still be on their way to a link: what they post is run here.
  const auto gone = [this] {
    std::erase_if(links_, [](const auto& held) { return held.expired(); });
    return links_.empty();
  };
  while (!gone()) {
    io.restart();
    if (io.poll() == 0) std::this_thread::sleep_for(milliseconds(1));
  }
  const std::lock_guard lock(mutex_);
  nodes_.clear();
  node_work_.clear();
}

NatsStats NatsCore::stats() const {
  const std::lock_guard lock(mutex_);
  NatsStats stats = counts_;
  stats.state = state;
  stats.reason = reason_;
  stats.server = raw_ ? server_ : std::string();
  stats.last_error = last_error_;
  stats.pending = pending_.size() + under_way_;
  stats.pending_bytes = pending_texts_;
  stats.requests_waiting = waiting_.size();
  stats.dead_letters = letters_.size();
  stats.dead_letter_bytes = letters_.bytes();
  stats.dead_letters_total = letters_.total();
  stats.dead_letters_evicted = letters_.evicted();
  stats.circuit_opened = breaker_.opened();
  stats.subscriptions = counts_.subscribed_total - counts_.unsubscribed_total;  // a scrape walks none of them
  return stats;
}

}  // namespace ringfence::detail
