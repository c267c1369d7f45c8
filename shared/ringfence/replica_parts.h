// The parts of a Replica that its header keeps to itself; for replica*.cpp only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <ringfence/replica.h>

namespace ringfence {

struct Replica::Held {
  Held(std::string_view history_name, History&& held)
      : name(history_name), history(std::move(held)), listeners(kListenersMax) {}

  std::string name;
  History history;
  Topic<> listeners;
  HistoryCounts counts;
  std::string channel;
  std::vector<View*> views;
  bool changed = false;
};

struct Replica::Route {
  explicit Route(HistoryId id) : history(id), sections(1) {}

  HistoryId history;
  Topic<const Section&> sections;  // its one subscription is the handle that attach() gave
};

}  // namespace ringfence
