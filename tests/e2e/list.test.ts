// ringfence/list in Chromium: what is on the canvas, under the strict Content-Security-Policy and React's StrictMode.

import type { CDPSession, Page } from 'playwright-core';
import { expect, test } from 'vitest';
import type { Drawn } from './list/main.tsx';
import { openPage } from './support/browser.ts';
import { builtSite } from './support/site.ts';

declare global {
  interface Window {
    drawn?: Drawn;
  }
}

const site = builtSite('list', { mode: 'development', args: ['--history-records', '1000'] });

async function openList() {
  const opened = await openPage(site.browser, site.server.url);
  await opened.page.waitForFunction(() => window.drawn?.client.state.status === 'open');
  return opened;
}
/** The first cells of the rows shown, as a reader of screens has them. */
const rows = (page: Page) =>
  page.getByRole('log').evaluate((list) =>
    list
      .lastElementChild!.textContent!.split('\n')
      .filter((line) => line !== '')
      .map((line) => Number(line.split('\t')[0])),
  );
const untilNewest = (page: Page, seq: number) =>
  expect.poll(async () => (await rows(page)).at(-1), { timeout: 30_000 }).toBe(seq);
const scroll = (page: Page) =>
  page
    .getByRole('log')
    .evaluate(({ scrollTop, scrollHeight, clientHeight }) => ({ top: scrollTop, end: scrollHeight - clientHeight }));

/** How many pixels of each band of 20 are dark, and how many red, as they are on the canvas. */
const bands = (page: Page) =>
  page.locator('canvas').evaluate((canvas: HTMLCanvasElement) => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height);
    const pen = copy.getContext('2d')!;
    pen.drawImage(canvas, 0, 0);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    const dark: number[] = [];
    const red: number[] = [];
    for (let pixel = 0; pixel < data.length / 4; ++pixel) {
      const band = Math.floor(pixel / canvas.width / 20);
      const [r, , , alpha] = [...data.slice(pixel * 4, pixel * 4 + 4)] as [number, number, number, number];
      dark[band] = (dark[band] ?? 0) + (alpha > 128 ? 1 : 0);
      red[band] = (red[band] ?? 0) + (alpha > 128 && r > 128 ? 1 : 0);
    }
    return { dark, red };
  });

test('the newest rows are on the canvas, and nothing is violated', async () => {
  const { page, problems } = await openList();
  await site.publisher.publishMany('list', 3, 'test', 'text');
  const alarm = await site.publisher.publish('list', 'alarm', { number: 3, text: 'text' });
  await untilNewest(page, alarm);
  expect(await page.locator('canvas').count()).toBe(1); // StrictMode makes two, one after the other
  let { dark, red } = await bands(page);
  expect(dark.map((count) => count > 20)).toEqual([true, true, true, true, ...Array.from({ length: 6 }, () => false)]);
  expect(red.map((count) => count > 0)).toEqual([false, false, false, true, ...Array.from({ length: 6 }, () => false)]);
  const last = await site.publisher.publishMany('list', 100, 'test', 'text');
  await untilNewest(page, last);
  expect(await rows(page)).toEqual(Array.from({ length: 10 }, (_, index) => last - 9 + index));
  ({ dark, red } = await bands(page));
  expect(dark.every((count) => count > 20)).toBe(true);
  expect(red.every((count) => count === 0)).toBe(true);
  expect(await page.evaluate(() => window.drawn!.shown)).toMatchObject({ lastSeq: last, size: last, following: true });
  expect(await page.getByRole('log', { name: 'Everything' }).count()).toBe(1);
  expect(await problems()).toEqual([]);
  expect(await page.evaluate(() => window.drawn!.failures)).toEqual([]);
  await page.context().close();
});

test('it stays where its user scrolls to while rows come and leave, and follows again at the end', async () => {
  const { page, problems } = await openList();
  const full = await site.publisher.publishMany('list', 1000, 'test', 'text');
  await untilNewest(page, full);
  await expect.poll(() => scroll(page)).toEqual({ top: 19_800, end: 19_800 });
  await page.getByRole('log').evaluate((list) => (list.scrollTop -= 4000));
  await expect.poll(() => rows(page)).toContain(full - 205);
  const still = await rows(page);
  await site.publisher.publishMany('list', 100, 'test', 'text');
  // The rows have moved up in the history, and the thumb with them.
  await expect.poll(() => scroll(page)).toEqual({ top: 13_800, end: 19_800 });
  expect(await rows(page)).toEqual(still);
  expect(await page.evaluate(() => window.drawn!.shown)).toMatchObject({ following: false, size: 1000 });
  // What is copied is what is shown.
  const copied = await page.getByRole('log').evaluate((list) => {
    const event = new ClipboardEvent('copy', { clipboardData: new DataTransfer(), bubbles: true, cancelable: true });
    list.dispatchEvent(event);
    return event.clipboardData!.getData('text/plain');
  });
  expect(copied.split('\n')[0]).toBe(`${still[0]}\t${copied.split('\t')[1]}\ttext`);
  await page.getByRole('log').evaluate((list) => (list.scrollTop = list.scrollHeight));
  await untilNewest(page, full + 100);
  const last = await site.publisher.publishMany('list', 5, 'test', 'text');
  await untilNewest(page, last);
  expect(await page.evaluate(() => window.drawn!.shown!.following)).toBe(true);
  // From the keyboard.
  await page.getByRole('log').focus();
  await page.keyboard.press('Home');
  await expect.poll(async () => (await rows(page))[0]).toBe(last - 999);
  await page.keyboard.press('End');
  await untilNewest(page, last);
  expect(await problems()).toEqual([]);
  await page.context().close();
});

test('it takes the size of its element, and leaves nothing when it goes', async () => {
  const { page, problems } = await openList();
  const last = await site.publisher.publishMany('list', 30, 'test', 'text');
  await untilNewest(page, last);
  const listeners = () => page.evaluate(async () => (await window.drawn!.store.workerHandles()).listeners);
  const drawing = await listeners();
  await page.evaluate(() => window.drawn!.render({ className: 'list small', watched: false }));
  await expect.poll(() => rows(page)).toEqual(Array.from({ length: 5 }, (_, index) => last - 4 + index));
  expect((await bands(page)).dark).toHaveLength(5);
  const more = await site.publisher.publishMany('list', 1, 'test', 'text');
  await untilNewest(page, more);
  expect(await page.evaluate(() => window.drawn!.store.handles())).toMatchObject({ drawings: 1, windows: 0 });
  await page.evaluate(() => window.drawn!.unmount());
  await expect
    .poll(() => page.evaluate(() => window.drawn!.store.handles()))
    .toMatchObject({ drawings: 0, listeners: 0 });
  await expect.poll(listeners).toBe(drawing - 1);
  expect(await page.locator('canvas').count()).toBe(0);
  await page.evaluate(() => window.drawn!.render({}));
  await untilNewest(page, more);
  await page.evaluate(() => window.drawn!.history.end());
  expect(await page.evaluate(() => window.drawn!.store.handles())).toMatchObject({ drawings: 0, histories: 0 });
  expect(await page.evaluate(() => window.drawn!.failures)).toEqual([]);
  expect(await problems()).toEqual([]);
  await page.context().close();
});

/** Pictures that the compositor shows while `during` runs, as many as differ. */
async function differentFrames(session: CDPSession, during: () => Promise<void>): Promise<number> {
  const pictures = new Set<string>();
  session.on('Page.screencastFrame', ({ data, sessionId }) => {
    pictures.add(data);
    void session.send('Page.screencastFrameAck', { sessionId });
  });
  await session.send('Page.startScreencast', { format: 'png' });
  await during();
  await session.send('Page.stopScreencast');
  return pictures.size;
}

test('it goes on while the page’s own thread is busy', async () => {
  const { page, problems } = await openList();
  await untilNewest(page, await site.publisher.publishMany('list', 20, 'test', 'text'));
  const session = await page.context().newCDPSession(page);
  let last = 0;
  const pictures = await differentFrames(session, async () => {
    const busy = page.evaluate(() => {
      const until = performance.now() + 3000;
      while (performance.now() < until);
    });
    let over = false;
    void busy.then(() => (over = true));
    while (!over) last = await site.publisher.publishMany('list', 5, 'test', 'text');
    await busy;
  });
  expect(pictures).toBeGreaterThan(5); // the page itself has shown one
  await untilNewest(page, last);
  expect(await problems()).toEqual([]);
  await page.context().close();
});
