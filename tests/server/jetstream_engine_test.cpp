// JetStreamEngine: the questions that it asks of a stream. JetStream is played by the test, on a broker that has none.
#include "bus/jetstream_engine.h"

#include <future>
#include <mutex>

#include <nlohmann/json.hpp>

#include <ringfence/record.h>

#include "bus/jetstream_config.h"
#include "support/catch.h"
#include "support/nats.h"

using namespace ringfence;
using namespace ringfence::test;

namespace {

using Json = nlohmann::json;

std::string record(std::string_view payload) {
  std::string data(record_stride_bytes(1, payload.size()), '\0');
  encode_record(reinterpret_cast<std::byte*>(data.data()), 1, 1, "t", payload);
  return data;
}

// Answers for the stream, but for the first `deaf` of the questions on it.
class PlayedStream {
 public:
  explicit PlayedStream(const NatsBroker& broker, const StreamSettings& settings) : nats_(broker.url()) {
    info_ = {
        {"config", Json::parse(stream_config("ringfence", "ringfence", settings))},
        {"created", "2026-01-15T12:00:00Z"},
        {"state", {{"messages", 1}, {"first_seq", 7}, {"last_seq", 7}, {"subjects", {{"ringfence.stream.in.a", 1}}}}}};
    kept_.push_back(nats_.subscribe(
        "$JS.API.STREAM.INFO.ringfence",
        [this](NatsMessage& message) {
          // Without a filter it is the engine's own look at the stream.
          if (message.data().empty() && absent_.fetch_sub(1) > 0) return refuse(message, 10059, "stream not found");
          if (message.data().empty() || hear()) answer(message, info_.dump());
        },
        "test"));
    kept_.push_back(nats_.subscribe(
        "$JS.API.STREAM.CREATE.ringfence",
        [this](NatsMessage& message) { refuse(message, 10065, "subjects overlap with an existing stream"); }, "test"));
    nats_.flush();
  }
  void serve_gets() {
    kept_.push_back(nats_.subscribe(
        "$JS.API.DIRECT.GET.ringfence",
        [this](NatsMessage& message) {
          if (hear()) answer(message, record("1"), {{"Nats-Sequence", "7"}});
        },
        "test"));
    nats_.flush();
  }
  void be_deaf(int count) { deaf_ = count; }
  // For so many looks at it, and then made by another server.
  void be_absent(int count) { absent_ = count; }

 private:
  bool hear() { return deaf_.fetch_sub(1) <= 0; }
  void refuse(const NatsMessage& message, int code, const char* why) {
    answer(message, Json{{"error", {{"code", 400}, {"err_code", code}, {"description", why}}}}.dump());
  }
  void answer(const NatsMessage& message, std::string data, NatsHeaders headers = {}) {
    (void)nats_->publish(
        {.subject = std::string(message.reply()), .data = std::move(data), .headers = std::move(headers)});
  }

  Nats nats_;
  Json info_;
  std::atomic<int> deaf_{0};
  std::atomic<int> absent_{0};
  std::vector<NatsSubscription> kept_;
};

struct Engine {
  explicit Engine(const NatsBroker& broker, const std::function<void(NatsOptions&)>& change = {})
      : nats(broker.url(), change, nullptr, false), engine(JetStreamEngine::create(*nats.operator->(), {})) {
    nats->start();
  }
  bool looked() { return engine->wait_looked(std::chrono::steady_clock::now() + std::chrono::seconds(20)); }
  Result<std::uint64_t> next(std::string channel = "a") {
    auto answered = std::make_shared<std::promise<Result<std::uint64_t>>>();
    engine->post([this, channel, answered] {
      const auto asked = engine->next(channel, 1, [this, answered](const Result<const BusRecord*>& record) {
        ++answers;
        answered->set_value(!record ? Result<std::uint64_t>(record.error()) : *record ? (*record)->seq : 0);
      });
      if (!asked) answered->set_value(asked.error());
    });
    return answered->get_future().get();
  }
  Result<std::uint64_t> look() {
    auto answered = std::make_shared<std::promise<Result<std::uint64_t>>>();
    engine->post([this, answered] {
      const auto asked = engine->look("a", [this, answered](const Result<StreamView>& view) {
        ++answers;
        answered->set_value(view ? Result<std::uint64_t>(view->last_seq) : Result<std::uint64_t>(view.error()));
      });
      if (!asked) answered->set_value(asked.error());
    });
    return answered->get_future().get();
  }
  std::uint64_t asked_again() const { return engine->counts()[0].value; }

  Nats nats;
  std::shared_ptr<JetStreamEngine> engine;
  std::atomic<int> answers{0};
};

}  // namespace

TEST_CASE("JetStreamEngine asks again what is not answered, and takes one answer", "[jetstream_engine]") {
  NatsBroker broker;
  PlayedStream stream(broker, {});
  stream.serve_gets();
  Engine it(broker);
  REQUIRE(it.looked());
  CHECK(it.next().value() == 7);
  CHECK(it.look().value() == 7);
  CHECK(it.asked_again() == 0);
  stream.be_deaf(2);
  CHECK(it.next().value() == 7);
  CHECK(it.asked_again() == 2);
  stream.be_deaf(1);
  CHECK(it.look().value() == 7);
  CHECK(it.asked_again() == 3);
  CHECK(it.answers == 4);
}

TEST_CASE("JetStreamEngine asks again where nobody listens yet", "[jetstream_engine]") {
  NatsBroker broker;
  PlayedStream stream(broker, {});
  Engine it(broker);
  REQUIRE(it.looked());
  bool seen = false;  // Catch2 is the main thread's
  std::thread later([&] {
    seen = eventually([&] { return it.asked_again() == 1; });
    stream.serve_gets();
  });
  CHECK(it.next().value() == 7);
  later.join();
  CHECK(seen);
  CHECK(it.answers == 1);
}

TEST_CASE("JetStreamEngine gives up a question after some times, and with its connection", "[jetstream_engine]") {
  NatsBroker broker;
  PlayedStream stream(broker, {});
  stream.serve_gets();
  Engine it(broker, [](NatsOptions& options) { options.request_timeout_ms = 100; });
  REQUIRE(it.looked());
  stream.be_deaf(1'000);
  CHECK(it.next().error() == Error::broker_timeout);
  CHECK(it.asked_again() == JetStreamEngine::kAsksMax - 1);
  bool seen = false;
  std::thread later([&] {
    seen = eventually([&] { return it.asked_again() == JetStreamEngine::kAsksMax; });
    broker.kill();
  });
  CHECK(it.next().error() == Error::broker_unavailable);
  later.join();
  CHECK(seen);
  CHECK(it.asked_again() == JetStreamEngine::kAsksMax);
  CHECK(it.answers == 2);
}

TEST_CASE("JetStreamEngine: a stream that another server is just making is looked at again", "[jetstream_engine]") {
  NatsBroker broker;
  PlayedStream stream(broker, {});
  stream.be_absent(JetStreamEngine::kOverlapsMax);
  Engine it(broker);
  REQUIRE(it.looked());
  CHECK(it.engine->publish("a", 1, "t", "1", [](Result<std::uint64_t>) {}).ok());
  stream.serve_gets();
  CHECK(it.next().value() == 7);
}

TEST_CASE("JetStreamEngine: a stream that overlaps with another one is told", "[jetstream_engine]") {
  NatsBroker broker;
  PlayedStream stream(broker, {});
  stream.be_absent(1'000'000);
  Engine it(broker);
  REQUIRE(it.looked());
  CHECK(it.engine->publish("a", 1, "t", "1", [](Result<std::uint64_t>) {}).error() == Error::broker_unavailable);
  CHECK(eventually([&] { return it.nats->reason().find("subjects overlap") != std::string::npos; }));
}

TEST_CASE("JetStreamEngine: a broker without headers is told", "[jetstream_engine]") {
  const NatsBroker broker({}, true, "no_header_support: true");
  Engine it(broker);
  REQUIRE(it.looked());
  CHECK(it.engine->publish("a", 1, "t", "1", [](Result<std::uint64_t>) {}).error() == Error::broker_unavailable);
  CHECK(eventually([&] { return it.nats->reason().find("headers switched off") != std::string::npos; }));
}

TEST_CASE("JetStreamEngine: it is known when the stream was looked at, and not before", "[jetstream_engine]") {
  NatsBroker broker;  // nobody answers for a stream: there is no JetStream
  Engine it(broker);
  CHECK(it.looked());
  CHECK(eventually([&] { return it.nats->state() == NatsState::degraded; }));
  CHECK(it.engine->publish("a", 1, "t", "1", [](Result<std::uint64_t>) {}).error() == Error::broker_unavailable);
  broker.kill();
  CHECK(eventually([&] { return !it.engine->wait_looked(std::chrono::steady_clock::now()); }));
}
