// A list of a page's that is drawn here, on the page's canvas: the page's own thread has no part in it, so it goes on while
// that is busy.
//
// Bounds   one drawing a frame, of the rows that the canvas shows; what the page is told goes through the outbox.
import type { HistoryImpl } from '../history.js';
import type { Registration } from '../handle.js';
import { type Cell, layOut } from '../list/cells.js';
import type { DrawingNews, DrawingState, Top } from '../list/messages.js';
import type { Row } from '../types.js';
import type { Outbox } from './outbox.js';

const PADDING_PX = 8;
/** What browsers give a canvas on each side. */
const CANVAS_PX_MAX = 16_384;
const FRAME_MS = 16;
/** Readers of screens get the texts no more often. */
export const TEXTS_MS = 1000;

/** What of a canvas is used. */
export type Canvas = Pick<OffscreenCanvas, 'width' | 'height'> & { getContext(kind: '2d'): Pen | null };
export type Pen = Pick<
  OffscreenCanvasRenderingContext2D,
  | 'beginPath'
  | 'clearRect'
  | 'clip'
  | 'fillStyle'
  | 'fillText'
  | 'font'
  | 'rect'
  | 'restore'
  | 'save'
  | 'setTransform'
  | 'textAlign'
  | 'textBaseline'
>;

export class HostDrawing {
  readonly #id: number;
  readonly #history: HistoryImpl<unknown>;
  readonly #canvas: Canvas;
  readonly #pen: Pen;
  readonly #outbox: Outbox;
  readonly #listener: Registration;
  #state: DrawingState;
  #cells: readonly Cell[];
  #frame: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** The rows drawn are others than those whose texts were told; not before TEXTS_MS have passed they are `ready` to be told. */
  #texts: 'told' | 'changed' | 'waiting' | 'ready' = 'changed';
  #textsAt = Number.NEGATIVE_INFINITY;
  #textsTimer: unknown;
  #rows: readonly Row[] = [];
  #first = 0;
  #end = 0;
  #top: DrawingNews['top'];
  /** The end that `up` counts from. */
  #leftAt: number | undefined;
  #told: DrawingNews | undefined;

  /** @throws EndedError */
  constructor(id: number, history: HistoryImpl<unknown>, canvas: Canvas, state: DrawingState, outbox: Outbox) {
    this.#id = id;
    this.#history = history;
    this.#canvas = canvas;
    const pen = canvas.getContext('2d');
    if (!pen) throw new TypeError('the canvas has no 2D context');
    this.#pen = pen;
    this.#outbox = outbox;
    this.#state = state;
    this.#cells = layOut(state.columns, state.look.width);
    this.#listener = history.listen(() => this.#schedule(), `drawing ${id} of the page`);
    this.#place(state.top);
    this.#schedule();
  }

  update(change: Partial<DrawingState>): void {
    this.#state = { ...this.#state, ...change };
    if (change.columns || change.look) this.#cells = layOut(this.#state.columns, this.#state.look.width);
    if (change.columns && this.#texts === 'told') this.#texts = 'changed';
    if ('top' in change) this.#place(change.top);
    this.#schedule();
  }

  /** What the page is to be told now; undefined if that is nothing new. */
  take(): DrawingNews | undefined {
    if (this.#history.ended) return undefined;
    const newest = this.#rows.at(-1);
    const news = {
      drawing: this.#id,
      first: this.#first,
      end: this.#end,
      seq: newest?.seq ?? 0,
      time: newest?.time ?? 0,
      top: this.#top,
      leftAt: this.#leftAt,
      texts: this.#takeTexts(),
    };
    this.#told = news;
    return news;
  }

  end(): void {
    this.#listener.end();
    clearTimeout(this.#timer);
    this.#history.store.timers.clearTimeout(this.#textsTimer);
    if (this.#frame !== undefined) globalThis.cancelAnimationFrame(this.#frame);
    this.#outbox.closed(this);
  }

  #place(top: Top): void {
    if (!top) {
      this.#leftAt = this.#top = undefined;
    } else if ('up' in top) {
      const { rowHeight, look } = this.#state;
      const px = Math.max(0, (this.#leftAt ??= this.#end) * rowHeight - top.up - look.height);
      this.#top = { position: Math.floor(px / rowHeight), offset: px % rowHeight };
    } else {
      this.#leftAt = undefined;
      this.#top = top;
    }
  }

  #schedule(): void {
    if (this.#frame !== undefined || this.#timer !== undefined) return;
    if (typeof globalThis.requestAnimationFrame === 'function')
      this.#frame = globalThis.requestAnimationFrame(() => this.#draw());
    else this.#timer = setTimeout(() => this.#draw(), FRAME_MS);
  }

  #draw(): void {
    this.#frame = this.#timer = undefined;
    if (this.#history.ended) return;
    const { look, rowHeight } = this.#state;
    const { first, end } = this.#history.place();
    this.#first = first;
    this.#end = end;
    // Which rows, and where the first of them begins.
    const fit = Math.ceil(look.height / rowHeight);
    let from = first;
    let y = 0;
    if (this.#top) {
      if (this.#top.position < first) this.#top = { position: first, offset: 0 };
      from = Math.min(this.#top.position, end);
      y = -this.#top.offset;
    } else if ((end - first) * rowHeight > look.height) {
      from = end - fit;
      y = look.height - fit * rowHeight;
    }
    const rows = this.#history.rows(from, Math.min(end, from + fit + 1));
    this.#paint(rows, y);
    const same = rows.length === this.#rows.length && rows.every((row, index) => row === this.#rows[index]);
    if (!same && this.#texts === 'told') this.#texts = 'changed';
    this.#rows = rows;
    this.#tell();
  }

  #paint(rows: readonly Row[], top: number): void {
    const { look, rowHeight } = this.#state;
    const pen = this.#pen;
    const width = Math.min(CANVAS_PX_MAX, Math.max(1, Math.round(look.width * look.ratio)));
    const height = Math.min(CANVAS_PX_MAX, Math.max(1, Math.round(look.height * look.ratio)));
    if (this.#canvas.width !== width) this.#canvas.width = width;
    if (this.#canvas.height !== height) this.#canvas.height = height;
    pen.setTransform(look.ratio, 0, 0, look.ratio, 0, 0);
    pen.clearRect(0, 0, look.width, look.height);
    pen.font = look.font;
    pen.textBaseline = 'middle';
    for (const { x, width: cellWidth, right, text, color } of this.#cells) {
      pen.save();
      pen.beginPath();
      pen.rect(x, 0, cellWidth, look.height);
      pen.clip();
      pen.textAlign = right ? 'right' : 'left';
      pen.fillStyle = look.color;
      const at = right ? x + cellWidth - PADDING_PX : x + PADDING_PX;
      let colour = look.color;
      let y = top + rowHeight / 2;
      for (const row of rows) {
        const wanted = color(row) ?? look.color;
        if (wanted !== colour) pen.fillStyle = colour = wanted;
        pen.fillText(text(row), at, y);
        y += rowHeight;
      }
      pen.restore();
    }
  }

  // A page that only follows a full history needs to hear nothing but the texts.
  #tell(): void {
    const told = this.#told;
    const size = this.#end - this.#first;
    const moved =
      !told ||
      told.end - told.first !== size ||
      told.top?.position !== this.#top?.position ||
      told.top?.offset !== this.#top?.offset ||
      (this.#top !== undefined && told.first !== this.#first);
    if (moved || this.#state.watched) this.#outbox.drawing(this);
    if (this.#texts !== 'changed') return;
    const { timers } = this.#history.store;
    const wait = Math.min(TEXTS_MS, this.#textsAt + TEXTS_MS - timers.now());
    this.#texts = 'waiting';
    const ready = (): void => {
      this.#texts = 'ready';
      this.#outbox.drawing(this);
    };
    if (wait <= 0) ready();
    else this.#textsTimer = timers.setTimeout(ready, wait);
  }

  #takeTexts(): readonly string[] | undefined {
    if (this.#texts !== 'ready') return undefined;
    this.#texts = 'told';
    this.#textsAt = this.#history.store.timers.now();
    return this.#rows.map((row) => this.#cells.map(({ text }) => text(row)).join('\t'));
  }
}
