#include "monitoring/alert_book.h"

#include <algorithm>

#include "events/server_events.h"
#include "log.h"

namespace ringfence {
namespace {

Account whole(Ledger& ledger) {
  auto account = ledger.open("alerts", AlertBook::kBytesMax);
  INVARIANT(account.ok() && account->try_add(AlertBook::kBytesMax));
  return std::move(account).value();
}

std::string cut(std::string text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xc0) == 0x80) --bytes_max;  // within a letter
  text.resize(bytes_max);
  text.shrink_to_fit();
  return text;
}

}  // namespace

AlertBook::AlertBook(Ledger& ledger, EventBus* events)
    : account_(whole(ledger)), events_(events), history_(RingBuffer<AlertChange>::create(kHistoryMax).value()) {}

// Under the mutex.
AlertChange AlertBook::change(const RaisedAlert& alert, bool raised, std::int64_t now_us) {
  AlertChange change{raised, alert.kind, alert.structure, alert.text, alert.value, now_us};
  if (history_.push(change)) ++counts_.forgotten;
  ++(raised ? counts_.raised : counts_.cleared);
  return change;
}

void AlertBook::tell(const std::vector<AlertChange>& changes) {
  for (const AlertChange& change : changes) {
    if (change.raised)
      logger("monitor")->warn("alert {} of {}: {}", change.kind, change.structure, change.text);
    else
      logger("monitor")->info("alert {} of {} is over", change.kind, change.structure);
    if (events_)
      (void)events_->emit<Alert>(
          [&] { return Alert{change.raised, change.value, change.kind, change.structure, change.text}; });
  }
}

void AlertBook::found(const AlertRule& rule, std::string_view structure, Finding finding, double value,
                      const std::function<std::string()>& text, std::int64_t now_us) {
  std::vector<AlertChange> changes;
  {
    const std::lock_guard lock(mutex_);
    Key key(rule.kind, cut(std::string(structure), kNameBytesMax));
    auto at = entries_.find(key);
    if (at == entries_.end()) {
      if (finding != Finding::bad) return;
      if (entries_.size() >= kEntriesMax) {
        ++counts_.refused;
        return;
      }
      Entry entry;
      entry.alert.kind = key.first;
      entry.alert.structure = key.second;
      at = entries_.emplace(std::move(key), std::move(entry)).first;
    }
    Entry& entry = at->second;
    entry.seen = true;
    entry.bad = finding == Finding::bad ? std::min(entry.bad + 1, rule.raise_after) : 0;
    entry.good = finding == Finding::good ? std::min(entry.good + 1, rule.clear_after) : 0;
    entry.alert.value = value;
    if (finding == Finding::bad) entry.alert.text = cut(text(), kTextBytesMax);
    if (entry.alert.raised_us == 0) {
      if (entry.bad >= rule.raise_after) {
        entry.alert.raised_us = now_us;
        changes.push_back(change(entry.alert, true, now_us));
      } else if (entry.bad == 0) {
        entries_.erase(at);
      }
    } else if (entry.good >= rule.clear_after) {
      changes.push_back(change(entry.alert, false, now_us));
      entries_.erase(at);
    }
  }
  tell(changes);
}

void AlertBook::end_look(std::int64_t now_us) {
  std::vector<AlertChange> changes;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = entries_.begin(); at != entries_.end();) {
      Entry& entry = at->second;
      if (std::exchange(entry.seen, false)) {
        ++at;
        continue;
      }
      if (entry.alert.raised_us != 0) changes.push_back(change(entry.alert, false, now_us));
      at = entries_.erase(at);
    }
  }
  tell(changes);
}

std::vector<RaisedAlert> AlertBook::raised() const {
  std::vector<RaisedAlert> alerts;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, entry] : entries_)
      if (entry.alert.raised_us != 0) alerts.push_back(entry.alert);
  }
  std::stable_sort(alerts.begin(), alerts.end(),
                   [](const RaisedAlert& a, const RaisedAlert& b) { return a.raised_us < b.raised_us; });
  return alerts;
}

std::size_t AlertBook::raised_count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(
      std::count_if(entries_.begin(), entries_.end(), [](const auto& one) { return one.second.alert.raised_us != 0; }));
}

std::vector<AlertChange> AlertBook::history() const {
  const std::lock_guard lock(mutex_);
  return {history_.begin(), history_.end()};
}

AlertBook::Counts AlertBook::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace ringfence
