#include "events/event_stats.h"

#include <nlohmann/json.hpp>

namespace ringfence {

using Json = nlohmann::ordered_json;

EventTypeStats EventBusStats::total() const {
  EventTypeStats sum;
  for (const EventTypeStats& type : types) {
    sum.subscriptions += type.subscriptions;
    sum.published += type.published;
    sum.refused += type.refused;
    sum.delivered += type.delivered;
    sum.failures += type.failures;
    sum.dropped += type.dropped;
  }
  return sum;
}

EventOwnerCounts EventBusStats::lifecycle() const {
  EventOwnerCounts sum = former_owners;
  for (const EventOwnerCounts& owner : owners) {
    sum.subscribed += owner.subscribed;
    sum.ended += owner.ended;
    sum.failures += owner.failures;
  }
  return sum;
}

std::string event_bus_json(const EventBusStats& stats) {
  Json types = Json::object();
  for (const EventTypeStats& type : stats.types)
    types[std::string(type.name)] = {
        {"subscriptions", type.subscriptions}, {"published", type.published}, {"refused", type.refused},
        {"delivered", type.delivered},         {"failures", type.failures},   {"dropped", type.dropped}};
  Json owners = Json::array();
  for (const EventOwnerCounts& owner : stats.owners)
    owners.push_back({{"owner", owner.name},
                      {"live", owner.live()},
                      {"subscribed", owner.subscribed},
                      {"ended", owner.ended},
                      {"failures", owner.failures}});
  const EventOwnerCounts all = stats.lifecycle();
  const EventTypeStats total = stats.total();
  return Json{
      {"running", stats.running},
      {"queue",
       {{"size", stats.queue_size},
        {"reserved", stats.queue_reserved},
        {"capacity", stats.queue_capacity},
        {"high_water_mark", stats.queue_high_water_mark}}},
      {"data",
       {{"used_bytes", stats.data_bytes},
        {"capacity_bytes", stats.data_capacity_bytes},
        {"high_water_mark_bytes", stats.data_high_water_mark_bytes}}},
      {"subscriptions",
       {{"live", stats.subscriptions},
        {"subscribed", all.subscribed},
        {"ended", all.ended},
        {"capacity", stats.subscriptions_capacity},
        {"refused", stats.subscriptions_refused},
        {"orphans", stats.orphans}}},
      {"types", types},
      {"owners", owners},
      {"former_owners",
       {{"subscribed", stats.former_owners.subscribed},
        {"ended", stats.former_owners.ended},
        {"failures", stats.former_owners.failures}}},
      {"published", total.published},
      {"refused", total.refused},
      {"delivered", total.delivered},
      {"failures", total.failures},
      {"dropped", total.dropped},
  }  // A name that is no UTF-8 must not spoil the document.
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ringfence
