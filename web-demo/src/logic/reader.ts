// Which row of the list shows what, while records leave the head of the history and come to its end.
//
// Rows are addressed by position, which counts records since the history was made and never shifts. A reader who has
// scrolled up keeps the few rows on screen even after they have left the history; a divider then says how many are
// gone between those and the oldest that is held.
// Bounds   kept rows: what one screen shows, at most kKeptRowsMax.

export const kKeptRowsMax = 120;

/** Positions [from, to) that are on a reader's screen. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Layout {
  /** Kept rows that are no longer in the history: [keptFrom, keptFrom + kept). */
  readonly keptFrom: number;
  readonly kept: number;
  /** Records between the kept rows and the oldest held; 0 shows no divider. */
  readonly gone: number;
  /** Positions [first, end) are held. */
  readonly first: number;
  readonly end: number;
  readonly rows: number;
}

export type Row =
  { readonly kind: 'record'; readonly position: number } | { readonly kind: 'divider'; readonly gone: number };

export function layOut(first: number, end: number, reading: Span | null): Layout {
  const keptFrom = reading?.from ?? first;
  const keptTo = Math.min(reading?.to ?? first, first, keptFrom + kKeptRowsMax);
  const kept = Math.max(0, keptTo - keptFrom);
  const gone = kept > 0 ? first - keptTo : 0;
  return { keptFrom, kept, gone, first, end, rows: kept + (gone > 0 ? 1 : 0) + (end - first) };
}

export function rowAt(layout: Layout, index: number): Row {
  if (index < layout.kept) return { kind: 'record', position: layout.keptFrom + index };
  const behind = index - layout.kept;
  if (layout.gone === 0) return { kind: 'record', position: layout.first + behind };
  return behind === 0
    ? { kind: 'divider', gone: layout.gone }
    : { kind: 'record', position: layout.first + behind - 1 };
}

/** The row that shows `position`, or the nearest one still there. */
export function indexOf(layout: Layout, position: number): number {
  const keptTo = layout.keptFrom + layout.kept;
  if (layout.kept > 0 && position < keptTo) return Math.max(0, position - layout.keptFrom);
  const divider = layout.gone > 0 ? 1 : 0;
  if (position < layout.first) return layout.kept;
  return layout.kept + divider + Math.min(position, layout.end) - layout.first;
}

/** What a reader with the rows [topIndex, bottomIndex] on screen is reading. */
export function readingOf(layout: Layout, topIndex: number, bottomIndex: number, reading: Span | null): Span | null {
  const dividerIndex = layout.gone > 0 ? layout.kept : -1;
  if (topIndex < layout.kept || topIndex === dividerIndex) return reading; // still on kept rows
  const top = rowAt(layout, topIndex);
  if (top.kind === 'divider' || layout.rows === 0) return reading;
  const rows = Math.min(bottomIndex, layout.rows - 1) - topIndex + 1;
  return { from: top.position, to: top.position + Math.max(0, Math.min(rows, kKeptRowsMax)) };
}
