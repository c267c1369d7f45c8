// What the feeds' programs share: their options, and how they end.

import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

export const isMain = (url) => process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(url);

function usage(problem) {
  console.error(`feed: ${problem}; options: --url ws://HOST:PORT/v1/ws [--seed N] [--speed EVENTS_PER_S]`);
  process.exit(2);
}

export function options() {
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        url: { type: 'string', default: 'ws://127.0.0.1:8080/v1/ws' },
        seed: { type: 'string', default: '1926' },
        speed: { type: 'string' },
      },
    }));
  } catch (error) {
    usage(error.message);
  }
  const number = (name) => {
    if (values[name] === undefined) return undefined;
    const value = Number(values[name]);
    return Number.isFinite(value) ? value : usage(`--${name} takes a number, not '${values[name]}'`);
  };
  if (!/^wss?:\/\/./.test(values.url)) usage(`--url takes a ws:// address, not '${values.url}'`);
  return { url: values.url, seed: number('seed'), speed: number('speed') };
}

/** Calls `stop` once at SIGTERM or SIGINT; the program then ends when its connections have closed. */
export function untilTold(stop) {
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, stop);
}
