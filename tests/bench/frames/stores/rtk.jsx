// Redux Toolkit, one dispatch a frame.
import { configureStore } from '@reduxjs/toolkit';
import { Provider, useSelector } from 'react-redux';

import { oncePerFrame, openFeed } from './feed.js';
import { messagesSlice } from './rtk_slice.js';

export async function open({ url, channel, capacity }) {
  const { actions, reducer } = messagesSlice(capacity);
  const store = configureStore({ reducer });
  const { taken } = openFeed(
    { url, channel },
    oncePerFrame((batch) => store.dispatch(actions.added(batch))),
  );
  return {
    taken,
    size: () => store.getState().list.length,
    Wrapper: ({ children }) => <Provider store={store}>{children}</Provider>,
    useTail() {
      const list = useSelector((state) => state.list);
      return { size: list.length, rowAt: (index) => list[index] };
    },
  };
}
