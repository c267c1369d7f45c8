// The page's part of a list that a worker draws: an element that scrolls, a canvas that stays in its view, and the texts of the
// rows drawn for who does not see a canvas.
//
// Owns     what it put into the element, and the drawing in the worker; end() takes both away.
// Bounds   the list reaches back SCROLL_PX_MAX, as no browser has higher elements.
import type { Drawing, DrawingNews, DrawingState, Drawings, Look, Top } from './messages.js';
import type { ListSetup } from './options.js';

const SCROLL_PX_MAX = 15_000_000;
/** Without a scroll for so long the user has come to rest. */
const REST_MS = 150;

export class Stage {
  readonly #scroller: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #spacer: HTMLElement;
  readonly #texts: HTMLElement;
  readonly #drawing: Drawing;
  readonly #told: (news: DrawingNews) => void;
  readonly #resized: ResizeObserver | undefined;
  readonly #scheme: MediaQueryList | undefined;
  #density: MediaQueryList | undefined;
  #setup: ListSetup;
  #look: Look;
  #news: DrawingNews | undefined;
  #following = true;
  /** The position that scrollTop counts from; undefined while following, or as long as the worker has not said where that was left. */
  #base: number | undefined;
  /** Where the page itself has scrolled to: no wish of its user's. */
  #scrolledTo = 0;
  #resting: ReturnType<typeof setTimeout> | undefined;

  /** @param told with each news of the worker. @throws EndedError, RingfenceError as Drawings.draw() */
  constructor(
    scroller: HTMLElement,
    history: Drawings,
    setup: ListSetup,
    watched: boolean,
    told: (news: DrawingNews) => void,
  ) {
    this.#scroller = scroller;
    this.#setup = setup;
    this.#told = told;
    const document = scroller.ownerDocument;
    this.#canvas = document.createElement('canvas');
    Object.assign(this.#canvas.style, { position: 'sticky', display: 'block', top: '0', left: '0' });
    this.#canvas.setAttribute('aria-hidden', 'true');
    this.#spacer = document.createElement('div');
    this.#texts = document.createElement('div');
    Object.assign(this.#texts.style, {
      position: 'absolute',
      top: '0',
      width: '1px',
      height: '1px',
      overflow: 'hidden',
      clipPath: 'inset(50%)',
      whiteSpace: 'pre',
    });
    this.#look = this.#measure();
    this.#resize();
    this.#drawing = history.draw(
      this.#canvas.transferControlToOffscreen(),
      { ...setup, look: this.#look, top: undefined, watched },
      (news) => this.#take(news),
    );
    scroller.append(this.#canvas, this.#spacer, this.#texts);
    scroller.addEventListener('scroll', this.#scrolled, { passive: true });
    scroller.addEventListener('copy', this.#copied);
    if (typeof ResizeObserver === 'function') (this.#resized = new ResizeObserver(this.#looked)).observe(scroller);
    const { defaultView: view } = document;
    this.#scheme = view?.matchMedia?.('(prefers-color-scheme: dark)');
    this.#scheme?.addEventListener('change', this.#looked);
    this.#watchDensity();
  }

  /** What the component says in each render. */
  update(setup: ListSetup, watched: boolean): void {
    const change: Partial<Record<keyof DrawingState, unknown>> = { watched };
    if (setup !== this.#setup) Object.assign(change, (this.#setup = setup));
    this.#drawing.update(change as Partial<DrawingState>);
    this.#looked();
  }

  end(): void {
    this.#drawing.end();
    clearTimeout(this.#resting);
    this.#resized?.disconnect();
    this.#scheme?.removeEventListener('change', this.#looked);
    this.#density?.removeEventListener('change', this.#denser);
    this.#scroller.removeEventListener('scroll', this.#scrolled);
    this.#scroller.removeEventListener('copy', this.#copied);
    for (const element of [this.#canvas, this.#spacer, this.#texts]) element.remove();
  }

  #measure(): Look {
    const style = getComputedStyle(this.#scroller);
    return {
      width: this.#scroller.clientWidth,
      height: this.#scroller.clientHeight,
      ratio: globalThis.devicePixelRatio || 1,
      font: `${style.fontStyle} ${style.fontWeight} ${style.fontSize} ${style.fontFamily}`,
      color: style.color,
    };
  }

  readonly #looked = (): void => {
    const look = this.#measure();
    const before = this.#look;
    if ((Object.keys(look) as (keyof Look)[]).every((name) => look[name] === before[name])) return;
    this.#look = look;
    this.#resize();
    this.#drawing.update({ look });
    this.#fit();
  };

  #resize(): void {
    this.#canvas.style.width = `${this.#look.width}px`;
    this.#canvas.style.height = `${this.#look.height}px`;
  }

  // A query tells once that its density is not the screen's any more.
  readonly #denser = (): void => {
    this.#looked();
    this.#watchDensity();
  };

  #watchDensity(): void {
    this.#density?.removeEventListener('change', this.#denser);
    this.#density = this.#scroller.ownerDocument.defaultView?.matchMedia?.(`(resolution: ${this.#look.ratio}dppx)`);
    this.#density?.addEventListener('change', this.#denser);
  }

  /** The oldest position that can be scrolled to. */
  #first({ first, end }: DrawingNews): number {
    return Math.max(first, end - Math.floor(SCROLL_PX_MAX / this.#setup.rowHeight));
  }

  #take(news: DrawingNews): void {
    // As the page had it when its user left the end.
    if (!this.#following && news.leftAt !== undefined && this.#news)
      this.#base ??= news.leftAt - this.#size(this.#news);
    this.#news = news;
    if (news.texts) this.#texts.textContent = news.texts.join('\n');
    this.#fit();
    this.#told(news);
  }

  #size(news: DrawingNews): number {
    return news.end - this.#first(news);
  }

  // The element's height, and where it stands in it, as the history is now.
  readonly #fit = (): void => {
    const news = this.#news;
    if (!news || (!this.#following && this.#base === undefined)) return;
    const first = this.#first(news);
    // To set scrollTop would stop a scroll that is under way: until it rests, what has left stays as room at the top.
    const from = this.#resting === undefined ? first : (this.#base ?? first);
    const { rowHeight } = this.#setup;
    const height = Math.max(0, (news.end - from) * rowHeight - this.#look.height);
    const text = `${height}px`;
    const same = this.#spacer.style.height === text;
    if (!same) this.#spacer.style.height = text;
    if (this.#following) {
      if (!same) this.#scrollTo(height);
    } else if (this.#base !== undefined && from !== this.#base) {
      const { scrollTop } = this.#scroller;
      this.#scrollTo(Math.max(0, scrollTop - (from - this.#base) * rowHeight));
      this.#base = from;
    }
  };

  #scrollTo(top: number): void {
    const scroller = this.#scroller;
    if (Math.abs(scroller.scrollTop - top) < 1) return;
    scroller.scrollTop = top;
    this.#scrolledTo = scroller.scrollTop; // as it was taken
  }

  readonly #scrolled = (): void => {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (!this.#news || scrollTop === this.#scrolledTo) return;
    this.#scrolledTo = Number.NaN;
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => {
      this.#resting = undefined;
      this.#fit();
    }, REST_MS);
    const up = Math.max(0, scrollHeight - clientHeight - scrollTop);
    const { rowHeight } = this.#setup;
    let top: Top;
    if (up < 1) this.#base = undefined;
    // As long as the worker has not said which rows those are, it is only known how far from the end.
    else if (this.#base === undefined) top = { up };
    else top = { position: this.#base + Math.floor(scrollTop / rowHeight), offset: scrollTop % rowHeight };
    this.#following = top === undefined;
    this.#drawing.update({ top });
  };

  // Nothing of a canvas can be selected: what is copied in the list is what it shows.
  readonly #copied = (event: ClipboardEvent): void => {
    if (!this.#scroller.ownerDocument.getSelection()?.isCollapsed) return;
    event.clipboardData?.setData('text/plain', this.#texts.textContent ?? '');
    event.preventDefault();
  };
}
