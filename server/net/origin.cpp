#include "net/origin.h"

#include <algorithm>

#include <boost/asio/ip/address.hpp>
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

// "http://a:1" is "a:1"; empty where there is no scheme.
std::string_view authority_of(std::string_view origin) noexcept {
  const auto mark = origin.find("://");
  return mark == std::string_view::npos ? std::string_view() : origin.substr(mark + 3);
}

}  // namespace

bool is_loopback_address(const std::string& text) {
  namespace ip = boost::asio::ip;
  boost::system::error_code error;
  const auto address = ip::make_address(text, error);
  if (error) return false;
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return ip::make_address_v4(ip::v4_mapped, address.to_v6()).is_loopback();
  return address.is_loopback();
}

bool host_allowed(std::string_view host, const std::vector<std::string>& allowed) {
  if (host.empty()) return true;
  const std::string_view name = split(host).host;
  if (loopback_name(name)) return true;
  if (name.starts_with('[') && name.ends_with(']') && is_loopback_address(std::string(name.substr(1, name.size() - 2))))
    return true;
  return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& one) {
    // Without its port: a proxy may tell another one, or none.
    return one == "*" || (!name.empty() && iequals(split(authority_of(one)).host, name));
  });
}

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
