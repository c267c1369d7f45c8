// Components that come and go leave nothing behind, neither in WASM nor in JavaScript.

import { expect, test } from 'vitest';
import type { Mounts } from './mounts/main.tsx';
import { openPage } from './support/browser.ts';
import { SteadyPublisher } from './support/publisher.ts';
import { builtSite } from './support/site.ts';

declare global {
  interface Window {
    mounts?: Mounts;
  }
}

const kCycles = 1000;
const kHeapGrowthBytesMax = 256 * 1024;

// StrictMode does its double work only in React's development build.
const site = builtSite('mounts', { mode: 'development', minify: false });

test(
  `${kCycles} mounts and unmounts under StrictMode leave no handle, no listener and a flat heap`,
  { timeout: 180_000 },
  async () => {
    const { page, problems } = await openPage(site.browser, site.server.url);
    await page.waitForFunction(() => window.mounts?.client.state.status === 'open');
    const steady = new SteadyPublisher(site.publisher, 'mounts', 500, 'x'.repeat(200));
    const devtools = await page.context().newCDPSession(page);
    const cycle = (times: number) => page.evaluate((count) => window.mounts!.cycle(count), times);
    const look = async () => {
      await devtools.send('HeapProfiler.collectGarbage');
      const { usedSize } = await devtools.send('Runtime.getHeapUsage');
      const seen = await page.evaluate(() => {
        const { store, history, client } = window.mounts!;
        return {
          handles: store.handles(),
          historyListeners: history.stats().listeners,
          channels: client.stats().channels,
          memoryBytes: store.stats().memoryBytes,
          listenerErrors: store.stats().listenerErrors,
        };
      });
      return { ...seen, heapBytes: usedSize };
    };
    const atRest = await look();
    expect(atRest.handles).toMatchObject({
      histories: 1,
      listeners: 0,
      routes: 0,
      clients: 1,
      subscriptions: 0,
      clientListeners: 0,
    });

    // Until code is compiled, the history is full and the largest batch has come (what is published while nothing is
    // mounted comes at once), so that nothing is left that has a reason to grow.
    do await cycle(20);
    while ((await page.evaluate(() => window.mounts!.history.size)) === 0);
    await site.publisher.publishMany('mounts', 1000, 'test', 'x'.repeat(200));
    const evicted = () => page.evaluate(() => window.mounts!.history.stats().evictedTotal);
    let warmUp = 0;
    do {
      await cycle(100);
      warmUp += 100;
    } while ((warmUp < 300 || (await evicted()) < 1000) && warmUp < 5000);
    expect(await evicted()).toBeGreaterThanOrEqual(1000);
    const before = await look();
    const counts = await cycle(kCycles);
    const after = await look();
    await steady.stop();

    expect(counts.effects).toBe(2 * kCycles);
    expect(counts.undone).toBe(2 * kCycles);
    expect(counts.rowsMax).toBeGreaterThan(0);
    expect(after.handles).toEqual(atRest.handles);
    expect(after.historyListeners).toBe(0);
    expect(after.channels).toBe(0);
    expect(after.listenerErrors).toBe(0);
    expect(after.memoryBytes).toBe(before.memoryBytes);
    console.log(`heap: ${before.heapBytes} B after ${warmUp} mounts, ${after.heapBytes} B after ${warmUp + kCycles}`);
    expect(after.heapBytes - before.heapBytes).toBeLessThan(kHeapGrowthBytesMax);
    expect(await problems()).toEqual([]);
  },
);
