// What a page and the worker that draws a list for it tell each other.
import type { ListSetup } from './options.js';

/** As the page's element is. Pixels of CSS, of which one is `ratio` of the screen's. */
export interface Look {
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
  /** As the `font` of CSS. */
  readonly font: string;
  readonly color: string;
}

/**
 * What lies at the upper edge: nothing said, the newest row lies at the lower edge and the list follows it. `up`: so far above
 * the end, as the page had it when it was last told; the worker answers which place that is.
 */
export type Top = { readonly position: number; readonly offset: number } | { readonly up: number } | undefined;

export interface DrawingState extends ListSetup {
  readonly look: Look;
  readonly top: Top;
  /** The page wants to hear of each frame. */
  readonly watched: boolean;
}

/** What was drawn, as far as a page needs it: at most once in a frame of the page. */
export interface DrawingNews {
  readonly drawing: number;
  /** Positions held: [first, end). */
  readonly first: number;
  readonly end: number;
  /** Of the newest row drawn; 0 if there is none. `time` in milliseconds since 1970. */
  readonly seq: number;
  readonly time: number;
  /** Undefined: it follows the newest. */
  readonly top: { readonly position: number; readonly offset: number } | undefined;
  /** The end that the last `up` was taken to count from. */
  readonly leftAt: number | undefined;
  /** Of the rows drawn, cells parted by tabs; undefined if they are as they were, or were told within TEXTS_MS. */
  readonly texts: readonly string[] | undefined;
}

/** A list that the worker draws; ends once. */
export interface Drawing {
  update(change: Partial<DrawingState>): void;
  end(): void;
}

/** A history whose rows can be drawn elsewhere: that of a worker. */
export interface Drawings {
  /** @throws EndedError, RingfenceError `too_many_subscriptions` */
  draw(canvas: OffscreenCanvas, state: DrawingState, told: (news: DrawingNews) => void): Drawing;
}
