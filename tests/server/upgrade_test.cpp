#include "support/catch.h"
#include "support/http_client.h"
#include "support/ws_client.h"

using namespace ringfence;
using namespace ringfence::test;

TEST_CASE("An upgrade that RFC 6455 forbids is refused with bad_request, and counted", "[http][upgrade]") {
  const TestServer server;
  const std::string head = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
  const std::string version = "Sec-WebSocket-Version: 13\r\n";
  const std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  HttpClient client(server.server.port());
  const auto status = [&](const std::string& lines) { return client.get("/v1/ws", head + lines).result_int(); };

  const std::string wrong[] = {
      key,  // no version
      key + "Sec-WebSocket-Version: 8\r\n",
      version,  // no key
      version + key + key,
      version + "Sec-WebSocket-Key: \r\n",
      version + "Sec-WebSocket-Key: abc\r\n",
      version + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ===\r\n",  // 15 bytes and a bit
      version + "Sec-WebSocket-Key: dGhlIHNhbXBsZS*ub25jZQ==\r\n",  // not base64
      version + "Sec-WebSocket-Key: " + std::string(500, 'a') + "\r\n",
  };
  for (const std::string& lines : wrong) {
    CAPTURE(lines);
    const auto response = client.get("/v1/ws", head + lines);
    CHECK(response.result_int() == 400);
    CHECK(error_code_of(response) == "bad_request");
  }
  const auto health = nlohmann::json::parse(client.get("/v1/health").body());
  CHECK(health.at("http").at("errors") == std::size(wrong));
  CHECK(status(version + key) == 101);
}
