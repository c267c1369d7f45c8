// The JavaScript heaps of a page in Chromium and of its workers, over CDP: each worker has a session of its own.

import { heldBytes } from './heap_snapshot.mjs';

const CHUNK = 'HeapProfiler.addHeapSnapshotChunk';

/** `used()`: bytes of all heaps after a collection. `held()`: of these what the scripts hold (heap_snapshot.mjs); a pause for the page. */
export async function openHeaps(page) {
  const session = await page.context().newCDPSession(page);
  const workers = await openWorkers(page);
  const chunks = [];
  session.on(CHUNK, ({ chunk }) => chunks.push(chunk));
  const ofPage = { send: (method, params) => session.send(method, params), chunks };
  const heaps = () => [ofPage, ...workers()];
  return {
    async used() {
      let bytes = 0;
      for (const heap of heaps()) {
        await heap.send('HeapProfiler.collectGarbage');
        bytes += (await heap.send('Runtime.getHeapUsage')).usedSize;
      }
      return bytes;
    },
    async held() {
      let bytes = 0;
      for (const heap of heaps()) {
        await heap.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
        bytes += heldBytes(heap.chunks.splice(0).join(''), { inBrowser: true });
      }
      return bytes;
    },
  };
}

/** Those that there are, now. */
async function openWorkers(page) {
  const session = await page.context().newCDPSession(page);
  const workers = new Map();
  const waiting = new Map();
  let ids = 0;
  const send = (sessionId, method, params = {}) =>
    new Promise((resolve, reject) => {
      waiting.set(++ids, { resolve, reject });
      void session.send('Target.sendMessageToTarget', {
        sessionId,
        message: JSON.stringify({ id: ids, method, params }),
      });
    });
  session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
    if (targetInfo.type !== 'worker') return;
    workers.set(sessionId, { send: (method, params) => send(sessionId, method, params), chunks: [] });
  });
  session.on('Target.detachedFromTarget', ({ sessionId }) => workers.delete(sessionId));
  session.on('Target.receivedMessageFromTarget', ({ sessionId, message }) => {
    const { id, result, error, method, params } = JSON.parse(message);
    if (method === CHUNK) workers.get(sessionId)?.chunks.push(params.chunk);
    if (id === undefined) return;
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error) reject(new Error(error.message));
    else resolve(result);
  });
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  return () => [...workers.values()];
}
