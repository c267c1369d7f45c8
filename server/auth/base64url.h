// decode_base64url(): base64url without padding (RFC 7515, section 2); none if it is anything else, empty text included.
// cpp-jwt decodes; it reads outside of its table for a byte above 127, so what it gets is checked first.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ringfence {

std::optional<std::string> decode_base64url(std::string_view text);

}  // namespace ringfence
