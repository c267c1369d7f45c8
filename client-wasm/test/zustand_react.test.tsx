// @vitest-environment jsdom
// What a component reads of a capped store: a frozen array, one a notification.
import { act } from 'react';
import { createRoot } from 'react-dom/client';
import { create } from 'zustand';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { capped } from '../src/zustand.js';

const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };
beforeAll(() => void (environment.IS_REACT_ACT_ENVIRONMENT = true));
afterAll(() => void delete environment.IS_REACT_ACT_ENVIRONMENT);

interface Chat {
  messages: readonly string[];
  add: (message: string) => void;
}

it.each([3, 300])('gives useStore a frozen array, and draws once an append: cap %i', (capacity) => {
  const useChat = create<Chat>()(
    capped({ messages: { capacity } }, (set) => ({
      messages: [],
      add: (m) => set((s) => ({ messages: [...s.messages, m] })),
    })),
  );
  const drawn: (readonly string[])[] = [];
  const List = () => {
    const messages = useChat((state) => state.messages);
    drawn.push(messages);
    return <p>{messages.slice(-3).join()}</p>;
  };
  const container = document.createElement('div');
  const root = createRoot(container);
  act(() => root.render(<List />));
  for (const message of ['a', 'b', 'c', 'd', 'e']) act(() => useChat.getState().add(message));
  expect(container.textContent).toBe('c,d,e');
  expect(drawn.map(({ length }) => Math.min(length, 3))).toEqual([0, 1, 2, 3, 3, 3]);
  expect(new Set(drawn).size).toBe(6);
  expect(drawn.every((each) => Array.isArray(each) && Object.isFrozen(each))).toBe(true);
  act(() => root.unmount());
});
