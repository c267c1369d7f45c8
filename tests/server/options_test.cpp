#include "options.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support/catch.h"

using namespace ringfence;

namespace {

ParsedOptions parse(std::vector<const char*> args) {
  args.insert(args.begin(), "ringfence-server");
  return parse_options(static_cast<int>(args.size()), args.data());
}

std::string usage_error(const std::vector<const char*>& args) {
  try {
    check_options(parse(args).serve);
  } catch (const UsageError& error) {
    return error.what();
  }
  return {};
}

struct Environment {
  Environment(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Environment() { ::unsetenv(name_); }
  const char* name_;
};

struct TemporaryFile {
  explicit TemporaryFile(const std::string& text) {
    path = (std::filesystem::temp_directory_path() / ("ringfence-options-" + std::to_string(::getpid()))).string();
    std::ofstream(path) << text;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path;
};

bool one_line(const std::string& text) { return !text.empty() && text.find('\n') == std::string::npos; }

}  // namespace

TEST_CASE("Options have defaults that pass their own checks", "[options]") {
  const auto parsed = parse({});
  CHECK(parsed.command == Command::serve);
  CHECK(parsed.serve.host == "127.0.0.1");
  CHECK(parsed.serve.port == 8080);
  CHECK(parsed.serve.limits.valid());
  check_options(parsed.serve);
}

TEST_CASE("Options take sizes with units and refuse what is none or out of range", "[options]") {
  CHECK(parse({"--message-bytes", "128KiB"}).serve.limits.message_bytes == 128 * 1024);
  CHECK(parse({"--history-memory=16MiB"}).serve.limits.history_memory_bytes == 16u << 20);
  CHECK(parse({"--history-bytes", "8192"}).serve.limits.history_bytes_max == 8192);
  for (const char* wrong : {"64kb", "", "-1", "1e6", "64KiBs", "99999999999999999999", "1", "65MiB"})
    CHECK(usage_error({"--message-bytes", wrong}).find("--message-bytes") != std::string::npos);
  for (const char* wrong : {"65536", "-1", "http", "80x"})
    CHECK(usage_error({"--port", wrong}) == std::string("--port: '") + wrong + "' is not in 0..65535");
  CHECK(one_line(usage_error({"--connections", "0"})));  // zero is never "unlimited"
}

TEST_CASE("Options refuse what they do not know, in one line", "[options]") {
  for (const char* wrong : {"--portt", "serve", "-x", "--no-such-thing=1"}) {
    const std::string error = usage_error({wrong});
    CHECK(one_line(error));
    CHECK(error.find(std::string(wrong).substr(0, std::string_view(wrong).find('='))) != std::string::npos);
  }
  CHECK(one_line(usage_error({"--port"})));
  CHECK(one_line(usage_error({"--log-level", "loud"})));
  CHECK(one_line(usage_error({"--log-channel", "a b"})));
}

TEST_CASE("The command line goes before the environment, that before the file", "[options]") {
  const TemporaryFile file(
      "port = 7001\nchannels = 7002\nmessage-bytes = \"16KiB\"\nallow-origin = [\"http://a\", \"http://b\"]\n");
  const std::string config = "--config=" + file.path;
  const Environment channels("RINGFENCE_CHANNELS", "7003");
  const Environment flush("RINGFENCE_FLUSH_MS", "7");
  const auto parsed = parse({config.c_str(), "--flush-ms", "8"}).serve;
  CHECK(parsed.port == 7001);
  CHECK(parsed.limits.channels_max == 7003);
  CHECK(parsed.limits.flush_ms == 8);
  CHECK(parsed.limits.message_bytes == 16 * 1024);
  CHECK(parsed.allow_origins == std::vector<std::string>{"http://a", "http://b"});

  const Environment by_environment("RINGFENCE_CONFIG", file.path.c_str());
  CHECK(parse({}).serve.port == 7001);
}

TEST_CASE("Options repeat --allow-origin, and the environment gives it as a list", "[options]") {
  CHECK(parse({"--allow-origin", "http://a", "--allow-origin=http://b"}).serve.allow_origins.size() == 2);
  const Environment origins("RINGFENCE_ALLOW_ORIGIN", "http://a,http://b,http://c");
  CHECK(parse({}).serve.allow_origins.size() == 3);
}

TEST_CASE("Each switch takes true and false, by flag, environment and file, and nothing else", "[options]") {
  for (const char* name : {"insecure", "nats-tls"}) {
    CAPTURE(name);
    const std::string flag = std::string("--") + name;
    const std::string variable = name == std::string("insecure") ? "RINGFENCE_INSECURE" : "RINGFENCE_NATS_TLS";
    const std::string expected = flag + ": 'maybe' is not true or false";
    CHECK(usage_error({(flag + "=maybe").c_str()}) == expected);
    {
      const Environment set(variable.c_str(), "maybe");
      CHECK(usage_error({}) == expected);
    }
    const TemporaryFile file(std::string(name) + " = maybe\n");
    const std::string refused = usage_error({("--config=" + file.path).c_str()});
    CHECK(refused == "--config " + file.path + ": " + name + ": 'maybe' is not true or false");
  }
  for (const char* on : {"--insecure", "--insecure=true", "--insecure=on", "--insecure=yes", "--insecure=1"})
    CHECK(parse({on}).serve.insecure);
  for (const char* off : {"--insecure=false", "--insecure=off", "--insecure=no", "--insecure=0"})
    CHECK_FALSE(parse({off}).serve.insecure);
  for (const char* off : {"false", "off", "no", "0"}) {
    const TemporaryFile file(std::string("insecure = ") + off + "\n");
    CHECK_FALSE(parse({("--config=" + file.path).c_str()}).serve.insecure);
  }
  const TemporaryFile file("insecure = true\n");
  CHECK(parse({("--config=" + file.path).c_str()}).serve.insecure);
  CHECK_FALSE(parse({("--config=" + file.path).c_str(), "--insecure=false"}).serve.insecure);
}

TEST_CASE("Options refuse an --allow-origin that no page can have, and say what is wrong with it", "[options]") {
  for (const char* good :
       {"*", "null", "http://a", "https://chat.example", "https://chat.example:8443", "http://[::1]:8080",
        "http://127.0.0.1:5173", "HTTPS://Chat.Example", "capacitor://localhost", "http://a_b.example"})
    CHECK(usage_error({"--allow-origin", good}).empty());
  for (const auto& [wrong, what] : {std::pair{"garbage", "scheme"},
                                    {"chat.example:8080", "scheme"},
                                    {"://a", "scheme"},
                                    {"ht tp://a", "scheme"},
                                    {"https://", "host"},
                                    {"https://:80", "host"},
                                    {"https://a/", "'/' at its end"},
                                    {"https://a/page", "path"},
                                    {"https://a?b", "path"},
                                    {"https://user@a", "user"},
                                    {"https://*.example", "'*' stands alone"},
                                    {"https://a b", "ASCII"},
                                    {"https://b\xc3\xbc.example", "Punycode"},
                                    {"http://::1", "name or address"},
                                    {"http://[::1", "brackets"},
                                    {"http://[x]", "brackets"},
                                    {"http://a:", "port"},
                                    {"http://a:0", "port"},
                                    {"http://a:65536", "port"},
                                    {"http://a:8o", "port"},
                                    {"http://a:80", "leave out"},
                                    {"https://a:443", "leave out"}}) {
    CAPTURE(wrong);
    const std::string error = usage_error({"--allow-origin", "http://a", "--allow-origin", wrong});
    CHECK(one_line(error));
    CHECK(error.starts_with(std::string("--allow-origin: '") + wrong + "'"));
    CHECK(error.find(what) != std::string::npos);
  }
}

TEST_CASE("A config file that cannot be read, or says what is unknown, is an error", "[options]") {
  CHECK(usage_error({"--config", "/no/such/file"}) == "--config: '/no/such/file' does not exist");
  CHECK(usage_error({"--config=/dev/zero"}) == "--config: '/dev/zero' is not a file");
  CHECK(usage_error({"--config=/tmp"}) == "--config: '/tmp' is not a file");
  const TemporaryFile large(std::string(1024 * 1024 + 1, '#'));
  CHECK(usage_error({"--config", large.path.c_str()}) == "--config: '" + large.path + "' has more than 1048576 bytes");
  {
    const TemporaryFile binary(std::string("\x7f"
                                           "ELF\x01\x02\x1b[31m\0\n",
                                           14) +
                               std::string(5000, 'x'));
    const std::string refused = usage_error({"--config", binary.path.c_str()});
    CHECK(refused.starts_with("--config " + binary.path + ": "));
    CHECK(refused.size() <= 300);
    for (const char c : refused) CHECK(static_cast<unsigned char>(c) >= 0x20);
  }
  const TemporaryFile unknown("prot = 80\n");
  CHECK(one_line(usage_error({("--config=" + unknown.path).c_str()})));
  const TemporaryFile wrong("port = eighty\n");
  CHECK(one_line(usage_error({("--config=" + wrong.path).c_str()})));
}

TEST_CASE("An address that is not loopback is refused without --insecure", "[options]") {
  for (const char* host : {"0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1"}) {
    CHECK(one_line(usage_error({"--host", host})));
    CHECK(usage_error({"--host", host}).find("--insecure") != std::string::npos);
    CHECK(usage_error({"--host", host, "--insecure"}).empty());
  }
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost"}) CHECK(usage_error({"--host", host}).empty());
  CHECK(one_line(usage_error({"--host", "example.com"})));
}

TEST_CASE("Options refuse limits that contradict one another", "[options]") {
  CHECK(one_line(usage_error({"--dead-after-ms", "1000", "--ping-interval-ms", "1000"})));
  CHECK(one_line(usage_error({"--history-bytes", "2MiB", "--history-memory", "1MiB"})));
  CHECK(one_line(usage_error({"--static", "/no/such/folder"})));
  for (const char* root : {"/", "//", "/tmp/.."})
    CHECK(usage_error({"--static", root}).find("whole disk") != std::string::npos);
  CHECK(usage_error({"--static", "/tmp"}).empty());
  CHECK(usage_error({"--event-memory", "65KiB", "--message-bytes", "64KiB"}).empty());
  CHECK(one_line(usage_error({"--event-memory", "66559", "--message-bytes", "64KiB"})));
}

TEST_CASE("Options of events and tasks take their last good value and refuse the first bad one", "[options]") {
  for (const auto& [name, last] :
       {std::pair{"--event-queue", "100000000"}, {"--event-subscriptions", "1000000"}, {"--tasks", "1000000"}}) {
    CHECK(usage_error({name, "1"}).empty());
    CHECK(one_line(usage_error({name, "0"})));
    CHECK(usage_error({name, last}).empty());
    CHECK(one_line(usage_error({name, (std::string(last) + "1").c_str()})));
  }
  CHECK(one_line(usage_error({"--event-memory", "1023"})));
}

TEST_CASE("Options of presence take their last good value and refuse the next", "[options]") {
  for (const auto& [name, last] : {std::pair{"--presence-members", "1000000"},
                                   {"--presence-members-total", "100000000"},
                                   {"--presence-joins", "65535"},
                                   {"--presence-watches", "100000000"},
                                   {"--presence-data-bytes", "4096"}}) {
    CHECK(usage_error({name, "1"}).empty());
    CHECK(one_line(usage_error({name, "0"})));
    CHECK(usage_error({name, last}).empty());
    CHECK(one_line(usage_error({name, (std::string(last) + "1").c_str()})));
  }
}

TEST_CASE("Options of caches and slow subscribers take their last good value and refuse the next", "[options]") {
  CHECK(parse({"--cache-memory", "12MiB"}).serve.cache_memory_bytes == 12u << 20);
  CHECK(one_line(usage_error({"--cache-memory", "12582911"})));
  CHECK(parse({"--last-value-memory", "64KiB"}).serve.last_value_memory_bytes == 64u << 10);
  CHECK(one_line(usage_error({"--last-value-memory", "65535"})));
  CHECK(parse({"--channel-policy", "a=close", "--channel-policy=ticker:*=conflate"}).serve.channel_policies ==
        std::vector<std::string>{"a=close", "ticker:*=conflate"});
  CHECK(usage_error({"--channel-policy", "ticker:*=conflate"}).empty());
  CHECK(one_line(usage_error({"--channel-policy", "ticker:*=latest"})));
  const Environment policies("RINGFENCE_CHANNEL_POLICY", "a=close,b=conflate");
  CHECK(parse({}).serve.channel_policies.size() == 2);
}

TEST_CASE("Options of the monitor take their last good value and refuse the first bad one", "[options]") {
  struct Row {
    const char *name, *last, *bad;
  };
  for (const auto& [name, last, bad] : {Row{"--monitor-sample-s", "3600", "3601"},
                                        {"--monitor-log-s", "86400", "86401"},
                                        {"--alert-share", "100", "101"},
                                        {"--alert-growth", "1000", "1001"},
                                        {"--alert-subscription-growth", "1000", "1001"},
                                        {"--alert-task-growth", "1000", "1001"},
                                        {"--alert-closed-ids", "10000000", "10000001"},
                                        {"--alert-cache-percent", "1000", "1001"}}) {
    CHECK(usage_error({name, last}).empty());
    CHECK(one_line(usage_error({name, bad})));
  }
  for (const char* name : {"--monitor-sample-s", "--monitor-log-s", "--alert-share", "--alert-growth"})
    CHECK(one_line(usage_error({name, "0"})));
  CHECK(parse({"--alert-unexplained-memory", "1MiB"}).serve.monitor.unexplained_bytes == 1u << 20);
  CHECK(one_line(usage_error({"--alert-unexplained-memory", "1048575"})));
  // The reference system's own numbers.
  const auto reference = parse({"--alert-closed-ids", "5000", "--alert-subscription-growth", "10",
                                "--alert-cache-percent", "110", "--alert-task-growth", "20"})
                             .serve.monitor;
  CHECK(reference.closed_ids == 5000);
  CHECK(reference.subscription_growth_percent == 10);
  CHECK(reference.cache_percent == 110);
  CHECK(reference.task_growth_percent == 20);
}

TEST_CASE("--help tells every option with its default, --version the version", "[options]") {
  const auto help = parse({"--help"});
  CHECK(help.command == Command::print);
  for (const char* option : {"--host", "--message-bytes SIZE", "(64KiB)", "--write-stall-ms MS", "(30000)",
                             "--channel NAME", "RINGFENCE_", "Exit status"})
    CHECK(help.text.find(option) != std::string::npos);
  CHECK(parse({"--version"}).text == "ringfence-server " RINGFENCE_VERSION "\n");
}

TEST_CASE("pipe has options of its own", "[options]") {
  const auto parsed = parse({"pipe", "--channel", "logs", "--type", "line", "--url", "ws://127.0.0.1:1/v1/ws"});
  CHECK(parsed.command == Command::pipe);
  CHECK(parsed.pipe.channel == "logs");
  CHECK(parsed.pipe.type == "line");
  CHECK_THROWS_AS(parse({"pipe"}), UsageError);
  CHECK_THROWS_AS(parse({"pipe", "--channel", "no spaces"}), UsageError);
  CHECK_THROWS_AS(parse({"pipe", "--channel", "a", "--port", "80"}), UsageError);
  CHECK_THROWS_AS(parse({"pipe", "--channel", "a", "--type", "\x01"}), UsageError);
}

TEST_CASE("size_text gives back what parse_size reads", "[options]") {
  for (const std::uint64_t bytes : {0ull, 1ull, 1023ull, 1024ull, 1536ull, 1ull << 20, 3ull << 30, (1ull << 40) + 1}) {
    std::uint64_t back = 1;
    CHECK(parse_size(size_text(bytes), back));
    CHECK(back == bytes);
  }
}

TEST_CASE("Options let a server with a key listen anywhere", "[options]") {
  const std::string secret = "--jwt-secret=" + std::string(32, 'x');
  CHECK(usage_error({"--host=0.0.0.0"}).find("--jwt-secret") != std::string::npos);
  CHECK(usage_error({"--host=0.0.0.0", secret.c_str()}).empty());
  CHECK(usage_error({"--host=0.0.0.0", "--api-keys=/some/file"}).empty());
  CHECK(usage_error({"--host=0.0.0.0", "--insecure"}).empty());
}

TEST_CASE("Options of authentication have ranges, and rights that are patterns", "[options]") {
  CHECK(parse({"--jwt-clock-skew-s=600"}).serve.auth.jwt_clock_skew_s == 600);
  CHECK(usage_error({"--jwt-clock-skew-s=601"}).find("0..600") != std::string::npos);
  CHECK(parse({"--auth-recheck-s=86400"}).serve.auth.recheck_s == 86'400);
  CHECK(one_line(usage_error({"--auth-recheck-s=0"})));
  CHECK(one_line(usage_error({"--auth-recheck-s=86401"})));
  CHECK(one_line(usage_error({"--token-cache=0"})));
  CHECK(parse({"--token-cache=1"}).serve.auth.token_cache_entries == 1);
  CHECK(one_line(usage_error({"--identity-memory=63KiB"})));
  CHECK(parse({"--identity-memory=64KiB"}).serve.auth.identity_memory_bytes == 64 * 1024);

  CHECK(parse({}).serve.auth.jwt_publish == std::vector<std::string>{"*"});
  CHECK(parse({"--jwt-publish=room:*", "--jwt-publish=news"}).serve.auth.jwt_publish ==
        std::vector<std::string>{"room:*", "news"});
  CHECK(parse({"--jwt-publish", ""}).serve.auth.jwt_publish.empty());
  CHECK(usage_error({"--jwt-publish=a*b"}).find("--jwt-publish: 'a*b'") == 0);
  CHECK(usage_error({"--jwt-audience=chat"}).find("need a key") != std::string::npos);
}

TEST_CASE("Options take a secret from the environment, and never for hash-key", "[options]") {
  const Environment secret("RINGFENCE_JWT_SECRET", "from the environment");
  const Environment name("RINGFENCE_NAME", "somebody");
  const Environment token("RINGFENCE_TOKEN", "a.b.c");
  CHECK(parse({}).serve.auth.jwt_secret == "from the environment");
  CHECK(parse({"pipe", "--channel=a"}).pipe.token == "a.b.c");
  const auto parsed = parse({"hash-key", "--name=ops", "--role=admin"});
  CHECK(parsed.command == Command::hash_key);
  CHECK(parsed.hash_key.name == "ops");
  CHECK(parsed.hash_key.role == "admin");
  CHECK(parse({"hash-key"}).hash_key.name.empty());
  CHECK(parse({"--help"}).text.find("hash-key --name NAME") != std::string::npos);
}
