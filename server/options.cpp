#include "options.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <thread>

#include <boost/asio/ip/address.hpp>

#include "auth/identity.h"
#include "net/origin.h"
#include "realtime/channel.h"
#include "realtime/channel_policy.h"

namespace ringfence {
namespace {

struct Suffix {
  const char* name;
  std::uint64_t factor;
};
constexpr Suffix kSuffixes[] = {{"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}};

void check_auth_options(const AuthOptions& auth) {
  const std::pair<const char*, const std::vector<std::string>*> rights[] = {{"--jwt-subscribe", &auth.jwt_subscribe},
                                                                            {"--jwt-publish", &auth.jwt_publish},
                                                                            {"--jwt-presence", &auth.jwt_presence}};
  for (const auto& [name, patterns] : rights) {
    if (patterns->size() > Identity::kPatternsMax)
      throw UsageError(std::string(name) + ": more than " + std::to_string(Identity::kPatternsMax) + " patterns");
    for (const std::string& pattern : *patterns)
      if (!valid_pattern(pattern))
        throw UsageError(std::string(name) + ": '" + pattern + "' is neither a channel's name nor a prefix and '*'");
  }
  const bool tokens = !auth.jwt_secret.empty() || !auth.jwt_public_key.empty() || !auth.jwks.empty();
  if (!tokens && (!auth.jwt_audience.empty() || !auth.jwt_issuer.empty()))
    throw UsageError("--jwt-audience and --jwt-issuer need a key: --jwt-secret, --jwt-public-key or --jwks");
}

}  // namespace

std::uint32_t Options::default_threads() noexcept { return std::clamp(std::thread::hardware_concurrency(), 1u, 8u); }

bool parse_size(const std::string& text, std::uint64_t& bytes) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop == text.data()) return false;
  std::string_view rest(stop, static_cast<std::size_t>(end - stop));
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  std::uint64_t factor = rest.empty() ? 1 : 0;
  for (const Suffix& suffix : kSuffixes)
    if (rest == suffix.name) factor = suffix.factor;
  if (factor == 0 || value > (std::uint64_t{1} << 63) / factor) return false;
  bytes = value * factor;
  return true;
}

std::string size_text(std::uint64_t bytes) {
  for (const Suffix& suffix : kSuffixes)
    if (bytes >= suffix.factor && bytes % suffix.factor == 0)
      return std::to_string(bytes / suffix.factor) + (suffix.factor == 1 ? "" : suffix.name);
  return "0";
}

void check_options(const Options& options) {
  boost::system::error_code error;
  (void)boost::asio::ip::make_address(options.host, error);
  if (error) throw UsageError("--host: '" + options.host + "' is not an IP address");
  if (!is_loopback_address(options.host) && !options.insecure && !options.auth.enabled())
    throw UsageError("--host " + options.host +
                     ": without authentication anybody who reaches this address could read and publish; "
                     "give it a key (--jwt-secret, --jwt-public-key, --jwks, --api-keys), or --insecure allows it");
  for (const std::string& origin : options.allow_origins)
    if (std::string why; !valid_origin(origin, why))
      throw UsageError(
          std::string("--allow-origin: '").append(origin).append("' can be no page's origin: ").append(why));
  check_auth_options(options.auth);
  check_nats_options(options.nats);
  if (!options.static_dir.empty()) {
    std::error_code ec;
    const auto begin = std::filesystem::directory_iterator(options.static_dir, ec);
    if (ec) throw UsageError("--static: cannot read '" + options.static_dir + "': " + ec.message());
    if (std::filesystem::canonical(options.static_dir, ec) == "/")
      throw UsageError("--static: '" + options.static_dir + "' is the whole disk; give a folder below it");
  }
  if (!options.log_channel.empty() && !valid_channel_name(options.log_channel))
    throw UsageError("--log-channel: '" + options.log_channel + "' is not a channel name: [A-Za-z0-9_:.-]{1,128}");
  (void)ChannelPolicies::parse(options.channel_policies);
  if (options.threads < 1 || options.threads > 64) throw UsageError("--threads: not in 1..64");
  const Limits& limits = options.limits;
  if (limits.dead_after_ms <= limits.ping_interval_ms)
    throw UsageError("--dead-after-ms: must be above --ping-interval-ms, or no ping could be answered in time");
  if (limits.history_bytes_max > limits.history_memory_bytes)
    throw UsageError("--history-bytes: one history may not be above --history-memory");
  if (limits.event_memory_bytes < limits.message_bytes + 1024ull)
    throw UsageError("--event-memory: must hold one message of --message-bytes and 1KiB, or no handler would get it");
  if (!limits.valid()) throw UsageError("a limit is out of its range");
}

}  // namespace ringfence
