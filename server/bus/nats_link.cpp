#include "bus/nats_link.h"

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>

#include <nats/nats.h>

#include "bus/connect_limit.h"

namespace ringfence {
namespace {

constexpr std::uint64_t kConnectSlackMs = 250;

using LinkPtr = std::shared_ptr<NatsLink>;

struct OptionsEnd {
  void operator()(natsOptions* options) const { natsOptions_Destroy(options); }
};

std::string last_words(natsStatus status) {
  if (status == NATS_NO_SERVER) return "nothing listens there";
  if (status == NATS_TIMEOUT) return "no answer in time";
  natsStatus last = NATS_OK;
  const char* const text = nats_GetLastError(&last);
  std::string words = last == status && text ? text : "";
  // "(conn.c:123): what happened"
  if (const std::size_t end = words.find("): "); words.starts_with('(') && end != std::string::npos)
    words.erase(0, end + 3);
  return words.empty() ? natsStatus_GetText(status) : words;
}

// The links whose `closed` has not been called. cnats knows them by a number: a drain that a close cuts short is told as an
// error after `closed`, and by then there is no link.
class Links {
 public:
  void* add(LinkPtr link) {
    const std::lock_guard lock(mutex_);
    links_.emplace(++last_, std::move(link));
    return reinterpret_cast<void*>(last_);
  }
  LinkPtr find(void* number) {
    const std::lock_guard lock(mutex_);
    const auto found = links_.find(reinterpret_cast<std::uintptr_t>(number));
    return found == links_.end() ? nullptr : found->second;
  }
  LinkPtr take(void* number) {
    const std::lock_guard lock(mutex_);
    auto node = links_.extract(reinterpret_cast<std::uintptr_t>(number));
    return node ? std::move(node.mapped()) : nullptr;
  }
  // Never destroyed: cnats's threads may outlive main().
  static Links& all() {
    static Links* const links = new Links;
    return *links;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::uintptr_t, LinkPtr> links_;
  std::uintptr_t last_ = 0;
};

}  // namespace

// cnats holds the link by a pointer to a shared pointer from attach to detach, and by its number among all links.
struct NatsLink::Calls {
  static NatsLink& link(void* held) { return **static_cast<LinkPtr*>(held); }

  static natsStatus attach(void** user, void* loop, natsConnection*, natsSock fd) {
    auto* const self = static_cast<NatsLink*>(loop);
    const int copy = ::dup(fd);
    if (copy < 0) return NATS_SYS_ERROR;
    boost::system::error_code error;
    self->descriptor_.assign(copy, error);
    if (error) {
      ::close(copy);
      return NATS_SYS_ERROR;
    }
    self->socket_ = fd;
    *user = new LinkPtr(self->shared_from_this());
    return read(*user, true);
  }
  static natsStatus read(void* user, bool add) {
    NatsLink& self = link(user);
    self.want_read_.store(add);
    if (add) boost::asio::post(self.io_, [held = self.shared_from_this()] { held->arm_read(); });
    return NATS_OK;
  }
  static natsStatus write(void* user, bool add) {
    NatsLink& self = link(user);
    self.want_write_.store(add);
    if (add) boost::asio::post(self.io_, [held = self.shared_from_this()] { held->arm_write(); });
    return NATS_OK;
  }
  static natsStatus detach(void* user) {
    const auto held = static_cast<LinkPtr*>(user);
    boost::asio::post((*held)->io_, [link = *held] { link->forget_descriptor(); });
    delete held;
    return NATS_OK;
  }
  static void closed(natsConnection* connection, void* closure) {
    LinkPtr held = Links::all().take(closure);
    if (!held) return;
    const char* text = nullptr;
    const natsStatus last = natsConnection_GetLastError(connection, &text);
    std::string why = last == NATS_OK ? "closed" : text && *text ? text : natsStatus_GetText(last);
    boost::asio::io_context& io = held->io_;
    boost::asio::post(io, [link = std::move(held), why = std::move(why)]() mutable {
      link->forget_descriptor();
      if (!std::exchange(link->ended_, true)) link->hooks_.closed(std::move(why));
    });
  }
  static void error(natsConnection* connection, natsSubscription*, natsStatus status, void* closure) {
    LinkPtr held = Links::all().find(closure);
    if (!held) return;
    const char* text = nullptr;
    (void)natsConnection_GetLastError(connection, &text);
    std::string what = text && *text ? text : natsStatus_GetText(status);
    boost::asio::io_context& io = held->io_;
    boost::asio::post(io, [link = std::move(held), what = std::move(what)]() mutable {
      if (!link->ended_) link->hooks_.error(std::move(what));
    });
  }
};

NatsLink::NatsLink(boost::asio::io_context& io, const NatsOptions& options, Hooks hooks)
    : io_(io), options_(options), hooks_(std::move(hooks)), descriptor_(io) {}

bool NatsLink::connect(std::string& why, bool& refused_credentials) {
  refused_credentials = false;
  natsOptions* made = nullptr;
  natsStatus status = natsOptions_Create(&made);
  const std::unique_ptr<natsOptions, OptionsEnd> options(made);
  const auto set = [&status](natsStatus one) {
    if (status == NATS_OK) status = one;
  };
  std::vector<const char*> urls;
  bool tls = options_.tls;
  for (const std::string& url : options_.urls) {
    urls.push_back(url.c_str());
    tls = tls || url.starts_with("tls://");
  }
  set(natsOptions_SetServers(made, urls.data(), static_cast<int>(urls.size())));
  if (!options_.name.empty()) set(natsOptions_SetName(made, options_.name.c_str()));
  set(natsOptions_SetTimeout(made, options_.connect_timeout_ms));
  set(natsOptions_SetAllowReconnect(made, false));
  set(natsOptions_SetPingInterval(made, options_.ping_interval_ms));
  set(natsOptions_SetMaxPingsOut(made, 2));
  set(natsOptions_SetSendAsap(made, true));
  set(natsOptions_UseGlobalMessageDelivery(made, true));
  if (!options_.user.empty()) set(natsOptions_SetUserInfo(made, options_.user.c_str(), options_.password.c_str()));
  if (!options_.token.empty()) set(natsOptions_SetToken(made, options_.token.c_str()));
  if (!options_.credentials.empty())
    set(natsOptions_SetUserCredentialsFromFiles(made, options_.credentials.c_str(), nullptr));
  if (tls) {
    set(natsOptions_SetSecure(made, true));
    if (!options_.tls_ca.empty()) set(natsOptions_LoadCATrustedCertificates(made, options_.tls_ca.c_str()));
    if (!options_.tls_cert.empty())
      set(natsOptions_LoadCertificatesChain(made, options_.tls_cert.c_str(), options_.tls_key.c_str()));
    if (!options_.tls_host.empty()) set(natsOptions_SetExpectedHostname(made, options_.tls_host.c_str()));
    if (options_.tls_insecure) set(natsOptions_SkipServerVerification(made, true));
  }
  set(natsOptions_SetEventLoop(made, this, &Calls::attach, &Calls::read, &Calls::write, &Calls::detach));
  void* const held = Links::all().add(shared_from_this());
  set(natsOptions_SetClosedCB(made, &Calls::closed, held));
  set(natsOptions_SetErrorHandler(made, &Calls::error, held));
  natsConnection* connection = nullptr;
  if (status == NATS_OK) {
    // All that cnats itself may take, once to reach each and once to be greeted, and some.
    const std::uint64_t limit_ms =
        2 * std::uint64_t{options_.connect_timeout_ms} * options_.urls.size() + kConnectSlackMs;
    const ConnectLimit limit(options_.urls, std::chrono::milliseconds(limit_ms));
    status = natsConnection_Connect(&connection, made);
  }
  if (status != NATS_OK) {
    (void)Links::all().take(held);
    why = last_words(status);
    refused_credentials = status == NATS_CONNECTION_AUTH_FAILED;
    return false;
  }
  owner_.reset(connection, &natsConnection_Destroy);
  raw_ = connection;
  return true;
}

void NatsLink::close() {
  ended_ = true;
  if (raw_) natsConnection_Close(raw_);
  forget_descriptor();  // what detach() posts may find nobody who runs it
}

void NatsLink::drain(int timeout_ms) {
  if (natsConnection_DrainTimeout(raw_, timeout_ms) != NATS_OK) natsConnection_Close(raw_);
}

void NatsLink::resume_reading() {
  if (!std::exchange(paused_, false)) return;
  arm_read();
}

std::size_t NatsLink::buffered() const {
  const int bytes = natsConnection_Buffered(raw_);
  return bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

std::uint64_t NatsLink::max_payload() const {
  const std::int64_t bytes = natsConnection_GetMaxPayload(raw_);
  return bytes > 0 ? static_cast<std::uint64_t>(bytes) : 0;
}

bool NatsLink::headers() const { return natsConnection_HasHeaderSupport(raw_) == NATS_OK; }

std::string NatsLink::server() const {
  char url[256] = "";
  if (natsConnection_GetConnectedUrl(raw_, url, sizeof(url)) != NATS_OK) return {};
  return nats_url_for_log(url);
}

void NatsLink::arm_read() {
  if (reading_ || paused_ || !want_read_ || !descriptor_.is_open()) return;
  reading_ = true;
  descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           self->reading_ = false;
                           if (error || !self->raw_) return;
                           natsConnection_ProcessReadEvent(self->raw_);
                           if (!self->ended_) self->hooks_.progress();
                           self->arm_read();
                         });
}

void NatsLink::arm_write() {
  if (writing_ || !want_write_ || !descriptor_.is_open()) return;
  writing_ = true;
  descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                           self->writing_ = false;
                           if (error || !self->raw_) return;
                           natsConnection_ProcessWriteEvent(self->raw_);
                           if (!self->ended_) self->hooks_.progress();
                           self->arm_write();
                         });
}

void NatsLink::forget_descriptor() {
  boost::system::error_code ignored;
  descriptor_.close(ignored);
#if NATS_VERSION_NUMBER >= 0x030A00
  // Since 3.10 cnats leaves the closing of its own descriptor to who polls it.
  if (socket_ >= 0) natsConnection_ProcessCloseEvent(&socket_);
#endif
  socket_ = -1;
}

}  // namespace ringfence
