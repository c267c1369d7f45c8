// The texts of a row's cells.
import type { Row } from '../types.js';
import type { ListColumn } from './options.js';

/** No screen shows more of a cell; what is longer is not laid out. */
const CELL_CHARS_MAX = 2000;

export type Read = (row: Row) => unknown;

/** What lies at a path of a row. Own members only: `data.constructor` is nothing. */
export function reader(path: string): Read {
  const names = path.split('.');
  return (row) => {
    let value: unknown = row;
    for (const name of names) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
      value = (value as Record<string, unknown>)[name];
    }
    return value;
  };
}

const two = (value: number): string => String(value).padStart(2, '0');

function clock(ms: number): string {
  const date = new Date(ms);
  const thousandths = String(date.getMilliseconds()).padStart(3, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${thousandths}`;
}

export function textOf(value: unknown, format?: ListColumn['format']): string {
  if (value === undefined || value === null) return '';
  if (format === 'time' && typeof value === 'number') return Number.isFinite(value) ? clock(value) : '';
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  const line = text.length > CELL_CHARS_MAX ? text.slice(0, CELL_CHARS_MAX) : text;
  return /[\n\r\t]/.test(line) ? line.replace(/[\n\r\t]+/g, ' ') : line;
}

export interface Cell {
  readonly x: number;
  readonly width: number;
  readonly right: boolean;
  readonly text: (row: Row) => string;
  readonly color: (row: Row) => string | undefined;
}

/** Columns laid out over `width` CSS pixels. */
export function layOut(columns: readonly ListColumn[], width: number): readonly Cell[] {
  const fixed = columns.reduce((sum, column) => sum + (column.width ?? 0), 0);
  const open = columns.filter((column) => column.width === undefined).length;
  const share = Math.max(0, (width - fixed) / Math.max(1, open));
  let x = 0;
  return columns.map(({ path, width: own = share, align, format, color }) => {
    const read = reader(path);
    const by = typeof color === 'object' ? reader(color.by) : undefined;
    const colours = typeof color === 'object' ? new Map(Object.entries(color.of)) : undefined;
    const cell = {
      x,
      width: own,
      right: align === 'right',
      text: (row: Row) => textOf(read(row), format),
      color: by ? (row: Row) => colours?.get(textOf(by(row))) : () => color as string | undefined,
    };
    x += own;
    return cell;
  });
}
