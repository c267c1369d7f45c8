#include "bus/jetstream_config.h"

#include <nlohmann/json.hpp>

#include "bus/jetstream_engine.h"
#include "support/catch.h"

using namespace ringfence;
using Json = nlohmann::json;

namespace {

Json info(const StreamSettings& settings) {
  Json config = Json::parse(stream_config("ringfence", "ringfence", settings));
  config["max_msgs"] = -1;
  const Json state{{"messages", 3u}, {"bytes", 300u}, {"first_seq", 5u}, {"last_seq", 9u}};
  return {{"config", config}, {"created", "2026-01-15T12:00:00.123456789Z"}, {"state", state}};
}

}  // namespace

TEST_CASE("check_stream takes what stream_config asks for, and says what differs", "[jetstream_config]") {
  const StreamSettings settings;
  Json told = info(settings);
  const StreamCheck good = check_stream(told, "ringfence", "ringfence", settings);
  CHECK(good.fault == "");
  CHECK(good.differs == "");
  CHECK(good.view.epoch != 0);
  CHECK(good.view.first_seq == 5);
  CHECK(good.view.last_seq == 9);
  CHECK(good.view.records_max == settings.channel_records_max);
  told["config"]["max_bytes"] = 5;
  CHECK(check_stream(told, "ringfence", "ringfence", settings).differs.starts_with("max_bytes 5 instead of"));
  told["config"].erase("republish");
  CHECK(check_stream(told, "ringfence", "ringfence", settings).fault.find("(republish)") != std::string::npos);
  CHECK(check_stream(Json(3), "ringfence", "ringfence", settings).fault != "");
}

TEST_CASE("check_stream takes no identity of a stream that the broker is just making", "[jetstream_config]") {
  const StreamSettings settings;
  Json told = info(settings);
  told["created"] = "0001-01-01T00:00:00Z";
  CHECK(check_stream(told, "ringfence", "ringfence", settings).unfinished);
  told["created"] = "2026-01-15T12:00:00Z";
  const StreamCheck made = check_stream(told, "ringfence", "ringfence", settings);
  CHECK_FALSE(made.unfinished);
  told["created"] = "2026-01-15T12:00:00.000000001Z";
  CHECK(check_stream(told, "ringfence", "ringfence", settings).view.epoch != made.view.epoch);
}

TEST_CASE("stream_use says what the stream holds against its bounds; none is 0", "[jetstream_config]") {
  StreamSettings settings;
  settings.age_max_s = 60;
  Json told = info(settings);
  const EngineUse use = stream_use(told);
  CHECK(use.name == "ringfence");
  CHECK(use.records == 3);
  CHECK(use.bytes == 300);
  CHECK(use.records_max == 0);
  CHECK(use.bytes_max == settings.bytes_max);
  CHECK(use.age_max_s == 60);
  CHECK(stream_use(Json::object()).name == "");
}
