#include "net/origin.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

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

bool valid_origin(std::string_view text, std::string& why) {
  if (text == "*" || text == "null") return true;
  const auto wrong = [&why](std::string_view what) {
    why = what;
    return false;
  };
  const auto mark = text.find("://");
  const std::string_view scheme = text.substr(0, mark);
  if (mark == std::string_view::npos || scheme.empty()) return wrong("it has no scheme, such as https://");
  static constexpr std::string_view kScheme = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.";
  if (scheme.find_first_not_of(kScheme) != std::string_view::npos) return wrong("its scheme is none");
  const std::string_view authority = authority_of(text);
  if (authority.find_first_of("/?#") != std::string_view::npos)
    return wrong("an origin has no path, nor a '/' at its end");
  if (authority.find('@') != std::string_view::npos) return wrong("an origin has no user");
  const auto never_sent = [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7f;
  };
  if (std::any_of(text.begin(), text.end(), never_sent)) return wrong("browsers send ASCII, names in Punycode (xn--)");
  const Authority parts = split(authority);
  if (parts.host.empty()) return wrong("it has no host");
  if (parts.host.starts_with('[')) {
    boost::system::error_code error;
    if (parts.host.ends_with(']'))
      (void)boost::asio::ip::make_address_v6(std::string(parts.host.substr(1, parts.host.size() - 2)), error);
    if (!parts.host.ends_with(']') || error) return wrong("its host is no IPv6 address in brackets");
  } else if (parts.host.find_first_of(":[]*,\\") != std::string_view::npos) {
    return wrong("its host is no name or address, and a '*' stands alone");
  }
  if (parts.host.size() == authority.size()) return true;
  std::uint16_t port = 0;
  const char* const end = parts.port.data() + parts.port.size();
  const auto [stop, error] = std::from_chars(parts.port.data(), end, port);
  if (error != std::errc() || stop != end || port == 0) return wrong("its port is not in 1..65535");
  if ((iequals(scheme, "http") && port == 80) || (iequals(scheme, "https") && port == 443))
    return wrong("browsers leave out the port that is the scheme's own");
  return true;
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
