// TaskRegistry: every coroutine of the server that outlives a call, by name, kind and owner, and their end.
//
//   tasks.spawn({"monitor", TaskKind::periodic, "monitoring"}, [&]() -> boost::asio::awaitable<void> {
//     boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor);
//     for (;;) { timer.expires_after(5min); co_await timer.async_wait(boost::asio::use_awaitable); sample(); }
//   });
//
// A task is cancelled by Asio's cancellation (terminal): the operation that it waits for ends with operation_aborted, which
// it may let pass as an exception. All tasks run on one strand, one at a time: none may block.
// Owns     the entries. The coroutines live in the executor; one that never ends goes with it.
// Threads  every function: any thread. A cancel or shutdown_all called from a task waits for nothing, and so says
//          `still_running`, or false.
// Bounds   --tasks live tasks; name and owner: 1 to 64 bytes. Account "tasks" counts kTaskBytes for each, for its entry and a
//          frame of 4 KiB; a task that holds more has an account of its own.
// Cost     spawn, the end of a task: a mutex, O(log tasks). stats: O(tasks).
// Errors   spawn: bad_field for an empty or long name or owner, too_many_tasks, shutting_down; counted, and logged with the
//          reason. An exception of a task that was not cancelled is logged and counted as failed.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <ringfence/ledger.h>

namespace ringfence {

enum class TaskKind : std::uint8_t {
  lifecycle,  // what others wait for to end: cancelled first
  periodic,   // wakes up by the clock
  service,    // serves requests as they come
  other,
};
inline constexpr std::size_t kTaskKinds = 4;
std::string_view task_kind_name(TaskKind kind) noexcept;

using TaskId = std::uint64_t;  // from 1, never used again

struct TaskSpec {
  std::string name;  // need not be the only one of that name
  TaskKind kind = TaskKind::other;
  std::string owner;
};

struct TaskInfo : TaskSpec {
  TaskId id = 0;
  std::int64_t age_ms = 0;
  bool cancelling = false;
};

struct TaskKindStats {
  std::uint64_t live = 0;
  std::uint64_t started = 0;
  std::uint64_t completed = 0;  // by themselves
  std::uint64_t failed = 0;     // by an exception
  std::uint64_t cancelled = 0;
};

struct TaskStats {
  std::vector<TaskInfo> tasks;  // live, oldest first
  std::array<TaskKindStats, kTaskKinds> kinds{};
  std::vector<std::pair<std::string, std::uint64_t>> owners;  // live tasks; an owner without one has no row
  std::uint64_t capacity = 0;
  std::uint64_t high_water_mark = 0;
  std::uint64_t refused = 0;
  bool shutting_down = false;
  TaskKindStats total() const;
};

// `GET /v1/monitoring/tasks`:
//   {"shutting_down", "live", "capacity", "high_water_mark", "started", "completed", "failed", "cancelled", "refused",
//    "kinds": {name: {"live", "started", "completed", "failed", "cancelled"}},
//    "owners": {name: live},
//    "tasks": [{"id", "name", "kind", "owner", "age_ms", "cancelling"}]}
std::string tasks_json(const TaskStats& stats);

class TaskRegistry {
 public:
  using Body = std::function<boost::asio::awaitable<void>()>;
  using Clock = std::chrono::steady_clock;
  using Hastened = std::function<bool()>;
  // What tasks get to end in even in haste: one that heeds its cancellation is gone long before.
  static constexpr std::chrono::milliseconds kHasteLimit{250};
  enum class Cancel : std::uint8_t { ended, unknown, still_running };

  static constexpr std::uint64_t kTaskBytes = 5 * 1024;
  static constexpr std::size_t kNameBytesMax = 64;
  static constexpr auto kCancelLimit = std::chrono::milliseconds(2'000);
  static constexpr auto kShutdownLimit = std::chrono::milliseconds(5'000);

  // 0 < tasks_max (INVARIANT). Somebody runs the executor; the ledger outlives the registry.
  TaskRegistry(boost::asio::any_io_executor executor, Ledger& ledger, std::size_t tasks_max);
  TaskRegistry(const TaskRegistry&) = delete;
  TaskRegistry& operator=(const TaskRegistry&) = delete;
  // Refuses from now on and asks every task to end; waits for nothing.
  ~TaskRegistry();

  Result<TaskId> spawn(TaskSpec spec, Body body);

  // Waits until it has ended, at most `limit`. unknown: there is none (any more).
  Cancel cancel_task(TaskId id, std::chrono::milliseconds limit = kCancelLimit);
  // All of an owner, or of a kind. True if none of those is left.
  bool cancel_owner(std::string_view owner, std::chrono::milliseconds limit = kCancelLimit);
  bool cancel_kind(TaskKind kind, std::chrono::milliseconds limit = kCancelLimit, const Hastened& hastened = {});
  // Refuses from now on; cancels the tasks of kind lifecycle and waits for them half of the time at most, then all others.
  // True if none is left.
  bool shutdown_all(std::chrono::milliseconds limit = kShutdownLimit, const Hastened& hastened = {});

  std::size_t live() const;
  TaskStats stats() const;

 private:
  struct Entry;
  struct State;
  using Match = std::function<bool(const Entry&)>;

  bool cancel_matching(const Match& match, Clock::time_point until, const Hastened& hastened);

  Account account_;
  const std::shared_ptr<State> state_;
};

}  // namespace ringfence
