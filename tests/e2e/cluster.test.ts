// The page of two servers that a broker makes one: it says which one it is on, and survives the death of that one.

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Broker } from './support/broker.ts';
import { connected, launch, openPage, seqsOf, untilSeq } from './support/browser.ts';
import { Publisher, SteadyPublisher } from './support/publisher.ts';
import { freePort, TestServer } from './support/server.ts';

let browser: Browser;
let broker: Broker;
const servers: TestServer[] = [];

beforeAll(async () => {
  browser = await launch();
  broker = await Broker.start();
  const ports = [await freePort(), await freePort()];
  const origins = ports.flatMap((port) => ['--allow-origin', `http://127.0.0.1:${port}`]);
  for (const port of ports)
    servers.push(
      await TestServer.start({ port, args: ['--nats', broker.url, '--nats-storage', 'memory', ...origins] }),
    );
});
afterAll(async () => {
  await browser?.close();
  for (const server of servers) await server.down();
  await broker?.stop();
});

test('a page whose server is killed goes on at the other one, and has missed nothing', async () => {
  const [first, second] = servers as [TestServer, TestServer];
  const host = (server: TestServer) => `127.0.0.1:${server.port}`;
  const { page } = await openPage(browser, `${first.url}?test&nodes=${host(first)},${host(second)}`);
  await connected(page);
  await expect.poll(() => page.locator('header.top').innerText()).toContain(host(first));
  const publisher = await Publisher.open(second.socketUrl);
  const steady = new SteadyPublisher(publisher, 'game', 200);
  await page.waitForFunction(() => window.__ringfence!.histories['game']!.stats().held > 50);

  await first.kill();
  await page.waitForFunction((name) => document.querySelector('header.top')!.textContent!.includes(name), host(second));
  await connected(page);
  await expect.poll(() => page.getByTestId('resume').textContent()).toContain('nothing missed');
  const last = await steady.stop();
  publisher.close();
  await untilSeq(page, 'game', last);

  // Each record once, in order, and all of them: the numbers of a stream that has other channels too rise with holes.
  const held = await seqsOf(page, 'game');
  expect(held).toEqual([...new Set(held)].sort((a, b) => a - b));
  const stats = await page.evaluate(() => {
    const { held: rows, missed, missedUnknown } = window.__ringfence!.histories['game']!.stats();
    return { rows, missed, missedUnknown };
  });
  const reader = await Publisher.open(second.socketUrl);
  expect(stats).toEqual({ rows: await reader.count('game'), missed: 0, missedUnknown: 0 });
  reader.close();
});
