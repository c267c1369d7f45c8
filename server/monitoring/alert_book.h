// AlertBook: what the monitor has found wrong: what is so now, and what was.
//
// A rule says at every look how a structure is: bad, good or in between. An alert is raised after `raise_after` bad looks in
// a row and cleared after `clear_after` good ones; what is in between does neither, so that nothing flickers at a threshold. What no
// rule speaks of at a look any more is cleared. Raising and clearing are each a log line and an event Alert.
// Owns     the alerts.
// Threads  every function: any thread; looks (found … end_look) one at a time.
// Bounds   kEntriesMax alerts raised or on their way: more are refused, counted. A history of kHistoryMax, the oldest leaves.
//          A text of kTextBytesMax, a name of kNameBytesMax; longer ones are cut. Account "alerts", taken whole.
// Errors   none. An event that the bus refuses is counted there; the book has the alert all the same.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ringfence/ledger.h>
#include <ringfence/ring_buffer.h>

namespace ringfence {

class EventBus;

struct AlertRule {
  std::string_view kind;  // a word; a constant of the program
  int raise_after = 1;    // bad looks in a row
  int clear_after = 1;    // good looks in a row
};

enum class Finding : std::uint8_t { bad, between, good };

struct RaisedAlert {
  std::string kind, structure, text;
  double value = 0;  // of the last look
  std::int64_t raised_us = 0;
};

struct AlertChange {
  bool raised = true;  // false: cleared
  std::string kind, structure, text;
  double value = 0;
  std::int64_t time_us = 0;
};

class AlertBook {
 public:
  static constexpr std::size_t kEntriesMax = 256;
  static constexpr std::size_t kHistoryMax = 256;
  static constexpr std::size_t kNameBytesMax = 96;
  static constexpr std::size_t kTextBytesMax = 512;
  static constexpr std::uint64_t kBytesMax =
      (kEntriesMax + kHistoryMax) * (sizeof(RaisedAlert) + 2 * kNameBytesMax + kTextBytesMax + 192);

  // The ledger and the bus (may be null) must outlive it.
  AlertBook(Ledger& ledger, EventBus* events);
  AlertBook(const AlertBook&) = delete;
  AlertBook& operator=(const AlertBook&) = delete;

  // `text` is asked for while the finding is bad and an alert is raised or on its way.
  void found(const AlertRule& rule, std::string_view structure, Finding finding, double value,
             const std::function<std::string()>& text, std::int64_t now_us);
  void end_look(std::int64_t now_us);

  std::vector<RaisedAlert> raised() const;  // the oldest first
  std::size_t raised_count() const;
  std::vector<AlertChange> history() const;  // the oldest first
  struct Counts {
    std::uint64_t raised = 0, cleared = 0, refused = 0, forgotten = 0;  // forgotten: of the history
  };
  Counts counts() const;

 private:
  struct Entry {
    RaisedAlert alert;  // raised_us 0: on its way
    int bad = 0, good = 0;
    bool seen = true;  // in this look
  };
  using Key = std::pair<std::string, std::string>;
  using Entries = std::map<Key, Entry, std::less<>>;

  AlertChange change(const RaisedAlert& alert, bool raised, std::int64_t now_us);
  void tell(const std::vector<AlertChange>& changes);

  const Account account_;
  EventBus* const events_;
  mutable std::mutex mutex_;  // of all below
  Entries entries_;
  RingBuffer<AlertChange> history_;
  Counts counts_;
};

}  // namespace ringfence
