#include "bus/nats_service.h"

#include <utility>

#include "bus/nats_core.h"

namespace ringfence {

NatsSubscription& NatsSubscription::operator=(NatsSubscription&& other) noexcept {
  if (this == &other) return *this;
  end();
  core_ = std::move(other.core_);
  node_ = std::move(other.node_);
  return *this;
}

void NatsSubscription::end() noexcept {
  const auto node = std::exchange(node_, nullptr);
  if (!node) return;
  if (const auto core = core_.lock()) core->end_node(node);
  core_.reset();
}

bool NatsSubscription::active() const noexcept { return node_ && !node_->ended && !core_.expired(); }

NatsService::NatsService(const NatsOptions& options, Ledger& ledger, EventBus* events)
    : core_(std::make_shared<detail::NatsCore>(options, ledger, events)) {}

NatsService::~NatsService() { core_->end(); }

void NatsService::start() { core_->start(); }
bool NatsService::wait_connected(std::chrono::steady_clock::time_point until) { return core_->wait_connected(until); }
bool NatsService::refused_credentials() const { return core_->refused_credentials; }
NatsLeft NatsService::disconnect(std::chrono::steady_clock::time_point until, const std::function<bool()>& hastened) {
  return core_->disconnect(until, hastened);
}
NatsState NatsService::state() const noexcept { return core_->state; }
std::string NatsService::reason() const { return core_->reason(); }
void NatsService::watch_state(StateHandler handler) { core_->watch_state(std::move(handler)); }
void NatsService::set_degraded(std::string_view who, std::string reason) {
  core_->set_degraded(who, std::move(reason));
}
void NatsService::set_stream_ready(bool ready) { core_->set_stream_ready(ready); }

Result<void> NatsService::publish(NatsOutgoing message) { return core_->publish(std::move(message)); }
Result<void> NatsService::request(NatsOutgoing message, AnswerHandler answered, std::uint32_t timeout_ms) {
  return core_->request(std::move(message), std::move(answered), timeout_ms);
}
Result<void> NatsService::publish_acked(NatsOutgoing message, AckHandler acked, std::uint32_t timeout_ms) {
  return core_->publish_acked(std::move(message), std::move(acked), timeout_ms);
}

Result<NatsSubscription> NatsService::subscribe(std::string subject, Handler handler, std::string_view owner,
                                                std::string queue) {
  auto node = core_->subscribe(std::move(subject), std::move(handler), owner, std::move(queue));
  if (!node.ok()) return node.error();
  return NatsSubscription(core_, std::move(node).value());
}
std::size_t NatsService::unsubscribe_all(std::string_view owner) { return core_->unsubscribe_all(owner); }
std::vector<NatsSubscriptionInfo> NatsService::get_active_subscriptions() const { return core_->active(); }

std::vector<NatsService::DeadLetter> NatsService::take_dead_letters(std::size_t count_max) {
  return core_->take_dead_letters(count_max);
}
NatsStats NatsService::stats() const { return core_->stats(); }
const NatsOptions& NatsService::options() const noexcept { return core_->options; }
boost::asio::any_io_executor NatsService::executor() const { return core_->io.get_executor(); }
std::shared_ptr<__natsConnection> NatsService::connection() const { return core_->connection(); }

}  // namespace ringfence
