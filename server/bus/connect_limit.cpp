#include "bus/connect_limit.h"

#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

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

// Descriptors are given out again: a socket is known by its inode.
struct SocketTo {
  int descriptor;
  std::uint64_t inode;
};

std::vector<SocketTo> sockets_to(const std::vector<std::uint16_t>& ports) {
  std::vector<SocketTo> found;
  const std::unique_ptr<DIR, DirEnd> dir(::opendir("/proc/self/fd"));
  while (const dirent* const entry = dir ? ::readdir(dir.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    int descriptor = -1;
    (void)std::from_chars(name.data(), name.data() + name.size(), descriptor);
    struct stat status{};
    if (descriptor < 0 || std::find(ports.begin(), ports.end(), peer_port(descriptor)) == ports.end()) continue;
    if (::fstat(descriptor, &status) == 0) found.push_back({descriptor, status.st_ino});
  }
  return found;
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
  const std::vector<SocketTo> there = sockets_to(ports);
  std::vector<std::uint64_t> before(there.size());
  std::transform(there.begin(), there.end(), before.begin(), [](const SocketTo& socket) { return socket.inode; });
  thread_ = std::thread([this, ports = std::move(ports), before = std::move(before), limit] {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, limit, [this] { return over_; }))
      for (const SocketTo& socket : sockets_to(ports))
        if (std::find(before.begin(), before.end(), socket.inode) == before.end())
          (void)::shutdown(socket.descriptor, SHUT_RDWR);
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
