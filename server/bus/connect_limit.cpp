#include "bus/connect_limit.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string_view>

namespace ringfence {
namespace {

constexpr std::uint16_t kPort = 4222;

std::uint16_t peer_port(int descriptor) noexcept {
  sockaddr_storage peer{};
  socklen_t size = sizeof(peer);
  if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return 0;
  if (peer.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&peer)->sin_port);
  if (peer.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(&peer)->sin6_port);
  return 0;
}

struct DirEnd {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

// A socket of the process to one of these ports, and a descriptor of our own: that of others may be closed, and given out again, at
// any time.
class SocketCopy {
 public:
  explicit SocketCopy(int descriptor) : descriptor_(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) {}
  ~SocketCopy() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  SocketCopy(const SocketCopy&) = delete;
  SocketCopy& operator=(const SocketCopy&) = delete;
  int get() const noexcept { return descriptor_; }
  std::uint64_t inode() const noexcept {
    struct stat status{};
    return ::fstat(descriptor_, &status) == 0 ? status.st_ino : 0;
  }

 private:
  const int descriptor_;
};

template <typename Visit>
void visit_sockets_to(const std::vector<std::uint16_t>& ports, Visit visit) {
  const auto one_of_them = [&ports](int descriptor) {
    return std::find(ports.begin(), ports.end(), peer_port(descriptor)) != ports.end();
  };
  const std::unique_ptr<DIR, DirEnd> dir(::opendir("/proc/self/fd"));
  while (const dirent* const entry = dir ? ::readdir(dir.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    int descriptor = -1;
    (void)std::from_chars(name.data(), name.data() + name.size(), descriptor);
    if (descriptor < 0 || !one_of_them(descriptor)) continue;
    const SocketCopy copy(descriptor);
    if (copy.get() >= 0 && one_of_them(copy.get())) visit(copy);
  }
}

}  // namespace

std::uint16_t nats_url_port(const std::string& url) noexcept {
  const std::size_t colon = url.rfind(':');
  std::uint16_t port = 0;
  if (colon == std::string::npos || url.find_first_of("]/@", colon) != std::string::npos) return kPort;
  const auto [stop, error] = std::from_chars(url.data() + colon + 1, url.data() + url.size(), port);
  return error == std::errc() && stop == url.data() + url.size() && port > 0 ? port : kPort;
}

ConnectLimit::ConnectLimit(const std::vector<std::string>& urls, std::chrono::milliseconds limit) {
  std::vector<std::uint16_t> ports;
  ports.reserve(urls.size());
  for (const std::string& url : urls) ports.push_back(nats_url_port(url));
  std::vector<std::uint64_t> before;
  visit_sockets_to(ports, [&before](const SocketCopy& copy) { before.push_back(copy.inode()); });
  thread_ = std::thread([this, ports = std::move(ports), before = std::move(before), limit] {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, limit, [this] { return over_; }))
      visit_sockets_to(ports, [&before](const SocketCopy& copy) {
        if (std::find(before.begin(), before.end(), copy.inode()) == before.end())
          (void)::shutdown(copy.get(), SHUT_RDWR);
      });
  });
}

ConnectLimit::~ConnectLimit() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

}  // namespace ringfence
