// @vitest-environment jsdom
// The page's part of a list that a worker draws, with a history that notes what is drawn. tests/e2e has the real one.
import { StrictMode, act } from 'react';
import { createRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { HistoryList, type HistoryListProps, type ListShown } from '../src/list.js';
import type { DrawingNews, DrawingState, Drawings } from '../src/list/messages.js';
import type { WorkerHistory } from '../src/worker.js';

const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };
beforeAll(() => {
  environment.IS_REACT_ACT_ENVIRONMENT = true;
  HTMLCanvasElement.prototype.transferControlToOffscreen = () => ({}) as OffscreenCanvas;
});
afterAll(() => {
  delete environment.IS_REACT_ACT_ENVIRONMENT;
  delete (HTMLCanvasElement.prototype as Partial<HTMLCanvasElement>).transferControlToOffscreen;
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

interface Drawing {
  state: DrawingState;
  readonly updates: Partial<DrawingState>[];
  readonly told: (news: DrawingNews) => void;
  live: boolean;
}

function rig() {
  const drawings: Drawing[] = [];
  const history: Drawings = {
    draw(_canvas, state, told) {
      const drawing: Drawing = { state, updates: [], told, live: true };
      drawings.push(drawing);
      return {
        update: (change) => {
          drawing.state = { ...drawing.state, ...change };
          drawing.updates.push(change);
        },
        end: () => void (drawing.live = false),
      };
    },
  };
  const container = document.body.appendChild(document.createElement('div'));
  const root = createRoot(container);
  const render = (props: Partial<HistoryListProps> = {}) =>
    act(async () =>
      root.render(
        <HistoryList
          history={history as unknown as WorkerHistory}
          columns={[{ path: 'seq' }]}
          rowHeight={20}
          {...props}
        />,
      ),
    );
  const list = () => container.firstElementChild as HTMLElement;
  const news = (news: Partial<DrawingNews>) =>
    act(async () =>
      drawings
        .at(-1)
        ?.told({
          drawing: 1,
          first: 0,
          end: 0,
          seq: 0,
          time: 0,
          top: undefined,
          leftAt: undefined,
          texts: undefined,
          ...news,
        }),
    );
  return { drawings, history, container, root, render, list, news };
}

describe('HistoryList', () => {
  it('draws once, and takes everything away at its end, also under StrictMode', async () => {
    const { drawings, history, root, render, list } = rig();
    await act(async () =>
      root.render(
        <StrictMode>
          <HistoryList history={history as unknown as WorkerHistory} columns={[{ path: 'seq' }]} />
        </StrictMode>,
      ),
    );
    expect(drawings.map(({ live }) => live)).toEqual([false, true]);
    expect(list().querySelectorAll('canvas')).toHaveLength(1);
    expect(list().children).toHaveLength(3);
    await act(async () => root.render(<StrictMode />));
    expect(drawings.some(({ live }) => live)).toBe(false);
    await render();
    await render({ history: undefined });
    expect(drawings.some(({ live }) => live)).toBe(false);
    expect(list().children).toHaveLength(0);
  });

  it('is an empty box on a server', () => {
    const html = renderToString(<HistoryList history={undefined} columns={[{ path: 'seq' }]} label="Log" />);
    expect(html).toMatch(/^<div role="log" aria-live="off" aria-label="Log" tabindex="0" style="[^"]*"><\/div>$/i);
  });

  it('says what is drawn again only when columns, height or listening are others by value', async () => {
    const { drawings, render } = rig();
    await render({ columns: [{ path: 'seq', width: 50 }] });
    const [drawing] = drawings;
    expect(drawing?.state).toMatchObject({ rowHeight: 20, columns: [{ path: 'seq', width: 50 }], watched: false });
    const before = drawing?.updates.length ?? 0;
    await render({ columns: [{ path: 'seq', width: 50 }] });
    expect(drawing?.updates.slice(before).every((change) => !('columns' in change))).toBe(true);
    await render({ columns: [{ path: 'type' }], onShown: () => undefined });
    expect(drawing?.state).toMatchObject({ columns: [{ path: 'type' }], watched: true });
    expect(drawings).toHaveLength(1);
  });

  it('is as high as its rows, follows, and hands on what was shown', async () => {
    const { render, list, news } = rig();
    const shown: ListShown[] = [];
    await render({ onShown: (now) => shown.push(now) });
    await news({ first: 5, end: 105, seq: 200, time: 1.5, texts: ['a\tb', 'c'] });
    expect((list().children[1] as HTMLElement).style.height).toBe('2000px');
    expect(list().scrollTop).toBe(2000); // jsdom has no limit, and no height
    expect(list().lastElementChild?.textContent).toBe('a\tb\nc');
    expect(shown).toEqual([{ lastSeq: 200, lastTime: 1.5, size: 100, evicted: 5, following: true }]);
  });

  it('tells the worker of each scroll of its user, and of none of its own', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { drawings, render, list, news } = rig();
    await render();
    await news({ end: 100 });
    vi.spyOn(list(), 'scrollHeight', 'get').mockReturnValue(2000);
    const scrollTo = (top: number) =>
      act(async () => {
        list().scrollTop = top;
        list().dispatchEvent(new Event('scroll'));
      });
    const [drawing] = drawings;
    const tops = () => drawing?.updates.filter((change) => 'top' in change).map(({ top }) => top);
    await act(async () => void list().dispatchEvent(new Event('scroll')));
    expect(tops()).toEqual([]);
    await scrollTo(1500);
    await scrollTo(1400);
    expect(tops()).toEqual([{ up: 500 }, { up: 600 }]);
    // The worker had 5 more at the end when it was told, and 10 have left since.
    await news({ first: 10, end: 110, top: { position: 75, offset: 0 }, leftAt: 105 });
    expect(list().scrollTop).toBe(1400); // not while it is being scrolled
    expect((list().children[1] as HTMLElement).style.height).toBe('2100px');
    await scrollTo(1410);
    expect(tops()?.at(-1)).toEqual({ position: 75, offset: 10 });
    await act(async () => void vi.advanceTimersByTime(150));
    expect(list().scrollTop).toBe(1310); // 5 rows
    expect((list().children[1] as HTMLElement).style.height).toBe('2000px');
    await act(async () => void list().dispatchEvent(new Event('scroll')));
    expect(tops()).toHaveLength(3);
    await news({ first: 20, end: 120, top: { position: 75, offset: 10 } });
    expect(list().scrollTop).toBe(1110);
    await act(async () => void list().dispatchEvent(new Event('scroll')));
    await scrollTo(1115);
    expect(tops()?.at(-1)).toEqual({ position: 75, offset: 15 });
    await scrollTo(2000);
    expect(tops()?.at(-1)).toBeUndefined();
    expect(tops()).toHaveLength(5);
  });

  it('reaches back no further than elements of browsers are high', async () => {
    const { render, list, news } = rig();
    await render({ rowHeight: 1000 });
    await news({ end: 100_000 });
    expect((list().children[1] as HTMLElement).style.height).toBe('15000000px');
  });

  it('refuses what is no column, and a history that no worker has', async () => {
    const { render } = rig();
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    await expect(render({ columns: [] })).rejects.toThrow(RangeError);
    const other = rig();
    await expect(other.render({ history: {} as WorkerHistory })).rejects.toThrow(TypeError);
  });
});
