// @vitest-environment jsdom
// What is customary for external stores (will-this-react-global-state-work-in-concurrent-rendering), levels 1 and 2: no two
// components ever show different states of one history, neither at the end nor in between, while a transition renders
// slowly and events come in.
import { memo, startTransition, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { describe, expect, it, vi } from 'vitest';

import { useCount, useHistory } from '../src/react.js';
import { expectNoLeaks } from '../src/testing.js';
import type { History } from '../src/types.js';
import { Feed, makeStore } from './support.js';

const COMPONENTS = 30;
const SLOW_MS = 2;

function busy(): void {
  const untilMs = performance.now() + SLOW_MS;
  while (performance.now() < untilMs);
}

const Counter = memo(({ history }: { history: History; salt: number }) => {
  const { lastSeq } = useHistory(history, { last: 3 });
  busy();
  return <i>{lastSeq}</i>;
});
const Counted = memo(({ history }: { history: History; salt: number }) => {
  const count = useCount(history);
  busy();
  return <i>{count}</i>;
});

const task = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

async function run(begin: 'mount' | 'update') {
  const store = makeStore();
  const history = store.history('a');
  const feed = new Feed(store, history);
  feed.push(1);
  let render!: (salt: number) => void;
  const App = () => {
    const [salt, setSalt] = useState(0);
    render = setSalt;
    if (salt === 0 && begin === 'mount') return null;
    return Array.from({ length: COMPONENTS }, (_, key) =>
      key % 2 === 0 ? (
        <Counter key={key} history={history} salt={salt} />
      ) : (
        <Counted key={key} history={history} salt={salt} />
      ),
    );
  };
  const container = document.createElement('div');
  const root = createRoot(container);
  root.render(<App />);
  const shown = (): string[] => [
    ...new Set(Array.from(container.querySelectorAll('i'), (node) => node.textContent ?? '')),
  ];
  await vi.waitFor(() => expect(begin === 'mount' ? render : shown().length).toBeTruthy(), { timeout: 60_000 });

  const torn: string[][] = [];
  const look = (): void => {
    if (shown().length > 1) torn.push(shown());
  };
  let yields = 0;
  startTransition(() => render(1));
  for (let round = 0; round < 20; ++round) {
    await task();
    ++yields;
    look();
    if (round % 2 === 0) feed.push(1);
    await Promise.resolve();
    look();
  }
  await vi.waitFor(() => expect(shown()).toEqual(['11']), { timeout: 60_000 });
  expect(container.querySelectorAll('i')).toHaveLength(COMPONENTS);
  root.unmount();
  await vi.waitFor(() => expectNoLeaks(store), { timeout: 60_000 });
  store.end();
  return { torn, yields };
}

describe('tearing', () => {
  it.each(['update', 'mount'] as const)(
    'is never seen, at the end or in between, on %s in a transition',
    async (begin) => {
      const { torn } = await run(begin);
      expect(torn).toEqual([]);
    },
  );

  it('is seen by this test in a component that reads the history while it renders', async () => {
    // The test can fail: without useSyncExternalStore a transition shows what each component happened to read.
    const store = makeStore();
    const history = store.history('a');
    const feed = new Feed(store, history);
    feed.push(1);
    const Naive = memo((_: { salt: number }) => {
      busy();
      return <i>{history.size}</i>;
    });
    let render!: (salt: number) => void;
    const App = () => {
      const [salt, setSalt] = useState(0);
      render = setSalt;
      return Array.from({ length: COMPONENTS }, (_, key) => <Naive key={key} salt={salt} />);
    };
    const container = document.createElement('div');
    const root = createRoot(container);
    root.render(<App />);
    await vi.waitFor(() => expect(container.querySelectorAll('i')).toHaveLength(COMPONENTS), { timeout: 60_000 });
    startTransition(() => render(1));
    await vi.waitFor(
      async () => {
        feed.push(1);
        await task();
        const shown = new Set(Array.from(container.querySelectorAll('i'), (node) => node.textContent));
        if (shown.size === 1) startTransition(() => render(Math.random()));
        expect(shown.size).toBeGreaterThan(1);
      },
      { timeout: 60_000, interval: 1 },
    );
    root.unmount();
    store.end();
  });
});
