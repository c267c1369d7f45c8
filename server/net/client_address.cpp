#include "net/client_address.h"

#include <algorithm>

namespace ringfence {
namespace {

using Address = boost::asio::ip::address;
namespace ip = boost::asio::ip;

Address unmapped(const Address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  return address;
}

// The last one, which the nearest proxy wrote: those before it are the client's own words.
std::string_view last_of(std::string_view list) {
  list.remove_prefix(std::min(list.rfind(',') + 1, list.size()));
  const std::size_t begin = list.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return list.substr(begin, list.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

ClientAddress client_address(const Address& peer, std::string_view forwarded_for, bool trust_forwarded) {
  Address address = unmapped(peer);
  if (trust_forwarded && address.is_loopback()) {
    boost::system::error_code error;
    const Address forwarded = ip::make_address(std::string(last_of(forwarded_for)), error);
    if (!error) address = unmapped(forwarded);
  }
  ClientAddress result{address.to_string(), {}};
  if (address.is_loopback()) return result;
  if (address.is_v4()) {
    result.counted = result.text;
  } else {
    auto bytes = address.to_v6().to_bytes();
    std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
    result.counted = ip::address_v6(bytes).to_string();
  }
  return result;
}

}  // namespace ringfence
