// ringfence/worker in Chromium: built by Vite and served under the strict Content-Security-Policy, and by Vite's dev server.

import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { createServer } from 'vite';
import { expect, test } from 'vitest';
import type { Remote } from './worker/main.tsx';
import { consecutive, openPage } from './support/browser.ts';
import { builtSite } from './support/site.ts';

declare global {
  interface Window {
    remote?: Remote;
    socketUrl?: string;
  }
}

const site = builtSite('worker', { args: ['--allow-origin', '*'] });

const text = (page: Page, id: string) => page.getByTestId(id).textContent();
const rows = (page: Page) =>
  page
    .getByTestId('rows')
    .locator('li')
    .allTextContents()
    .then((texts) => texts.map(Number));

/** Waits until the page shows the record as its newest. */
async function untilShown(page: Page, seq: number): Promise<void> {
  await expect.poll(() => rows(page), { timeout: 30_000 }).toEqual(consecutive(Math.max(1, seq - 4), seq));
}

test('the page shows what its worker holds, and violates nothing', async () => {
  const { page, problems } = await openPage(site.browser, site.server.url);
  await page.waitForFunction(() => window.remote?.client.state.status === 'open');
  expect(page.workers()).toHaveLength(1);
  await untilShown(page, await site.publisher.publishMany('worker', 1)); // it is subscribed
  const last = await site.publisher.publishMany('worker', 299);
  await untilShown(page, last);
  expect([await text(page, 'count'), await text(page, 'newest')]).toEqual(['300', '298']);
  expect([await text(page, 'status'), await text(page, 'evicted')]).toEqual(['open', '0']);

  // Cut off and back: the worker resumes, and says so.
  const resumed = page.evaluate(
    () =>
      new Promise<string>((resolve) => {
        const handle = window.remote!.client.onResume(({ text }) => {
          handle.end();
          resolve(text);
        });
      }),
  );
  await page.evaluate(() => window.remote!.client.disconnect());
  await expect.poll(() => text(page, 'status')).toBe('stopped');
  const more = await site.publisher.publishMany('worker', 7);
  await page.evaluate(() => window.remote!.client.reconnect());
  expect(await resumed).toBe('replayed 7');
  await untilShown(page, more);

  // Unmounted, nothing is shown or listened to, here and there; ended, the worker has gone.
  await page.evaluate(() => window.remote!.unmount());
  await expect
    .poll(() => page.evaluate(() => window.remote!.store.handles()))
    .toMatchObject({ histories: 1, windows: 0, listeners: 0, clients: 1, subscriptions: 0 });
  // One listener is that of what keeps the history.
  await expect
    .poll(() => page.evaluate(() => window.remote!.store.workerHandles()))
    .toMatchObject({ histories: 1, listeners: 1, routes: 0, subscriptions: 0 });
  expect(page.workers()).toHaveLength(1);
  await page.evaluate(() => window.remote!.store.end());
  await expect.poll(() => page.workers().length).toBe(0);
  expect(await page.evaluate(() => window.remote!.failures)).toEqual([]);
  expect(await problems()).toEqual([]);
  await page.context().close();
});

test('a page that is busy gets few messages, and is right when it is not', async () => {
  const { page, problems } = await openPage(site.browser, site.server.url);
  await page.waitForFunction(() => window.remote?.client.state.status === 'open');
  let last = 0;
  for (let burst = 0; burst < 10; ++burst) {
    const publishing = site.publisher.publishMany('worker', 200);
    await page.evaluate(() => {
      const until = performance.now() + 200;
      while (performance.now() < until);
    });
    last = await publishing;
  }
  await untilShown(page, last);
  expect(await page.evaluate(() => window.remote!.history.stats())).toMatchObject({ missed: 0, undecodable: 0 });
  expect(await problems()).toEqual([]);
  await page.context().close();
});

test('a history that the worker keeps is there after a reload', async () => {
  const { page, problems } = await openPage(site.browser, site.server.url);
  await page.waitForFunction(() => window.remote?.client.state.status === 'open');
  const last = await site.publisher.publishMany('worker', 20);
  await untilShown(page, last);
  // Written a moment later, or when it is left: the first reload that finds something is the proof.
  await expect
    .poll(
      async () => {
        await page.reload();
        await page.waitForFunction(() => window.remote?.client.state.status === 'open');
        return page.evaluate(() => window.remote!.history.restored);
      },
      { timeout: 60_000 },
    )
    .toBeGreaterThan(0);
  await untilShown(page, last);
  expect(await page.evaluate(() => window.remote!.failures)).toEqual([]);
  expect(await problems()).toEqual([]);
  await page.context().close();
});

test("Vite's dev server serves the worker too", async () => {
  const dev = await createServer({
    root: site.built.root,
    configFile: false,
    logLevel: 'error',
    cacheDir: join(site.built.files, '.vite'),
    optimizeDeps: { exclude: ['ringfence'] },
    server: { host: '127.0.0.1', port: 0, hmr: false },
  });
  try {
    await dev.listen();
    const address = dev.resolvedUrls!.local[0]!;
    const context = await site.browser.newContext();
    const page = await context.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error)));
    await page.addInitScript((url) => (window.socketUrl = url), site.server.socketUrl);
    await page.goto(address);
    await page.waitForFunction(() => window.remote?.client.state.status === 'open', undefined, { timeout: 60_000 });
    await untilShown(page, await site.publisher.publishMany('worker', 5));
    expect(errors).toEqual([]);
    await context.close();
  } finally {
    await dev.close();
  }
});
