#include "net/http_reply.h"

#include <ringfence/invariant.h>

#include "auth/meaning.h"
#include "protocol/json.h"

namespace ringfence {
namespace {

namespace http = boost::beast::http;

struct Row {
  std::string_view code;
  http::status status;
};

Row row(HttpError error) noexcept {
  switch (error) {
    case HttpError::bad_request: return {"bad_request", http::status::bad_request};
    case HttpError::unsupported_protocol: return {"unsupported_protocol", http::status::bad_request};
    case HttpError::origin_not_allowed: return {"origin_not_allowed", http::status::forbidden};
    case HttpError::host_not_allowed: return {"host_not_allowed", http::status::forbidden};
    case HttpError::not_found: return {"not_found", http::status::not_found};
    case HttpError::method_not_allowed: return {"method_not_allowed", http::status::method_not_allowed};
    case HttpError::body_too_large: return {"body_too_large", http::status::payload_too_large};
    case HttpError::header_too_large: return {"header_too_large", http::status::request_header_fields_too_large};
    case HttpError::too_many_connections: return {"too_many_connections", http::status::service_unavailable};
    case HttpError::rate_limited: return {"rate_limited", http::status::too_many_requests};
    case HttpError::too_many_user_connections: return {"too_many_user_connections", http::status::too_many_requests};
    case HttpError::too_many_users: return {"too_many_users", http::status::service_unavailable};
  }
  INVARIANT(false);
  return {};
}

}  // namespace

std::string error_body(std::string_view code, std::string_view message, std::uint32_t retry_after_ms) {
  std::string body = R"({"error":{"code":")";
  body += code;
  body += R"(","message":)";
  append_json_string(body, message);
  if (retry_after_ms > 0) body += ",\"retry_after_ms\":" + std::to_string(retry_after_ms);
  body += "}}";
  return body;
}

std::string_view http_error_code(HttpError error) noexcept { return row(error).code; }
http::status http_error_status(HttpError error) noexcept { return row(error).status; }

void set_common(http::fields& fields) {
  fields.set(http::field::server, "ringfence/" RINGFENCE_VERSION);
  fields.set("X-Content-Type-Options", "nosniff");
  fields.set("Content-Security-Policy",
             "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws: wss:; "
             "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'");
  fields.set("Referrer-Policy", "no-referrer");
}

http::message_generator json_reply(const ReplyTo& to, http::status status, std::string body,
                                   std::uint32_t retry_after_ms) {
  ApiResponse response;
  response.status = status;
  response.body = std::move(body);
  response.retry_after_ms = retry_after_ms;
  if (status == http::status::method_not_allowed) response.allow = "GET, HEAD";
  return api_reply(to, std::move(response));
}

http::message_generator error_reply(const ReplyTo& to, HttpError error, std::string_view message,
                                    std::uint32_t retry_after_ms) {
  return json_reply(to, row(error).status, error_body(row(error).code, message, retry_after_ms), retry_after_ms);
}

ApiResponse auth_refusal(Error error) {
  http::status status = http::status::unauthorized;
  if (error == Error::forbidden) status = http::status::forbidden;
  if (error == Error::overloaded) status = http::status::service_unavailable;
  if (error == Error::bad_field) status = http::status::bad_request;
  return ApiResponse::fail(status, error_code(error), auth_meaning(error));
}

http::message_generator auth_error_reply(const ReplyTo& to, Error error) { return api_reply(to, auth_refusal(error)); }

http::message_generator api_reply(const ReplyTo& to, ApiResponse&& answer) {
  http::response<http::string_body> response(answer.status, to.version);
  set_common(response);
  response.set(http::field::content_type, {answer.content_type.data(), answer.content_type.size()});
  response.set(http::field::cache_control, "no-store");
  if (!answer.allow.empty()) response.set(http::field::allow, answer.allow);
  if (answer.replayed) response.set("Idempotency-Replayed", "true");
  if (answer.status == http::status::unauthorized) response.set(http::field::www_authenticate, "Bearer");
  if (answer.status == http::status::service_unavailable && answer.retry_after_ms == 0) answer.retry_after_ms = 1000;
  if (answer.retry_after_ms > 0)
    response.set(http::field::retry_after, std::to_string((answer.retry_after_ms + 999) / 1000));
  response.keep_alive(to.keep_alive);
  response.content_length(answer.body.size());
  if (!to.head) response.body() = std::move(answer.body);
  return response;
}

std::string error_text(HttpError error, std::string_view message) {
  const std::string body = error_body(row(error).code, message);
  std::string text = "HTTP/1.1 " + std::to_string(static_cast<unsigned>(row(error).status)) + " ";
  text += http::obsolete_reason(row(error).status);
  text += "\r\nServer: ringfence/" RINGFENCE_VERSION "\r\nContent-Type: application/json\r\nContent-Length: ";
  text += std::to_string(body.size()) + "\r\nRetry-After: 1\r\nConnection: close\r\n\r\n" + body;
  return text;
}

}  // namespace ringfence
