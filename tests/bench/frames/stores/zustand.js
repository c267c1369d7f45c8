// Zustand as a careful user has it: one `set` a frame.
import { create } from 'zustand';

import { oncePerFrame, openFeed } from './feed.js';

export async function open({ url, channel, capacity }) {
  const useStore = create(() => ({ messages: [] }));
  const add = oncePerFrame((batch) =>
    useStore.setState((state) => ({ messages: [...state.messages, ...batch].slice(-capacity) })),
  );
  const { taken } = openFeed({ url, channel }, add);
  return {
    taken,
    size: () => useStore.getState().messages.length,
    useTail() {
      const messages = useStore((state) => state.messages);
      return { size: messages.length, rowAt: (index) => messages[index] };
    },
  };
}
