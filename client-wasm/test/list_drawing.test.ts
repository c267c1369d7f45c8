// What the worker draws of a history, on a canvas that remembers it.
import { afterEach, describe, expect, it, vi } from 'vitest';

import type { DrawingNews, DrawingState } from '../src/list/messages.js';
import { type ListColumn, checkSetup } from '../src/list/options.js';
import { type Canvas, HostDrawing, type Pen } from '../src/worker/host_drawing.js';
import type { HistoryImpl } from '../src/history.js';
import type { News } from '../src/worker/messages.js';
import { Outbox } from '../src/worker/outbox.js';
import { FakeClock, Feed, makeStore, microtask } from './support.js';

interface Text {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly color: string;
  readonly align: string;
}

/** Keeps the texts since it was cleared last, and the rectangles that they were clipped to. */
class FakeCanvas {
  width = 0;
  height = 0;
  cleared = 0;
  ratio = 0;
  texts: Text[] = [];
  clips: number[][] = [];
  readonly pen = this.#pen();

  getContext(): Pen {
    return this.pen;
  }

  /** The lines from top to bottom, cells in their order. */
  get lines(): string[] {
    const lines = new Map<number, string[]>();
    for (const { text, y } of this.texts) lines.set(y, [...(lines.get(y) ?? []), text]);
    return [...lines].sort(([a], [b]) => a - b).map(([, cells]) => cells.join(' '));
  }

  #pen(): Pen {
    const canvas = this;
    return {
      fillStyle: '',
      font: '',
      textAlign: 'left',
      textBaseline: 'alphabetic',
      setTransform: (ratio: number) => void (canvas.ratio = ratio),
      clearRect: () => {
        ++canvas.cleared;
        canvas.texts = [];
        canvas.clips = [];
      },
      beginPath: () => undefined,
      clip: () => undefined,
      save: () => undefined,
      restore: () => undefined,
      rect: (...box: number[]) => void canvas.clips.push(box),
      fillText(this: Pen, text: string, x: number, y: number) {
        canvas.texts.push({ text, x, y, color: String(this.fillStyle), align: this.textAlign });
      },
    } as unknown as Pen;
  }
}

const LOOK = { width: 400, height: 100, ratio: 2, font: '13px monospace', color: 'black' };
const COLUMNS: readonly ListColumn[] = [{ path: 'seq', width: 100 }, { path: 'data.n' }];

const ended: { end(): void }[] = [];
afterEach(() => {
  for (const one of ended.splice(0).reverse()) one.end();
  vi.unstubAllGlobals();
});

/** A canvas of five rows of 20 px over a history of 100. */
function rig(state: Partial<DrawingState> = {}) {
  const frames: FrameRequestCallback[] = [];
  vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => frames.push(callback));
  vi.stubGlobal('cancelAnimationFrame', (id: number) => void (frames[id - 1] = () => undefined));
  const clock = new FakeClock();
  const store = makeStore({ timers: clock });
  const history = store.history('log', { capacity: 100 });
  const feed = new Feed(store, history);
  const news: News[] = [];
  const outbox = new Outbox({ onmessage: null, postMessage: (message) => void news.push(message as News) });
  const canvas = new FakeCanvas();
  const whole = { rowHeight: 20, columns: COLUMNS, look: LOOK, top: undefined, watched: false, ...state };
  const drawing = new HostDrawing(7, history as HistoryImpl<unknown>, canvas as unknown as Canvas, whole, outbox);
  ended.push(store, drawing);
  const frame = async (): Promise<void> => {
    await microtask();
    for (const callback of frames.splice(0)) callback(0);
    await microtask();
  };
  /** What the page is told, which it has shown at once. */
  const told = async () => {
    const all: DrawingNews[] = [];
    for (let before = -1; before < all.length;) {
      before = all.length;
      outbox.shown();
      await microtask();
      all.push(...news.splice(0).flatMap(({ drawings }) => drawings));
    }
    return all;
  };
  return { clock, store, history, feed, canvas, drawing, frame, frames, told, outbox, news };
}

describe('a list that the worker draws', () => {
  it('shows the newest rows, the last one at the lower edge, once a frame however much comes', async () => {
    const { feed, canvas, frame, frames } = rig();
    await frame();
    expect(canvas.texts).toEqual([]);
    feed.push(2);
    await frame();
    expect(canvas.lines).toEqual(['1 1', '2 2']);
    expect(canvas.texts[0]).toMatchObject({ x: 8, y: 10 });
    const before = canvas.cleared;
    for (let round = 0; round < 20; ++round) {
      feed.push(10);
      await microtask();
    }
    expect(frames).toHaveLength(1);
    await frame();
    expect(canvas.cleared).toBe(before + 1);
    expect(canvas.lines).toEqual(['198 198', '199 199', '200 200', '201 201', '202 202']);
    expect(canvas.texts.at(-1)).toMatchObject({ x: 108, y: 90 });
    await frame();
    expect(canvas.cleared).toBe(before + 1); // nothing has changed
  });

  it('cuts the row at the upper edge where the height is no whole number of rows', async () => {
    const { feed, canvas, frame } = rig({ look: { ...LOOK, height: 50 } });
    feed.push(10);
    await frame();
    expect(canvas.lines).toEqual(['8 8', '9 9', '10 10']);
    expect(canvas.texts[0]?.y).toBe(0); // its middle
    expect(canvas.texts.at(-1)?.y).toBe(40);
  });

  it('holds still where its user has scrolled to, until the rows leave the history', async () => {
    const { feed, canvas, drawing, frame, told } = rig();
    feed.push(50);
    await frame();
    await told();
    drawing.update({ top: { up: 410 } }); // of 1,000 px: 490 px from the top
    await frame();
    expect(canvas.lines[0]).toBe('25 25');
    expect(canvas.texts[0]?.y).toBe(0);
    expect((await told()).at(-1)).toMatchObject({ first: 0, end: 50, top: { position: 24, offset: 10 } });
    feed.push(70); // 20 have left
    await frame();
    expect(canvas.lines[0]).toBe('25 25');
    expect((await told()).at(-1)).toMatchObject({ first: 20, end: 120, top: { position: 24, offset: 10 } });
    // Still counted from the same end: the page had not heard of the other one.
    drawing.update({ top: { up: 400 } });
    await frame();
    expect(canvas.lines[0]).toBe('26 26');
    feed.push(30);
    await frame();
    expect(canvas.lines[0]).toBe('51 51');
    expect((await told()).at(-1)).toMatchObject({ first: 50, top: { position: 50, offset: 0 } });
    drawing.update({ top: { position: 60, offset: 5 } });
    await frame();
    expect(canvas.lines[0]).toBe('61 61');
    drawing.update({ top: undefined });
    await frame();
    expect(canvas.lines.at(-1)).toBe('150 150');
  });

  it('tells a page that follows a full history nothing but the texts, and those once a second', async () => {
    const { clock, feed, frame, told } = rig();
    feed.push(100);
    await frame();
    const first = await told();
    expect(first).toHaveLength(1);
    expect(first[0]).toMatchObject({ drawing: 7, first: 0, end: 100, seq: 100, top: undefined });
    expect(first[0]?.texts).toEqual(['96\t96', '97\t97', '98\t98', '99\t99', '100\t100']);
    for (let round = 0; round < 30; ++round) {
      feed.push(5);
      await frame();
      clock.advance(16);
    }
    expect(await told()).toEqual([]);
    clock.advance(1000);
    await microtask();
    const [later] = await told();
    expect(later).toMatchObject({ first: 150, end: 250, seq: 250 });
    expect(later?.texts?.at(-1)).toBe('250\t250');
    clock.advance(5000);
    await frame();
    expect(await told()).toEqual([]); // nothing else is drawn
  });

  it('tells each frame to a page that wants it, one message on its way', async () => {
    const { feed, frame, told, outbox, news } = rig({ watched: true });
    feed.push(1);
    await frame();
    for (let round = 0; round < 10; ++round) {
      feed.push(1);
      await frame();
    }
    expect(news).toHaveLength(1); // the page has not shown it
    outbox.shown();
    await microtask();
    expect((await told()).map(({ seq }) => seq)).toEqual([1, 11]);
  });

  it('draws at the density of the screen, and anew when the element is another size', async () => {
    const { feed, canvas, drawing, frame } = rig();
    feed.push(10);
    await frame();
    expect([canvas.width, canvas.height, canvas.ratio]).toEqual([800, 200, 2]);
    drawing.update({ look: { ...LOOK, width: 300, height: 40, ratio: 1.5, color: 'white' } });
    await frame();
    expect([canvas.width, canvas.height, canvas.ratio]).toEqual([450, 60, 1.5]);
    expect(canvas.lines).toEqual(['9 9', '10 10']);
    expect(canvas.texts[0]?.color).toBe('white');
    drawing.update({ look: { ...LOOK, width: 1e6, height: 0 } });
    await frame();
    expect([canvas.width, canvas.height]).toEqual([16_384, 1]); // what browsers have
  });

  it('lays out columns, colours by what the record says, and makes one line of anything', async () => {
    const columns: readonly ListColumn[] = [
      { path: 'time', width: 100, format: 'time' },
      { path: 'data.n', width: 50, align: 'right', color: { by: 'data.level', of: { error: 'red' } } },
      { path: 'data.a.b' },
      { path: 'data.constructor', color: 'blue' },
    ];
    const { feed, canvas, frame } = rig({ columns });
    const at = new Date(2026, 0, 15, 9, 8, 7, 65).getTime();
    const payloads = [
      '{"n":1,"level":"error","a":{"b":"one\\ntwo\\tthree"}}',
      '{"n":2,"level":"toString","a":{"b":[1,{"c":2}]}}',
      '{"n":3,"a":{"b":null}}',
      '"no object"',
    ];
    feed.push(4, (seq) => payloads[seq - 1] as string, at * 1000);
    await frame();
    const cells = (x: number) => canvas.texts.filter((text) => text.x === x);
    expect(cells(8).map(({ text }) => text)).toEqual(Array.from({ length: 4 }, () => '09:08:07.065'));
    expect(cells(142).map(({ text, color, align }) => `${text} ${color} ${align}`)).toEqual([
      '1 red right',
      '2 black right',
      '3 black right',
      ' black right',
    ]);
    expect(cells(158).map(({ text }) => text)).toEqual(['one two three', '[1,{"c":2}]', '', '']);
    expect(cells(283).map(({ text, color }) => `${text}${color}`)).toEqual(['blue', 'blue', 'blue', 'blue']);
    expect(canvas.clips.map(([x, , width]) => [x, width])).toEqual([
      [0, 100],
      [100, 50],
      [150, 125],
      [275, 125],
    ]);
  });

  it('shows no more of a cell than a screen can, and nothing of a record that is no JSON', async () => {
    const { feed, canvas, frame } = rig();
    feed.push(2, (seq) => (seq === 1 ? `{"n":"${'x'.repeat(10_000)}"}` : '{'));
    await frame();
    expect(canvas.texts.map(({ text }) => text.length)).toEqual([1, 1, 2000, 0]);
  });

  it('is empty once the history is cleared, and gone with the history or its own end', async () => {
    const { history, feed, canvas, drawing, frame, frames, store } = rig();
    feed.push(10);
    await frame();
    history.clear();
    await frame();
    expect(canvas.texts).toEqual([]);
    feed.push(3);
    await frame();
    expect(canvas.lines).toEqual(['11 11', '12 12', '13 13']);
    feed.push(1);
    await microtask();
    drawing.end();
    drawing.end();
    const before = canvas.cleared;
    for (const callback of frames) callback(0);
    expect(canvas.cleared).toBe(before);
    expect(store.handles().listeners).toBe(0);
  });

  it('refuses columns and heights out of their bounds, with the value and the limit', () => {
    const columns = [{ path: 'seq' }];
    const tries: [Parameters<typeof checkSetup>[0], string][] = [
      [{ rowHeight: 7, columns }, 'rowHeight is 7: it must be a whole number from 8 to 1000'],
      [{ rowHeight: Number.NaN, columns }, 'rowHeight is NaN: it must be a whole number from 8 to 1000'],
      [{ rowHeight: 20.5, columns }, 'rowHeight is 20.5: it must be a whole number from 8 to 1000'],
      [{ rowHeight: 20, columns: [] }, 'columns is 0: it must be a whole number from 1 to 32'],
      [{ rowHeight: 20, columns: Array.from({ length: 33 }, () => ({ path: 'a' })) }, 'columns is 33'],
      [{ rowHeight: 20, columns: [{ path: '' }] }, 'path is "": it must have 1 to 128 characters'],
      [{ rowHeight: 20, columns: [{ path: 'a', width: 0 }] }, 'width is 0: it must be a whole number from 1 to 10000'],
      [{ rowHeight: 20, columns: [{ path: 'a', color: { by: '', of: {} } }] }, 'by is ""'],
    ];
    for (const [setup, message] of tries) {
      expect(() => checkSetup(setup)).toThrow(RangeError);
      expect(() => checkSetup(setup)).toThrow(message);
    }
    expect(checkSetup({ rowHeight: 8, columns })).toEqual({ rowHeight: 8, columns });
  });
});
