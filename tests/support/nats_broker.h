// NatsBroker: a nats-server of a test's own, on free loopback ports: started, killed, started again on the same ports, stopped
// and continued as a process.
//
// Owns     the process and its folder, which both end with it.
// Errors   a broker that does not start within 20 s throws.
#pragma once

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/http_client.h"

namespace ringfence::test {

class NatsBroker {
 public:
  // `more`: further arguments; `config`: the text of its configuration. With JetStream its files are in the broker's folder, and
  // outlive a restart.
  explicit NatsBroker(std::vector<std::string> more = {}, bool jetstream = false, std::string_view config = {})
      : more_(std::move(more)) {
    char name[] = "/tmp/ringfence-nats-XXXXXX";
    if (!::mkdtemp(name)) throw std::runtime_error("mkdtemp failed");
    folder_ = name;
    if (!config.empty()) {
      std::ofstream(folder_ + "/config") << config;
      more_.push_back("-c");
      more_.push_back(folder_ + "/config");
    }
    if (jetstream) {
      more_.push_back("-js");
      more_.push_back("-sd");
      more_.push_back(folder_ + "/store");
    }
    start();
  }
  ~NatsBroker() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  NatsBroker(const NatsBroker&) = delete;
  NatsBroker& operator=(const NatsBroker&) = delete;

  void start() {
    if (pid_ > 0) return;
    const std::string ports_dir = folder_ + "/ports";
    std::filesystem::remove_all(ports_dir);
    std::filesystem::create_directories(ports_dir);
    std::vector<std::string> args{"nats-server",
                                  "-a",
                                  "127.0.0.1",
                                  "-p",
                                  port_ ? std::to_string(port_) : "-1",
                                  "-m",
                                  monitor_ ? std::to_string(monitor_) : "-1",
                                  "--ports_file_dir",
                                  ports_dir,
                                  "-l",
                                  folder_ + "/log"};
    args.insert(args.end(), more_.begin(), more_.end());
    std::vector<char*> raw;
    for (std::string& arg : args) raw.push_back(arg.data());
    raw.push_back(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      ::execvp(raw[0], raw.data());
      ::execv("/usr/sbin/nats-server", raw.data());
      ::_exit(127);
    }
    read_ports(ports_dir);
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::kill(pid_, SIGCONT);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  void pause() { ::kill(pid_, SIGSTOP); }
  void go_on() { ::kill(pid_, SIGCONT); }
  // Reads the configuration again: of a broker started with one.
  void reload() { ::kill(pid_, SIGHUP); }

  std::uint16_t port() const noexcept { return port_; }
  std::string url(const std::string& user = {}) const {
    std::string url("nats://");
    if (!user.empty()) url.append(user).append("@");
    return url.append("127.0.0.1:").append(std::to_string(port_));
  }
  const std::string& folder() const noexcept { return folder_; }
  // Of its monitoring port: "/subsz", "/connz", "/varz".
  nlohmann::json look(const std::string& path) const {
    return nlohmann::json::parse(HttpClient(monitor_).get(path).body());
  }

 private:
  void read_ports(const std::string& dir) {
    for (int tries = 0; tries < 2000; ++tries) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = 0;
        std::ifstream log(folder_ + "/log");
        throw std::runtime_error("nats-server ended: " + std::string(std::istreambuf_iterator<char>(log), {}));
      }
      for (const auto& file : std::filesystem::directory_iterator(dir)) {
        std::ifstream in(file.path());
        const auto ports = nlohmann::json::parse(in, nullptr, false);
        if (!ports.is_object() || !ports.contains("nats") || !ports.contains("monitoring")) continue;
        port_ = port_of(ports["nats"][0]);
        monitor_ = port_of(ports["monitoring"][0]);
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("nats-server did not start");
  }
  static std::uint16_t port_of(const std::string& url) {
    return static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  }

  std::vector<std::string> more_;
  std::string folder_;
  pid_t pid_ = 0;
  std::uint16_t port_ = 0, monitor_ = 0;
};

}  // namespace ringfence::test
