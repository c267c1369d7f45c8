#include "net/origin.h"

#include <algorithm>

#include <boost/beast/core/string.hpp>

namespace ringfence {
namespace {

using boost::beast::iequals;

struct Authority {
  std::string_view host;  // an IPv6 address with its brackets
  std::string_view port;
};

Authority split(std::string_view authority) noexcept {
  const auto colon = authority.rfind(':');
  const auto bracket = authority.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) return {authority, {}};
  return {authority.substr(0, colon), authority.substr(colon + 1)};
}

bool loopback_name(std::string_view host) noexcept {
  if (iequals(host, "localhost") || host == "[::1]") return true;
  if (host.size() > 10 && iequals(host.substr(host.size() - 10), ".localhost")) return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

bool origin_allowed(std::string_view origin, std::string_view host, const std::vector<std::string>& allowed,
                    bool listening_on_loopback) {
  if (origin.empty()) return true;
  for (const std::string& one : allowed)
    if (one == "*" || iequals(one, origin)) return true;
  const bool https = origin.starts_with("https://");
  if (!https && !origin.starts_with("http://")) return false;
  const std::string_view port_default = https ? "443" : "80";
  Authority page = split(origin.substr(https ? 8 : 7));
  Authority own = split(host);
  if (page.port.empty()) page.port = port_default;
  if (own.port.empty()) own.port = port_default;
  if (own.host.empty() || !iequals(page.host, own.host) || page.port != own.port) return false;
  return !listening_on_loopback || loopback_name(own.host);
}

}  // namespace ringfence
