#include "bus/nats_options.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "bus/nats_message.h"
#include "options.h"

namespace ringfence {
namespace {

bool valid_host(std::string_view host) noexcept {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    return host.find_first_not_of("0123456789abcdefABCDEF:.%", 1) == host.size() - 1;
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
  });
}

std::string_view without_scheme(std::string_view url) noexcept {
  for (const std::string_view scheme : {"nats://", "tls://"})
    if (url.starts_with(scheme)) return url.substr(scheme.size());
  return {};
}

// Empty if it is well.
std::string url_fault(std::string_view url) {
  std::string_view rest = without_scheme(url);
  if (rest.empty()) return "must begin with nats:// or tls:// and name a host";
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    if (at == 0) return "has an empty user before '@'";
    rest.remove_prefix(at + 1);
  }
  std::string_view host = rest;
  const std::size_t colon = rest.rfind(':');
  if (colon != std::string_view::npos && rest.find(']', colon) == std::string_view::npos) {
    host = rest.substr(0, colon);
    const std::string_view port = rest.substr(colon + 1);
    std::uint32_t number = 0;
    const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc() || stop != port.data() + port.size() || number < 1 || number > 65535)
      return "has a port that is not 1 to 65535";
  }
  return valid_host(host) ? std::string() : "names no host";
}

}  // namespace

std::string nats_url_for_log(const std::string& url) {
  const std::size_t begin = url.find("://");
  const std::size_t at = url.rfind('@');
  if (begin == std::string::npos || at == std::string::npos) return url;
  return url.substr(0, begin + 3) + url.substr(at + 1);
}

bool valid_nats_prefix(const std::string& prefix) noexcept {
  return prefix.size() <= 64 && valid_nats_subject(prefix, false) &&
         std::all_of(prefix.begin(), prefix.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  c == '.';
         });
}

void check_nats_options(const NatsOptions& o) {
  for (const std::string& url : o.urls)
    if (const std::string fault = url_fault(url); !fault.empty())
      throw UsageError("--nats: '" + nats_url_for_log(url) + "' " + fault);
  if (!o.enabled()) {
    if (!o.user.empty() || !o.token.empty() || !o.credentials.empty())
      throw UsageError("--nats-user, --nats-token and --nats-credentials need --nats");
    return;
  }
  if (o.urls.size() > 16) throw UsageError("--nats: more than 16 URLs");
  if (o.mode != "jetstream" && o.mode != "core")
    throw UsageError("--nats-mode: '" + o.mode + "' is neither jetstream nor core");
  if (o.storage != "file" && o.storage != "memory")
    throw UsageError("--nats-storage: '" + o.storage + "' is neither file nor memory");
  if (!valid_nats_prefix(o.prefix))
    throw UsageError("--nats-prefix: '" + o.prefix + "' is not 1 to 64 bytes of [A-Za-z0-9_-] and dots between them");
  if (!o.name.empty() &&
      (o.name.size() > 64 || !valid_nats_subject(o.name, false) || o.name.find('.') != std::string::npos))
    throw UsageError("--nats-name: '" + o.name + "' is not 1 to 64 printable characters without spaces, dots, * and >");
  const int ways = !o.user.empty() + !o.token.empty() + !o.credentials.empty();
  if (ways > 1) throw UsageError("--nats-user, --nats-token, --nats-credentials: only one of them");
  if (o.user.empty() != o.password.empty()) throw UsageError("--nats-user and --nats-password need one another");
  if (o.tls_cert.empty() != o.tls_key.empty()) throw UsageError("--nats-tls-cert and --nats-tls-key need one another");
  const std::pair<const char*, const std::string*> files[] = {{"--nats-credentials", &o.credentials},
                                                              {"--nats-tls-ca", &o.tls_ca},
                                                              {"--nats-tls-cert", &o.tls_cert},
                                                              {"--nats-tls-key", &o.tls_key}};
  for (const auto& [name, file] : files)
    if (!file->empty() && ::access(file->c_str(), R_OK) != 0)
      throw UsageError(std::string(name) + ": cannot read '" + *file + "'");
  if (o.in_types.size() > 32) throw UsageError("--nats-in: more than 32 patterns");
  for (const std::string& type : o.in_types)
    if (type.empty() || type.size() > 255 || type.find('*') < type.size() - 1)
      throw UsageError("--nats-in: '" + type + "' is neither a type nor a beginning of one and '*'");
  if (o.reconnect_min_ms > o.reconnect_max_ms)
    throw UsageError("--nats-reconnect-min-ms: above --nats-reconnect-max-ms");
  if (o.retry_min_ms > o.retry_max_ms) throw UsageError("--nats-retry-min-ms: above --nats-retry-max-ms");
  if (o.pending_bytes < o.payload_bytes + 1024)
    throw UsageError("--nats-pending: must hold one message of --nats-payload and 1KiB");
  if (o.held_bytes < o.payload_bytes + 1024)
    throw UsageError("--nats-held-memory: must hold one message of --nats-payload and 1KiB");
}

}  // namespace ringfence
