import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { idOf, makeStore } from './support.js';

const path = fileURLToPath(new URL('../../tests/vectors/batches.txt', import.meta.url));
const generator = fileURLToPath(new URL('../../tests/vectors/generate.mjs', import.meta.url));
const file = readFileSync(path, 'utf8');

interface Vector {
  name: string;
  expect: string;
  bytes: Uint8Array;
  sections: {
    channelId: number;
    prev: number;
    records: { seq: number; timeUs: bigint; type: string; payload: string }[];
  }[];
}

const vectors = file
  .split('\n\n')
  .filter((block) => block.includes('batch\t'))
  .map((block) => {
    const vector: Vector = { name: '', expect: '', bytes: new Uint8Array(), sections: [] };
    for (const line of block.split('\n')) {
      const [kind, ...fields] = line.split('\t');
      const [a = '', b = '', c = '', ...rest] = fields;
      if (kind === 'batch') vector.name = a;
      if (kind === 'expect') vector.expect = a;
      if (kind === 'hex') vector.bytes = new Uint8Array(Buffer.from(a, 'hex'));
      if (kind === 'section') vector.sections.push({ channelId: Number(a), prev: Number(b), records: [] });
      if (kind === 'record')
        vector.sections.at(-1)?.records.push({ seq: Number(a), timeUs: BigInt(b), type: c, payload: rest.join('\t') });
    }
    return vector;
  });
const taken = vectors.filter((vector) => vector.expect === 'ok');
const refused = vectors.filter((vector) => vector.expect !== 'ok');

describe('vectors', () => {
  it('are what the generator writes', () => {
    expect(taken.length).toBeGreaterThanOrEqual(12);
    expect(refused.length).toBeGreaterThanOrEqual(38);
    expect(execFileSync(process.execPath, [generator, '--print'], { encoding: 'utf8' })).toBe(file);
  });

  it.each(taken.map((vector) => [vector.name, vector] as const))('takes: %s', (_, vector) => {
    const store = makeStore();
    const histories = new Map<number, ReturnType<typeof store.history>>();
    for (const { channelId, prev } of vector.sections) {
      if (histories.has(channelId)) continue;
      const history = store.history(`h${channelId}`);
      store.core.attach(channelId, idOf(history), false, prev);
      histories.set(channelId, history);
    }
    expect(store.ingest(vector.bytes)).toBeUndefined();
    for (const [channelId, history] of histories) {
      const records = vector.sections
        .filter((section) => section.channelId === channelId)
        .flatMap((section) => section.records);
      const rows = history.window({ last: 1000 }).getSnapshot().items;
      expect(rows.map((row) => row.seq)).toEqual(records.map((record) => record.seq));
      for (const [index, row] of rows.entries()) {
        const record = records[index];
        expect(row.type).toBe(record?.type);
        expect(row.time).toBe(Number(record?.timeUs) / 1000);
        let data: unknown;
        try {
          data = JSON.parse(record?.payload ?? '');
          expect(row.error).toBeUndefined();
        } catch {
          expect(row.error).toBeInstanceOf(Error);
        }
        expect(row.data).toEqual(data);
      }
      expect(history.stats().undecodable).toBe(rows.filter((row) => row.error).length);
    }
    expect(store.stats().holes).toBe(0);
    store.end();
  });

  it.each(refused.map((vector) => [vector.name, vector] as const))('refuses: %s', (_, vector) => {
    const store = makeStore();
    const history = store.history('h');
    store.core.attach(7, idOf(history), false, 0);
    const snapshot = history.window({ last: 10 });
    const before = snapshot.getSnapshot();
    expect(store.ingest(vector.bytes)?.code).toBe(vector.expect);
    expect(snapshot.getSnapshot()).toBe(before);
    expect(store.stats().refusedBatches).toBe(1);
    expect(store.stats().refusedBatchesByCode).toEqual({ [vector.expect]: 1 });
    expect(store.core.hasChanges).toBe(false);
    store.end();
  });
});
