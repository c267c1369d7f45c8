// Limits: every bound of the server, with its default. Options fill it; Hub, Shard and the sessions enforce it.
// (The file is not called limits.h: on the include path that would hide the C header.)
//
// Zero is never "unlimited": Hub refuses a zero by INVARIANT, so check options first with valid().
#pragma once

#include <cstdint>

namespace ringfence {

struct Limits {
  // Memory of records: one pool for the histories, the writes in flight and the rendered JSON of all threads.
  std::uint64_t history_memory_bytes = 256ull << 20;
  // Of each channel's history.
  std::uint32_t history_records_max = 1000;
  std::uint64_t history_bytes_max = 1ull << 20;
  std::uint64_t history_age_max_s = 86'400;
  // Inbound messages that do not fit a session's first 512 bytes, all connections together.
  std::uint64_t inbound_memory_bytes = 64ull << 20;

  std::uint32_t http_header_bytes = 8 * 1024;  // of a request; not above 8 KiB, see Hub::kConnectionBytesMax
  std::uint32_t http_body_bytes = 1024;        // the same; not above 1 KiB

  std::uint64_t http_publish_bytes = 1ull << 20;  // of a body with events, counted as inbound memory
  std::uint32_t idempotency_keys_max = 2'000;
  std::uint32_t http_answer_ms = 10'000;  // that a request may wait for the broker

  std::uint32_t connections_max = 10'000;
  std::uint32_t channels_max = 10'000;
  std::uint32_t subscriptions_max = 128;  // a connection
  std::uint32_t subscriptions_total_max = 250'000;
  std::uint32_t closed_ids_max = 1'000;
  std::uint32_t events_max = 8'192;               // waiting for handlers, or being handled
  std::uint64_t event_memory_bytes = 8ull << 20;  // what they hold: names and data
  std::uint32_t event_subscriptions_max = 1'024;  // handlers
  std::uint32_t tasks_max = 256;                  // coroutines that outlive a call
  std::uint32_t users_max = 20'000;               // with a connection or in grace
  std::uint32_t user_connections_max = 16;        // of one user

  std::uint32_t presence_members_max = 1'000;         // of a channel
  std::uint32_t presence_members_total_max = 10'000;  // each connection of a member counts
  std::uint32_t presence_joins_max = 32;              // channels that a connection has joined
  std::uint32_t presence_watches_max = 10'000;        // of all connections
  std::uint32_t presence_data_bytes = 512;            // of what a member says of itself

  std::uint32_t message_bytes = 64 * 1024;  // of a message from a client; 16 times it ends the connection
  std::uint32_t frame_bytes = 64 * 1024;    // of records in one message to a client
  std::uint32_t json_depth_max = 10;
  std::uint32_t json_string_chars_max = 10'000;
  std::uint32_t errors_max = 100;  // a connection, within 10 s

  // How often: so many at once, then evenly so many a window (rate_limiter.h).
  std::uint32_t inbound_messages = 100;  // of a connection, but for back ends
  std::uint32_t inbound_window_s = 60;
  std::uint32_t user_attempts = 5;       // to connect, of one user
  std::uint32_t address_attempts = 100;  // the same of one address
  std::uint32_t attempts_window_s = 60;
  std::uint32_t attempt_windows_max = 10'000;  // users and addresses whose attempts are remembered

  std::uint32_t flush_ms = 2;  // least time between two flushes of a thread under load
  std::uint32_t handshake_timeout_ms = 10'000;
  // For a message from a client to arrive whole: 64 KiB in it are 2.2 KB/s, slower than any link that is of use.
  std::uint32_t message_timeout_ms = 30'000;
  std::uint32_t ping_interval_ms = 25'000;  // of silence before a ping
  std::uint32_t dead_after_ms = 60'000;     // of silence before the connection counts as dead
  std::uint32_t write_stall_ms = 30'000;
  std::uint32_t write_stall_pressure_ms = 2'000;  // the same while the record memory is refusing
  std::uint32_t close_timeout_ms = 2'000;
  std::uint32_t grace_ms = 30'000;          // a user without a connection is still there
  std::uint32_t idle_timeout_ms = 300'000;  // of a connection without a subscription that sends nothing
  std::uint32_t channel_idle_ms = 60'000;   // an empty channel without subscribers is forgotten after it
  std::uint32_t shutdown_timeout_ms = 2'000;
  std::uint32_t sweep_ms = 1'000;  // how often timeouts are looked at

  bool valid() const noexcept {
    return history_memory_bytes >= 64 * 1024 && history_records_max > 0 && history_bytes_max >= 4096 &&
           history_age_max_s > 0 && history_age_max_s < 1'000'000'000 && inbound_memory_bytes > 0 &&
           http_header_bytes >= 512 && http_header_bytes <= 8 * 1024 && http_body_bytes > 0 &&
           http_body_bytes <= 1024 && http_publish_bytes > 0 && idempotency_keys_max > 0 && http_answer_ms > 0 &&
           connections_max > 0 && channels_max > 0 && subscriptions_max > 0 && subscriptions_total_max > 0 &&
           closed_ids_max > 0 && message_bytes >= 512 && message_bytes <= (64u << 20) && frame_bytes >= 512 &&
           frame_bytes <= (8u << 20) && json_depth_max > 0 && errors_max > 0 && flush_ms > 0 && users_max > 0 &&
           user_connections_max > 0 && json_string_chars_max > 0 && inbound_messages > 0 && inbound_window_s > 0 &&
           user_attempts > 0 && address_attempts > 0 && attempts_window_s > 0 && attempt_windows_max > 0 &&
           grace_ms > 0 && idle_timeout_ms > 0 && handshake_timeout_ms > 0 && message_timeout_ms > 0 &&
           ping_interval_ms > 0 && dead_after_ms > 0 && write_stall_ms > 0 && write_stall_pressure_ms > 0 &&
           close_timeout_ms > 0 && channel_idle_ms > 0 && shutdown_timeout_ms > 0 && sweep_ms > 0 && events_max > 0 &&
           event_memory_bytes > 0 && event_subscriptions_max > 0 && tasks_max > 0 && presence_members_max > 0 &&
           presence_members_total_max > 0 && presence_joins_max > 0 && presence_watches_max > 0 &&
           presence_data_bytes > 0 && presence_data_bytes <= 4096;
  }
};

}  // namespace ringfence
