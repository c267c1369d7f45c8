// A program with a server in it: it greets a room and prints what is said in any.
//
//   PORT=8080 ./embed      then: echo '{"text":"hello"}' | ringfence-server pipe --channel room:1 --type chat_message
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include <ringfence/server.h>

int main() try {
  ringfence::Options options;
  if (const char* port = std::getenv("PORT")) options.port = static_cast<std::uint16_t>(std::stoi(port));
  ringfence::Server server(options);

  const auto chat = server.on("chat_message", [](const ringfence::ClientMessage& message) {
    std::printf("%s: %s\n", message.channel.c_str(), message.data.c_str());
    std::fflush(stdout);
  });

  return server.run([&server] {
    std::printf("http://127.0.0.1:%u\n", server.port());
    std::fflush(stdout);
    if (!server.publish("room:1", "chat_message", R"({"text":"welcome"})").ok()) std::puts("nobody is greeted");
  });
} catch (const std::exception& error) {
  std::fprintf(stderr, "embed: %s\n", error.what());
  return 1;
}
