// Options: what the binary and an embedding program tell the server, with defaults; and the one parser for it.
//
// A value comes from the command line, else from the environment (RINGFENCE_<NAME>), else from --config FILE.
// Owns     plain values.
// Threads  parse_options() reads the environment: call it before threads start.
// Errors   parse_options() throws UsageError with one line; its exit status is kExitUsage.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "bus/nats_options.h"
#include "server_limits.h"

namespace ringfence {

inline constexpr int kExitOk = 0;
inline constexpr int kExitRuntime = 1;  // the port is in use, something was left at the end, a line was refused
inline constexpr int kExitUsage = 2;    // an option, a file named by one, or the memory budget

class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct AuthOptions {
  std::string jwt_secret;      // HS256
  std::string jwt_public_key;  // file: a public key or certificate in PEM, RSA (RS256) or P-256 (ES256)
  std::string jwks;            // file: a JSON Web Key Set
  std::string jwt_audience;    // empty: `aud` is not looked at
  std::string jwt_issuer;      // empty: `iss` is not looked at
  std::uint32_t jwt_clock_skew_s = 10;
  // Of a token without a `ringfence` claim.
  std::vector<std::string> jwt_subscribe{"*"};
  std::vector<std::string> jwt_publish{"*"};
  std::vector<std::string> jwt_presence{"*"};
  std::string api_keys;  // file: lines of name:role:hash
  std::uint32_t recheck_s = 300;
  std::uint32_t token_cache_entries = 10'000;
  std::uint64_t identity_memory_bytes = 16ull << 20;  // 1.6 KiB for each of the default connections

  // One key is enough: then nothing is open.
  bool enabled() const noexcept {
    return !jwt_secret.empty() || !jwt_public_key.empty() || !jwks.empty() || !api_keys.empty();
  }
};

struct MonitorOptions {
  std::uint32_t sample_s = 30;                    // between two looks
  std::uint32_t log_s = 300;                      // between two log lines
  std::uint32_t share_percent = 90;               // of a bound
  std::uint32_t growth_percent = 2;               // at equal load
  std::uint64_t unexplained_bytes = 64ull << 20;  // of the process, above what all accounts hold
  // The reference system's thresholds; 0: none, or as --alert-growth.
  std::uint32_t subscription_growth_percent = 0;
  std::uint32_t task_growth_percent = 0;
  std::uint32_t closed_ids = 0;
  std::uint32_t cache_percent = 0;
};

struct PipeOptions {
  std::string url = "ws://127.0.0.1:8080/v1/ws";
  std::string channel;
  std::string type = "message";
  std::uint32_t window_lines = 512;          // published and not yet acknowledged
  std::uint64_t window_bytes = 1024 * 1024;  // the same in bytes; one line may pass it
  std::uint32_t reconnect_s = 30;            // without a connection before it gives up
  std::string token{};                       // a JWT
  std::string api_key{};
};

struct HashKeyOptions {
  std::string name;
  std::string role = "back_end";
};

struct Options {
  // Why this default: the default limits add up to less (the table is logged at start), and it leaves more than half of
  // the smallest machine we expect, 2 GiB.
  static constexpr std::uint64_t kMemoryBudgetDefault = 896ull << 20;

  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: any; Server::port() tells
  std::uint32_t threads = default_threads();
  std::string static_dir;                  // empty: no files are served
  bool insecure = false;                   // allows any address without authentication
  bool trust_forwarded_for = false;        // of a peer on a loopback address
  std::vector<std::string> allow_origins;  // besides the server's own host; "*" is any
  std::uint64_t memory_budget_bytes = kMemoryBudgetDefault;
  std::uint64_t cache_memory_bytes = 16ull << 20;      // of all named caches
  std::uint64_t last_value_memory_bytes = 2ull << 20;  // of the latest records of `conflate` channels
  std::vector<std::string> channel_policies;           // PATTERN=POLICY, see realtime/channel_policy.h
  std::string log_level = "info";
  std::string log_channel;  // empty: log lines are not published
  AuthOptions auth;
  NatsOptions nats;
  MonitorOptions monitor;
  Limits limits;

  static std::uint32_t default_threads() noexcept;  // of the hardware, at most 8
};

enum class Command : std::uint8_t { serve, pipe, hash_key, print };

struct ParsedOptions {
  Command command = Command::serve;
  Options serve;
  PipeOptions pipe;
  HashKeyOptions hash_key;
  std::string text;  // print: the answer to --help or --version
};

ParsedOptions parse_options(int argc, const char* const* argv);

// Throws UsageError where options contradict one another: an address that is not loopback without --insecure, a
// static folder that cannot be read, intervals that make no sense together.
void check_options(const Options& options);

// "65536", "64KiB", "16 MiB", "1GiB"; false if it is none of them or above 2^63.
bool parse_size(const std::string& text, std::uint64_t& bytes);
std::string size_text(std::uint64_t bytes);  // the shortest exact form

}  // namespace ringfence
