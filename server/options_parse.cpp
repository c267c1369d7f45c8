// The table of options and its parser. Help, ranges, defaults, the environment and the file all come from the table.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>
#include <variant>

#include <CLI/CLI.hpp>

#include <ringfence/record.h>

#include "bus/nats_rows.h"
#include "options.h"
#include "options_row.h"
#include "realtime/channel.h"

namespace ringfence {
namespace {

constexpr std::uintmax_t kConfigBytesMax = kMiB;
constexpr std::size_t kMessageBytesMax = 300;

std::vector<Row> serve_rows(Options& o) {
  Limits& l = o.limits;
  std::vector<Row> rows{
      {"Listening",
       "host",
       &o.host,
       "address to listen on; not a loopback one needs authentication or --insecure",
       {},
       0,
       0,
       "ADDRESS"},
      {"Listening", "port", &o.port, "port; 0 takes a free one, which is printed", Unit::count, 0, 65535},
      {"Listening", "threads", &o.threads, "threads, each with its own connections", Unit::count, 1, 64},
      {"Listening", "static", &o.static_dir, "folder of files to serve over HTTP", {}, 0, 0, "DIR"},
      {"Listening", "insecure", &o.insecure, "allow any address without authentication"},
      {"Listening",
       "allow-origin",
       &o.allow_origins,
       "origin of web pages that may connect, besides the server's own host; may be repeated; * is any",
       {},
       0,
       0,
       "ORIGIN"},
      {"Authentication",
       "jwt-secret",
       &o.auth.jwt_secret,
       "secret of HS256, 32 bytes or more; best by the environment, as arguments are seen by other users",
       {},
       0,
       0,
       "TEXT"},
      {"Authentication",
       "jwt-public-key",
       &o.auth.jwt_public_key,
       "public key or certificate in PEM, RSA for RS256 or P-256 for ES256",
       {},
       0,
       0,
       "FILE"},
      {"Authentication", "jwks", &o.auth.jwks, "JSON Web Key Set", {}, 0, 0, "FILE"},
      {"Authentication", "jwt-audience", &o.auth.jwt_audience, "what `aud` must be or contain", {}, 0, 0, "TEXT"},
      {"Authentication", "jwt-issuer", &o.auth.jwt_issuer, "what `iss` must be", {}, 0, 0, "TEXT"},
      {"Authentication", "jwt-clock-skew-s", &o.auth.jwt_clock_skew_s, "that `exp` and `nbf` are given", Unit::s, 0,
       600},
      {"Authentication",
       "jwt-subscribe",
       &o.auth.jwt_subscribe,
       "channels for tokens without a `ringfence` claim; may be repeated; '' is none (*)",
       {},
       0,
       0,
       "PATTERN"},
      {"Authentication", "jwt-publish", &o.auth.jwt_publish, "the same for publishing (*)", {}, 0, 0, "PATTERN"},
      {"Authentication", "jwt-presence", &o.auth.jwt_presence, "the same for presence (*)", {}, 0, 0, "PATTERN"},
      {"Authentication",
       "api-keys",
       &o.auth.api_keys,
       "lines of name:role:hash, which hash-key makes",
       {},
       0,
       0,
       "FILE"},
      {"Authentication", "auth-recheck-s", &o.auth.recheck_s,
       "how often connections are checked again and changed key files read", Unit::s, 1, 86'400},
      {"Authentication", "token-cache", &o.auth.token_cache_entries, "tokens kept verified until they expire",
       Unit::count, 1, 1'000'000},
      {"Authentication", "identity-memory", &o.auth.identity_memory_bytes, "who is connected and with which rights",
       Unit::bytes, 64 * kKiB, kTiB},

      {"Logs", "log-level", &o.log_level, "trace, debug, info, warn, error or off", {}, 0, 0, "LEVEL"},
      {"Logs", "log-channel", &o.log_channel, "publish the server's log lines on this channel", {}, 0, 0, "NAME"},

      {"Monitoring", "monitor-sample-s", &o.monitor.sample_s, "between two looks of the leak monitor", Unit::s, 1,
       3'600},
      {"Monitoring", "monitor-log-s", &o.monitor.log_s, "between two of its log lines", Unit::s, 1, 86'400},
      {"Monitoring", "alert-share", &o.monitor.share_percent, "percent of a bound that raise an alert", Unit::count, 1,
       100},
      {"Monitoring", "alert-growth", &o.monitor.growth_percent,
       "percent by which a structure may grow at equal load, over the last 64 looks at most", Unit::count, 1, 1'000},
      {"Monitoring", "alert-subscription-growth", &o.monitor.subscription_growth_percent,
       "the same for subscriptions to events; 0 is the same number", Unit::count, 0, 1'000},
      {"Monitoring", "alert-task-growth", &o.monitor.task_growth_percent, "the same for tasks", Unit::count, 0, 1'000},
      {"Monitoring", "alert-unexplained-memory", &o.monitor.unexplained_bytes,
       "what the process may grow by beyond all that is accounted for", Unit::bytes, kMiB, 64 * kTiB},
      {"Monitoring", "alert-closed-ids", &o.monitor.closed_ids,
       "alert above so many remembered closed connections; 0 is none", Unit::count, 0, 10'000'000},
      {"Monitoring", "alert-cache-percent", &o.monitor.cache_percent,
       "alert above so many percent of a cache's entries; 0 is none", Unit::count, 0, 1'000},

      {"Memory", "memory-budget", &o.memory_budget_bytes,
       "the start is refused if the worst case of all limits is above it", Unit::bytes, kMiB, 64 * kTiB},
      {"Memory", "history-memory", &l.history_memory_bytes, "records of all channels, and those being sent",
       Unit::bytes, 64 * kKiB, 64 * kTiB},
      {"Memory", "inbound-memory", &l.inbound_memory_bytes, "messages being received, above 512 bytes each",
       Unit::bytes, 64 * kKiB, 64 * kTiB},
      {"Memory", "cache-memory", &o.cache_memory_bytes, "named caches, their tables included", Unit::bytes, 12 * kMiB,
       64 * kTiB},
      {"Memory", "http-publish-bytes", &l.http_publish_bytes,
       "body of a request that publishes; counted with --inbound-memory", Unit::bytes, kKiB, kGiB},
      {"Memory", "idempotency-keys", &l.idempotency_keys_max,
       "answers to requests with an Idempotency-Key that are remembered, ten minutes at most", Unit::count, 1,
       1'000'000},
      {"Memory", "http-header-bytes", &l.http_header_bytes, "head of an HTTP request", Unit::bytes, 512, 8 * kKiB},
      {"Memory", "http-body-bytes", &l.http_body_bytes, "body of an HTTP request", Unit::bytes, 1, kKiB},

      {"Events", "event-queue", &l.events_max, "events that wait for handlers, or are being handled", Unit::count, 1,
       100'000'000},
      {"Events", "event-memory", &l.event_memory_bytes, "names and data that those events hold", Unit::bytes, kKiB,
       64 * kTiB},
      {"Events", "event-subscriptions", &l.event_subscriptions_max, "handlers of events", Unit::count, 1, 1'000'000},
      {"Events", "tasks", &l.tasks_max, "tasks of the server beside its connections", Unit::count, 1, 1'000'000},

      {"Channels", "channels", &l.channels_max, "channels", Unit::count, 1, 100'000'000},
      {"Channels", "history-records", &l.history_records_max, "records held for each channel", Unit::count, 1,
       1'000'000'000},
      {"Channels", "history-bytes", &l.history_bytes_max, "bytes held for each channel", Unit::bytes, 4 * kKiB, kTiB},
      {"Channels", "history-age-s", &l.history_age_max_s, "age of the records held", Unit::s, 1, 999'999'999},
      {"Channels",
       "channel-policy",
       &o.channel_policies,
       "for subscribers that are slow: a channel or a prefix and *, then =catch_up (as without), =conflate (the latest "
       "only) or =close; may be repeated, the first that matches counts",
       {},
       0,
       0,
       "PATTERN=POLICY"},
      {"Channels", "last-value-memory", &o.last_value_memory_bytes,
       "latest records of conflate channels, within --cache-memory", Unit::bytes, 64 * kKiB, 64 * kTiB},
      {"Channels", "channel-idle-ms", &l.channel_idle_ms, "an empty channel without subscribers is forgotten after it",
       Unit::ms, 1, kDayMs},

      {"Connections", "connections", &l.connections_max, "connections, of HTTP and WebSocket", Unit::count, 1,
       10'000'000},
      {"Connections", "subscriptions", &l.subscriptions_max, "subscriptions of a connection", Unit::count, 1, 65535},
      {"Connections", "subscriptions-total", &l.subscriptions_total_max, "subscriptions of all connections",
       Unit::count, 1, 1'000'000'000},
      {"Connections", "closed-ids", &l.closed_ids_max, "ids of closed connections that are remembered", Unit::count, 1,
       10'000'000},
      {"Connections", "users", &l.users_max, "users that are connected or in grace", Unit::count, 1, 100'000'000},
      {"Connections", "user-connections", &l.user_connections_max, "connections of one user", Unit::count, 1, 65535},
      {"Connections", "inbound-messages", &l.inbound_messages,
       "messages that a client may send in --inbound-window-s; back ends are exempt", Unit::count, 1, 1'000'000'000},
      {"Connections", "inbound-window-s", &l.inbound_window_s, "see --inbound-messages", Unit::s, 1, 86'400},
      {"Connections", "user-attempts", &l.user_attempts, "handshakes of one user in --attempts-window-s", Unit::count,
       1, 1'000'000'000},
      {"Connections", "address-attempts", &l.address_attempts,
       "the same of one address; loopback addresses are not counted", Unit::count, 1, 1'000'000'000},
      {"Connections", "attempts-window-s", &l.attempts_window_s, "see --user-attempts", Unit::s, 1, 86'400},
      {"Connections", "attempt-windows", &l.attempt_windows_max, "users and addresses whose attempts are remembered",
       Unit::count, 1, 10'000'000},
      {"Connections", "trust-forwarded-for", &o.trust_forwarded_for,
       "behind a proxy on this machine: take a client's address from X-Forwarded-For"},
      {"Connections", "message-bytes", &l.message_bytes, "a message from a client; 16 times it ends the connection",
       Unit::bytes, 512, 64 * kMiB},
      {"Connections", "frame-bytes", &l.frame_bytes, "records in one message to a client", Unit::bytes, 512, 8 * kMiB},
      {"Connections", "json-depth", &l.json_depth_max, "levels of a client's JSON", Unit::count, 1, 1000},
      {"Connections", "json-string-chars", &l.json_string_chars_max, "characters of a string in a client's JSON",
       Unit::count, 1, 1'000'000'000},
      {"Connections", "errors-max", &l.errors_max, "errors of a connection within 10 s before it is closed",
       Unit::count, 1, 1'000'000},

      {"Presence", "presence-members", &l.presence_members_max, "members of a channel", Unit::count, 1, 1'000'000},
      {"Presence", "presence-members-total", &l.presence_members_total_max,
       "members of all channels; each connection of a member counts", Unit::count, 1, 100'000'000},
      {"Presence", "presence-joins", &l.presence_joins_max, "channels that a connection has joined", Unit::count, 1,
       65535},
      {"Presence", "presence-watches", &l.presence_watches_max, "connections that are told of a channel's members",
       Unit::count, 1, 100'000'000},
      {"Presence", "presence-data-bytes", &l.presence_data_bytes, "what a member says of itself", Unit::bytes, 1,
       4 * kKiB},

      {"Times", "flush-ms", &l.flush_ms, "least time between two flushes under load", Unit::ms, 1, 10'000},
      {"Times", "handshake-timeout-ms", &l.handshake_timeout_ms, "for a request to arrive, and between two of them",
       Unit::ms, 1, kDayMs},
      {"Times", "message-timeout-ms", &l.message_timeout_ms, "for a message from a client to arrive whole", Unit::ms, 1,
       kDayMs},
      {"Times", "ping-interval-ms", &l.ping_interval_ms, "of silence before a ping", Unit::ms, 1, kDayMs},
      {"Times", "dead-after-ms", &l.dead_after_ms, "of silence before a connection is closed", Unit::ms, 1, kDayMs},
      {"Times", "http-answer-ms", &l.http_answer_ms, "that a request over HTTP may wait for the broker", Unit::ms, 1,
       600'000},
      {"Times", "write-stall-ms", &l.write_stall_ms, "without progress of a write before the connection is closed",
       Unit::ms, 1, kDayMs},
      {"Times", "write-stall-pressure-ms", &l.write_stall_pressure_ms, "the same while the record memory is full",
       Unit::ms, 1, kDayMs},
      {"Times", "close-timeout-ms", &l.close_timeout_ms, "for a client to answer a close", Unit::ms, 1, kDayMs},
      {"Times", "grace-ms", &l.grace_ms, "a user whose last connection ended is still there for it", Unit::ms, 1,
       kDayMs},
      {"Times", "idle-timeout-ms", &l.idle_timeout_ms,
       "a connection without a subscription that sends nothing is closed", Unit::ms, 1, kDayMs},
      {"Times", "shutdown-timeout-ms", &l.shutdown_timeout_ms, "for all clients to close at the end", Unit::ms, 1,
       kDayMs},
      {"Times", "sweep-ms", &l.sweep_ms, "how often timeouts and ages are looked at", Unit::ms, 1, 60'000},
  };
  add_nats_rows(rows, o.nats);
  return rows;
}

std::vector<Row> pipe_rows(PipeOptions& p) {
  return {
      {"Pipe", "channel", &p.channel, "channel to publish on (needed)", {}, 0, 0, "NAME"},
      {"Pipe", "type", &p.type, "type of the events", {}, 0, 0, "TYPE"},
      {"Pipe", "url", &p.url, "server to publish to", {}, 0, 0, "URL"},
      {"Pipe", "window-lines", &p.window_lines, "lines on their way before one must be acknowledged", Unit::count, 1,
       65536},
      {"Pipe", "window-bytes", &p.window_bytes, "the same in bytes", Unit::bytes, kKiB, kGiB},
      {"Pipe", "reconnect-s", &p.reconnect_s, "without a connection before it gives up; 0 never tries again", Unit::s,
       0, 1'000'000},
      {"Pipe", "token", &p.token, "JWT to connect with; best by the environment", {}, 0, 0, "JWT"},
      {"Pipe", "api-key", &p.api_key, "API key to connect with; best by the environment", {}, 0, 0, "KEY"},
  };
}

std::vector<Row> hash_key_rows(HashKeyOptions& h) {
  return {
      {"Hash-key", "name", &h.name, "whose key it is (needed)", {}, 0, 0, "NAME"},
      {"Hash-key", "role", &h.role, "back_end, or admin, which may use the admin routes too", {}, 0, 0, "ROLE"},
  };
}

std::string number_text(const Row& row, std::uint64_t value) {
  return row.unit == Unit::bytes ? size_text(value) : std::to_string(value);
}

const char* value_name(const Row& row) {
  if (std::holds_alternative<bool*>(row.field)) return "";
  if (std::holds_alternative<std::string*>(row.field) || std::holds_alternative<std::vector<std::string>*>(row.field))
    return row.value;
  switch (row.unit) {
    case Unit::bytes: return "SIZE";
    case Unit::ms: return "MS";
    case Unit::s: return "SECONDS";
    case Unit::count: break;
  }
  return "N";
}

std::string default_text(const Row& row) {
  return std::visit(
      [&row](auto* field) -> std::string {
        using T = std::remove_pointer_t<decltype(field)>;
        if constexpr (std::is_same_v<T, std::string>)
          return *field;
        else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::vector<std::string>>)
          return {};
        else
          return number_text(row, *field);
      },
      row.field);
}

// Throws UsageError.
void set(const Row& row, const std::vector<std::string>& values) {
  const auto number = [&row](const std::string& text) {
    std::uint64_t value = 0;
    bool good = parse_size(text, value);
    if (row.unit != Unit::bytes) {
      const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      good = error == std::errc() && stop == text.data() + text.size();
    }
    if (!good || value < row.min || value > row.max)
      throw UsageError(std::string("--") + row.name + ": '" + text + "' is not in " + number_text(row, row.min) + ".." +
                       number_text(row, row.max));
    return value;
  };
  const std::string last = values.empty() ? std::string() : values.back();
  std::visit(
      [&](auto* field) {
        using T = std::remove_pointer_t<decltype(field)>;
        if constexpr (std::is_same_v<T, std::string>)
          *field = last;
        else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          *field = values;
          std::erase(*field, std::string());  // '' is none, where there is a default
        } else if constexpr (std::is_same_v<T, bool>)
          *field = last == "true";
        else
          *field = static_cast<T>(number(last));
      },
      row.field);
}

std::string env_name(const Row& row) {
  std::string name = "RINGFENCE_";
  for (const char* c = row.name; *c; ++c) name += *c == '-' ? '_' : static_cast<char>(*c >= 'a' ? *c - 'a' + 'A' : *c);
  return name;
}

void add_rows(CLI::App& app, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const std::string flag = std::string("--") + row.name;
    const auto take = [row](const CLI::results_t& values) {
      set(row, values);
      return true;
    };
    if (std::holds_alternative<bool*>(row.field))
      app.add_flag_function(flag, [row](std::int64_t count) { set(row, {count > 0 ? "true" : "false"}); });
    else if (std::holds_alternative<std::vector<std::string>*>(row.field))
      app.add_option(flag, take)->expected(1, 1000)->allow_extra_args(false);
    else
      app.add_option(flag, take)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
}

// CLI11 lets the file win over the environment; we want it the other way round, so a variable becomes an argument,
// unless the command line has the option.
void add_environment(const std::vector<Row>& rows, std::vector<std::string>& args) {
  const std::size_t given = args.size();
  for (const Row& row : rows) {
    const char* value = std::getenv(env_name(row).c_str());
    if (!value || !*value) continue;
    const std::string flag = std::string("--") + row.name;
    const bool named = std::any_of(args.begin(), args.begin() + static_cast<std::ptrdiff_t>(given),
                                   [&](const auto& arg) { return arg == flag || arg.starts_with(flag + "="); });
    if (named) continue;
    if (!std::holds_alternative<std::vector<std::string>*>(row.field)) {
      args.push_back(flag + "=" + value);
      continue;
    }
    for (std::string_view rest = value; !rest.empty();) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (comma > 0) args.push_back(flag + "=" + std::string(rest.substr(0, comma)));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
}

std::string rows_help(const std::vector<Row>& rows) {
  std::string text;
  const char* group = "";
  for (const Row& row : rows) {
    if (std::string_view(group) != row.group) text += std::string("\n") + row.group + "\n";
    group = row.group;
    std::string line = std::string("  --") + row.name + " " + value_name(row);
    line.resize(std::max<std::size_t>(line.size() + 2, 36), ' ');
    line += row.help;
    if (const std::string value = default_text(row); !value.empty()) line += " (" + value + ")";
    text += line + "\n";
  }
  return text;
}

ParsedOptions print(std::string text) {
  ParsedOptions parsed;
  parsed.command = Command::print;
  parsed.text = std::move(text);
  return parsed;
}

std::string help(const std::vector<Row>& serve, const std::vector<Row>& pipe, const std::vector<Row>& hash_key) {
  return "ringfence-server " RINGFENCE_VERSION
         ": channels with bounded histories over WebSocket (/v1/ws)\n\n"
         "  ringfence-server [OPTIONS]                            serve\n"
         "  ringfence-server pipe --channel NAME [OPTIONS]        publish each line of stdin\n"
         "  ringfence-server hash-key --name NAME [OPTIONS]       make an API key (stderr) and its line for --api-keys "
         "(stdout)\n\n"
         "  --help, --version\n"
         "  --config FILE                     options as lines of name = value\n" +
         rows_help(serve) + rows_help(pipe) + rows_help(hash_key) +
         "\nDefaults are in brackets. A SIZE is bytes, or has KiB, MiB or GiB: 64KiB.\n"
         "An option may come from the environment, as RINGFENCE_ and its name: RINGFENCE_MESSAGE_BYTES=64KiB.\n"
         "The command line goes before the environment, the environment before the file.\n"
         "Exit status: 0 well, 1 failed at work (port in use, a line refused), 2 a wrong option or file.\n";
}

// A line that a terminal can be given, whatever is in the file.
std::string one_line(std::string text) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = c == '\n' ? ' ' : '?';
  return text.substr(0, kMessageBytesMax);
}

// The file's name; empty if there is none.
std::string config_file(const std::vector<std::string>& args) {
  static constexpr std::string_view kFlag = "--config";
  for (std::size_t at = args.size(); at-- > 0;) {
    if (args[at].starts_with("--config=")) return args[at].substr(kFlag.size() + 1);
    if (args[at] == kFlag && at + 1 < args.size()) return args[at + 1];
  }
  return {};
}

// CLI11 reads all of it, whatever it is.
void check_config_file(const std::string& name) {
  std::error_code failed;
  const auto status = std::filesystem::status(name, failed);
  if (!std::filesystem::exists(status)) throw UsageError("--config: '" + name + "' does not exist");
  if (std::filesystem::is_directory(status) || std::filesystem::is_character_file(status) ||
      std::filesystem::is_block_file(status))
    throw UsageError("--config: '" + name + "' is not a file");
  if (std::filesystem::is_regular_file(status) && std::filesystem::file_size(name, failed) > kConfigBytesMax)
    throw UsageError("--config: '" + name + "' has more than " + std::to_string(kConfigBytesMax) + " bytes");
  if (::access(name.c_str(), R_OK) != 0) throw UsageError("--config: '" + name + "' may not be read");
}

// What CLI11 makes of another word, or of a number, differs from version to version: a switch may have these.
void check_switch(const std::string& what, const std::string& value) {
  static constexpr std::string_view kWords[] = {"true", "false", "on", "off", "yes", "no", "1", "0"};
  if (std::find(std::begin(kWords), std::end(kWords), value) == std::end(kWords))
    throw UsageError(one_line(what + ": '" + value + "' is not true or false"));
}

void check_switches(const std::vector<Row>& rows, const std::vector<std::string>& args) {
  for (const Row& row : rows) {
    if (!std::holds_alternative<bool*>(row.field)) continue;
    const std::string flag = std::string("--") + row.name + "=";
    for (const std::string& arg : args)
      if (arg.starts_with(flag)) check_switch(std::string("--") + row.name, arg.substr(flag.size()));
  }
}

// The same for the file.
class CheckedConfig final : public CLI::ConfigTOML {
 public:
  CheckedConfig(const std::vector<Row>& rows, std::string file) : rows_(rows), file_(std::move(file)) {}
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    auto items = CLI::ConfigTOML::from_config(input);
    for (const CLI::ConfigItem& item : items)
      for (const Row& row : rows_)
        if (item.name == row.name && std::holds_alternative<bool*>(row.field))
          for (const std::string& value : item.inputs) check_switch("--config " + file_ + ": " + item.name, value);
    return items;
  }

 private:
  const std::vector<Row>& rows_;
  const std::string file_;
};

}  // namespace

ParsedOptions parse_options(int argc, const char* const* argv) {
  ParsedOptions parsed;
  const auto serve = serve_rows(parsed.serve);
  const auto pipe = pipe_rows(parsed.pipe);
  std::vector<std::string> args(argv + 1, argv + std::max(argc, 1));
  const auto hash_key = hash_key_rows(parsed.hash_key);
  if (!args.empty() && args.front() == "pipe") parsed.command = Command::pipe;
  if (!args.empty() && args.front() == "hash-key") parsed.command = Command::hash_key;
  if (parsed.command != Command::serve) args.erase(args.begin());
  const auto& rows = parsed.command == Command::pipe ? pipe : parsed.command == Command::hash_key ? hash_key : serve;
  for (const auto& arg : args) {
    if (arg == "--help" || arg == "-h") return print(help(serve, pipe, hash_key));
    if (arg == "--version") return print("ringfence-server " RINGFENCE_VERSION "\n");
  }
  if (parsed.command != Command::hash_key) add_environment(rows, args);  // NAME and ROLE are nobody's settings
  const bool has_config = std::any_of(
      args.begin(), args.end(), [](const auto& arg) { return arg == "--config" || arg.starts_with("--config="); });
  if (const char* file = std::getenv("RINGFENCE_CONFIG"); file && *file && !has_config)
    args.push_back(std::string("--config=") + file);

  const std::string config = config_file(args);
  if (!config.empty()) check_config_file(config);
  check_switches(rows, args);

  CLI::App app;
  app.set_help_flag();
  add_rows(app, rows);
  app.set_config("--config");
  app.config_formatter(std::make_shared<CheckedConfig>(rows, config));
  app.allow_config_extras(CLI::config_extras_mode::error);
  try {
    std::reverse(args.begin(), args.end());  // as CLI11 takes a vector
    app.parse(args);
  } catch (const CLI::ExtrasError&) {
    const auto extras = app.remaining();
    const auto option =
        std::find_if(extras.begin(), extras.end(), [](const auto& one) { return one.starts_with('-'); });
    throw UsageError("'" +
                     (option != extras.end() ? *option
                      : extras.empty()       ? std::string()
                                             : extras.back()) +
                     "' is not an option; --help lists them");
  } catch (const CLI::ConfigError& error) {
    throw UsageError(one_line("--config " + config + ": " + error.what()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(one_line(error.what()));
  }
  if (parsed.command == Command::pipe) {
    if (!valid_channel_name(parsed.pipe.channel))
      throw UsageError("pipe --channel: '" + parsed.pipe.channel + "' is not a channel name: [A-Za-z0-9_:.-]{1,128}");
    if (!valid_type(parsed.pipe.type)) throw UsageError("pipe --type: not 1 to 255 bytes without control characters");
  } else if (parsed.command == Command::serve) {
    if (parsed.serve.host == "localhost") parsed.serve.host = "127.0.0.1";
    static constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warn", "error", "off"};
    if (std::find(std::begin(kLevels), std::end(kLevels), parsed.serve.log_level) == std::end(kLevels))
      throw UsageError("--log-level: '" + parsed.serve.log_level + "' is not trace, debug, info, warn, error or off");
  }
  return parsed;
}

}  // namespace ringfence
