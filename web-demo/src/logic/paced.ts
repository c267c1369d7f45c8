// A subscribe function that calls back at most once an interval: at once when it was quiet, else at the interval's end.
// For what is only to be read by a person: a list that is redrawn 60 times a second shows no more than one redrawn 12 times.

export type Subscribe = (listener: () => void) => () => void;

export interface Clock {
  now(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

const kClock: Clock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => window.setTimeout(callback, ms),
  clearTimeout: (timer) => window.clearTimeout(timer as number),
};

export function paced(subscribe: Subscribe, intervalMs: number, clock: Clock = kClock): Subscribe {
  return (listener) => {
    let calledAt = -Infinity;
    let timer: unknown = null;
    const call = () => {
      timer = null;
      calledAt = clock.now();
      listener();
    };
    const end = subscribe(() => {
      if (timer !== null) return;
      const waitMs = calledAt + intervalMs - clock.now();
      if (waitMs <= 0) call();
      else timer = clock.setTimeout(call, waitMs);
    });
    return () => {
      end();
      if (timer !== null) clock.clearTimeout(timer);
      timer = null;
    };
  };
}
