#include "bus/jetstream_config.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include <ringfence/record.h>

#include "bus/jetstream_engine.h"

namespace ringfence {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kEpochs = 4'738'381'338'321'616'896;  // 36^12

// The same on every server: so no hash of the library's.
std::uint64_t identity(std::string_view name, std::string_view created) {
  std::uint64_t hash = 14'695'981'039'346'656'037u;  // FNV-1a
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211u;
  };
  add(name);
  add("\n");
  add(created);
  return hash % (kEpochs - 1) + 1;
}

std::uint64_t number(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string text(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool flag(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

Json wanted_config(std::string_view name, std::string_view prefix, const StreamSettings& settings) {
  const std::string in = std::string(prefix) + ".stream.in.>";
  const std::string out = std::string(prefix) + ".stream.out.>";
  return {{"name", name},
          {"description", "ringfence: the channels of all servers"},
          {"subjects", {in}},
          {"retention", "limits"},
          {"discard", "old"},
          {"storage", settings.storage},
          {"num_replicas", settings.replicas},
          {"max_msgs_per_subject", settings.channel_records_max},
          {"max_bytes", settings.bytes_max},
          {"max_age", settings.age_max_s * 1'000'000'000},
          {"max_msgs", -1},
          {"max_msg_size", -1},
          {"max_consumers", -1},
          // Nothing is sent twice, so the broker need not remember ids for long.
          {"duplicate_window", 1'000'000'000},
          {"allow_direct", true},
          {"republish", {{"src", in}, {"dest", out}}}};
}

}  // namespace

std::string stream_config(std::string_view name, std::string_view prefix, const StreamSettings& settings) {
  return wanted_config(name, prefix, settings).dump();
}

std::optional<StreamView> stream_view(const Json& info, std::string_view subject) {
  if (!info.is_object() || !info.contains("state") || !info["state"].is_object() || !info.contains("config") ||
      !info["config"].is_object())
    return std::nullopt;
  const std::string created = text(info, "created");
  if (created.empty()) return std::nullopt;
  const Json& state = info["state"];
  StreamView view;
  view.epoch = identity(text(info["config"], "name"), created);
  view.first_seq = std::max<std::uint64_t>(1, number(state, "first_seq"));
  view.last_seq = number(state, "last_seq");
  if (number(state, "messages") == 0) view.first_seq = view.last_seq + 1;
  const auto per_subject = info["config"].find("max_msgs_per_subject");
  view.records_max = per_subject != info["config"].end() && per_subject->is_number_integer() && *per_subject > 0
                         ? per_subject->get<std::uint64_t>()
                         : std::uint64_t{1} << 62;
  if (const auto subjects = state.find("subjects"); subjects != state.end() && subjects->is_object())
    view.records = number(*subjects, std::string(subject).c_str());
  return view;
}

EngineUse stream_use(const Json& info) {
  EngineUse use;
  const auto part = [&info](const char* name) {
    const auto found = info.find(name);
    return found != info.end() && found->is_object() ? *found : Json::object();
  };
  const Json config = part("config"), state = part("state");
  use.name = text(config, "name");
  use.storage = text(config, "storage");
  use.replicas = number(config, "num_replicas");
  use.records = number(state, "messages");
  use.bytes = number(state, "bytes");
  // -1 and 0 are none.
  use.records_max = number(config, "max_msgs");
  use.channel_records_max = number(config, "max_msgs_per_subject");
  use.bytes_max = number(config, "max_bytes");
  use.age_max_s = number(config, "max_age") / 1'000'000'000;
  return use;
}

StreamCheck check_stream(const Json& info, std::string_view name, std::string_view prefix,
                         const StreamSettings& settings) {
  StreamCheck check;
  // For a moment it answers without the time when it was made, which is the stream's identity.
  check.unfinished = info.is_object() && text(info, "created").starts_with("0001-01-01T00:00:00");
  if (check.unfinished) return check;
  const auto view = stream_view(info, {});
  if (!view) {
    check.fault = "JetStream's answer is not understood";
    return check;
  }
  check.view = *view;
  const Json& has = info["config"];
  const Json wants = wanted_config(name, prefix, settings);
  const auto must = [&](const char* what, bool as_it_must) {
    if (!as_it_must && check.fault.empty())
      check.fault = "the stream " + std::string(name) + " exists with other settings (" + what +
                    "); delete it, or choose another --nats-prefix";
  };
  must("subjects", has.value("subjects", Json()) == wants["subjects"]);
  const Json republish = has.value("republish", Json::object());
  must("republish", text(republish, "src") == text(wants["republish"], "src") &&
                        text(republish, "dest") == text(wants["republish"], "dest") &&
                        !flag(republish, "headers_only"));
  must("allow_direct", flag(has, "allow_direct"));
  must("retention", text(has, "retention") == "limits");
  must("discard", text(has, "discard") == "old");
  must("sealed", !flag(has, "sealed"));
  must("no_ack", !flag(has, "no_ack"));
  must("mirror or sources", !has.contains("mirror") && !has.contains("sources"));
  if (check.fault.empty() && view->last_seq >= kSeqMax / 2)
    check.fault = "the stream " + std::string(name) + " has used up half of its numbers; delete it";
  for (const char* bound : {"max_msgs_per_subject", "max_bytes", "max_age", "storage", "num_replicas"})
    if (has.value(bound, Json()) != wants[bound]) {
      if (!check.differs.empty()) check.differs += ", ";
      check.differs +=
          std::string(bound) + " " + has.value(bound, Json()).dump() + " instead of " + wants[bound].dump();
    }
  // Bounds of the whole stream that we do not set would let go of records as the others do: oldest first.
  return check;
}

int error_code_of(const Json& answer) {
  if (!answer.is_object()) return -1;
  const auto error = answer.find("error");
  if (error == answer.end() || !error->is_object()) return 0;
  const auto code = error->find("err_code");
  return code != error->end() && code->is_number_integer() ? code->get<int>() : -1;
}

std::string error_text_of(const Json& answer) {
  if (!answer.is_object() || !answer.contains("error") || !answer["error"].is_object())
    return "an answer that is not JSON";
  return text(answer["error"], "description");
}

}  // namespace ringfence
