// Peers that `bench ingest` lists and does not guard: each takes the strings of all messages, a message at a time.
import { pathToFileURL } from 'node:url';

import { configureStore } from '@reduxjs/toolkit';
import { createStore } from 'zustand/vanilla';

import { messagesSlice } from './frames/stores/rtk_slice.js';
import { perspectiveBundle } from './perspective.mjs';

const SCHEMA = { id: 'integer', user: 'string', room: 'string', edited: 'boolean', score: 'integer', text: 'string' };

/** label, and run(): the whole way into state. */
export async function listedPeers(strings, capacity) {
  const zustand = createStore(() => ({ messages: [] }));
  const { actions, reducer } = messagesSlice(capacity);
  // Without the checks of a development build, which cost far more than the reducer.
  const redux = configureStore({
    reducer,
    middleware: (defaults) => defaults({ immutableCheck: false, serializableCheck: false }),
    devTools: false,
  });
  const peers = {
    'JSON.parse + Zustand, one set a message': () => {
      for (const messages of strings) {
        const events = messages.map((message) => JSON.parse(message));
        zustand.setState((state) => ({ messages: [...state.messages, ...events].slice(-capacity) }));
      }
    },
    'JSON.parse + Redux Toolkit, one dispatch a message': () => {
      for (const messages of strings) redux.dispatch(actions.added(messages.map((message) => JSON.parse(message))));
    },
  };
  const bundle = perspectiveBundle('perspective.node.js');
  if (!bundle) return peers;
  const { default: perspective } = await import(pathToFileURL(bundle).href);
  const table = await perspective.table(SCHEMA, { limit: capacity });
  peers[`Perspective, limit ${capacity}, from text`] = async () => {
    for (const messages of strings) await table.update(messages.join('\n'), { format: 'ndjson' });
    await table.size(); // it works through its updates before it answers
  };
  return peers;
}
