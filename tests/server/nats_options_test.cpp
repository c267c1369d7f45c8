#include "bus/nats_options.h"

#include "bus/nats_message.h"
#include "options.h"
#include "support/catch.h"

using namespace ringfence;

namespace {

std::string fault(const std::vector<const char*>& args) {
  std::vector<const char*> all{"ringfence-server"};
  all.insert(all.end(), args.begin(), args.end());
  try {
    check_options(parse_options(static_cast<int>(all.size()), all.data()).serve);
  } catch (const UsageError& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("NatsOptions take URLs of brokers, and say what is wrong with others without their password",
          "[nats_options]") {
  for (const char* good : {"nats://127.0.0.1", "nats://127.0.0.1:4222", "tls://broker.example:4443",
                           "nats://user:pass@broker:1", "nats://token@broker", "nats://[::1]:4222", "nats://a-b_c.d"})
    CHECK(fault({"--nats", good}) == "");
  for (const char* bad : {"127.0.0.1:4222", "http://a:1", "nats://", "nats://:4222", "nats://a:0", "nats://a:65536",
                          "nats://a:b", "nats://a b:1", "nats://a/b", "nats://@a", "nats://[::1", "tls://[x]:1"}) {
    const std::string said = fault({"--nats", bad});
    CHECK(said.starts_with("--nats: '"));
    CHECK(said.find('\n') == std::string::npos);
  }
  CHECK(fault({"--nats", "nats://user:secret@a:0"}) == "--nats: 'nats://a:0' has a port that is not 1 to 65535");
  CHECK(fault({"--nats", "nats://a", "--nats", "nats://b:99999"}).starts_with("--nats: 'nats://b:99999'"));
}

TEST_CASE("NatsOptions that contradict one another are refused", "[nats_options]") {
  const auto with = [](std::vector<const char*> more) {
    more.insert(more.begin(), {"--nats", "nats://a"});
    return fault(more);
  };
  CHECK(with({"--nats-mode", "core"}) == "");
  CHECK(with({"--nats-mode", "cluster"}).starts_with("--nats-mode"));
  CHECK(with({"--nats-storage", "memory"}) == "");
  CHECK(with({"--nats-storage", "disk"}).starts_with("--nats-storage"));
  CHECK(with({"--nats-prefix", "game.eu-1"}) == "");
  for (const char* bad : {"", "a..b", "a.", "a b", "a.*", "a>", "\xc3\xa4"})
    CHECK(with({"--nats-prefix", bad}).starts_with("--nats-prefix"));
  CHECK(with({"--nats-prefix", std::string(64, 'a').c_str()}) == "");
  CHECK(with({"--nats-prefix", std::string(65, 'a').c_str()}).starts_with("--nats-prefix"));
  CHECK(with({"--nats-name", "node-1"}) == "");
  CHECK(with({"--nats-name", "node.1"}).starts_with("--nats-name"));
  CHECK(with({"--nats-user", "u"}).starts_with("--nats-user and --nats-password"));
  CHECK(with({"--nats-user", "u", "--nats-password", "p"}) == "");
  CHECK(with({"--nats-user", "u", "--nats-password", "p", "--nats-token", "t"}).find("only one") != std::string::npos);
  CHECK(with({"--nats-credentials", "/does/not/exist"}) == "--nats-credentials: cannot read '/does/not/exist'");
  CHECK(with({"--nats-tls-cert", "/dev/null"}).starts_with("--nats-tls-cert and --nats-tls-key"));
  CHECK(with({"--nats-reconnect-min-ms", "101", "--nats-reconnect-max-ms", "100"})
            .starts_with("--nats-reconnect-min-ms"));
  CHECK(with({"--nats-reconnect-min-ms", "100", "--nats-reconnect-max-ms", "100"}) == "");
  CHECK(with({"--nats-retry-min-ms", "30001"}).starts_with("--nats-retry-min-ms"));
  CHECK(with({"--nats-payload", "1024", "--nats-pending", "4096"}) == "");
  CHECK(with({"--nats-payload", "8MiB"}).starts_with("--nats-pending"));
  CHECK(with({"--nats-payload", "1024", "--nats-held-memory", "64KiB"}) == "");
  CHECK(with({"--nats-payload", "64512", "--nats-held-memory", "64KiB"}) == "");
  CHECK(with({"--nats-payload", "64513", "--nats-held-memory", "64KiB"}).starts_with("--nats-held-memory"));
  CHECK(fault({"--nats-token", "t"}).find("need --nats") != std::string::npos);
}

TEST_CASE("NatsOptions have ranges", "[nats_options]") {
  struct Range {
    const char *name, *first, *before, *last, *after;
  };
  for (const Range& range : std::vector<Range>{{"--nats-connect-timeout-ms", "1", "0", "86400000", "86400001"},
                                               {"--nats-reconnects", "1", "0", "1000000", "1000001"},
                                               {"--nats-replicas", "1", "0", "5", "6"},
                                               {"--nats-stream-bytes", "1MiB", "1048575", "1024GiB", "1025GiB"},
                                               {"--nats-held-memory", "64KiB", "65535", "1024GiB", "1025GiB"},
                                               {"--nats-interest-ms", "1", "0", "86400000", "86400001"},
                                               {"--nats-ready-ms", "1", "0", "86400000", "86400001"},
                                               {"--nats-pending-messages", "1", "0", "10000000", "10000001"},
                                               {"--nats-incoming", "64KiB", "65535", "1024GiB", "1025GiB"},
                                               {"--nats-subscriptions", "16", "15", "10000000", "10000001"},
                                               {"--nats-requests", "1", "0", "10000000", "10000001"},
                                               {"--nats-circuit-failures", "1", "0", "1000000", "1000001"},
                                               {"--nats-dead-letters", "1", "0", "10000000", "10000001"},
                                               {"--nats-dead-letter-age-s", "1", "0", "31536000", "31536001"}}) {
    INFO(range.name);
    for (const char* good : {range.first, range.last}) CHECK(fault({range.name, good}) == "");
    for (const char* bad : {range.before, range.after}) CHECK(fault({range.name, bad}).starts_with(range.name));
  }
}

TEST_CASE("valid_nats_subject takes what the broker takes, wildcards where they are allowed", "[nats_options]") {
  for (const char* good : {"a", "a.b.c", "$JS.API.INFO", "room:1", "a-b_c"}) CHECK(valid_nats_subject(good, false));
  for (const char* wild : {"*", ">", "a.*", "a.*.c", "a.>"}) {
    CHECK(valid_nats_subject(wild, true));
    CHECK_FALSE(valid_nats_subject(wild, false));
  }
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\r\n", "a.>.b", "a*", "*a", "a.b>", "\xc3\xa4"})
    CHECK_FALSE(valid_nats_subject(bad, true));
  CHECK(valid_nats_subject(std::string(512, 'a'), false));
  CHECK_FALSE(valid_nats_subject(std::string(513, 'a'), false));
}
