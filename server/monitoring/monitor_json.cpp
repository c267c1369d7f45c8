#include "monitoring/monitor_json.h"

#include <nlohmann/json.hpp>

#include "protocol/json.h"

namespace ringfence {
namespace {

using Json = nlohmann::ordered_json;

std::string time_text(std::int64_t time_us) {
  const auto bytes = rfc3339(time_us);
  return {bytes.data(), bytes.size()};
}

// Names of owners and what clients are called need not be UTF-8.
std::string text(const Json& document) { return document.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json raised(const AlertBook& alerts) {
  Json list = Json::array();
  for (const RaisedAlert& alert : alerts.raised())
    list.push_back({{"kind", alert.kind},
                    {"structure", alert.structure},
                    {"value", alert.value},
                    {"text", alert.text},
                    {"since", time_text(alert.raised_us)}});
  return list;
}

Json process(const ProcessStats& stats) {
  return {{"rss_bytes", stats.rss_bytes},
          {"heap_used_bytes", stats.heap_used_bytes},
          {"heap_free_bytes", stats.heap_free_bytes},
          {"descriptors", stats.descriptors},
          {"descriptors_max", stats.descriptors_max}};
}

std::uint64_t size_of(const Look& look, std::string_view name) {
  const Structure* const structure = look.find(name);
  return structure ? structure->size : 0;
}

std::uint64_t orphans_of(const Look& look, std::string_view name) {
  const Structure* const structure = look.find(name);
  return structure ? structure->orphans : 0;
}

// Structures whose name begins so, under the rest of it.
Json sizes_under(const Look& look, std::string_view stem) {
  Json sizes = Json::object();
  for (const Structure& structure : look.structures)
    if (structure.name.starts_with(stem))
      sizes[structure.name.substr(stem.size())] = {{"size", structure.size}, {"bound", structure.bound}};
  return sizes;
}

}  // namespace

std::string memory_leaks_json(const MemoryLeakMonitor& monitor, const MonitorOptions& options) {
  const MemoryLeakMonitor::Report report = monitor.report();
  const Look& last = report.last;
  Json growth = Json::object();
  for (const auto& [name, trend] : report.growth)
    growth[name] = {{"looks", trend.samples},
                    {"level", trend.level},
                    {"growth", trend.growth},
                    {"percent", trend.level > 0 ? 100 * trend.growth / trend.level : 0},
                    {"p", trend.p}};
  Json structures = Json::array();
  for (const Structure& structure : last.structures) {
    const Structure* const first = report.first.find(structure.name);
    structures.push_back({{"name", structure.name},
                          {"unit", std::string(structure.unit)},
                          {"size", structure.size},
                          {"at_start", first ? Json(first->size) : Json()},
                          {"bound", structure.bound > 0 ? Json(structure.bound) : Json()},
                          {"when_full", structure.when_full == WhenFull::evicts ? "evicts" : "refuses"},
                          {"refused", structure.refused},
                          {"load", structure.load ? Json(*structure.load) : Json()},
                          {"orphans", structure.orphans}});
  }
  return text({{"timestamp", time_text(last.time_us)},
               {"looks", report.looks},
               {"interval_s", options.sample_s},
               {"connection",
                {{"active", size_of(last, "connection entries")},
                 {"orphans", orphans_of(last, "connection entries")},
                 {"closed_remembered", size_of(last, "remembered closed ids")},
                 {"descriptors", last.process.descriptors}}},
               {"event",
                {{"subscriptions", size_of(last, "event subscriptions")},
                 {"orphans", orphans_of(last, "event subscriptions")},
                 {"queued", size_of(last, "event queue")}}},
               {"cache", sizes_under(last, "cache ")},
               {"task", {{"active", size_of(last, "running tasks")}}},
               {"nats", sizes_under(last, "nats ")},
               {"growth_rates", growth},
               {"structures", structures},
               {"alerts", raised(monitor.alerts())}});
}

std::string memory_json(const MemoryLeakMonitor& monitor, std::uint64_t budget_bytes) {
  const MemoryLeakMonitor::Report report = monitor.report();
  return text({{"timestamp", time_text(report.last.time_us)},
               {"process", process(report.last.process)},
               {"at_start", process(report.first.process)},
               {"accounted_bytes", report.last.accounted_bytes},
               {"unexplained_bytes", report.unexplained_bytes},
               {"budget_bytes", budget_bytes},
               {"monitor",
                {{"looks", report.looks},
                 {"cpu_us_last", report.look_us},
                 {"cpu_us_max", report.look_us_max},
                 {"cpu_us_total", report.look_us_total}}}});
}

std::string alerts_json(const AlertBook& alerts) {
  Json history = Json::array();
  for (const AlertChange& change : alerts.history())
    history.push_back({{"time", time_text(change.time_us)},
                       {"raised", change.raised},
                       {"kind", change.kind},
                       {"structure", change.structure},
                       {"value", change.value},
                       {"text", change.text}});
  const AlertBook::Counts counts = alerts.counts();
  return text({{"alerts", raised(alerts)},
               {"history", history},
               {"raised_total", counts.raised},
               {"cleared_total", counts.cleared},
               {"refused_total", counts.refused},
               {"forgotten_total", counts.forgotten}});
}

}  // namespace ringfence
