// DeadLetters: messages that could not be sent, each once, until somebody takes them or they are too old.
//
// Owns     the messages: add() takes them, take() gives them away.
// Threads  one at a time.
// Bounds   count, bytes (account "nats dead letters") and age. Full: the oldest leaves, counted by reason; one that is larger
//          than all of it is not kept, counted as `bytes`.
// Cost     add, take: O(1) for each message that comes or goes.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include <ringfence/ledger.h>

#include "bus/nats_service.h"

namespace ringfence {

class DeadLetters {
 public:
  using Letter = NatsService::DeadLetter;
  static constexpr std::uint64_t kOverheadBytes = 256;  // of the account, for each

  DeadLetters(Ledger& ledger, std::size_t count_max, std::uint64_t bytes_max, std::int64_t age_max_us);
  ~DeadLetters();

  void add(NatsOutgoing message, std::string reason, std::int64_t now_us);
  // Oldest first, at most so many.
  std::vector<Letter> take(std::size_t count_max, std::int64_t now_us);
  void expire(std::int64_t now_us);

  std::size_t size() const noexcept { return letters_.size(); }
  std::uint64_t bytes() const noexcept { return account_.used_bytes(); }
  std::uint64_t total() const noexcept { return total_; }
  std::uint64_t evicted() const noexcept;

 private:
  static std::uint64_t bytes_of(const Letter& letter) noexcept;
  void evict(Eviction reason);

  Account account_;
  const std::size_t count_max_;
  const std::int64_t age_max_us_;
  std::deque<Letter> letters_;
  std::uint64_t total_ = 0;
};

}  // namespace ringfence
