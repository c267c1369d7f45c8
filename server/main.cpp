// ringfence-server: serves, or publishes the lines of stdin (pipe).
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>

#include "auth/api_keys.h"
#include "log.h"
#include "options.h"
#include "pipe.h"
#include "server.h"

namespace {

// The usual soft limit of 1,024 is for programs that use select(); ours is --connections. Of the process, so it is done
// here and not in Server.
void raise_descriptor_limit(const ringfence::Options& options) {
  const rlim_t needed = options.limits.connections_max + 16 * rlim_t{options.threads} + 256;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return;
  limit.rlim_cur = std::min(needed, limit.rlim_max);
  (void)::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < needed)
    ringfence::logger("server")->warn(
        "this process may have {} descriptors, and {} connections need {}: above that clients are told 503",
        limit.rlim_cur, options.limits.connections_max, needed);
}

// The line goes to stdout, for >> FILE; the key to stderr, where a person sees it once.
int hash_key(const ringfence::HashKeyOptions& options) {
  const ringfence::NewApiKey made = ringfence::make_api_key(options.name, options.role);
  std::fprintf(stderr, "%s\n", made.key.c_str());
  return std::printf("%s\n", made.line.c_str()) < 0 || std::fflush(stdout) != 0 ? ringfence::kExitRuntime : 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const ringfence::ParsedOptions parsed = ringfence::parse_options(argc, argv);
    switch (parsed.command) {
      case ringfence::Command::print: return std::fputs(parsed.text.c_str(), stdout) < 0 ? ringfence::kExitRuntime : 0;
      case ringfence::Command::pipe: return ringfence::run_pipe(parsed.pipe);
      case ringfence::Command::hash_key: return hash_key(parsed.hash_key);
      case ringfence::Command::serve: break;
    }
    ringfence::set_up_logs(parsed.serve.log_level);
    raise_descriptor_limit(parsed.serve);
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
