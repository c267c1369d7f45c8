// NatsOptions: how the server reaches its broker, and what it may keep for it. Filled by the table of options.
//
// Owns     plain values.
// Bounds   each number here is a bound of its own; NatsService enforces them.
// Errors   check_nats_options() throws UsageError with one line. It looks at nothing but the values and the files they name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ringfence {

enum class NatsMode : std::uint8_t { jetstream, core };

struct NatsOptions {
  std::vector<std::string> urls;  // nats://[user:password@]host[:port], tls://…; empty: no broker, the embedded bus
  std::string mode = "jetstream";
  std::string prefix = "ringfence";  // of every subject; one token, or several with dots
  std::string name;                  // of this node; empty: made from the host's name and a random number

  std::string user, password;  // or in the URL
  std::string token;
  std::string credentials;  // file: a JWT and its seed (.creds)
  bool tls = false;         // also without a tls:// URL
  std::string tls_ca, tls_cert, tls_key;
  std::string tls_host;  // what the certificate must be for, if it is not the URL's host
  bool tls_insecure = false;

  std::uint32_t connect_timeout_ms = 5'000;
  std::uint32_t reconnects_max = 5;        // tries with a rising wait, then circuit_open: one try each longest wait
  std::uint32_t reconnect_min_ms = 250;    // the first wait; doubles, +-25 %
  std::uint32_t reconnect_max_ms = 5'000;  // the longest
  std::uint32_t ping_interval_ms = 5'000;  // two without an answer end the connection
  std::uint32_t request_timeout_ms = 5'000;

  std::uint64_t pending_bytes = 8ull << 20;  // messages to the broker that wait, the failed batch included
  std::uint32_t pending_max = 16'384;
  std::uint32_t pending_age_ms = 10'000;       // older than this they are dead letters
  std::uint64_t buffer_bytes = 1ull << 20;     // in the connection's own buffer
  std::uint64_t incoming_bytes = 16ull << 20;  // messages from the broker that wait; then it is not read from
  std::uint64_t payload_bytes = 1ull << 20;    // of one message; the broker's own limit may be lower
  std::uint32_t requests_max = 16'384;         // that wait for an answer
  std::uint32_t subscriptions_max = 32'768;

  std::uint32_t retries_max = 3;  // of a batch that the connection did not take
  std::uint32_t retry_min_ms = 1'000;
  std::uint32_t retry_max_ms = 30'000;
  std::uint32_t circuit_failures = 5;  // requests in a row without an answer
  std::uint32_t circuit_open_ms = 60'000;
  std::uint32_t circuit_successes = 2;

  std::uint32_t dead_letters_max = 1'000;
  std::uint64_t dead_letter_bytes = 4ull << 20;
  std::uint32_t dead_letter_age_s = 7 * 86'400;

  std::vector<std::string> in_types{"*"};  // of clients' messages that back ends get
  std::uint32_t heartbeat_ms = 2'000;
  std::uint32_t nodes_max = 64;  // other servers that are listed

  // Between the servers of a cluster (bus/stream_bridge.h, bus/core_relay.h).
  std::string storage = "file";             // of the stream; or memory
  std::uint32_t replicas = 1;               // of the stream, in a broker that is a cluster
  std::uint64_t stream_bytes = 1ull << 30;  // of the stream, at the broker
  std::uint64_t held_bytes = 8ull << 20;    // records that wait for a hole before them to be filled
  std::uint32_t interest_ms = 5'000;        // a channel without readers is followed for so long
  std::uint32_t ready_ms = 5'000;           // a reader waits for so long until its channel is here

  bool enabled() const noexcept { return !urls.empty(); }
};

void check_nats_options(const NatsOptions& options);

// A prefix, or a subject without wildcards: tokens of [A-Za-z0-9_-] and dots between them, 1 to 64 bytes.
bool valid_nats_prefix(const std::string& prefix) noexcept;
// The URL without user and password, for a log line.
std::string nats_url_for_log(const std::string& url);

}  // namespace ringfence
