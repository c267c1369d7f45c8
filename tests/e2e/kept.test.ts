// A history kept in Chromium's IndexedDB: the page that is loaded again has it at once, and goes on where it was.

import type { BrowserContext, Page } from 'playwright-core';
import { expect, test } from 'vitest';
import type { Kept } from './kept/main.ts';
import { consecutive, openPage } from './support/browser.ts';
import { builtSite } from './support/site.ts';

declare global {
  interface Window {
    kept?: Kept;
  }
}

const site = builtSite('kept');

/** Waits until the page holds the record, and has written it. */
async function untilKept(page: Page, seq: number): Promise<void> {
  await page.waitForFunction((wanted) => (window.kept?.history.last(1)[0]?.seq ?? 0) >= wanted, seq);
  await page.evaluate(() => window.kept!.persistence.flush());
}

const look = (page: Page) =>
  page.evaluate(() => {
    const { atOnce, resumes, persistence, history } = window.kept!;
    return { atOnce, resumes, stats: persistence.stats(), seqs: history.last(500).map(({ seq }) => seq) };
  });

/** Another page of the same site. */
async function another(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  await page.goto(site.server.url);
  await page.waitForFunction(() => window.kept?.client.state.status === 'open');
  return page;
}

test('after a reload the page shows what was kept at once, and replays what came meanwhile', async () => {
  const { page, problems } = await openPage(site.browser, site.server.url);
  await site.publisher.publishMany('kept', 60);
  await untilKept(page, 60);
  expect((await look(page)).atOnce).toEqual([]);

  await page.goto('about:blank');
  await site.publisher.publishMany('kept', 7);
  await page.goto(site.server.url);
  await page.waitForFunction(() => (window.kept?.resumes.length ?? 0) > 0);
  const seen = await look(page);
  expect(seen.atOnce).toEqual(consecutive(1, 60));
  expect(seen.stats).toMatchObject({ restored: 60, refused: 0, state: 'writing' });
  expect(seen.resumes).toEqual([{ channel: 'kept', outcome: 'replayed', replayed: 7, missed: 0, text: 'replayed 7' }]);
  expect(seen.seqs).toEqual(consecutive(1, 67));
  expect(await problems()).toEqual([]);
  await page.context().close();
});

test('a page that is closed without a word has kept what it wrote', async () => {
  const { page } = await openPage(site.browser, site.server.url);
  const last = await site.publisher.publishMany('kept', 100);
  await untilKept(page, last);
  await site.publisher.publishMany('kept', 600);
  const context = page.context();
  await page.close();
  const again = await another(context);
  await again.waitForFunction(() => window.kept!.resumes.length > 0);
  const { resumes, atOnce } = await look(again);
  expect(atOnce.at(-1)).toBeGreaterThanOrEqual(last);
  expect(resumes[0]!.missed).toBe(0);
  await again.waitForFunction((seq) => (window.kept!.history.last(1)[0]?.seq ?? 0) === seq, last + 600);
  await context.close();
});

test('of two pages one writes, and the other takes over when it is closed', async () => {
  const { page } = await openPage(site.browser, site.server.url);
  await page.waitForFunction(() => window.kept?.client.state.status === 'open');
  const second = await another(page.context());
  expect((await look(page)).stats.state).toBe('writing');
  expect((await look(second)).stats.state).toBe('waiting');
  await page.close();
  await second.waitForFunction(() => window.kept!.persistence.state === 'writing');
  const last = await site.publisher.publishMany('kept', 5);
  await untilKept(second, last);
  const third = await another(second.context());
  expect((await look(third)).atOnce.at(-1)).toBe(last);
  await second.context().close();
});
