// @vitest-environment jsdom
// What a component makes for itself is made once it is shown, and ends with it: on React 18 and 19.
import { Component, StrictMode, Suspense, act, startTransition, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

import { useProjection, useView } from '../src/react.js';
import { useRing } from '../src/ring.js';
import { expectNoLeaks } from '../src/testing.js';
import type { History, Row } from '../src/types.js';
import { makeStore, microtask } from './support.js';

const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };
beforeAll(() => void (environment.IS_REACT_ACT_ENVIRONMENT = true));
afterAll(() => void delete environment.IS_REACT_ACT_ENVIRONMENT);

interface Line {
  readonly text: string;
}
const rig = () => {
  const store = makeStore();
  const chat = store.history<Line>('chat', { capacity: 5, textOf: ({ text }) => text });
  const container = document.createElement('div');
  const root = createRoot(container);
  return {
    store,
    chat,
    root,
    text: () => container.textContent,
    render: (element: React.ReactElement) => act(async () => root.render(element)),
    push: (...texts: string[]) =>
      act(async () => {
        for (const text of texts) chat.push({ text });
        await microtask();
      }),
    kinds: () => store.liveHandles().map(({ kind }) => kind),
  };
};

const textsOf = (items: readonly Row<Line>[]): string => items.map(({ data }) => data.text).join();
const seen: string[] = [];
const Found = ({ history, text, last = 3 }: { history: History<Line> | undefined; text: string; last?: number }) => {
  const { items, total } = useView(history, { text }, { last });
  seen.push(textsOf(items));
  return <p>{`${textsOf(items)}/${total}`}</p>;
};
const count = (sum: number): number => sum + 1;
const Counted = ({ history }: { history: History<Line> | undefined }) => <p>{useProjection(history, count, 0)}</p>;

describe('useView of a history', () => {
  it('shows a view of its own before the first paint, keeps it, and ends it', async () => {
    const { store, chat, root, text, render, push, kinds } = rig();
    await push('a dragon', 'a cat');
    await render(<Found history={undefined} text="dragon" />);
    expect([text(), kinds()]).toEqual(['/0', ['history']]);
    act(() => root.render(<Found history={chat} text="dragon" />)); // no await: layout effects are enough
    expect(text()).toBe('a dragon/1');
    expect(kinds().sort()).toEqual(['history', 'listener', 'view']);
    const [, view] = store.liveHandles();
    await push('dragons');
    await render(<Found history={chat} text="dragon" />);
    await render(<Found history={chat} text="dragon" last={1} />); // another part of the same view
    expect(text()).toBe('dragons/2');
    expect(store.liveHandles()).toContain(view);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('makes another one for another filter or history, and shows rows of no other history', async () => {
    const { store, chat, root, text, render, push } = rig();
    const other = store.history<Line>('other', { textOf: ({ text: its }) => its });
    other.push({ text: 'other cat' });
    await push('a dragon', 'a cat');
    await render(<Found history={chat} text="dragon" />);
    const before = store.liveHandles().find(({ kind }) => kind === 'view');
    seen.length = 0;
    await render(<Found history={chat} text="CAT" />);
    expect(text()).toBe('a cat/1');
    expect(seen.every((shown) => shown !== '')).toBe(true); // rows are not taken away and put back
    expect(store.handles().views).toBe(1);
    expect(store.liveHandles()).not.toContain(before);
    seen.length = 0;
    await render(<Found history={other} text="CAT" />);
    expect(text()).toBe('other cat/1');
    expect(seen).not.toContain('a cat');
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('marks as read', async () => {
    const { store, chat, root, text, render, push } = rig();
    let markRead!: (seq?: number) => void;
    const marks = new Set<unknown>();
    const Unread = () => {
      const shown = useView(chat, {}, { last: 5 });
      ({ markRead } = shown);
      marks.add(markRead);
      return <p>{shown.unread}</p>;
    };
    await render(<Unread />);
    await push('a', 'b');
    expect(text()).toBe('2');
    await act(async () => {
      markRead();
      await microtask();
    });
    expect([text(), marks.size]).toEqual(['0', 1]);
    await act(async () => root.unmount());
    markRead();
    expectNoLeaks(store);
    store.end();
  });

  it('throws in the component what a view cannot be', async () => {
    const { store, chat, root, render } = rig();
    const errors: unknown[] = [];
    class Boundary extends Component<{ children: React.ReactNode }> {
      override state = { failed: false };
      static getDerivedStateFromError = () => ({ failed: true });
      override componentDidCatch(error: unknown) {
        errors.push(error);
      }
      override render() {
        return this.state.failed ? null : this.props.children;
      }
    }
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    await render(
      <Boundary key={1}>
        <Found history={chat} text="" />
      </Boundary>,
    );
    await render(
      <Boundary key={2}>
        <Found history={chat} text="a" last={0} />
      </Boundary>,
    );
    vi.restoreAllMocks();
    expect(errors.map(String)).toEqual([
      'RangeError: text is "": it must have 1 to 128 characters',
      'RangeError: last is 0: it must be a whole number from 1 to 100000',
    ]);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('renders what is empty on a server, and makes nothing there', () => {
    const { store, chat } = rig();
    chat.push({ text: 'a' });
    const error = vi.spyOn(console, 'error').mockImplementation(() => undefined); // React 18 sees a document in here
    expect(renderToString(<Found history={chat} text="a" />)).toBe('<p>/0</p>');
    expect(renderToString(<Counted history={chat} />)).toBe('<p>0</p>');
    expect(store.liveHandles().map(({ kind }) => kind)).toEqual(['history']);
    error.mockRestore();
    store.end();
  });
});

describe('useProjection of a history', () => {
  it('folds what is held and what comes, also once that has left', async () => {
    const { store, chat, root, text, render, push } = rig();
    await push('a', 'b');
    await render(<Counted history={undefined} />);
    expect(text()).toBe('0');
    await render(<Counted history={chat} />);
    expect(text()).toBe('2');
    await push(...Array.from({ length: 20 }, String));
    expect([text(), chat.size]).toEqual(['22', 5]);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('takes a reducer and a state that are written in the call', async () => {
    const { store, chat, root, text, render, push } = rig();
    const Sum = ({ step }: { step: number }) => (
      <p>{useProjection(chat, ({ sum }) => ({ sum: sum + step }), { sum: 100 }).sum}</p>
    );
    await render(<Sum step={1} />);
    const projection = store.liveHandles().find(({ kind }) => kind === 'projection');
    await push('a');
    await render(<Sum step={10} />);
    expect(text()).toBe('101'); // not folded again
    await push('b');
    expect(text()).toBe('111');
    expect(store.liveHandles()).toContain(projection);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('begins anew for another history', async () => {
    const { store, chat, root, text, render, push } = rig();
    const other = store.history<Line>('other');
    await push('a', 'b', 'c');
    await render(<Counted history={chat} />);
    await render(<Counted history={other} />);
    expect([text(), store.handles().projections]).toEqual(['0', 1]);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });
});

describe('what a component makes for itself', () => {
  const Both = ({ history, text }: { history: History<Line>; text: string }) => (
    <>
      <Found history={history} text={text} />
      <Counted history={history} />
    </>
  );

  it('is there once under StrictMode, and gone after it', async () => {
    const { store, chat, root, text, render, push } = rig();
    await push('a', 'b');
    await render(
      <StrictMode>
        <Both history={chat} text="a" />
      </StrictMode>,
    );
    expect(text()).toBe('a/12');
    expect(store.handles()).toMatchObject({ views: 1, projections: 1, listeners: 2 });
    await push('aa');
    expect(text()).toBe('a,aa/23');
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('is not made by a render that is thrown away, and stays while its component is hidden', async () => {
    const { store, chat, root, text, render, push } = rig();
    let resolve!: () => void;
    let waiting: Promise<void> | undefined;
    let show!: (what: string) => void;
    const Slow = () => {
      if (waiting) throw waiting;
      return null;
    };
    const App = () => {
      const [what, setWhat] = useState('none');
      show = setWhat;
      if (what === 'none') return <p>none</p>;
      return (
        <Suspense fallback="waiting">
          <Both history={chat} text={what} />
          <Slow />
        </Suspense>
      );
    };
    await push('a');
    await render(<App />);
    waiting = new Promise((done) => (resolve = done));
    await act(async () => startTransition(() => show('a')));
    await act(async () => startTransition(() => show('none')));
    expect([text(), store.handles().views, store.handles().projections]).toEqual(['none', 0, 0]);
    await act(async () => ((waiting = undefined), resolve(), show('a')));
    expect(text()).toBe('a/11');
    const live = store.liveHandles();
    waiting = new Promise((done) => (resolve = done));
    await act(async () => show('a '.trim())); // the same
    await render(<App />); // suspends: what is there is hidden
    await push('aa');
    expect(store.liveHandles()).toEqual(live);
    await act(async () => ((waiting = undefined), resolve()));
    await render(<App />);
    expect(text()).toBe('a,aa/22');
    expect(store.liveHandles()).toEqual(live);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('leaves nothing after 1,000 mounts and unmounts, under StrictMode, with changes in between', async () => {
    const { store, chat, root, render } = rig();
    chat.push({ text: 'a' });
    const { declaredBytes } = store.stats();
    const since = store.liveHandles();
    for (let cycle = 0; cycle < 1000; ++cycle) {
      const both = <Both key={cycle} history={chat} text={`a${cycle % 3}`} />;
      await act(() => root.render(cycle % 4 === 0 ? <StrictMode>{both}</StrictMode> : both));
      if (cycle % 10 === 0) chat.push({ text: `a${cycle % 3}` });
      if (store.handles().views !== 1 || store.handles().projections !== 1)
        throw new Error(`cycle ${cycle}: ${JSON.stringify(store.handles())}`);
      if (cycle % 2 === 0) await act(() => root.render(null));
    }
    await render(<p />);
    expectNoLeaks(store, { since });
    expect(store.stats().declaredBytes).toBe(declaredBytes);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
    expect(store.handles().total).toBe(0);
  });

  it('and a history, is kept by the state of a component, which calls functions', async () => {
    const { store, chat, root, text, render, push } = rig();
    let show!: (history: History<Line>) => void;
    const App = () => {
      const [history, setHistory] = useState<History<Line>>();
      show = setHistory;
      return <Counted history={history} />;
    };
    await render(
      <StrictMode>
        <App />
      </StrictMode>,
    );
    await act(async () => show(chat));
    await push('a');
    expect([text(), chat.size]).toEqual(['1', 1]);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('ends with its history, and unmounts in peace after it', async () => {
    const { store, chat, root, text, render, push } = rig();
    await push('a');
    await render(<Both history={chat} text="a" />);
    await act(async () => chat.end());
    expect(store.handles().total).toBe(0);
    await render(<Both history={chat} text="a" />);
    expect(text()).toBe('a/11');
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });
});

describe('useRing', () => {
  const mountRing = (initial?: readonly number[]) => {
    const container = document.createElement('div');
    const root = createRoot(container);
    const out = { renders: 0, ring: undefined as unknown as ReturnType<typeof useRing<number>> };
    const Probe = ({ capacity }: { capacity: number }) => {
      ++out.renders;
      out.ring = useRing<number>(capacity, initial);
      return <p>{`${out.ring.items.join()}/${out.ring.evicted}`}</p>;
    };
    const render = (capacity: number, strict = false) =>
      act(async () =>
        root.render(strict ? <StrictMode>{<Probe capacity={capacity} />}</StrictMode> : <Probe capacity={capacity} />),
      );
    return { out, root, render, text: () => container.textContent };
  };

  it('keeps the newest values, in one render for many, and says how many have left', async () => {
    const { out, root, render, text } = mountRing();
    await render(3);
    const { push, pushMany, clear, items } = out.ring;
    expect([text(), Object.isFrozen(items)]).toEqual(['/0', true]);
    await act(async () => {
      push(1);
      push(2, 3);
      pushMany(new Set([4, 5]));
      pushMany([]);
    });
    expect([text(), out.renders]).toEqual(['3,4,5/2', 2]);
    expect([out.ring.push, out.ring.pushMany, out.ring.clear]).toEqual([push, pushMany, clear]);
    const before = out.ring;
    await render(3);
    expect(out.ring).toBe(before);
    expect(() => (before.items as number[]).push(1)).toThrow(TypeError);
    await act(async () => clear());
    expect(text()).toBe('/5');
    const { renders } = out;
    await act(async () => clear());
    expect(out.renders - renders).toBeLessThanOrEqual(1); // React may look once
    await act(async () => pushMany(Array.from({ length: 100 }, (_, index) => index)));
    expect(text()).toBe('97,98,99/102');
    expect(before.items).toEqual([3, 4, 5]); // as it was
    await act(async () => root.unmount());
    push(1); // nothing
  });

  it('begins with what it is given, and follows its capacity', async () => {
    const { out, render, text } = mountRing([1, 2, 3, 4, 5]);
    await render(4);
    expect(text()).toBe('2,3,4,5/1');
    await render(2);
    expect(text()).toBe('4,5/3');
    await act(async () => out.ring.push(6));
    expect(text()).toBe('5,6/4');
    await render(4);
    await act(async () => out.ring.push(7));
    expect(text()).toBe('5,6,7/4');
  });

  it('does what slice(-n) does, also under StrictMode, whose reducers run twice', async () => {
    const { out, render } = mountRing();
    await render(300, true);
    let model: number[] = [];
    let pushed = 0;
    for (let step = 0; step < 60; ++step) {
      const values = Array.from({ length: (step * 7) % 40 }, () => pushed++);
      await act(async () => out.ring.pushMany(values));
      model = [...model, ...values].slice(-300);
      expect(out.ring.items).toEqual(model);
      expect(out.ring.evicted).toBe(pushed - model.length);
    }
  });

  it('refuses a capacity that is none, with its value and the limit', () => {
    const Bad = ({ capacity }: { capacity: number }) => <p>{useRing(capacity).evicted}</p>;
    for (const capacity of [0, -1, 1.5, Number.NaN, 2 ** 28 + 1])
      expect(() => renderToString(<Bad capacity={capacity} />)).toThrow(
        /capacity is .*: it must be a whole number from 1 to 268435456/,
      );
    expect(renderToString(<Bad capacity={2 ** 28} />)).toBe('<p>0</p>');
  });
});
