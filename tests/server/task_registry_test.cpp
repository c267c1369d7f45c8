#include "tasks/task_registry.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "log.h"
#include "support/catch.h"

using namespace ringfence;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

asio::awaitable<void> sleep_for_ever() {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_at(std::chrono::steady_clock::time_point::max());
  co_await timer.async_wait(asio::use_awaitable);
}

struct Bench {
  explicit Bench(std::size_t tasks_max = 8) : tasks(io.get_executor(), ledger, tasks_max) {
    set_up_logs("off");
    thread = std::thread([this] {
      const auto work = asio::make_work_guard(io);
      io.run();
    });
  }
  ~Bench() {
    tasks.shutdown_all(10s);
    io.stop();
    thread.join();
  }
  TaskId sleeper(std::string name, TaskKind kind = TaskKind::service, std::string owner = "test") {
    return tasks.spawn({std::move(name), kind, std::move(owner)}, sleep_for_ever).value();
  }
  bool eventually(const std::function<bool()>& done) {
    for (const auto until = std::chrono::steady_clock::now() + 30s; std::chrono::steady_clock::now() < until;) {
      if (done()) return true;
      std::this_thread::sleep_for(1ms);
    }
    return done();
  }
  TaskKindStats kind(TaskKind kind) const { return tasks.stats().kinds[static_cast<std::size_t>(kind)]; }

  Ledger ledger;
  asio::io_context io{1};
  TaskRegistry tasks;
  std::thread thread;
};

}  // namespace

TEST_CASE("TaskRegistry counts a task up when it starts and down when it ends, by kind and by owner",
          "[task_registry]") {
  Bench bench;
  const TaskId a = bench.sleeper("a", TaskKind::periodic, "monitor");
  bench.sleeper("b", TaskKind::service, "monitor");
  bench.sleeper("c", TaskKind::service, "bus");
  TaskStats stats = bench.tasks.stats();
  CHECK(stats.tasks.size() == 3);
  CHECK(stats.tasks[0].name == "a");
  CHECK(stats.total().live == 3);
  CHECK(stats.owners == std::vector<std::pair<std::string, std::uint64_t>>{{"bus", 1}, {"monitor", 2}});
  CHECK(bench.kind(TaskKind::service).live == 2);
  CHECK(bench.tasks.cancel_task(a, 30s) == TaskRegistry::Cancel::ended);
  CHECK(bench.tasks.cancel_owner("monitor", 30s));
  stats = bench.tasks.stats();
  CHECK(stats.owners == std::vector<std::pair<std::string, std::uint64_t>>{{"bus", 1}});
  CHECK(bench.kind(TaskKind::periodic).live == 0);
  CHECK(bench.kind(TaskKind::periodic).cancelled == 1);
  CHECK(bench.kind(TaskKind::service).live == 1);
  CHECK(stats.high_water_mark == 3);
  CHECK(bench.tasks.live() == 1);
}

TEST_CASE("TaskRegistry tells apart tasks that complete, fail and are cancelled", "[task_registry]") {
  Bench bench;
  REQUIRE(bench.tasks.spawn({"ends", TaskKind::other, "test"}, []() -> asio::awaitable<void> { co_return; }).ok());
  REQUIRE(bench.tasks
              .spawn({"fails", TaskKind::other, "test"},
                     []() -> asio::awaitable<void> {
                       throw std::runtime_error("no");
                       co_return;
                     })
              .ok());
  CHECK(bench.eventually([&] { return bench.tasks.live() == 0; }));
  bench.sleeper("sleeps", TaskKind::other);
  CHECK(bench.tasks.cancel_kind(TaskKind::other, 30s));
  const TaskKindStats other = bench.kind(TaskKind::other);
  CHECK(other.started == 3);
  CHECK(other.completed == 1);
  CHECK(other.failed == 1);
  CHECK(other.cancelled == 1);
  CHECK(other.live == 0);
}

TEST_CASE("TaskRegistry refuses with a reason: an empty name, no room, the shutdown", "[task_registry]") {
  Bench bench(2);
  const auto spawn = [&](std::string name, std::string owner = "test") {
    return bench.tasks.spawn({std::move(name), TaskKind::other, std::move(owner)}, sleep_for_ever);
  };
  CHECK(spawn("").error() == Error::bad_field);
  CHECK(spawn("a", "").error() == Error::bad_field);
  CHECK(spawn(std::string(65, 'x')).error() == Error::bad_field);
  CHECK(spawn(std::string(64, 'x')).ok());
  CHECK(spawn("b").ok());
  CHECK(spawn("c").error() == Error::too_many_tasks);
  CHECK(bench.tasks.shutdown_all(30s));
  CHECK(spawn("d").error() == Error::shutting_down);
  const TaskStats stats = bench.tasks.stats();
  CHECK(stats.refused == 5);
  CHECK(stats.shutting_down);
  CHECK(stats.total().live == 0);
}

TEST_CASE("TaskRegistry::shutdown_all ends lifecycle tasks first", "[task_registry]") {
  Bench bench;
  std::mutex mutex;
  std::vector<std::string> order;
  const auto task = [&](std::string name, TaskKind kind) {
    REQUIRE(bench.tasks
                .spawn({name, kind, "test"},
                       [&, name]() -> asio::awaitable<void> {
                         try {
                           co_await sleep_for_ever();
                         } catch (const std::exception&) {
                         }
                         const std::lock_guard lock(mutex);
                         order.push_back(name);
                       })
                .ok());
  };
  task("service", TaskKind::service);
  task("periodic", TaskKind::periodic);
  task("lifecycle", TaskKind::lifecycle);
  CHECK(bench.tasks.shutdown_all(30s));
  CHECK(bench.tasks.shutdown_all(30s));
  const std::lock_guard lock(mutex);
  REQUIRE(order.size() == 3);
  CHECK(order[0] == "lifecycle");
}

TEST_CASE("TaskRegistry: a task that does not heed its cancellation is told of after the limit, and stays counted",
          "[task_registry]") {
  Bench bench;
  auto may_end = std::make_shared<std::atomic<bool>>(false);
  const TaskId id = bench.tasks
                        .spawn({"deaf", TaskKind::service, "test"},
                               [may_end]() -> asio::awaitable<void> {
                                 co_await asio::this_coro::throw_if_cancelled(false);
                                 co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
                                 asio::steady_timer timer(co_await asio::this_coro::executor);
                                 while (!*may_end) {
                                   timer.expires_after(1ms);
                                   co_await timer.async_wait(asio::use_awaitable);
                                 }
                               })
                        .value();
  // Until it runs, a cancellation would still be heard.
  std::atomic<bool> turned{false};
  std::this_thread::sleep_for(5ms);
  asio::post(bench.io, [&] { turned = true; });
  REQUIRE(bench.eventually([&] { return turned.load(); }));
  CHECK(bench.tasks.cancel_task(id, 20ms) == TaskRegistry::Cancel::still_running);
  CHECK(bench.tasks.stats().tasks[0].cancelling);
  CHECK_FALSE(bench.tasks.shutdown_all(20ms));
  CHECK_FALSE(bench.tasks.shutdown_all(600s, [] { return true; }));  // hastened
  CHECK(bench.tasks.live() == 1);
  *may_end = true;
  CHECK(bench.tasks.shutdown_all(30s));
  CHECK(bench.tasks.cancel_task(id) == TaskRegistry::Cancel::unknown);
  CHECK(bench.kind(TaskKind::service).cancelled == 1);
}

TEST_CASE("TaskRegistry: a cancel that comes from a task does not wait for itself", "[task_registry]") {
  Bench bench;
  std::atomic<bool> done{false};
  std::atomic<bool> all_ended{true};
  REQUIRE(bench.tasks
              .spawn({"canceller", TaskKind::service, "test"},
                     [&]() -> asio::awaitable<void> {
                       all_ended = bench.tasks.cancel_owner("test", 600s);
                       done = true;
                       co_return;
                     })
              .ok());
  CHECK(bench.eventually([&] { return done.load(); }));
  CHECK_FALSE(all_ended);
  CHECK(bench.eventually([&] { return bench.tasks.live() == 0; }));
}

TEST_CASE("TaskRegistry keeps what a task's body captured for as long as the task lives", "[task_registry]") {
  Bench bench;
  auto captured = std::make_shared<int>(7);
  const TaskId id =
      bench.tasks.spawn({"holder", TaskKind::other, "test"}, [captured] { return sleep_for_ever(); }).value();
  CHECK(captured.use_count() == 2);
  CHECK(bench.tasks.cancel_task(id, 30s) == TaskRegistry::Cancel::ended);
  CHECK(bench.eventually([&] { return captured.use_count() == 1; }));
}

TEST_CASE("TaskRegistry: tasks may outlive their registry, and go with the executor", "[task_registry]") {
  set_up_logs("off");
  auto captured = std::make_shared<int>(7);
  {
    Ledger ledger;
    asio::io_context io(1);  // nobody runs it
    {
      TaskRegistry tasks(io.get_executor(), ledger, 4);
      REQUIRE(tasks.spawn({"never runs", TaskKind::other, "test"}, [captured] { return sleep_for_ever(); }).ok());
      CHECK(ledger.rows()[0].name == "tasks");
      CHECK(ledger.rows()[0].capacity_bytes == 4 * TaskRegistry::kTaskBytes);
    }
    CHECK(captured.use_count() == 2);
  }
  CHECK(captured.use_count() == 1);
}

TEST_CASE("TaskRegistry stats as JSON have the documented keys", "[task_registry]") {
  Bench bench;
  bench.sleeper("a", TaskKind::periodic, "monitor");
  const auto json = nlohmann::json::parse(tasks_json(bench.tasks.stats()));
  CHECK(json["live"] == 1);
  CHECK(json["capacity"] == 8);
  CHECK(json["shutting_down"] == false);
  CHECK(json["kinds"]["periodic"]["live"] == 1);
  CHECK(json["kinds"]["lifecycle"]["started"] == 0);
  CHECK(json["owners"]["monitor"] == 1);
  CHECK(json["tasks"][0]["name"] == "a");
  CHECK(json["tasks"][0]["kind"] == "periodic");
  CHECK(json["tasks"][0]["age_ms"].is_number());
  for (const char* key : {"started", "completed", "failed", "cancelled", "refused", "high_water_mark"})
    CHECK(json[key].is_number());
}
