// Redux Toolkit: one dispatch a frame, and a reducer that changes the array in place, as its documentation has it.
import { configureStore, createSlice } from '@reduxjs/toolkit';
import { Provider, useSelector } from 'react-redux';

import { oncePerFrame, openFeed } from './feed.js';

export async function open({ url, channel, capacity }) {
  const { actions, reducer } = createSlice({
    name: 'messages',
    initialState: { list: [] },
    reducers: {
      added(state, { payload }) {
        state.list.push(...payload);
        if (state.list.length > capacity) state.list.splice(0, state.list.length - capacity);
      },
    },
  });
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
