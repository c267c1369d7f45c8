// ClientAddress: where a request comes from, as limits by address count it.
//
// Behind a proxy on this machine every peer is a loopback address; with --trust-forwarded-for the last address that the
// proxy wrote to X-Forwarded-For is the client's. Addresses of this machine are not counted: their clients are proxies
// and local programs. An IPv6 client has its /64 (RFC 6177): it may choose all that is behind it.
#pragma once

#include <string>
#include <string_view>

#include <boost/asio/ip/address.hpp>

namespace ringfence {

struct ClientAddress {
  std::string text;     // for logs and endpoints
  std::string counted;  // the key of its limits; empty: not counted
};

ClientAddress client_address(const boost::asio::ip::address& peer, std::string_view forwarded_for,
                             bool trust_forwarded);

}  // namespace ringfence
