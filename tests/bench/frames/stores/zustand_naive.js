// Zustand as its examples have it: one `set` an event.
import { create } from 'zustand';

import { openFeed } from './feed.js';

export async function open({ url, channel, capacity }) {
  const useStore = create(() => ({ messages: [] }));
  const { taken } = openFeed({ url, channel }, (events) => {
    for (const event of events)
      useStore.setState((state) => ({ messages: [...state.messages, event].slice(-capacity) }));
  });
  return {
    taken,
    size: () => useStore.getState().messages.length,
    useTail() {
      const messages = useStore((state) => state.messages);
      return { size: messages.length, rowAt: (index) => messages[index] };
    },
  };
}
