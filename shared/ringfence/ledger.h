// Ledger and Account: every bound of the process, what it holds now, and the proof that all of it fits.
//
// An Account is one bound. The structure that it bounds asks try_add() before it takes memory, so the number shown
// is the number enforced. The Ledger lists the accounts; worst_case_bytes() is the sum of their capacities.
//
// Owns     a Ledger owns its rows; an Account is a move-only handle whose destructor takes its row out.
// Threads  open() and the end of an Account: one thread at a time, not along with rows(). try_add, sub, count and
//          all reads of an Account: any thread (relaxed atomics: each number is right, a set of them may be mid-change).
// Bounds   rows: as many as are opened, in practice a fixed number at start (server) or one a history (client).
// Cost     try_add, sub, count: one to three atomic operations. rows(): O(rows), copies.
// Errors   open(): duplicate_name, bad_capacity for 0. check(): over_budget.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include <ringfence/result.h>

namespace ringfence {

// Why something that was held is gone.
enum class Eviction : std::uint8_t {
  records,   // the bound on the number of records
  bytes,     // the bound on bytes
  age,       // the bound on age
  pressure,  // the shared memory was full and others needed it
  cleared,   // asked for: clear(), a new epoch, an idle channel forgotten
};
inline constexpr std::size_t kEvictionCount = 5;
std::string_view eviction_name(Eviction reason) noexcept;

struct LedgerRow {
  std::string name;
  std::uint64_t used_bytes = 0;
  std::uint64_t capacity_bytes = 0;
  std::uint64_t high_water_mark_bytes = 0;
  std::uint64_t refused = 0;
  std::array<std::uint64_t, kEvictionCount> evicted{};  // by Eviction
};

namespace detail {
struct LedgerEntry {
  std::string name;
  std::uint64_t capacity_bytes = 0;
  std::atomic<std::uint64_t> used_bytes{0};
  std::atomic<std::uint64_t> high_water_mark_bytes{0};
  std::atomic<std::uint64_t> refused{0};
  std::array<std::atomic<std::uint64_t>, kEvictionCount> evicted{};
};
}  // namespace detail

class Ledger;

class Account {
 public:
  Account(Account&& other) noexcept;
  Account& operator=(Account&& other) noexcept;
  ~Account();

  // False, counted as refused, if used would pass the capacity.
  [[nodiscard]] bool try_add(std::uint64_t bytes) noexcept;
  // Gives back what try_add took (INVARIANT: not more).
  void sub(std::uint64_t bytes) noexcept;
  void count_evicted(Eviction reason, std::uint64_t count) noexcept;

  std::uint64_t used_bytes() const noexcept;
  std::uint64_t capacity_bytes() const noexcept;
  std::uint64_t high_water_mark_bytes() const noexcept;
  std::uint64_t refused() const noexcept;
  std::uint64_t evicted(Eviction reason) const noexcept;

 private:
  friend class Ledger;
  Account(Ledger& ledger, std::list<detail::LedgerEntry>::iterator entry) : ledger_(&ledger), entry_(entry) {}

  Ledger* ledger_;
  std::list<detail::LedgerEntry>::iterator entry_;
};

// Must outlive its accounts (INVARIANT in the destructor).
class Ledger {
 public:
  Ledger() = default;
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  ~Ledger();

  Result<Account> open(std::string_view name, std::uint64_t capacity_bytes);

  std::vector<LedgerRow> rows() const;
  std::uint64_t used_bytes() const noexcept;
  std::uint64_t worst_case_bytes() const noexcept;  // saturates at 2^64 - 1

  // over_budget if the worst case is above it; table() says why.
  Result<void> check(std::uint64_t budget_bytes) const;
  // A row for each account, largest first, and the sum against the budget: lines of text for a person.
  std::string table(std::uint64_t budget_bytes) const;

 private:
  friend class Account;
  std::list<detail::LedgerEntry> entries_;
};

}  // namespace ringfence
