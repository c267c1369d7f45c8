// Arguments, checked before they reach the core. Each throws a RangeError that tells the value and the limit.

import { show } from './check_integer.js';

export { checkInteger } from './check_integer.js';

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 };

/** A number of bytes, or a string of one with the unit B, KiB, MiB or GiB. */
export function checkBytes(name: string, value: unknown, min: number, max: number): number {
  let bytes = value;
  if (typeof value === 'string') {
    const parts = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(value);
    const unit = UNITS[parts?.[2]?.toLowerCase() ?? 'none'];
    bytes = parts && unit !== undefined ? Number(parts[1]) * unit : Number.NaN;
  }
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < min || bytes > max)
    throw new RangeError(`${name} is ${show(value)}: it must be from ${min} to ${max} bytes, e.g. 65536 or '64 KiB'`);
  return bytes;
}

export function checkChannel(channel: unknown): string {
  if (typeof channel !== 'string' || !/^[A-Za-z0-9_:.-]{1,128}$/.test(channel))
    throw new RangeError(`channel is ${show(channel)}: it must match [A-Za-z0-9_:.-]{1,128}`);
  return channel;
}

export function checkType(type: unknown): string {
  if (typeof type !== 'string' || type === '' || /[\u0000-\u001f\u007f]/.test(type) || byteLength(type) > 255)
    throw new RangeError(`type is ${show(type)}: it must be 1 to 255 bytes of UTF-8 without control characters`);
  return type;
}

/** Length in UTF-8. */
export function byteLength(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; ++index) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) continue;
    // Two bytes, or three; a pair of surrogates is four, two for each half.
    bytes += unit < 0x800 || (unit & 0xf800) === 0xd800 ? 1 : 2;
  }
  return bytes;
}
