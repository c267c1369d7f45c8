// Without Asio: its <netinet/tcp.h> defines the same tcp_info as <linux/tcp.h>, without the field that is needed here.
#include "net/tcp_progress.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>

namespace ringfence {

std::uint64_t tcp_acked_bytes(int fd) noexcept {
  tcp_info info{};
  socklen_t bytes = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) != 0) return 0;
  constexpr std::size_t kEnd = offsetof(tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked;
  return bytes >= kEnd ? info.tcpi_bytes_acked : 0;
}

}  // namespace ringfence
