// Two pages of a site that keep the same history.
import { describe, expect, it, vi } from 'vitest';

import { leave, page, stored } from './persist_support.js';
import { until } from './server_process.js';

describe('two pages of a site', () => {
  it('without Web Locks: who has written last goes on, and the other is told', async () => {
    vi.stubGlobal('navigator', {});
    const first = await page({}, { flushMs: 60_000 });
    const feed = first.fed();
    feed.push(5);
    await first.kept.flush();
    const second = await page({}, { flushMs: 60_000 });
    second.fed().push(5);
    await second.kept.flush();
    feed.push(1);
    await first.kept.flush();
    expect([first.codes, first.kept.state]).toEqual([['persist_taken'], 'off']);
    expect((await stored()).segments).toMatchObject([{ first: 1, last: 10 }]);
    await leave(first);
    await leave(second);
  });

  it('with Web Locks: one writes, the other waits for its place and then writes all it holds', async () => {
    const queues = new Map<string, (() => void)[]>();
    const request = async (
      name: string,
      options: LockOptions,
      body: (lock: object | null) => unknown,
    ): Promise<void> => {
      const queue = queues.get(name);
      if (queue && options.ifAvailable) return void (await body(null));
      if (queue)
        await new Promise<void>((resolve, reject) => {
          queue.push(resolve);
          options.signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
        });
      else queues.set(name, []);
      await body({});
      const next = queues.get(name)?.shift();
      if (next) next();
      else queues.delete(name);
    };
    vi.stubGlobal('navigator', { locks: { request } });
    const first = await page();
    first.fed().push(5);
    await first.kept.flush();
    const second = await page();
    const third = await page();
    expect([second.kept.state, second.kept.restored, third.kept.state]).toEqual(['waiting', 5, 'waiting']);
    second.fed().push(20);
    await second.kept.flush();
    expect((await stored()).segments).toMatchObject([{ first: 1, last: 5 }]);
    await leave(third); // gives its place in the queue back
    await leave(first);
    await until(() => expect(second.kept.state).toBe('writing'));
    await until(() => expect(second.kept.stats().records).toBe(25));
    await leave(second);
    expect((await stored()).segments).toMatchObject([{ first: 1, last: 25 }]);
    await until(() => expect([...queues.values()].flat()).toEqual([]));
  });
});

it('a page that is hidden writes at once', async () => {
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  vi.stubGlobal('document', document);
  const removed = vi.spyOn(document, 'removeEventListener');
  const one = await page({}, { flushMs: 60_000 });
  one.fed().push(5);
  document.visibilityState = 'hidden';
  document.dispatchEvent(new Event('visibilitychange'));
  await until(() => expect(one.kept.stats().saves).toBe(1));
  await leave(one);
  expect(removed).toHaveBeenCalledTimes(1);
});
