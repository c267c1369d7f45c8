import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { WasmLoadError } from '../src/errors.js';
import { createStore } from '../src/index.js';

const wasmPath = resolve(
  process.env['RINGFENCE_WASM_DIR'] ?? resolve(import.meta.dirname, '../../build/wasm/client-wasm'),
  'core.wasm',
);
const bytes = new Uint8Array(readFileSync(wasmPath));
const budget = '2 MiB';

let server: Server;
let base = '';
const requests: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? '';
    requests.push(path);
    if (path.startsWith('/page'))
      return response.setHeader('content-type', 'text/html').end('\n<!doctype html><html></html>');
    if (path.startsWith('/missing')) return response.writeHead(404).end('no');
    if (path.startsWith('/cut'))
      return response.setHeader('content-type', 'application/wasm').end(bytes.subarray(0, 999));
    if (path.startsWith('/charset'))
      return response.setHeader('content-type', 'application/wasm; charset=utf-8').end(bytes);
    if (path.startsWith('/good')) response.setHeader('content-type', 'application/wasm');
    return response.end(bytes); // /plain: no type
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => server.close());

describe('the WASM', () => {
  it.each([
    ['an address', () => `${base}/good`],
    ['a URL', () => new URL(`${base}/good2`)],
    ['an address without the right MIME type', () => `${base}/plain`],
    ['an address whose MIME type has a parameter, which streaming refuses', () => `${base}/charset`],
    ['a file', () => pathToFileURL(wasmPath)],
    ['bytes', () => bytes],
    ['an ArrayBuffer', () => bytes.slice().buffer],
    ['a module', () => new WebAssembly.Module(bytes)],
    ['a response', () => new Response(bytes, { headers: { 'content-type': 'application/wasm' } })],
    ['a promise of a response', () => fetch(`${base}/plain`)],
  ])('may be %s', async (_, wasm) => {
    const store = await createStore({ budget, wasm: wasm() });
    expect(store.stats().memoryBytes).toBeLessThanOrEqual(2 * 1024 * 1024);
    store.end();
  });

  it.each([
    ['an HTML page in its place', () => `${base}/page`, /\/page is an HTML page, not WASM.*optimizeDeps/],
    ['an answer of 404', () => `${base}/missing`, /\/missing answered 404/],
    ['a cut file', () => `${base}/cut`, /\/cut is not the WASM of this package/],
    ['no server', () => 'http://127.0.0.1:9001/core.wasm', /could not be fetched/],
    ['no file', () => new URL('file:///nowhere/core.wasm'), /could not be read/],
    [
      'bytes of something else',
      () => new Uint8Array([1, 2, 3]),
      /the bytes given is not WASM|the bytes given.*not WASM/,
    ],
    [
      'another module',
      () => new WebAssembly.Module(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])),
      /did not start/,
    ],
  ])('%s is told by its cause', async (_, wasm, message) => {
    const failure = createStore({ budget, wasm: wasm() });
    await expect(failure).rejects.toBeInstanceOf(WasmLoadError);
    await expect(failure).rejects.toThrow(message);
  });

  it('is fetched once for many stores, and again after a failure', async () => {
    const stores = await Promise.all([1, 2, 3].map(() => createStore({ budget, wasm: `${base}/good?once` })));
    expect(requests.filter((path) => path === '/good?once')).toHaveLength(1);
    for (const store of stores) store.end();
    for (let round = 0; round < 2; ++round)
      await expect(createStore({ budget, wasm: `${base}/missing?twice` })).rejects.toThrow();
    expect(requests.filter((path) => path === '/missing?twice')).toHaveLength(2);
  });

  it('refuses a bad option before it asks for anything', async () => {
    const before = requests.length;
    await expect(createStore({ budget: 5, wasm: `${base}/good?never` })).rejects.toThrow(RangeError);
    expect(requests).toHaveLength(before);
  });
});
