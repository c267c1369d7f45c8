#include "tasks/task_registry.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <utility>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <nlohmann/json.hpp>

#include "log.h"
#include "realtime/clock.h"

namespace ringfence {

namespace asio = boost::asio;

std::string_view task_kind_name(TaskKind kind) noexcept {
  switch (kind) {
    case TaskKind::lifecycle: return "lifecycle";
    case TaskKind::periodic: return "periodic";
    case TaskKind::service: return "service";
    case TaskKind::other: break;
  }
  return "other";
}

struct TaskRegistry::Entry {
  TaskSpec spec;
  TaskId id = 0;
  std::int64_t started_ms = 0;
  bool cancelling = false;  // under the state's mutex
  bool done = false;        // the strand's, as is the signal
  asio::cancellation_signal signal;
};

// Shared with the completions of the tasks, which may come after the registry is gone.
struct TaskRegistry::State {
  explicit State(const asio::any_io_executor& executor) : strand(asio::make_strand(executor)) {}
  asio::strand<asio::any_io_executor> strand;
  std::size_t tasks_max = 0;
  std::mutex mutex;  // of all below
  std::condition_variable ended;
  std::map<TaskId, std::shared_ptr<Entry>> tasks;
  std::array<TaskKindStats, kTaskKinds> kinds{};
  TaskId next_id = 1;
  std::uint64_t high_water_mark = 0;
  std::uint64_t refused = 0;
  bool shutting_down = false;

  void end(Entry& entry, const std::exception_ptr& thrown);
};

namespace {

// The body lives in this frame, so what a lambda captured lives as long as its coroutine.
asio::awaitable<void> run_body(TaskRegistry::Body body) { co_await body(); }

std::string what_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "not a std::exception";
  }
}

}  // namespace

void TaskRegistry::State::end(Entry& entry, const std::exception_ptr& thrown) {
  bool cancelled = false;
  {
    const std::lock_guard lock(mutex);
    entry.done = true;
    cancelled = entry.cancelling;
    TaskKindStats& kind = kinds[static_cast<std::size_t>(entry.spec.kind)];
    --kind.live;
    ++(cancelled ? kind.cancelled : thrown ? kind.failed : kind.completed);
  }
  if (thrown && !cancelled)
    logger("tasks")->error("task {} of {} failed: {}", entry.spec.name, entry.spec.owner, what_of(thrown));
  const std::lock_guard lock(mutex);
  tasks.erase(entry.id);
  ended.notify_all();
}

TaskRegistry::TaskRegistry(asio::any_io_executor executor, Ledger& ledger, std::size_t tasks_max)
    : account_(ledger.open("tasks", tasks_max * kTaskBytes).value()), state_(std::make_shared<State>(executor)) {
  INVARIANT(tasks_max > 0 && account_.try_add(account_.capacity_bytes()));  // taken for good
  state_->tasks_max = tasks_max;
}

TaskRegistry::~TaskRegistry() { shutdown_all(std::chrono::milliseconds(0)); }

Result<TaskId> TaskRegistry::spawn(TaskSpec spec, Body body) {
  const auto refuse = [&](Error error, std::string_view why) {
    logger("tasks")->warn("task '{}' of '{}' refused: {}", spec.name.substr(0, kNameBytesMax),
                          spec.owner.substr(0, kNameBytesMax), why);
    return error;
  };
  const auto good = [](const std::string& name) { return !name.empty() && name.size() <= kNameBytesMax; };
  auto entry = std::make_shared<Entry>();
  const Result<TaskId> id = [&]() -> Result<TaskId> {
    const std::lock_guard lock(state_->mutex);
    const auto refused = [&](Error error) {
      ++state_->refused;
      return error;
    };
    if (!good(spec.name) || !good(spec.owner)) return refused(Error::bad_field);
    if (state_->shutting_down) return refused(Error::shutting_down);
    if (state_->tasks.size() >= state_->tasks_max) return refused(Error::too_many_tasks);
    entry->spec = spec;
    entry->id = state_->next_id++;
    entry->started_ms = steady_ms();
    state_->tasks.emplace(entry->id, entry);
    state_->high_water_mark = std::max<std::uint64_t>(state_->high_water_mark, state_->tasks.size());
    TaskKindStats& kind = state_->kinds[static_cast<std::size_t>(spec.kind)];
    ++kind.live;
    ++kind.started;
    return entry->id;
  }();
  if (!id.ok()) {
    switch (id.error()) {
      case Error::bad_field: return refuse(id.error(), "name and owner must have 1 to 64 bytes");
      case Error::shutting_down: return refuse(id.error(), "the registry is shutting down");
      default: return refuse(id.error(), "there are as many tasks as --tasks allows");
    }
  }
  auto slot = entry->signal.slot();
  asio::co_spawn(state_->strand, run_body(std::move(body)),
                 asio::bind_cancellation_slot(
                     slot, [state = state_, entry](std::exception_ptr thrown) { state->end(*entry, thrown); }));
  return id;
}

bool TaskRegistry::cancel_matching(const Match& match, Clock::time_point until, const Hastened& hastened) {
  const auto some_left = [&] {
    return std::any_of(state_->tasks.begin(), state_->tasks.end(), [&](const auto& one) { return match(*one.second); });
  };
  std::unique_lock lock(state_->mutex);
  for (const auto& [id, entry] : state_->tasks) {
    if (!match(*entry) || std::exchange(entry->cancelling, true)) continue;
    asio::post(state_->strand, [entry = entry] {
      if (!entry->done) entry->signal.emit(asio::cancellation_type::terminal);
    });
  }
  if (state_->strand.running_in_this_thread()) return !some_left();
  const auto haste_from = Clock::now() + kHasteLimit;
  while (some_left()) {
    const auto now = Clock::now();
    if (now >= until || (now >= haste_from && hastened && hastened())) return false;
    state_->ended.wait_until(lock, std::min(until, now + std::chrono::milliseconds(20)));
  }
  return true;
}

TaskRegistry::Cancel TaskRegistry::cancel_task(TaskId id, std::chrono::milliseconds limit) {
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->tasks.contains(id)) return Cancel::unknown;
  }
  return cancel_matching([id](const Entry& entry) { return entry.id == id; }, Clock::now() + limit, {})
             ? Cancel::ended
             : Cancel::still_running;
}

bool TaskRegistry::cancel_owner(std::string_view owner, std::chrono::milliseconds limit) {
  return cancel_matching([owner](const Entry& entry) { return entry.spec.owner == owner; }, Clock::now() + limit, {});
}

bool TaskRegistry::cancel_kind(TaskKind kind, std::chrono::milliseconds limit, const Hastened& hastened) {
  return cancel_matching([kind](const Entry& entry) { return entry.spec.kind == kind; }, Clock::now() + limit,
                         hastened);
}

bool TaskRegistry::shutdown_all(std::chrono::milliseconds limit, const Hastened& hastened) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->shutting_down = true;
  }
  const auto now = Clock::now();
  cancel_matching([](const Entry& entry) { return entry.spec.kind == TaskKind::lifecycle; }, now + limit / 2, hastened);
  return cancel_matching([](const Entry&) { return true; }, now + limit, hastened);
}

std::size_t TaskRegistry::live() const {
  const std::lock_guard lock(state_->mutex);
  return state_->tasks.size();
}

TaskKindStats TaskStats::total() const {
  TaskKindStats sum;
  for (const TaskKindStats& kind : kinds) {
    sum.live += kind.live;
    sum.started += kind.started;
    sum.completed += kind.completed;
    sum.failed += kind.failed;
    sum.cancelled += kind.cancelled;
  }
  return sum;
}

TaskStats TaskRegistry::stats() const {
  TaskStats stats;
  std::map<std::string, std::uint64_t> owners;
  const std::int64_t now = steady_ms();
  const std::lock_guard lock(state_->mutex);
  for (const auto& [id, entry] : state_->tasks) {
    stats.tasks.push_back({entry->spec, id, now - entry->started_ms, entry->cancelling});
    ++owners[entry->spec.owner];
  }
  stats.owners.assign(owners.begin(), owners.end());
  stats.kinds = state_->kinds;
  stats.capacity = state_->tasks_max;
  stats.high_water_mark = state_->high_water_mark;
  stats.refused = state_->refused;
  stats.shutting_down = state_->shutting_down;
  return stats;
}

std::string tasks_json(const TaskStats& stats) {
  using Json = nlohmann::ordered_json;
  const auto counts = [](const TaskKindStats& kind) {
    return Json{{"live", kind.live},
                {"started", kind.started},
                {"completed", kind.completed},
                {"failed", kind.failed},
                {"cancelled", kind.cancelled}};
  };
  Json document{{"shutting_down", stats.shutting_down},
                {"capacity", stats.capacity},
                {"high_water_mark", stats.high_water_mark},
                {"refused", stats.refused}};
  document.update(counts(stats.total()));
  document["kinds"] = Json::object();
  for (std::size_t i = 0; i < kTaskKinds; ++i)
    document["kinds"][std::string(task_kind_name(static_cast<TaskKind>(i)))] = counts(stats.kinds[i]);
  document["owners"] = Json::object();
  for (const auto& [owner, live] : stats.owners) document["owners"][owner] = live;
  document["tasks"] = Json::array();
  for (const TaskInfo& task : stats.tasks)
    document["tasks"].push_back({{"id", task.id},
                                 {"name", task.name},
                                 {"kind", std::string(task_kind_name(task.kind))},
                                 {"owner", task.owner},
                                 {"age_ms", task.age_ms},
                                 {"cancelling", task.cancelling}});
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ringfence
