#include "bus/dead_letters.h"

#include <utility>

namespace ringfence {

DeadLetters::DeadLetters(Ledger& ledger, std::size_t count_max, std::uint64_t bytes_max, std::int64_t age_max_us)
    : account_(ledger.open("nats dead letters", bytes_max).value()), count_max_(count_max), age_max_us_(age_max_us) {
  INVARIANT(count_max > 0 && age_max_us > 0);
}

DeadLetters::~DeadLetters() { account_.sub(account_.used_bytes()); }

std::uint64_t DeadLetters::bytes_of(const Letter& letter) noexcept {
  return letter.message.bytes() + letter.reason.size() + kOverheadBytes;
}

void DeadLetters::evict(Eviction reason) {
  account_.sub(bytes_of(letters_.front()));
  account_.count_evicted(reason, 1);
  letters_.pop_front();
}

void DeadLetters::add(NatsOutgoing message, std::string reason, std::int64_t now_us) {
  expire(now_us);
  ++total_;
  Letter letter{std::move(message), now_us, std::move(reason)};
  const std::uint64_t bytes = bytes_of(letter);
  if (bytes > account_.capacity_bytes()) return account_.count_evicted(Eviction::bytes, 1);
  while (letters_.size() >= count_max_) evict(Eviction::records);
  while (account_.used_bytes() + bytes > account_.capacity_bytes()) evict(Eviction::bytes);
  INVARIANT(account_.try_add(bytes));
  letters_.push_back(std::move(letter));
}

std::vector<DeadLetters::Letter> DeadLetters::take(std::size_t count_max, std::int64_t now_us) {
  expire(now_us);
  std::vector<Letter> taken;
  while (!letters_.empty() && taken.size() < count_max) {
    account_.sub(bytes_of(letters_.front()));
    taken.push_back(std::move(letters_.front()));
    letters_.pop_front();
  }
  return taken;
}

void DeadLetters::expire(std::int64_t now_us) {
  while (!letters_.empty() && now_us - letters_.front().died_us >= age_max_us_) evict(Eviction::age);
}

std::uint64_t DeadLetters::evicted() const noexcept {
  return account_.evicted(Eviction::records) + account_.evicted(Eviction::bytes) + account_.evicted(Eviction::age);
}

}  // namespace ringfence
