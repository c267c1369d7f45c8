// ConnectLimit: ends a connect of cnats that does not end itself.
//
// cnats 3.4 keeps no time behind the broker's INFO: one that stands still there is waited for as long as it does, busily, and
// with memory that grows. So while this lives, every `limit` the sockets of the process to these ports are shut down that were
// not there before it, which cnats takes for a broker that has closed.
// Owns     a thread.
// Threads  the constructor and the destructor: one thread, which connects in between.
// Cost     a walk over the descriptors of the process at each connect, and each time that the limit is over.
// Bounds   a few bytes for each socket of the process to these ports. One that somebody else opens to them meanwhile ends too.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ringfence {

class ConnectLimit {
 public:
  ConnectLimit(const std::vector<std::string>& urls, std::chrono::milliseconds limit);
  ~ConnectLimit();
  ConnectLimit(const ConnectLimit&) = delete;
  ConnectLimit& operator=(const ConnectLimit&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

// That of nats://[user:password@]host[:port].
std::uint16_t nats_url_port(const std::string& url) noexcept;

}  // namespace ringfence
