// A JavaScript ring and a version: what one writes by hand instead of a state library.
import { CircularBuffer } from 'mnemonist';
import { useSyncExternalStore } from 'react';

import { oncePerFrame, openFeed } from './feed.js';

export async function open({ url, channel, capacity }) {
  const ring = new CircularBuffer(Array, capacity);
  const listeners = new Set();
  let version = 0;
  const tell = oncePerFrame(() => {
    ++version;
    for (const listener of listeners) listener();
  });
  const { taken } = openFeed({ url, channel }, (events) => {
    for (const event of events) ring.push(event);
    tell(events);
  });
  const subscribe = (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const getVersion = () => version;
  const rowAt = (index) => ring.get(index);
  return {
    taken,
    size: () => ring.size,
    useTail() {
      useSyncExternalStore(subscribe, getVersion);
      return { size: ring.size, rowAt };
    },
  };
}
