// Numbers and times as the page writes them.

const kWhole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export function count(value: number): string {
  return kWhole.format(value);
}

/** 512 B, 1.5 KiB, 12 MiB: three digits at most before the unit. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    ++unit;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits).replace(/\.0+$/, '')} ${units[unit]}`;
}

/** For an axis: 950, 1.2k, 10k, 3M. */
export function short(value: number): string {
  if (Math.abs(value) >= 999_500) return `${trimmed(value / 1e6)}M`;
  if (Math.abs(value) >= 1000) return `${trimmed(value / 1000)}k`;
  return trimmed(value);
}

function trimmed(value: number): string {
  return value.toFixed(Math.abs(value) < 10 ? 1 : 0).replace(/\.0$/, '');
}

export function duration(ms: number): string {
  if (ms < 1) return '<1 ms';
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
}

/** 12:03:07.250, local time. */
export function clock(timeMs: number): string {
  const time = new Date(timeMs);
  const pad = (value: number, width = 2) => String(value).padStart(width, '0');
  return `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}.${pad(time.getMilliseconds(), 3)}`;
}

/** One line of a payload, cut at `lengthMax`. Control characters become spaces. */
export function oneLine(data: unknown, lengthMax = 240): string {
  const text = typeof data === 'string' ? data : (JSON.stringify(data) ?? '');
  const cut = text.length > lengthMax ? `${text.slice(0, lengthMax - 1)}…` : text;
  // eslint-disable-next-line no-control-regex
  return cut.replace(/[\u0000-\u001f\u007f]+/g, ' ');
}
