// @vitest-environment jsdom
import { StrictMode, act } from 'react';
import { createRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { keyed } from '../src/keyed.js';
import { useKeyed } from '../src/react.js';
import { FakeClock, expectNoLeaks } from '../src/testing.js';
import type { Keyed } from '../src/types.js';
import { makeStore, microtask } from './support.js';

const environment = globalThis as { IS_REACT_ACT_ENVIRONMENT?: boolean };
beforeAll(() => void (environment.IS_REACT_ACT_ENVIRONMENT = true));
afterAll(() => void delete environment.IS_REACT_ACT_ENVIRONMENT);

interface Occupant {
  readonly name: string;
}

describe('useKeyed', () => {
  const rig = () => {
    const timers = new FakeClock();
    const store = makeStore({ timers });
    const room = keyed<string, Occupant>(store, 'room', { capacity: 3, ttl: 1000 });
    const root = createRoot(document.createElement('div'));
    return { timers, store, room, root };
  };
  const after = (change: () => void) =>
    act(async () => {
      change();
      await microtask();
    });

  it('shows the entries, and nothing where there is no map yet', async () => {
    const { timers, store, room, root } = rig();
    const seen: string[] = [];
    const Room = ({ map }: { map: Keyed<string, Occupant> | undefined }) => {
      const { entries, evicted } = useKeyed(map);
      seen.push(`${entries.map(([, { name }]) => name).join()}/${evicted}`);
      return null;
    };
    const element = (map?: Keyed<string, Occupant>) => (
      <StrictMode>
        <Room map={map} />
      </StrictMode>
    );
    await act(async () => root.render(element()));
    expect(seen.at(-1)).toBe('/0');
    room.set('a', { name: 'Ann' });
    await act(async () => root.render(element(room)));
    expect(seen.at(-1)).toBe('Ann/0');
    await after(() => {
      for (const name of ['Bob', 'Cid', 'Dan']) room.set(name, { name });
    });
    expect(seen.at(-1)).toBe('Bob,Cid,Dan/1');
    await after(() => timers.advance(2000));
    expect(seen.at(-1)).toBe('/4');
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('shows the value of one key, and renders for that one alone', async () => {
    const { store, room, root } = rig();
    let renders = 0;
    let shown: string | undefined;
    const Player = ({ id }: { id: string }) => {
      ++renders;
      shown = useKeyed(room, { key: id })?.name;
      return null;
    };
    await act(async () => root.render(<Player id="a" />));
    expect([shown, renders]).toEqual([undefined, 1]);
    await after(() => room.set('b', { name: 'Bob' }));
    expect(renders).toBe(1);
    await after(() => room.set('a', { name: 'Ann' }));
    expect([shown, renders]).toEqual(['Ann', 2]);
    await act(async () => root.render(<Player id="b" />));
    expect(shown).toBe('Bob');
    expect(room.stats()).toMatchObject({ hits: 0, misses: 0 });
    await after(() => room.delete('b'));
    expect(shown).toBe(undefined);
    await act(async () => root.unmount());
    expectNoLeaks(store);
    store.end();
  });

  it('renders what is empty on a server', () => {
    const { store, room } = rig();
    room.set('a', { name: 'Ann' });
    const App = () => (
      <p>
        {useKeyed(room).size}
        {String(useKeyed(room, { key: 'a' }))}
      </p>
    );
    expect(renderToString(<App />)).toBe('<p>0<!-- -->undefined</p>');
    store.end();
  });
});
