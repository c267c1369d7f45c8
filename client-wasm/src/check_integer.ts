// Apart from check.ts, so that an entry that needs no more loads no more.

export const show = (value: unknown): string => (typeof value === 'string' ? JSON.stringify(value) : String(value));

/** A whole number within bounds. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max)
    throw new RangeError(`${name} is ${show(value)}: it must be a whole number from ${min} to ${max}`);
  return value;
}
