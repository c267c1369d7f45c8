// The back end of main.cpp in JavaScript.
//
//   npm install @nats-io/transport-node
//   NATS_URL=nats://127.0.0.1:4222 node back_end.mjs
import { connect } from "@nats-io/transport-node";

const nats = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222" });

// {"user","session","connection","channel","seq","type","data"}. The response is published on the channel that the client's
// message came on.
nats.subscribe("ringfence.in.command", {
  queue: "back_end",
  callback: (error, message) => {
    if (error) return console.error(`back_end: ${error.message}`);
    console.log(`${message.subject}: ${message.string()}`);
    message.respond(JSON.stringify({ type: "command_response", data: { text: "You see a ring." } }));
  },
});

// A request gets {"channel","seq"}, or {"error":{"code","message"}}; a plain publish gets nothing.
const greeting = JSON.stringify({ type: "chat_message", data: { text: "welcome" } });
const answer = await nats.request("ringfence.pub.room:1", greeting, { timeout: 5_000 });
console.log(`published: ${answer.string()}`);

process.stdin.resume().on("end", () => nats.drain()); // until stdin ends
