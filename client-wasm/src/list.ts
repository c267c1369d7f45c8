'use client';
// ringfence/list: a list for React that the worker draws. Its rows cost the page's own thread nothing, however fast they come.
import { type CSSProperties, type ReactElement, createElement, useEffect, useMemo, useRef } from 'react';

import { type ListColumn, checkSetup } from './list/options.js';
import type { Drawings } from './list/messages.js';
import { Stage } from './list/stage.js';
import type { WorkerHistory } from './worker.js';

export type { ListColors, ListColumn } from './list/options.js';

/** What a `HistoryList` shows, told at most once a frame. */
export interface ListShown {
  /** Of the newest row drawn; 0 if there is none. */
  readonly lastSeq: number;
  /** When that was published: milliseconds since 1970. */
  readonly lastTime: number;
  /** Rows held. */
  readonly size: number;
  /** Records that have left the history. */
  readonly evicted: number;
  /** It shows the newest; false once its user has scrolled up. */
  readonly following: boolean;
}

/** What a `HistoryList` may be told. Anything out of its bounds is a `RangeError` of the render. */
export interface HistoryListProps {
  /** A history of `ringfence/worker`; undefined while it is being made. */
  readonly history: WorkerHistory | undefined;
  /** 1 to 32, from left to right. */
  readonly columns: readonly ListColumn[];
  /** CSS pixels, 8 to 1,000. Default: 24. */
  readonly rowHeight?: number;
  /** What the list is called by a reader of screens. */
  readonly label?: string;
  /** Of its element. */
  readonly className?: string;
  /** The element has to have a height of its own. Font and colour of the rows are those of the element. */
  readonly style?: CSSProperties;
  /** Called at most once in a frame; without it the page hears of the list only when its size changes. */
  readonly onShown?: (shown: ListShown) => void;
}

const BOX: CSSProperties = {
  position: 'relative',
  overflowX: 'hidden',
  overflowY: 'scroll',
  overflowAnchor: 'none',
  contain: 'content',
};

/**
 * A list of all rows that a worker's history holds, drawn by the worker on a canvas: no row passes through the page's thread, and
 * the list goes on while that is busy. For feeds that are too fast for rows of React; where rows have buttons, images or a
 * selection, use `useHistory`.
 *
 * It follows the newest row until its user scrolls up; then the rows stay where they are, until they leave the history, and
 * scrolling to the end follows again. Readers of screens get the rows shown as text once a second, and copying in the list (click
 * it, Ctrl+C) takes that text.
 *
 * ```tsx
 * <HistoryList
 *   history={log} // of createWorkerStore()
 *   style={{ height: 600, font: '13px monospace' }}
 *   columns={[
 *     { path: 'time', width: 120, format: 'time' },
 *     { path: 'data.level', width: 80, color: { by: 'data.level', of: { error: 'crimson' } } },
 *     { path: 'data.text' },
 *   ]}
 * />
 * ```
 * Columns read the record's JSON, not what `decode` makes of it. Fonts have to be the system's: a worker has not got the page's own.
 * @throws RangeError for columns or a height out of their bounds
 */
export function HistoryList({
  history,
  columns,
  rowHeight = 24,
  label,
  className,
  style,
  onShown,
}: HistoryListProps): ReactElement {
  // By value: an array written in the call is another one in each render.
  const setup = useMemo(() => checkSetup({ rowHeight, columns }), [rowHeight, JSON.stringify(columns)]);
  const element = useRef<HTMLDivElement>(null);
  const stage = useRef<Stage>(undefined);
  const latest = useRef({ setup, onShown });
  useEffect(() => {
    latest.current = { setup, onShown };
    stage.current?.update(setup, onShown !== undefined);
  });
  useEffect(() => {
    if (!history || !element.current) return undefined;
    if (!('draw' in history)) throw new TypeError('a HistoryList shows a history of createWorkerStore()');
    const drawn = new Stage(
      element.current,
      history as unknown as Drawings,
      latest.current.setup,
      latest.current.onShown !== undefined,
      ({ first, end, seq, time, top }) =>
        latest.current.onShown?.({
          lastSeq: seq,
          lastTime: time,
          size: end - first,
          evicted: first,
          following: top === undefined,
        }),
    );
    stage.current = drawn;
    return () => {
      stage.current = undefined;
      drawn.end();
    };
  }, [history]);
  return createElement('div', {
    ref: element,
    role: 'log',
    'aria-live': 'off',
    'aria-label': label,
    tabIndex: 0,
    className,
    style: { ...style, ...BOX },
  });
}
