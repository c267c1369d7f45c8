// tcp_progress: how far a connection's peer has got, as the kernel knows it.
//
// Threads  none: a function of its argument.
// Cost     one system call.
#pragma once

#include <cstdint>

namespace ringfence {

// Bytes that the peer has acknowledged since the connection began; 0 if the kernel does not tell.
std::uint64_t tcp_acked_bytes(int fd) noexcept;

}  // namespace ringfence
