// What a list that a worker draws is told to show: columns, and how high a row is.
import { checkInteger } from '../check_integer.js';

const COLUMNS_MAX = 32;
const PATH_CHARS_MAX = 128;
const WIDTH_PX_MAX = 10_000;
const ROW_PX_MIN = 8;
const ROW_PX_MAX = 1000;
const COLOURS_MAX = 256;

/** A colour by what a record says: `{ by: 'data.level', of: { error: 'crimson' } }`. */
export interface ListColors {
  /** As a column's `path`. */
  readonly by: string;
  /** CSS colours by the text found there, at most 256; the element's own colour for any other. */
  readonly of: Readonly<Record<string, string>>;
}

/** A column of a list that a worker draws. Plain values only, as they are sent to it. */
export interface ListColumn {
  /** `seq`, `time`, `type`, or a place in the record's JSON: `data`, `data.user.name`. 1 to 128 characters. */
  readonly path: string;
  /** CSS pixels, 8 of them padding at each side; 1 to 10,000. Default: an equal share of what the others leave. */
  readonly width?: number;
  /** Default: `left`. What is too long is cut off at the right. */
  readonly align?: 'left' | 'right';
  /** `time`: milliseconds since 1970 as HH:MM:SS.mmm of the local clock. */
  readonly format?: 'time';
  /** A CSS colour, or one by what the record says. Default: the `color` of the element. */
  readonly color?: string | ListColors;
}

export interface ListSetup {
  readonly rowHeight: number;
  readonly columns: readonly ListColumn[];
}

const checkPath = (name: string, path: unknown): void => {
  if (typeof path !== 'string' || path === '' || path.length > PATH_CHARS_MAX)
    throw new RangeError(`${name} is ${JSON.stringify(path)}: it must have 1 to ${PATH_CHARS_MAX} characters`);
};

/** @throws RangeError, with the value and the limit */
export function checkSetup({ rowHeight, columns }: ListSetup): ListSetup {
  checkInteger('rowHeight', rowHeight, ROW_PX_MIN, ROW_PX_MAX);
  checkInteger('columns', columns.length, 1, COLUMNS_MAX);
  for (const { path, width, color } of columns) {
    checkPath('path', path);
    if (width !== undefined) checkInteger('width', width, 1, WIDTH_PX_MAX);
    if (typeof color !== 'object') continue;
    checkPath('by', color.by);
    checkInteger('colours', Object.keys(color.of).length, 0, COLOURS_MAX);
  }
  return { rowHeight, columns };
}
