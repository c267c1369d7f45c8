#include "realtime/channel_policy.h"

#include <algorithm>
#include <optional>

#include "options.h"
#include "realtime/channel.h"

namespace ringfence {
namespace {

std::optional<SlowPolicy> policy_of(std::string_view name) noexcept {
  if (name == "catch_up") return SlowPolicy::catch_up;
  if (name == "conflate") return SlowPolicy::conflate;
  if (name == "close") return SlowPolicy::close;
  return std::nullopt;
}

}  // namespace

ChannelPolicies ChannelPolicies::parse(const std::vector<std::string>& rows) {
  ChannelPolicies made;
  if (rows.size() > kRowsMax)
    throw UsageError("--channel-policy: given more than " + std::to_string(kRowsMax) + " times");
  for (const std::string& row : rows) {
    const std::size_t equals = row.rfind('=');
    std::string name = row.substr(0, equals);
    const auto policy =
        equals == std::string::npos ? std::nullopt : policy_of(std::string_view(row).substr(equals + 1));
    const bool prefix = name.ends_with('*');
    if (prefix) name.pop_back();
    if (!policy || (!valid_channel_name(name) && !(prefix && name.empty())))
      throw UsageError("--channel-policy: '" + row +
                       "' is not PATTERN=POLICY: a channel name or a prefix and *, then catch_up, conflate or close");
    made.rows_.push_back({std::move(name), prefix, *policy});
  }
  return made;
}

SlowPolicy ChannelPolicies::of(std::string_view channel) const noexcept {
  for (const Row& row : rows_)
    if (row.prefix ? channel.starts_with(row.name) : channel == row.name) return row.policy;
  return SlowPolicy::catch_up;
}

bool ChannelPolicies::has(SlowPolicy policy) const noexcept {
  return std::any_of(rows_.begin(), rows_.end(), [policy](const Row& row) { return row.policy == policy; });
}

}  // namespace ringfence
