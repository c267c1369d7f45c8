// ringfence-server: serves, or publishes the lines of stdin (pipe).
#include <csignal>
#include <cstdio>
#include <exception>

#include "log.h"
#include "options.h"
#include "pipe.h"
#include "server.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const ringfence::ParsedOptions parsed = ringfence::parse_options(argc, argv);
    switch (parsed.command) {
      case ringfence::Command::print: return std::fputs(parsed.text.c_str(), stdout) < 0 ? ringfence::kExitRuntime : 0;
      case ringfence::Command::pipe: return ringfence::run_pipe(parsed.pipe);
      case ringfence::Command::serve: break;
    }
    ringfence::set_up_logs(parsed.serve.log_level);
    ringfence::Server server(parsed.serve);
    return server.run([&server] {
      const auto& host = server.options().host;
      const bool v6 = host.find(':') != std::string::npos;
      std::printf("http://%s%s%s:%u\n", v6 ? "[" : "", host.c_str(), v6 ? "]" : "", server.port());
      std::fflush(stdout);
    });
  } catch (const ringfence::UsageError& error) {
    std::fprintf(stderr, "ringfence-server: %s\n", error.what());
    return ringfence::kExitUsage;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ringfence-server: %s\n", error.what());
    return ringfence::kExitRuntime;
  }
}
