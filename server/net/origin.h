// Which web pages may open a WebSocket: a browser sends the page's Origin, and does not stop pages of others itself.
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

}  // namespace ringfence
