// What the page says after a lost connection, and whether it is true.

import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { connected, consecutive, openDemo, seqsOf, untilSeq } from './support/browser.ts';
import { Publisher, SteadyPublisher } from './support/publisher.ts';
import { demoSite } from './support/site.ts';

const site = demoSite();

const verdict = (page: Page) => page.getByTestId('resume').textContent();

async function offline(page: Page): Promise<void> {
  await page.evaluate(() => window.__ringfence!.client.disconnect());
  await page.locator('[data-testid=status][data-status=stopped]').waitFor();
}

test('after a cut the page says that nothing was missed, and nothing was', async () => {
  const { page, problems } = await openDemo(site.browser, site.server.url);
  const steady = new SteadyPublisher(site.publisher, 'game', 250, 'x'.repeat(100));
  await untilSeq(page, 'game', 50);
  for (let cut = 1; cut <= 3; ++cut) {
    const before = await page.evaluate(() => window.__ringfence!.client.stats().connects);
    const seen = (await seqsOf(page, 'game')).at(-1)!;
    await page.getByTestId('cut').click();
    await page.locator('[data-testid=status]:not([data-status=open])').waitFor();
    await page
      .getByTestId('reconnect')
      .click({ timeout: 1000 })
      .catch(() => {}); // it may have come back by itself
    await connected(page);
    expect(await page.evaluate(() => window.__ringfence!.client.stats().connects)).toBeGreaterThan(before);
    await expect.poll(() => verdict(page)).toContain('nothing missed');
    await untilSeq(page, 'game', seen + 50);
  }
  const last = await steady.stop();
  await untilSeq(page, 'game', last);
  expect(await seqsOf(page, 'game')).toEqual(consecutive(1, last));
  const store = await page.evaluate(() => window.__ringfence!.store.stats());
  expect({ records: store.records, holes: store.holes, refusedBatches: store.refusedBatches }).toEqual({
    records: last,
    holes: 0,
    refusedBatches: 0,
  });
  expect(await problems()).toEqual([]);
});

test('a page that was cut off reconnects by itself', async () => {
  const { page } = await openDemo(site.browser, site.server.url);
  const first = await page.evaluate(() => window.__ringfence!.client.state.connection);
  await page.getByTestId('cut').click();
  await page.waitForFunction((name) => {
    const { status, connection } = window.__ringfence!.client.state;
    return status === 'open' && connection !== name;
  }, first);
  await expect.poll(() => verdict(page)).toContain('nothing missed');
});

test('a page that is seen again, or goes online, looks at its connection at once', async () => {
  const { page } = await openDemo(site.browser, site.server.url);
  const sent = () => page.evaluate(() => window.__ringfence!.client.stats().sentMessages);
  const before = await sent();
  // A ping, once the one that the page may have asked for as it opened is 5 s old.
  await page.waitForFunction((count) => {
    document.dispatchEvent(new Event('visibilitychange'));
    return window.__ringfence!.client.stats().sentMessages > count;
  }, before);
  // Away for long: the next attempt is far off, until the browser says that there is a network.
  await site.server.down();
  await page.waitForFunction(() => window.__ringfence!.client.state.attempt >= 3);
  await site.server.up();
  await page.waitForFunction(() => {
    window.dispatchEvent(new Event('online'));
    return window.__ringfence!.client.state.status === 'open';
  });
});

test('what came while the page was away is replayed, and counted', async () => {
  const { page } = await openDemo(site.browser, site.server.url);
  await site.publisher.publishMany('game', 100);
  await untilSeq(page, 'game', 100);
  await offline(page);
  await site.publisher.publishMany('game', 321);
  await page.getByTestId('reconnect').click();
  await connected(page);
  await untilSeq(page, 'game', 421);
  await expect.poll(() => verdict(page)).toBe('Back: nothing missed, replayed 321');
  expect(await seqsOf(page, 'game')).toEqual(consecutive(1, 421));
});

test('a page that was away for too long says exactly how many it missed', async () => {
  const { page } = await openDemo(site.browser, site.server.url);
  await site.publisher.publishMany('game', 100);
  await untilSeq(page, 'game', 100);
  await offline(page);
  const last = await site.publisher.publishMany('game', 5000);
  const { first, next } = await site.publisher.held('game');
  expect(next).toBe(last + 1);
  const missed = first - 101;
  expect(missed).toBeGreaterThan(0);

  await page.getByTestId('reconnect').click();
  await connected(page);
  await untilSeq(page, 'game', last);
  await expect.poll(() => verdict(page)).toContain(`missed ${missed.toLocaleString('en')}`);
  expect(await seqsOf(page, 'game')).toEqual([...consecutive(1, 100), ...consecutive(first, last)]);
  const stats = await page.evaluate(() => ({
    missed: window.__ringfence!.histories['game']!.stats().missed,
    holes: window.__ringfence!.store.stats().holes,
  }));
  expect(stats).toEqual({ missed, holes: 0 });
});

test('after a restart of the server the page reconnects and says that it cannot know what it missed', async () => {
  const { page, problems } = await openDemo(site.browser, site.server.url);
  await site.publisher.publishMany('game', 60);
  await untilSeq(page, 'game', 60);
  expect(await site.server.down()).toBe(0);
  await page.locator('[data-testid=status]:not([data-status=open])').waitFor();
  await site.server.up();
  const publisher = await Publisher.open(site.server.socketUrl);
  await publisher.publishMany('game', 25, 'afterwards');
  await page
    .getByTestId('reconnect')
    .click({ timeout: 2000 })
    .catch(() => {});
  await connected(page);
  await expect.poll(() => verdict(page)).toContain('missed an unknown number');
  await page.locator('[data-testid=row]', { hasText: 'afterwards' }).first().waitFor();
  expect((await seqsOf(page, 'game')).slice(-25)).toEqual(consecutive(1, 25));
  const more = await publisher.publishMany('game', 10, 'and on');
  await untilSeq(page, 'game', more);
  await page.locator('[data-testid=row]', { hasText: 'and on' }).first().waitFor();
  expect(await problems()).toEqual([]);
});
