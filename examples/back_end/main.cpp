// A back end that speaks to ringfence-server over NATS: it answers what clients publish as `command`, and greets a room.
//
//   nats-server -js & ringfence-server --nats nats://127.0.0.1:4222 &
//   NATS_URL=nats://127.0.0.1:4222 ./back_end
//   echo '{"text":"look"}' | ringfence-server pipe --channel room:1 --type command
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <nats/nats.h>

namespace {

bool well(natsStatus status, const char* what) {
  if (status != NATS_OK) std::fprintf(stderr, "back_end: %s: %s\n", what, natsStatus_GetText(status));
  return status == NATS_OK;
}

// {"user","session","connection","channel","seq","type","data"}. What is sent to the reply subject is published on the
// channel that the client's message came on.
void on_command(natsConnection* nats, natsSubscription*, natsMsg* message, void*) {
  const std::string_view body(natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message)));
  std::printf("%s: %.*s\n", natsMsg_GetSubject(message), static_cast<int>(body.size()), body.data());
  std::fflush(stdout);
  if (const char* reply = natsMsg_GetReply(message))
    well(natsConnection_PublishString(nats, reply, R"({"type":"command_response","data":{"text":"You see a ring."}})"),
         "answer");
  natsMsg_Destroy(message);
}

}  // namespace

int main() {
  const char* const url = std::getenv("NATS_URL");
  natsConnection* nats = nullptr;
  natsSubscription* commands = nullptr;
  if (!well(natsConnection_ConnectTo(&nats, url ? url : NATS_DEFAULT_URL), "connect")) return 1;
  if (!well(natsConnection_QueueSubscribe(&commands, nats, "ringfence.in.command", "back_end", &on_command, nullptr),
            "subscribe"))
    return 1;

  // A request gets {"channel","seq"}, or {"error":{"code","message"}}; a plain publish gets nothing.
  natsMsg* answer = nullptr;
  const char* const greeting = R"({"type":"chat_message","data":{"text":"welcome"}})";
  if (!well(natsConnection_RequestString(&answer, nats, "ringfence.pub.room:1", greeting, 5'000), "publish")) return 1;
  std::printf("published: %s\n", natsMsg_GetData(answer));
  std::fflush(stdout);
  natsMsg_Destroy(answer);

  for (int c; (c = std::getchar()) != EOF;) {
  }  // until stdin ends
  natsSubscription_Destroy(commands);
  natsConnection_Destroy(nats);
  nats_Close();
}
