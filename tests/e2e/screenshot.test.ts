// The page as a visitor sees it: with every feed, in light, dark and on a narrow screen. The README's picture is made
// here: UPDATE_SCREENSHOT=1 writes web-demo/screenshot.png.

import { mkdirSync, writeFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, openDemo } from './support/browser.ts';
import { Feed } from './support/feeds.ts';
import { Publisher } from './support/publisher.ts';
import { kRoot, TestServer } from './support/server.ts';

const kPicture = `${kRoot}web-demo/screenshot.png`;
// A folder to look at all three in; nothing is written without it.
const kLookAt = process.env['SCREENSHOTS'];
const kUpdate = process.env['UPDATE_SCREENSHOT'] === '1';

let browser: Browser;
let server: TestServer;
let feed: Feed | null = null;

beforeAll(async () => {
  browser = await launch();
  server = await TestServer.start({ args: ['--log-channel', 'log'] });
  feed = new Feed('main', ['--url', server.socketUrl, '--speed', '400']);
  const publisher = await Publisher.open(server.socketUrl);
  for (const [name, text] of [
    ['Ada', 'I cut my connection in the middle of a fight. Nothing missed.'],
    ['Grace', 'Same here. How fast can it go?'],
    ['Ada', 'Pull the slider: ten thousand a second, and the memory line does not move.'],
  ]) {
    await publisher.publish('chat', 'chat_message', { name, text });
  }
  publisher.close();
});
afterAll(async () => {
  await browser?.close();
  await feed?.stop();
  await server?.down();
});

/** The number of charts that have drawn something. */
async function drawnCharts(page: Page): Promise<number> {
  return page.evaluate(
    () =>
      [...document.querySelectorAll('canvas')].filter((canvas) => {
        const { width, height } = canvas;
        if (width === 0 || height === 0) return false;
        const pixels = canvas.getContext('2d')!.getImageData(0, 0, width, height).data;
        return pixels.some((value, index) => index % 4 === 3 && value > 0);
      }).length,
  );
}

const kViews = [
  { name: 'light', colorScheme: 'light', viewport: { width: 1360, height: 900 } },
  { name: 'dark', colorScheme: 'dark', viewport: { width: 1360, height: 900 } },
  { name: 'narrow', colorScheme: 'light', viewport: { width: 390, height: 844 } },
] as const;

for (const { name, colorScheme, viewport } of kViews) {
  test(`the page is whole: ${name}`, { timeout: 180_000 }, async () => {
    const { page, problems } = await openDemo(browser, server.url, { colorScheme, viewport, deviceScaleFactor: 1 });
    const settleSamples = kUpdate && name === 'light' ? 120 : 10;
    await page.locator('[data-testid=row]').first().waitFor();
    await page.getByTestId('chat-lines').getByText('does not move').waitFor();
    await page.waitForFunction(
      (samples) => Number(document.querySelector('[data-testid=host]')?.getAttribute('data-samples')) > samples,
      settleSamples,
      { timeout: 120_000 },
    );
    await page.waitForFunction(
      () => Number(document.querySelector('[data-testid=total-received]')?.getAttribute('data-value')) > 0,
    );
    await expect.poll(() => drawnCharts(page)).toBe(5);
    if (name === 'light') {
      await page.getByTestId('cut').click();
      await page.waitForFunction(() => window.__ringfence!.client.state.lastResume !== undefined);
      await page.getByTestId('resume').getByText('nothing missed').waitFor();
    }
    const overflowPx = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    );
    expect(overflowPx).toBe(0);
    const picture = await page.screenshot({ fullPage: true });
    if (kLookAt) {
      mkdirSync(kLookAt, { recursive: true });
      writeFileSync(`${kLookAt}/${name}.png`, picture);
    }
    if (kUpdate && name === 'light') writeFileSync(kPicture, picture);
    expect(await problems()).toEqual([]);
    await page.context().close();
  });
}
