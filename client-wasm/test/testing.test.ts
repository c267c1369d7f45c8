// The package's own tools for tests: held to the vectors, and to the answers of the real server.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { resolve } from 'node:path';

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';

import { FakeClock, FakeSocket, MemoryServer, type Message, encodeBatch, expectNoLeaks } from '../src/testing.js';
import { codesOf, makeRig, makeStore, seqsOf, subscribedRig } from './support.js';

const root = resolve(import.meta.dirname, '../..');

describe('encodeBatch', () => {
  it('writes each vector that is taken, byte for byte', () => {
    const blocks = readFileSync(resolve(root, 'tests/vectors/batches.txt'), 'utf8').split('\n\n');
    let compared = 0;
    for (const block of blocks) {
      const lines = block.split('\n').map((line) => line.split('\t'));
      const field = (kind: string): string => lines.find(([name]) => name === kind)?.[1] ?? '';
      // What a decoder may ignore (flags above bit 7) is not in the lines: those vectors are not to be had from them.
      if (field('expect') !== 'ok' || /flag/.test(field('batch'))) continue;
      const sections: { channelId: number; prev: bigint; records: object[] }[] = [];
      for (const [kind, a = '', b = '', c = '', ...rest] of lines) {
        if (kind === 'section') sections.push({ channelId: Number(a), prev: BigInt(b), records: [] });
        const payload = rest.join('\t');
        if (kind === 'record') sections.at(-1)?.records.push({ seq: BigInt(a), timeUs: BigInt(b), type: c, payload });
      }
      const bytes = encodeBatch(sections as unknown as Parameters<typeof encodeBatch>[0]);
      expect([field('batch'), Buffer.from(bytes).toString('hex')]).toEqual([field('batch'), field('hex')]);
      ++compared;
    }
    expect(compared).toBeGreaterThanOrEqual(10);
  });
});

describe('FakeClock', () => {
  it('runs timers in the order they are due, at their time, with those they set', () => {
    const clock = new FakeClock(0);
    const ran: [string, number][] = [];
    const note = (name: string) => () => void ran.push([name, clock.now()]);
    clock.setTimeout(note('b'), 20);
    clock.setTimeout(() => {
      note('a')();
      clock.setTimeout(note('child'), 5);
    }, 10);
    clock.setTimeout(note('b2'), 20);
    clock.clearTimeout(clock.setTimeout(note('never'), 1));
    clock.setTimeout(note('later'), 31);
    clock.setTimeout(note('at once'), -5);
    clock.advance(30);
    expect(ran).toEqual([
      ['at once', 0],
      ['a', 10],
      ['child', 15],
      ['b', 20],
      ['b2', 20],
    ]);
    expect([clock.now(), clock.pending]).toEqual([30, 1]);
    for (const bad of [-1, Number.NaN]) expect(() => clock.advance(bad)).toThrow(RangeError);
    expect(() => new FakeClock(Number.NaN)).toThrow(RangeError);
  });

  it('says so when timers set each other without end', () => {
    const clock = new FakeClock();
    const again = (): void => void clock.setTimeout(again, 0);
    again();
    expect(() => clock.advance(0)).toThrow(/1000000 timers/);
  });
});

describe('FakeSocket', () => {
  it('keeps the newest messages of the client, and refuses to send once closed', () => {
    const socket = new FakeSocket('ws://test', []);
    for (let n = 0; n < 10_005; ++n) socket.send(JSON.stringify({ op: 'ping', n }));
    expect([socket.sent.length, socket.sent[0]?.['n']]).toEqual([10_000, 5]);
    socket.close();
    expect(() => socket.send('{}')).toThrow(/closed/);
    expect(() => socket.subscribed('room:1')).toThrow(/no subscribe of room:1/);
  });
});

describe('expectNoLeaks', () => {
  it('lets histories and clients live, and nothing else', () => {
    const { store, client, history, subscription } = subscribedRig();
    expect(() => expectNoLeaks(store)).toThrow(/2 leaked:[^]*clientListener[^]*subscription "room:1" of client "ws:/);
    expect(() =>
      expectNoLeaks(store, { allow: ['client', 'clientListener', 'subscription', 'history'] }),
    ).not.toThrow();
    subscription.end();
    client.end();
    expectNoLeaks(store);
    const listener = history.subscribe(() => undefined);
    expect(() => expectNoLeaks(store)).toThrow(/listener "" of history "room"\n[^]*testing\.test\.ts/);
    const since = store.liveHandles();
    expectNoLeaks(store, { since });
    listener.end();
    history.subscribe(() => undefined);
    expect(() => expectNoLeaks(store, { since })).toThrow(/1 leaked/);
    store.end();
  });

  it('says when WASM and JavaScript do not agree', () => {
    const { store, history } = makeRigged();
    store.core.onChange((history as unknown as { id: number }).id, () => undefined);
    expect(() => expectNoLeaks(store)).toThrow(/WASM holds 1 of kind listener, JavaScript 0/);
    store.end();
  });

  const makeRigged = () => {
    const store = makeStore();
    return { store, history: store.history('a') };
  };
});

describe('MemoryServer', () => {
  const rig = (options: ConstructorParameters<typeof MemoryServer>[0] = {}) => {
    const clock = new FakeClock();
    const server = new MemoryServer({ clock, ...options });
    const made = makeRig({ WebSocket: server.WebSocket, timers: clock });
    return { ...made, server, clock };
  };

  it('feeds a client: the last records, then what comes, in batches', async () => {
    const { server, store, client, errors } = rig();
    for (let n = 1; n <= 5; ++n) server.publish('room:1', 'tick', { n });
    const history = store.history<{ n: number }>('room');
    client.subscribe('room:1', history, { last: 2 });
    await server.settled();
    expect([client.state.status, server.connections, server.subscriptions]).toEqual(['open', 1, 1]);
    for (let n = 6; n <= 9; ++n) server.publish('room:1', 'tick', { n });
    await expect(client.publish('room:1', 'chat', { n: 10 })).resolves.toEqual({ seq: 10 });
    await server.settled();
    const { items } = history.window({ last: 100 }).getSnapshot();
    expect(items.map(({ data }) => data.n)).toEqual([4, 5, 6, 7, 8, 9, 10]);
    expect(store.stats().batches).toBe(2); // not seven: what is due goes together
    expect(errors).toEqual([]);
    store.end();
    expect([server.connections, server.subscriptions]).toEqual([0, 0]);
  });

  it('resumes exactly, tells gaps, and begins another epoch after a restart', async () => {
    const { server, store, client, clock } = rig({ historyRecords: 10 });
    const history = store.history('room');
    client.subscribe('room:1', history);
    await server.settled();
    const reconnect = async (): Promise<void> => {
      client.reconnect();
      await server.settled();
    };
    server.publish('room:1', 'tick', 1);
    await server.settled();
    server.dropConnections();
    for (let n = 2; n <= 4; ++n) server.publish('room:1', 'tick', n);
    await reconnect();
    expect(client.state.lastResume).toMatchObject({ replayed: 3, missed: 0 });
    server.dropConnections();
    for (let n = 5; n <= 18; ++n) server.publish('room:1', 'tick', n);
    await reconnect();
    expect(client.state.lastResume).toMatchObject({ replayed: 10, missed: 4 });
    // More in one turn than the channel holds: a gap.
    for (let n = 19; n <= 40; ++n) server.publish('room:1', 'tick', n);
    await server.settled();
    expect([client.stats().gaps, history.stats().missed]).toEqual([1, 16]);
    expect(seqsOf(history.window({ last: 10 }).getSnapshot().items)).toEqual([31, 32, 33, 34, 35, 36, 37, 38, 39, 40]);
    server.restart();
    server.publish('room:1', 'tick', 1);
    await reconnect();
    expect(client.state.lastResume).toMatchObject({ replayed: 1, missed: null });
    expect(seqsOf(history.window({ last: 10 }).getSnapshot().items)).toEqual([1]);
    store.end();
    expect(clock.pending).toBe(0);
  });

  it('numbers the records of all channels together where it is to, and then cannot say how many are missed', async () => {
    const { server, store, client, errors } = rig({ sharedSeqs: true, historyRecords: 3 });
    const history = store.history('room');
    const seqs = (): number[] => seqsOf(history.window({ last: 100 }).getSnapshot().items);
    const publish = (count: number): number[] =>
      Array.from({ length: count }, () => (server.publish('other', 'tick', 0), server.publish('room:1', 'tick', 0)));
    expect(publish(3)).toEqual([2, 4, 6]);
    client.subscribe('room:1', history, { last: 2 });
    await server.settled();
    expect(seqs()).toEqual([4, 6]);
    server.dropConnections();
    expect(publish(2)).toEqual([8, 10]);
    client.reconnect();
    await server.settled();
    expect([seqs(), history.stats().missedUnknown]).toEqual([[4, 6, 8, 10], 0]);
    publish(5); // in one turn, and the channel holds three
    await server.settled();
    expect([seqs().slice(-3), history.stats().missedUnknown]).toEqual([[16, 18, 20], 1]);
    await expect(client.history('room:1', { after: 13 })).resolves.toMatchObject({ first: 16, next: 21, missed: null });
    await expect(client.history('room:1', { after: 14 })).resolves.toMatchObject({ missed: 0, more: false });
    await expect(client.history('room:1', { after: 16, limit: 1 })).resolves.toMatchObject({ missed: 0, more: true });
    expect(errors).toEqual([]);
    store.end();
  });

  it('delivers when told to, and may be down', async () => {
    const { server, store, client, clock } = rig({ delivery: 'manual' });
    server.refusing = true;
    expect(client.state.status).toBe('connecting');
    await Promise.resolve();
    expect(client.state.status).toBe('connecting');
    server.flush();
    expect(client.state.status).toBe('waiting');
    server.refusing = false;
    clock.advance(1000);
    expect(client.state.status).toBe('connecting');
    await server.settled();
    expect(client.state.status).toBe('open');
    store.end();
  });

  it('has limits, with the codes of the protocol', async () => {
    const { server, store, client, errors } = rig({ channels: 2, subscriptions: 1, messageBytes: 256, errorsMax: 3 });
    const [a, b] = [store.history('a'), store.history('b')];
    client.subscribe('a', a);
    client.subscribe('b', b);
    await server.settled();
    expect(codesOf(errors)).toEqual(['too_many_subscriptions']);
    server.publish('c', 't', 1);
    expect(() => server.publish('d', 't', 1)).toThrow(/2 channels/);
    server.sockets[0]?.send('not json');
    server.sockets[0]?.send(JSON.stringify({ op: 'publish', channel: 'a', data: 'x'.repeat(300) }));
    await server.settled();
    expect(codesOf(errors)).toEqual(['too_many_subscriptions', 'bad_json', 'message_too_large', 'too_many_errors']);
    expect(client.state).toMatchObject({ status: 'waiting', lastClose: 'closed 1008 too_many_errors' });
    for (const bad of [{ historyRecords: 0 }, { channels: 0.5 }, { messageBytes: 1 }, { delivery: 'x' as 'manual' }])
      expect(() => new MemoryServer(bad)).toThrow(RangeError);
    expect(() => server.publish('no spaces', 't', 1)).toThrow(RangeError);
    expect(() => server.publish('a', 't', undefined)).toThrow(TypeError);
    store.end();
  });
});

describe('MemoryServer and the real one', () => {
  const binary = process.env['RINGFENCE_SERVER_BINARY'] ?? resolve(root, 'build/release/ringfence-server');
  let child: ChildProcess;
  let port = 0;

  beforeAll(async () => {
    if (!existsSync(binary)) throw new Error(`no server at ${binary}: run ./dev build, or set RINGFENCE_SERVER_BINARY`);
    port = await new Promise<number>((done) => {
      const probe = createServer().listen(0, '127.0.0.1', () => {
        const { port: free } = probe.address() as { port: number };
        probe.close(() => done(free));
      });
    });
    const args = ['--port', String(port), '--history-records', '8', '--message-bytes', '1024', '--log-level', 'off'];
    child = spawn(binary, args, { stdio: 'ignore' });
    await vi.waitFor(async () => expect((await fetch(`http://127.0.0.1:${port}/v1/health`)).ok).toBe(true), {
      timeout: 60_000,
      interval: 50,
    });
  });
  afterAll(() => void child?.kill('SIGTERM'));

  const deep = '['.repeat(10) + ']'.repeat(10);
  // The epoch of the channel stands where EPOCH does.
  const SCRIPT: readonly string[] = [
    ...Array.from({ length: 10 }, (_, n) => `{"op":"publish","id":${n},"channel":"a","type":"t","data":{"n":${n}}}`),
    '{"op":"subscribe","id":20,"channel":"a","last":3}',
    '{"op":"subscribe","id":21,"channel":"a"}',
    '{"op":"unsubscribe","id":"x","channel":"a"}',
    '{"op":"unsubscribe","id":22,"channel":"a"}',
    '{"op":"subscribe","id":23,"channel":"a","after":{"epoch":"EPOCH","seq":5}}',
    '{"op":"unsubscribe","channel":"a"}',
    '{"op":"subscribe","id":24,"channel":"a","after":{"epoch":"EPOCH","seq":0}}',
    '{"op":"unsubscribe","id":25,"channel":"a"}',
    '{"op":"subscribe","id":26,"channel":"a","after":{"epoch":"zz","seq":4},"last":2}',
    '{"op":"unsubscribe","id":27,"channel":"a"}',
    '{"op":"subscribe","id":28,"channel":"a","after":{"epoch":"zz","seq":4}}',
    '{"op":"unsubscribe","id":29,"channel":"a"}',
    '{"op":"subscribe","id":30,"channel":"a","after":{"epoch":"EPOCH","seq":11}}',
    '{"op":"subscribe","id":31,"channel":"a","after":{"epoch":"EPOCH","seq":10}}',
    '{"op":"history","id":40,"channel":"a","limit":3}',
    '{"op":"history","id":41,"channel":"a","after":7}',
    '{"op":"history","id":42,"channel":"a","after":10}',
    '{"op":"history","id":43,"channel":"a","after":11}',
    '{"op":"history","id":44,"channel":"a","after":5,"epoch":"zz","limit":2}',
    '{"op":"history","id":45,"channel":"none"}',
    '{"op":"history","id":46,"channel":"a","limit":0}',
    '{"op":"subscribe","id":50,"channel":"a b"}',
    '{"op":"subscribe","id":51}',
    '{"op":"subscribe","id":52,"channel":"a","after":{"epoch":"e"}}',
    '{"op":"subscribe","id":53,"channel":"b","last":-1}',
    '{"op":"publish","id":54,"channel":"a"}',
    '{"op":"publish","id":55,"channel":"a","type":"","data":1}',
    '{"op":"publish","id":56,"channel":"a","type":7,"data":1}',
    `{"op":"publish","id":57,"channel":"a","data":"${'x'.repeat(2000)}"}`,
    `{"op":"publish","id":58,"channel":"a","data":${deep}}`,
    '{"op":"leave","id":70,"channel":"a"}',
    '{"op":"presence","id":71,"channel":"a"}',
    '{"op":"join","id":72,"channel":"a","data":{"mood":"fine"}}',
    '{"op":"join","id":73,"channel":"a"}',
    '{"op":"presence","id":74,"channel":"a","limit":1}',
    '{"op":"presence","id":75,"channel":"a","watch":true}',
    '{"op":"presence","id":76,"channel":"a","watch":true}',
    `{"op":"join","id":78,"channel":"a","data":"${'x'.repeat(600)}"}`,
    '{"op":"join","id":79}',
    '{"op":"presence","id":80,"channel":"a","watch":7}',
    '{"op":"presence","id":81,"channel":"a","watch":false}',
    '{"op":"join","id":77,"channel":"a","data":2}',
    '{"op":"presence","id":85,"channel":"a"}',
    '{"op":"leave","id":82,"channel":"a"}',
    '{"op":"leave","id":83,"channel":"a"}',
    '{"op":"presence","id":84,"channel":"a","limit":0}',
    '{"op":"nothing","id":59}',
    '{"id":60}',
    '{"op":1,"id":61}',
    '{"op":"ping","id":{}}',
    '[1]',
    '{"op":',
    '{"op":"ping","id":62}',
  ];

  /** What is told, without what differs by nature: wording, times, names and numbers of a server's own. */
  const plain = (message: Message): Message => {
    const { message: _, time: __, channel_id: ___, version: _____, ...rest } = message;
    // Without a user a member is named by its connection.
    const members = (rest['members'] as Message[] | undefined)?.map(({ connection, ...member }) => {
      return { named: typeof connection, ...member };
    });
    const events = (rest['events'] as Message[] | undefined)?.map(({ time: ____, ...event }) => event);
    return { ...rest, ...(events ? { events } : {}), ...(members ? { members } : {}) };
  };

  it('give the same answers', async () => {
    const run = async (
      open: () => { socket: WebSocket | InstanceType<MemoryServer['WebSocket']>; settle(): Promise<void> },
    ) => {
      const { socket, settle } = open();
      const told: Message[] = [];
      socket.binaryType = 'arraybuffer';
      await new Promise<void>((welcomed) => {
        (socket as { onmessage: unknown }).onmessage = ({ data }: { data: unknown }) => {
          if (typeof data !== 'string') return;
          const message = JSON.parse(data) as Message;
          if (message['op'] === 'welcome') welcomed();
          else told.push(message);
        };
      });
      let epoch = '';
      for (const text of SCRIPT) {
        socket.send(text.replaceAll('EPOCH', epoch));
        await settle();
        epoch = (told.find((message) => message['epoch'] !== undefined)?.['epoch'] as string | undefined) ?? '';
      }
      // The answer to the last ping is behind all others.
      await vi.waitFor(() => expect(told.at(-1)).toMatchObject({ op: 'pong', id: 62 }), { timeout: 60_000 });
      socket.close();
      return told.map(
        (message) => JSON.parse(JSON.stringify(plain(message)).replaceAll(`"${epoch}"`, '"EPOCH"')) as Message,
      );
    };
    const memory = new MemoryServer({ historyRecords: 8, messageBytes: 1024 });
    const ours = await run(() => {
      const socket = new memory.WebSocket('ws://test', ['ringfence.v1']);
      return { socket, settle: () => memory.settled() };
    });
    const theirs = await run(() => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, ['ringfence.v1']);
      // One op at a time: its answer (all of the script have one) comes before the next is sent.
      let answers = 0;
      let sent = 0;
      socket.on('message', (data: Buffer, isBinary: boolean) => {
        if (!isBinary && (JSON.parse(data.toString()) as Message)['op'] !== 'welcome') ++answers;
      });
      const settle = async (): Promise<void> => {
        ++sent;
        await vi.waitFor(() => expect(answers).toBeGreaterThanOrEqual(sent), { timeout: 60_000, interval: 5 });
      };
      return { socket, settle };
    });
    for (const [index, answer] of ours.entries()) expect([index, answer]).toEqual([index, theirs[index]]);
    expect(ours).toHaveLength(theirs.length);
    expect(ours).toHaveLength(SCRIPT.length);
  });
});
