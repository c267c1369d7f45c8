import { dispose } from '../handle.js';
import type { Handle, Store } from '../types.js';
import { PANEL_TAG, type Panel, definePanel } from './panel.js';
import { reduxReporter } from './redux.js';
import { Summarizer, type Summary } from './summary.js';

/** What `openDevtools()` may be told. */
export interface DevtoolsOptions {
  /** How often the panel is drawn anew, 100 to 60,000 ms. Default 500. */
  readonly everyMs?: number;
  /** Where the panel goes. Default: `document.body`. False: no panel, the Redux DevTools extension alone. */
  readonly parent?: Element | false;
  /** The name that the Redux DevTools extension shows; false: it is told nothing. Default `ringfence`. */
  readonly redux?: string | false;
}

/** What `openDevtools()` gives. Ends by itself when the store does. */
export interface Devtools extends Handle {
  /** The numbers as they are now, as the export writes them; undefined in production. @throws EndedError once the store has ended. */
  summary(): Summary | undefined;
}

const EVERY_MS_MIN = 100;

function callable(end: () => void, summary: () => Summary, isActive: () => boolean): Devtools {
  const handle = Object.assign(() => end(), { end, summary, [dispose]: end });
  return Object.defineProperty(handle, 'active', { get: isActive }) as unknown as Devtools;
}

export function open(store: Store, options: DevtoolsOptions = {}): Devtools {
  const { everyMs = 500, parent, redux = 'ringfence' } = options;
  if (!(everyMs >= EVERY_MS_MIN && everyMs <= 60_000))
    throw new RangeError(`everyMs is ${everyMs}: it must be from ${EVERY_MS_MIN} to 60000`);
  const summarizer = new Summarizer(store);
  const report = redux === false ? undefined : reduxReporter(redux);
  let panel: Panel | undefined;
  let paused = false;
  let timer: ReturnType<typeof setInterval> | undefined;
  let active = true;
  let last: Summary | undefined;

  const end = (): void => {
    active = false;
    clearInterval(timer);
    panel?.remove();
    panel = undefined;
  };
  const summary = (): Summary => (last = summarizer.make(Date.now()));
  const tick = (): void => {
    if (paused) return;
    let made: Summary;
    try {
      made = summary();
    } catch {
      return end(); // the store has ended
    }
    panel?.draw(made);
    report?.(made);
  };
  if (parent !== false && typeof document === 'object') {
    definePanel();
    panel = document.createElement(PANEL_TAG) as Panel;
    panel.connect({ pause: (value) => (paused = value), export: () => download(last ?? summary()), close: end });
    (parent ?? document.body).append(panel);
  }
  timer = setInterval(tick, everyMs);
  (timer as { unref?: () => void }).unref?.();
  tick();
  return callable(end, summary, () => active);
}

function download(summary: Summary): void {
  const address = URL.createObjectURL(new Blob([JSON.stringify(summary, null, 2)], { type: 'application/json' }));
  const link = document.createElement('a');
  link.href = address;
  link.download = `ringfence-${new Date(summary.time).toISOString().replaceAll(':', '')}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
