// No store at all: rows made beforehand, as many new ones a frame as the feed would bring. What the list itself costs.
import { useSyncExternalStore } from 'react';

const POOL_ROWS = 1024;
const FRAME_MS = 1000 / 60;

export async function open({ capacity, eventsPerS }) {
  const text = 'The quick brown fox jumps over the lazy dog while seven wizards quietly mix jade elixirs. '.repeat(4);
  const pool = Array.from({ length: POOL_ROWS }, (_, id) => ({
    seq: 10_000_000 + id,
    data: { user: `user-${id % 97}`, score: (id * 37) % 1000, at: 0, text: text.slice(id % 90, (id % 90) + 170) },
  }));
  const perFrame = Math.round((eventsPerS * FRAME_MS) / 1000);
  const listeners = new Set();
  let version = 0;
  const frame = () => {
    version += perFrame;
    for (const listener of listeners) listener();
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  const subscribe = (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const getVersion = () => version;
  return {
    taken: () => 0,
    size: () => capacity,
    useTail() {
      const from = useSyncExternalStore(subscribe, getVersion);
      return { size: capacity, rowAt: (index) => pool[(from + index) % POOL_ROWS] };
    },
  };
}
