// ServerProcess: ringfence-server as a process of its own, that a test may kill.
//
// Owns     the process, which ends with it. Its port is a free one.
// Errors   one that does not say its address within 30 s throws.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace ringfence::test {

class ServerProcess {
 public:
  explicit ServerProcess(const std::vector<std::string>& more) {
    std::vector<std::string> args{RINGFENCE_SERVER_BINARY, "--port", "0", "--log-level", "warn",
                                  "--inbound-messages",    "1000000"};
    args.insert(args.end(), more.begin(), more.end());
    std::vector<char*> raw;
    for (std::string& arg : args) raw.push_back(arg.data());
    raw.push_back(nullptr);
    int pipe_ends[2];
    if (::pipe(pipe_ends) != 0) throw std::runtime_error("pipe failed");
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      ::dup2(pipe_ends[1], STDOUT_FILENO);
      ::close(pipe_ends[0]);
      ::close(pipe_ends[1]);
      ::execv(raw[0], raw.data());
      ::_exit(127);
    }
    ::close(pipe_ends[1]);
    read_port(pipe_ends[0]);
    ::close(pipe_ends[0]);
  }
  ~ServerProcess() { kill(); }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  std::uint16_t port() const noexcept { return port_; }

 private:
  void read_port(int fd) {
    std::string line;
    while (line.find('\n') == std::string::npos) {
      pollfd ready{fd, POLLIN, 0};
      char bytes[256];
      const ssize_t got = ::poll(&ready, 1, 30'000) == 1 ? ::read(fd, bytes, sizeof bytes) : 0;
      if (got <= 0) throw std::runtime_error("ringfence-server did not start");
      line.append(bytes, static_cast<std::size_t>(got));
    }
    port_ = static_cast<std::uint16_t>(std::stoi(line.substr(line.rfind(':') + 1)));
  }

  pid_t pid_ = 0;
  std::uint16_t port_ = 0;
};

}  // namespace ringfence::test
