// HttpReply: a response as a session sends it, and the errors of protocol.md, "Errors of HTTP".
//
// Every response names its length, forbids sniffing of types and is bound by `default-src 'self'`.
// Owns     its head and body, or an open file.
// Bounds   a body in memory is small (monitoring: one line for each account); a file is sent through 4 KiB.
#pragma once

#include <string>
#include <string_view>

#include <boost/beast/http/message_generator.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/string_body.hpp>

#include <ringfence/error.h>

#include "api/router.h"

namespace ringfence {

enum class HttpError : std::uint8_t {
  bad_request,
  unsupported_protocol,
  origin_not_allowed,
  host_not_allowed,
  not_found,
  method_not_allowed,
  body_too_large,
  header_too_large,
  too_many_connections,
  rate_limited,
  too_many_user_connections,
  too_many_users,
};

std::string_view http_error_code(HttpError error) noexcept;
boost::beast::http::status http_error_status(HttpError error) noexcept;

// What a reply depends on of its request.
struct ReplyTo {
  unsigned version = 11;
  bool keep_alive = false;
  bool head = false;  // HEAD: the length, not the body
};

// `retry_after_ms` above 0: told in Retry-After (RFC 9110, section 10.2.3) in whole seconds; 503 tells one in any case.
boost::beast::http::message_generator json_reply(const ReplyTo& to, boost::beast::http::status status, std::string body,
                                                 std::uint32_t retry_after_ms = 0);
// `retry_after_ms` above 0: told in the body too.
boost::beast::http::message_generator error_reply(const ReplyTo& to, HttpError error, std::string_view message,
                                                  std::uint32_t retry_after_ms = 0);
// Of Authenticator's errors: 401, but 403 for forbidden, 503 for overloaded, 400 for bad_field.
boost::beast::http::message_generator auth_error_reply(const ReplyTo& to, Error error);
// What a handler of the router has answered.
boost::beast::http::message_generator api_reply(const ReplyTo& to, ApiResponse&& response);
ApiResponse auth_refusal(Error error);
// {"error":{"code","message","retry_after_ms"?}}
std::string error_body(std::string_view code, std::string_view message, std::uint32_t retry_after_ms = 0);
// error_reply as bytes, for a connection that gets no session. Connection: close.
std::string error_text(HttpError error, std::string_view message);

// The headers that all responses share.
void set_common(boost::beast::http::fields& fields);

}  // namespace ringfence
