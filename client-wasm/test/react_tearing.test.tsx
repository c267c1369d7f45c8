// @vitest-environment jsdom
// What is customary for external stores (will-this-react-global-state-work-in-concurrent-rendering), levels 1 and 2: no two
// components ever show different states of one store, neither at the end nor in between, whichever hooks they look through,
// while a transition or a deferred value renders slowly and events come in.
import { memo, startTransition, useDeferredValue, useLayoutEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { describe, expect, it, vi } from 'vitest';

import { keyed } from '../src/keyed.js';
import { projection } from '../src/projection.js';
import { useCount, useHistory, useKeyed, useProjection, useView } from '../src/react.js';
import { expectNoLeaks } from '../src/testing.js';
import type { History, Keyed, Projection, View } from '../src/types.js';
import { view } from '../src/view.js';
import { Feed, makeStore } from './support.js';

const COMPONENTS = 32;
const SLOW_MS = 2;

function busy(): void {
  const untilMs = performance.now() + SLOW_MS;
  while (performance.now() < untilMs);
}

interface Sources {
  readonly history: History;
  readonly ticks: View;
  readonly fold: Projection<number>;
  readonly map: Keyed<string, number>;
}
const FILTER = { types: ['message'] };
const count = (folded: number): number => folded + 1;

/** Each gives how many records there were, in its own way. */
const WAYS: readonly ((sources: Sources) => unknown)[] = [
  ({ history }) => useHistory(history, { last: 3 }).lastSeq,
  ({ history }) => useCount(history),
  ({ ticks }) => useView(ticks, { last: 3 }).total,
  ({ history }) => useView(history, FILTER, { capacity: 100, last: 3 }).total, // of its own
  ({ fold }) => useProjection(fold, 0),
  ({ history }) => useProjection(history, count, 0), // of its own
  ({ map }) => useKeyed(map).entries.length,
  ({ map }) => useKeyed(map, { key: 'newest' }),
];

let rendered = 0; // components, with the salt that is not committed yet
const SHOWN = WAYS.map((use) =>
  memo(({ sources, salt }: { sources: Sources; salt: number }) => {
    const shown = use(sources);
    if (salt === 1) ++rendered;
    busy();
    return <i>{String(shown)}</i>;
  }),
);

const task = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

async function run(begin: 'mount' | 'update', how: 'transition' | 'deferred') {
  const store = makeStore();
  const history = store.history('a');
  const feed = new Feed(store, history);
  const sources: Sources = {
    history,
    ticks: view(history, FILTER, { capacity: 100 }),
    fold: projection(history, count, 0),
    map: keyed<string, number>(store, 'm', { capacity: 100 }),
  };
  const push = (): void => {
    feed.push(1);
    if (feed.last > 1) sources.map.set(String(feed.last), feed.last);
    sources.map.set('newest', feed.last);
  };
  push();
  let set!: (salt: number) => void;
  let committed = -1;
  rendered = 0;
  const App = () => {
    const [state, setState] = useState(0);
    const deferred = useDeferredValue(state);
    const salt = how === 'deferred' ? deferred : state;
    set = setState;
    useLayoutEffect(() => void (committed = salt), [salt]);
    if (salt === 0 && begin === 'mount') return null;
    return Array.from({ length: COMPONENTS }, (_, key) => {
      const Shown = SHOWN[key % SHOWN.length] as (typeof SHOWN)[number];
      return <Shown key={key} sources={sources} salt={salt} />;
    });
  };
  const container = document.createElement('div');
  const root = createRoot(container);
  root.render(<App />);
  const shown = (): string[] => [
    ...new Set(Array.from(container.querySelectorAll('i'), (node) => node.textContent ?? '')),
  ];
  await vi.waitFor(() => expect(committed).toBe(0), { timeout: 60_000 });

  const torn: string[][] = [];
  const look = (): void => {
    if (shown().length > 1) torn.push(shown());
  };
  let yields = 0;
  let renderedBefore = 0;
  if (how === 'deferred') set(1);
  else startTransition(() => set(1));
  for (let round = 0; round < 20; ++round) {
    await task();
    // This task has come between two parts of one render.
    if (rendered > renderedBefore && committed === 0) ++yields;
    renderedBefore = rendered;
    look();
    if (round % 2 === 0) push();
    await Promise.resolve();
    look();
  }
  await vi.waitFor(() => expect([committed, shown()]).toEqual([1, ['11']]), { timeout: 60_000 });
  expect(container.querySelectorAll('i')).toHaveLength(COMPONENTS);
  root.unmount();
  sources.ticks.end();
  sources.fold.end();
  await vi.waitFor(() => expectNoLeaks(store), { timeout: 60_000 });
  store.end();
  return { torn, yields };
}

describe('tearing', () => {
  it.each([
    ['update', 'transition'],
    ['mount', 'transition'],
    ['update', 'deferred'],
    ['mount', 'deferred'],
  ] as const)('is never seen, at the end or in between, on %s with a %s render', async (begin, how) => {
    const { torn, yields } = await run(begin, how);
    expect(torn).toEqual([]);
    expect(yields).toBeGreaterThan(1);
  });

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
