// A history as a virtual list: only the rows on screen are decoded and in the document.
//
// Follows the newest record until the reader scrolls up. Then the rows on screen stay where they are while the head of
// the history is trimmed, and stay on screen even after they have left it (logic/reader.ts).

import { defaultRangeExtractor, useVirtualizer, type Range } from '@tanstack/react-virtual';
import {
  memo,
  useCallback,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
  type KeyboardEvent,
  type PointerEvent,
} from 'react';
import type { History, Row } from 'ringfence';
import { clock, count } from '../logic/format.ts';
import { hueOf } from '../logic/hue.ts';
import { paced } from '../logic/paced.ts';
import { indexOf, layOut, readingOf, rowAt, type Span } from '../logic/reader.ts';
import { summary } from '../logic/summary.ts';
import { Inspector } from './Inspector.tsx';

const kRowPx = 27;
const kRedrawPeriodMs = 80;
const kOverscanRows = 6;

interface Kept {
  readonly span: Span;
  readonly rows: ReadonlyMap<number, Row>;
}

interface Selected {
  readonly position: number;
  readonly row: Row;
}

export interface EventListProps {
  readonly history: History;
  readonly name: string;
}

export function EventList({ history, name }: EventListProps) {
  const subscribe = useMemo(() => paced((listener) => history.subscribe(listener), kRedrawPeriodMs), [history]);
  const newest = useMemo(() => history.window({ last: 1 }), [history]);
  const { size, evicted } = useSyncExternalStore(subscribe, newest.getSnapshot);
  const first = evicted;
  const end = evicted + size;

  const scroller = useRef<HTMLDivElement>(null);
  const [pausedAt, setPausedAt] = useState<number | null>(null); // the end of the history when the reader scrolled up
  const following = pausedAt === null;
  const [kept, setKept] = useState<Kept | null>(null);
  const [selected, setSelected] = useState<Selected | null>(null);

  const span = following ? null : (kept?.span ?? null);
  const layout = useMemo(() => layOut(first, end, span), [first, end, span]);
  const getItemKey = useCallback(
    (index: number) => {
      const row = rowAt(layout, index);
      return row.kind === 'record' ? row.position : 'divider';
    },
    [layout],
  );
  const virtualizer = useVirtualizer({
    count: layout.rows,
    getScrollElement: () => scroller.current,
    estimateSize: () => kRowPx,
    getItemKey,
    overscan: kOverscanRows,
    // A reader's rows stay where they are. One who follows sees the last rows, wherever the list was scrolled to when
    // this render began: without it the rows that just came would be painted one frame late.
    anchorTo: following ? 'start' : 'end',
    rangeExtractor: useCallback(
      (range: Range) =>
        following ? lastRows(layout.rows, scroller.current?.clientHeight ?? 0) : defaultRangeExtractor(range),
      [following, layout.rows],
    ),
    useFlushSync: false,
  });

  const items = virtualizer.getVirtualItems();
  const shown = items.map((item) => ({ item, row: rowAt(layout, item.index) }));
  const rows = readRows(
    history,
    shown.map(({ row }) => (row.kind === 'record' ? row.position : -1)),
    first,
    kept,
  );

  useLayoutEffect(() => {
    const list = scroller.current;
    if (!list) return;
    if (following) {
      list.scrollTop = list.scrollHeight;
      return;
    }
    const top = Math.floor(list.scrollTop / kRowPx);
    const bottom = Math.floor((list.scrollTop + list.clientHeight - 1) / kRowPx);
    const next = readingOf(layout, top, bottom, span);
    if (next === null || (kept && next.from === kept.span.from && next.to === kept.span.to)) return;
    const keep = new Map<number, Row>();
    for (let position = next.from; position < next.to; ++position) {
      const row = rows.get(position);
      if (row) keep.set(position, row);
    }
    setKept({ span: next, rows: keep });
  });

  const scrolledTo = useRef(0);
  const onScroll = () => {
    const list = scroller.current;
    if (!list) return;
    const up = list.scrollTop < scrolledTo.current - 1;
    scrolledTo.current = list.scrollTop;
    const belowPx = list.scrollHeight - list.scrollTop - list.clientHeight;
    if (belowPx < kRowPx) follow();
    else if (up) setPausedAt((at) => at ?? end);
  };

  const follow = () => {
    setPausedAt(null);
    setKept(null);
  };

  // Rows may be gone between press and release: what counts is what was pressed.
  const pressed = useRef<{
    readonly position: number;
    readonly row: Row;
    readonly x: number;
    readonly y: number;
  } | null>(null);
  const onPointerDown = (event: PointerEvent) => {
    const element = (event.target as Element).closest<HTMLElement>('[data-position]');
    const position = Number(element?.dataset['position']);
    const row = element ? rows.get(position) : undefined;
    pressed.current = row ? { position, row, x: event.clientX, y: event.clientY } : null;
  };
  const onPointerUp = (event: PointerEvent) => {
    const press = pressed.current;
    pressed.current = null;
    if (!press || Math.hypot(event.clientX - press.x, event.clientY - press.y) > 6) return;
    setSelected((now) => (now?.row === press.row ? null : { position: press.position, row: press.row }));
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && selected) setSelected(null);
    else if (event.key === 'End') follow();
    else if (event.key === 'ArrowUp' || event.key === 'ArrowDown') select(event.key === 'ArrowUp' ? -1 : 1);
    else return;
    event.preventDefault();
  };
  const select = (step: number) => {
    if (layout.rows === 0) return;
    let index = selected ? indexOf(layout, selected.position) + step : layout.rows - 1;
    if (index >= 0 && index < layout.rows && rowAt(layout, index).kind === 'divider') index += step;
    if (index < 0 || index >= layout.rows) return;
    const target = rowAt(layout, index);
    if (target.kind !== 'record') return;
    const row = rows.get(target.position) ?? readRows(history, [target.position], first, kept).get(target.position);
    if (!row) return;
    setSelected({ position: target.position, row });
    setPausedAt((at) => at ?? end);
    virtualizer.scrollToIndex(index, { align: 'auto' });
  };

  const active =
    selected && items.some((item) => item.key === selected.position) ? `${name}-${selected.position}` : undefined;
  return (
    <>
      <div className="list">
        <div
          ref={scroller}
          className="scroller"
          role="listbox"
          aria-label={`Events of ${name}, oldest first`}
          aria-activedescendant={active}
          tabIndex={0}
          onScroll={onScroll}
          onKeyDown={onKeyDown}
          onPointerDown={onPointerDown}
          onPointerUp={onPointerUp}
          data-testid="events"
          data-following={following}
          data-first={first}
          data-end={end}
        >
          <div className="rows" role="presentation" style={{ height: virtualizer.getTotalSize() }}>
            {shown.map(({ item, row: place }) => {
              const style = { transform: `translateY(${item.start}px)` };
              if (place.kind === 'divider') {
                return (
                  <div key="divider" className="row divider" role="presentation" style={style} data-testid="divider">
                    {count(place.gone)} have left the history since
                  </div>
                );
              }
              const row = rows.get(place.position);
              if (!row) return null;
              return (
                <div
                  key={place.position}
                  id={`${name}-${place.position}`}
                  className={place.position < first ? 'row gone' : 'row'}
                  role="option"
                  aria-selected={selected?.position === place.position}
                  aria-posinset={item.index + 1}
                  aria-setsize={layout.rows}
                  style={style}
                  data-testid="row"
                  data-position={place.position}
                  data-seq={row.seq}
                >
                  <Cells row={row} />
                </div>
              );
            })}
          </div>
        </div>
        {layout.rows === 0 && <p className="empty">No events yet on this channel.</p>}
        {!following && (
          <button type="button" className="button primary to-newest" onClick={follow} data-testid="follow">
            Follow the newest{end > pausedAt ? `, ${count(end - pausedAt)} new` : ''}
          </button>
        )}
      </div>
      {selected && <Inspector row={selected.row} held={selected.position >= first} onClose={() => setSelected(null)} />}
    </>
  );
}

function lastRows(rows: number, heightPx: number): number[] {
  const wanted = Math.min(rows, Math.ceil(heightPx / kRowPx) + kOverscanRows);
  return Array.from({ length: wanted }, (_, index) => rows - wanted + index);
}

const Cells = memo(function Cells({ row }: { readonly row: Row }) {
  const { text, words } = row.error ? { text: row.error.message, words: true } : summary(row.data);
  return (
    <>
      <span className="seq">{count(row.seq)}</span>
      <span className="time">{clock(row.time)}</span>
      <span className="type" style={{ '--hue': hueOf(row.type) }}>
        {row.type}
      </span>
      <span className={words ? 'data words' : 'data'}>{text}</span>
    </>
  );
});

/** Rows by position: held ones from the history in one read, others from what the reader keeps. */
function readRows(
  history: History,
  positions: readonly number[],
  first: number,
  kept: Kept | null,
): ReadonlyMap<number, Row> {
  const rows = new Map<number, Row>();
  let from = Infinity;
  let to = -1;
  for (const position of positions) {
    if (position < 0) continue;
    if (position >= first) {
      from = Math.min(from, position);
      to = Math.max(to, position);
    } else {
      const row = kept?.rows.get(position);
      if (row) rows.set(position, row);
    }
  }
  if (to < from) return rows;
  const { items, offset } = history.window({ offset: from, limit: to - from + 1 }).getSnapshot();
  items.forEach((row, index) => rows.set(offset + index, row));
  return rows;
}
