#include <ringfence/ledger.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <limits>
#include <utility>

namespace ringfence {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

// 12345678 -> "11.8 MiB"
std::string human_bytes(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) noexcept {
  return b > std::numeric_limits<std::uint64_t>::max() - a ? std::numeric_limits<std::uint64_t>::max() : a + b;
}

}  // namespace

std::string_view eviction_name(Eviction reason) noexcept {
  switch (reason) {
    case Eviction::records: return "records";
    case Eviction::bytes: return "bytes";
    case Eviction::age: return "age";
    case Eviction::pressure: return "pressure";
    case Eviction::cleared: return "cleared";
  }
  INVARIANT(false);
  return {};
}

Account::Account(Account&& other) noexcept : ledger_(std::exchange(other.ledger_, nullptr)), entry_(other.entry_) {}

Account& Account::operator=(Account&& other) noexcept {
  if (this != &other) {
    if (ledger_) ledger_->entries_.erase(entry_);
    ledger_ = std::exchange(other.ledger_, nullptr);
    entry_ = other.entry_;
  }
  return *this;
}

Account::~Account() {
  if (ledger_) ledger_->entries_.erase(entry_);
}

bool Account::try_add(std::uint64_t bytes) noexcept {
  std::uint64_t used = entry_->used_bytes.load(kRelaxed);
  do {
    if (bytes > entry_->capacity_bytes - used) {
      entry_->refused.fetch_add(1, kRelaxed);
      return false;
    }
  } while (!entry_->used_bytes.compare_exchange_weak(used, used + bytes, kRelaxed));
  const std::uint64_t now = used + bytes;
  std::uint64_t high = entry_->high_water_mark_bytes.load(kRelaxed);
  while (high < now && !entry_->high_water_mark_bytes.compare_exchange_weak(high, now, kRelaxed)) {
  }
  return true;
}

void Account::sub(std::uint64_t bytes) noexcept {
  const std::uint64_t before = entry_->used_bytes.fetch_sub(bytes, kRelaxed);
  INVARIANT(before >= bytes);
}

void Account::count_evicted(Eviction reason, std::uint64_t count) noexcept {
  entry_->evicted[static_cast<std::size_t>(reason)].fetch_add(count, kRelaxed);
}

std::uint64_t Account::used_bytes() const noexcept { return entry_->used_bytes.load(kRelaxed); }
std::uint64_t Account::capacity_bytes() const noexcept { return entry_->capacity_bytes; }
std::uint64_t Account::high_water_mark_bytes() const noexcept { return entry_->high_water_mark_bytes.load(kRelaxed); }
std::uint64_t Account::refused() const noexcept { return entry_->refused.load(kRelaxed); }
std::uint64_t Account::evicted(Eviction reason) const noexcept {
  return entry_->evicted[static_cast<std::size_t>(reason)].load(kRelaxed);
}

Ledger::~Ledger() { INVARIANT(entries_.empty()); }

Result<Account> Ledger::open(std::string_view name, std::uint64_t capacity_bytes) {
  if (capacity_bytes == 0) return Error::bad_capacity;
  for (const auto& entry : entries_)
    if (entry.name == name) return Error::duplicate_name;
  auto& entry = entries_.emplace_back();
  entry.name = name;
  entry.capacity_bytes = capacity_bytes;
  return Account(*this, std::prev(entries_.end()));
}

std::vector<LedgerRow> Ledger::rows() const {
  std::vector<LedgerRow> rows;
  rows.reserve(entries_.size());
  for (const auto& entry : entries_) {
    auto& row = rows.emplace_back();
    row.name = entry.name;
    row.used_bytes = entry.used_bytes.load(kRelaxed);
    row.capacity_bytes = entry.capacity_bytes;
    row.high_water_mark_bytes = entry.high_water_mark_bytes.load(kRelaxed);
    row.refused = entry.refused.load(kRelaxed);
    for (std::size_t i = 0; i < kEvictionCount; ++i) row.evicted[i] = entry.evicted[i].load(kRelaxed);
  }
  return rows;
}

std::uint64_t Ledger::used_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& entry : entries_) sum = saturating_add(sum, entry.used_bytes.load(kRelaxed));
  return sum;
}

std::uint64_t Ledger::worst_case_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& entry : entries_) sum = saturating_add(sum, entry.capacity_bytes);
  return sum;
}

Result<void> Ledger::check(std::uint64_t budget_bytes) const {
  if (worst_case_bytes() > budget_bytes) return Error::over_budget;
  return {};
}

std::string Ledger::table(std::uint64_t budget_bytes) const {
  auto sorted = rows();
  std::sort(sorted.begin(), sorted.end(),
            [](const LedgerRow& a, const LedgerRow& b) { return a.capacity_bytes > b.capacity_bytes; });
  std::string text;
  const auto line = [&text](const std::string& name, std::uint64_t bytes, const char* note) {
    char buffer[160];
    std::snprintf(buffer, sizeof buffer, "  %-28.60s %12s%s\n", name.c_str(), human_bytes(bytes).c_str(), note);
    text += buffer;
  };
  for (const auto& row : sorted) line(row.name, row.capacity_bytes, "");
  const std::uint64_t sum = worst_case_bytes();
  line("worst case", sum, "");
  line("budget", budget_bytes, sum > budget_bytes ? "  EXCEEDED" : "");
  return text;
}

}  // namespace ringfence
