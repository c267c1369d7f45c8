// The demo page with events: in the list, between two pages, under a reader's eyes.

import { expect, test } from 'vitest';
import { consecutive, openDemo, seqsOf, untilSeq } from './support/browser.ts';
import { SteadyPublisher } from './support/publisher.ts';
import { demoSite } from './support/site.ts';

const site = demoSite();

test('the demo shows what is held at once, and then each event as it comes, in binary batches', async () => {
  await site.publisher.publishMany('game', 40, 'npc_attacked');
  const { page, problems } = await openDemo(site.browser, site.server.url);
  await page.locator('[data-testid=row][data-seq="40"]').waitFor();
  expect(await page.locator('[data-testid=row]').last().textContent()).toContain('npc_attacked');

  const steady = new SteadyPublisher(site.publisher, 'game', 300);
  const growing: number[] = [];
  for (const more of [60, 120, 240]) {
    await page.waitForFunction(
      (end) => Number(document.querySelector('[data-testid=events]')?.getAttribute('data-end')) >= end,
      40 + more,
    );
    growing.push(
      await page
        .locator('[data-testid=row]')
        .last()
        .evaluate((row) => Number(row.getAttribute('data-seq'))),
    );
  }
  const last = await steady.stop();
  expect(growing[0]).toBeGreaterThan(40);
  expect(growing[1]).toBeGreaterThan(growing[0]!);
  expect(growing[2]).toBeGreaterThan(growing[1]!);

  await page.locator(`[data-testid=row][data-seq="${last}"]`).waitFor();
  expect(await seqsOf(page, 'game')).toEqual(consecutive(1, last));
  const stats = await page.evaluate(() => ({
    client: window.__ringfence!.client.stats(),
    store: window.__ringfence!.store.stats(),
  }));
  expect(stats.client.binaryMessages).toBeGreaterThan(1);
  expect(stats.store.batches).toBe(stats.client.binaryMessages);
  expect(stats.store.records).toBe(last);
  expect(stats.store.refusedBatches).toBe(0);
  expect(await problems()).toEqual([]);
});

test('only the rows on screen are in the document, however many are held', async () => {
  await site.publisher.publishMany('game', 900);
  const { page } = await openDemo(site.browser, site.server.url);
  await untilSeq(page, 'game', 900);
  await page.locator('[data-testid=row][data-seq="900"]').waitFor();
  expect((await seqsOf(page, 'game')).length).toBe(900);
  expect(await page.locator('[data-testid=row]').count()).toBeLessThan(80);
});

test('rows stay under the eyes of a reader who has scrolled up, also when they have left the history', async () => {
  // Small rows reach the history's 10,000 records; what is read is evicted while it is read.
  await site.publisher.publishMany('game', 1000);
  const { page, problems } = await openDemo(site.browser, site.server.url);
  await untilSeq(page, 'game', 1000);
  const list = page.getByTestId('events');
  await page.locator('[data-testid=row][data-seq="1000"]').waitFor();
  await list.hover();
  await page.mouse.wheel(0, -3000);
  await page.locator('[data-testid=events][data-following=false]').waitFor();

  const onScreen = () =>
    list.evaluate((element) => {
      const frame = element.getBoundingClientRect();
      return [...element.querySelectorAll('[data-testid=row]')]
        .map((row) => ({
          seq: Number(row.getAttribute('data-seq')),
          top: Math.round(row.getBoundingClientRect().top - frame.top),
        }))
        .filter(({ top }) => top >= 0 && top < frame.height - 27)
        .sort((a, b) => a.top - b.top);
    });
  await page.waitForFunction(
    () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(true)))),
  );
  const before = await onScreen();
  expect(before.length).toBeGreaterThan(8);

  const moved: unknown[] = [];
  for (let step = 0; step < 12; ++step) {
    const last = await site.publisher.publishMany('game', 1000);
    await untilSeq(page, 'game', last);
    await page.waitForFunction(
      (end) => Number(document.querySelector('[data-testid=events]')?.getAttribute('data-end')) >= end,
      last,
    );
    const now = await onScreen();
    if (JSON.stringify(now) !== JSON.stringify(before)) moved.push({ step, before: before[0], now: now[0] });
  }
  expect(moved).toEqual([]);
  const evicted = await page.evaluate(() => window.__ringfence!.histories['game']!.stats().evictedTotal);
  expect(evicted).toBeGreaterThan(before.at(-1)!.seq);

  await page.getByTestId('follow').click();
  await page.locator('[data-testid=row][data-seq="13000"]').waitFor();
  await page.locator('[data-testid=events][data-following=true]').waitFor();
  expect(await problems()).toEqual([]);
});

test('a row opens to its payload, by pointer and by keyboard', async () => {
  await site.publisher.publishMany('game', 30);
  const { page } = await openDemo(site.browser, site.server.url);
  await page.locator('[data-testid=row][data-seq="29"]').click();
  const inspector = page.getByTestId('inspector');
  expect(await inspector.textContent()).toContain('"number": 28');
  await page.getByTestId('events').press('ArrowUp');
  await expect.poll(() => inspector.textContent()).toContain('"number": 27');
  await page.getByTestId('events').press('Escape');
  await inspector.waitFor({ state: 'detached' });
});

test('two pages chat, and each message is acknowledged', async () => {
  const [ada, bob] = [await openDemo(site.browser, site.server.url), await openDemo(site.browser, site.server.url)];
  const say = async (page: typeof ada.page, name: string, text: string) => {
    await page.getByTestId('chat-name').fill(name);
    await page.getByTestId('chat-text').fill(text);
    await page.getByTestId('chat-send').click();
  };
  await say(ada.page, 'Ada', 'is anybody there?');
  await bob.page.getByTestId('chat-lines').getByText('is anybody there?').waitFor();
  await say(bob.page, 'Bob', '<b>yes</b> & "quoted" ☃');
  for (const { page } of [ada, bob]) {
    await page.getByTestId('chat-lines').getByText('<b>yes</b> & "quoted" ☃').waitFor();
    const lines = await page.getByTestId('chat-lines').locator('li').allTextContents();
    expect(lines.map((line) => line.replace(/\d\d:\d\d$/, ''))).toEqual([
      'Adais anybody there?',
      'Bob<b>yes</b> & "quoted" ☃',
    ]);
  }
  await expect.poll(() => ada.page.getByTestId('chat-receipt').textContent()).toMatch(/^Taken as number 1 in /);
  await expect.poll(() => bob.page.getByTestId('chat-receipt').textContent()).toMatch(/^Taken as number 2 in /);
  expect([...(await ada.problems()), ...(await bob.problems())]).toEqual([]);
});

test('a message that is refused says so, and what was typed is not lost', async () => {
  const { page } = await openDemo(site.browser, site.server.url);
  const tooLong = 'x'.repeat(70_000);
  await page.getByTestId('chat-text').fill(tooLong);
  await page.getByTestId('chat-send').click();
  await page.locator('[data-testid=chat-receipt].bad').waitFor();
  expect(await page.getByTestId('chat-receipt').textContent()).toMatch(/^Not sent: /);
  expect(await page.getByTestId('chat-text').inputValue()).toBe(tooLong);
  await page.getByTestId('chat-text').fill('short enough');
  await page.getByTestId('chat-send').click();
  await page.getByTestId('chat-lines').getByText('short enough').waitFor();

  await page.evaluate(() => window.__ringfence!.client.disconnect());
  await page.locator('[data-testid=status][data-status=stopped]').waitFor();
  await page.getByTestId('chat-text').fill('into the void');
  await page.getByTestId('chat-send').click();
  await page.locator('[data-testid=chat-receipt].bad').waitFor();
  expect(await page.getByTestId('chat-text').inputValue()).toBe('into the void');
});

test('the page leaves no listener behind when channels are switched', async () => {
  await site.publisher.publishMany('game', 50);
  const { page, problems } = await openDemo(site.browser, site.server.url);
  await page.locator('[data-testid=row][data-seq="50"]').waitFor();
  const handles = () => page.evaluate(() => window.__ringfence!.store.handles());
  const before = await handles();
  expect(before.listeners).toBeGreaterThan(0);
  for (let round = 0; round < 20; ++round) {
    for (const tab of ['chat', 'host', 'log', 'game']) await page.getByTestId(`tab-${tab}`).click();
  }
  await page.locator('[data-testid=row][data-seq="50"]').waitFor();
  expect(await handles()).toEqual(before);
  expect(await problems()).toEqual([]);
});
