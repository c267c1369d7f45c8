// A real server, and one publisher that gives it events at a steady rate. Each says in its data when it was published.
import { once } from 'node:events';

import WebSocket from 'ws';

import { end, startPinned, twoCores } from './processes.mjs';

export const EVENT_BYTES = 300;
const CHANNEL = 'frames';
const TICK_MS = 4;
const LATE_MS_MAX = 200; // what a busy machine may make up for at once; events beyond it are never published
const TEXT =
  'The quick brown fox jumps over the lazy dog while seven wizards quietly mix jade elixirs of great power. ';
const TEXTS = TEXT.repeat(4);

/** A publish whose data is exactly EVENT_BYTES of JSON. */
function publishOf(id, atMs) {
  const head =
    `{"id":${id},"user":"user-${id % 97}","room":"general","edited":false,"score":${(id * 37) % 1000},` +
    `"at":${atMs},"text":"`;
  const from = id % TEXT.length;
  const text = TEXTS.slice(from, from + EVENT_BYTES - head.length - 2);
  return `{"op":"publish","channel":"${CHANNEL}","type":"chat_message","data":${head}${text}"}}`;
}

async function startServer(server, files) {
  const { server: one, load: other } = twoCores();
  // It has as much history as a page, so that a page that falls behind is the last thing that loses an event.
  const child = startPinned(`${one},${other}`, server, [
    ...['--port', '0', '--static', files, '--log-level', 'warn'],
    ...['--history-records', '10000', '--history-bytes', '8MiB'],
    ...['--inbound-messages', '1000000', '--inbound-window-s', '1'],
  ]);
  const [line] = await Promise.race([
    once(child.stdout, 'data'),
    child.ended.then((status) => {
      throw new Error(`the server ended with ${status}: ${child.errors}`);
    }),
  ]);
  return { child, url: String(line).trim() };
}

/** `published()`: how many so far. */
export async function startFeed({ server, files, eventsPerS }) {
  const { child, url } = await startServer(server, files);
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/ws`, 'ringfence.v1.json', {
    perMessageDeflate: false,
  });
  await once(socket, 'open');
  let refused;
  socket.on('message', (text) => {
    const answer = JSON.parse(text);
    if (answer.op === 'error') refused ??= answer;
  });
  let published = 0;
  let dueFrom = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    dueFrom = Math.max(dueFrom, now - LATE_MS_MAX);
    const due = Math.floor(((now - dueFrom) * eventsPerS) / 1000);
    dueFrom += (due * 1000) / eventsPerS;
    const at = Date.now();
    for (let event = 0; event < due; ++event) socket.send(publishOf(++published, at));
  }, TICK_MS);
  return {
    url: `${url}/`,
    channel: CHANNEL,
    published() {
      if (refused) throw new Error(`the server refused an event: ${refused.code} ${refused.message}`);
      return published;
    },
    async stop() {
      clearInterval(timer);
      socket.terminate();
      await end(child);
    },
  };
}
