// ChannelPolicies: what happens to a subscriber that is slow, by channel. From --channel-policy 'PATTERN=POLICY'.
//
// catch_up  it gets every record that the history still holds, and a `gap` for those that are gone. The default.
// conflate  it gets the latest record only, and a `gap` of reason `conflated` for those it was spared. For channels whose
//           records replace one another, such as prices. A subscriber that keeps pace gets every record.
// close     where `catch_up` would tell a gap, its connection is closed, with too_slow: it may resume, and is told then.
// Owns     its rows; immutable once made.
// Bounds   kRowsMax rows. The first that matches decides.
// Cost     of(): a comparison a row, once in the life of a channel.
// Errors   parse() throws UsageError.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ringfence {

enum class SlowPolicy : std::uint8_t { catch_up, conflate, close };

class ChannelPolicies {
 public:
  static constexpr std::size_t kRowsMax = 64;

  // Each row is a channel name, or a prefix and '*', then '=' and a policy.
  static ChannelPolicies parse(const std::vector<std::string>& rows);

  SlowPolicy of(std::string_view channel) const noexcept;
  bool has(SlowPolicy policy) const noexcept;

 private:
  struct Row {
    std::string name;  // or the prefix
    bool prefix;
    SlowPolicy policy;
  };
  std::vector<Row> rows_;
};

}  // namespace ringfence
