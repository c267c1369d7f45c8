// A capped list of messages as Redux Toolkit's documentation has it: a reducer that changes the array in place.
import { createSlice } from '@reduxjs/toolkit';

export const messagesSlice = (capacity) =>
  createSlice({
    name: 'messages',
    initialState: { list: [] },
    reducers: {
      added(state, { payload }) {
        state.list.push(...payload);
        if (state.list.length > capacity) state.list.splice(0, state.list.length - capacity);
      },
    },
  });
