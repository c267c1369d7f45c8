// Which web pages may use the server: a browser sends the page's Origin, and does not stop pages of others itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ringfence {

// `origin` and `host` are the request's headers. True if there is no Origin (not a browser), if it is in `allowed` (or
// "*" is), or if it is the server's own: the same host and port as in Host. On a loopback address the Host must be a
// loopback name too, else a page could rebind its own name to 127.0.0.1 and pass for the server's.
bool origin_allowed(std::string_view origin, std::string_view host, const std::vector<std::string>& allowed,
                    bool listening_on_loopback);

// Whether a request with this Host may be for a server that listens on a loopback address: a loopback name or address, or
// the host of one of `allowed` ("*" is any). A page that has rebound its own name to 127.0.0.1 is of the server's origin to
// its browser, so most of its requests have no Origin; but they have its name as Host. Empty: not a browser.
bool host_allowed(std::string_view host, const std::vector<std::string>& allowed);

// Whether `text` is what a browser may send as Origin, scheme://host[:port] or "null", or is "*". If not, `why` says what
// is wrong.
bool valid_origin(std::string_view text, std::string& why);

// An IP address, as text, that is a loopback one; also ::ffff:127.0.0.1.
bool is_loopback_address(const std::string& text);

}  // namespace ringfence
