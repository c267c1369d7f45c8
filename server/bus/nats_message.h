// Messages of the broker: NatsMessage is one that came, NatsOutgoing is one to send.
//
// Owns     NatsMessage: the message of cnats, and what its views look at. Move-only.
// Threads  one thread at a time, reads included (headers are parsed at the first look).
// Bounds   as large as the broker lets through.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct __natsMsg;

namespace ringfence {

class NatsMessage {
 public:
  explicit NatsMessage(__natsMsg* raw) noexcept : raw_(raw) {}
  NatsMessage(NatsMessage&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  NatsMessage& operator=(NatsMessage&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~NatsMessage();

  std::string_view subject() const noexcept;
  std::string_view reply() const noexcept;  // empty: no answer is wanted
  std::string_view data() const noexcept;
  // The first value under this name; names are told apart by case.
  std::optional<std::string_view> header(const char* name) const noexcept;
  bool no_responders() const noexcept;  // nobody was there to answer the request
  __natsMsg* raw() const noexcept { return raw_; }

 private:
  __natsMsg* raw_;
};

using NatsHeaders = std::vector<std::pair<std::string, std::string>>;

struct NatsOutgoing {
  std::string subject;
  std::string data;
  NatsHeaders headers{};
  std::string reply{};  // of a plain publish; requests make their own
  std::size_t bytes() const noexcept {
    std::size_t sum = subject.size() + data.size() + reply.size();
    for (const auto& [name, value] : headers) sum += name.size() + value.size() + 4;
    return sum;
  }
};

// A text as a header's value or a subject's token may not hold all bytes; these check what is sent.
bool valid_nats_subject(std::string_view subject, bool wildcards) noexcept;

}  // namespace ringfence
