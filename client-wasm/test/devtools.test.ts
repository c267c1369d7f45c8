// The developer tools: in Chromium under a strict policy, what the Redux extension is told, and that production has nothing of them.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { build as esbuild } from 'esbuild';
import { chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

import { openDevtools as off } from '../src/devtools_off.js';
import { openDevtools as on } from '../src/devtools_on.js';
import { Feed, makeStore } from './support.js';

const root = resolve(import.meta.dirname, '..');
let folder = '';

const PAGE = `
import { connect, createStore } from 'ringfence';
import { FakeSocket } from 'ringfence/testing';
import { openDevtools } from 'ringfence/devtools';
const store = await createStore({ budget: '4 MiB' });
const chat = store.history('chat', { capacity: 100, bytes: '256 KiB' });
/** 150 records of a channel, with a gap of four that was announced and a hole of two, and ten values. */
const feed = () => {
  let socket;
  const client = connect('ws://test/', { store, WebSocket: class extends FakeSocket { constructor(...of) { super(...of); socket = this; } } });
  const subscription = client.subscribe('room:1', chat);
  socket.welcome();
  socket.subscribed('room:1');
  const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);
  socket.events(1, 0, numbers(1, 100));
  socket.tell({ op: 'gap', channel: 'room:1', channel_id: 1, from: 101, to: 104, missed: 4 });
  socket.events(1, 104, numbers(105, 134));
  socket.events(1, 136, numbers(137, 156));
  for (let value = 0; value < 10; ++value) chat.push({ value });
  subscription();
  client();
};
store.history('combat log', { capacity: 50, bytes: '64 KiB' });
const listener = chat.subscribe(function showsTheChat() {});
const sent = [];
globalThis.__REDUX_DEVTOOLS_EXTENSION__ = { connect: ({ name }) => ({ init: (s) => sent.push(['init', name]), send: (a) => sent.push([a.type]) }) };
const devtools = openDevtools(store, { everyMs: 100 });
Object.assign(globalThis, { store, chat, devtools, sent, listener, feed });
document.title = 'ready';
`;

const bundle = async (code: string, options: Parameters<typeof esbuild>[0] = {}): Promise<string> => {
  const file = join(folder, 'page.js');
  writeFileSync(file, code);
  const { outputFiles } = await esbuild({
    entryPoints: [file],
    absWorkingDir: folder,
    bundle: true,
    write: false,
    format: 'esm',
    logLevel: 'error',
    ...options,
  });
  return (outputFiles ?? []).map((output) => output.text).join('\n');
};
const PRODUCTION = { minify: true, define: { 'process.env.NODE_ENV': '"production"' } } as const;
/** Of the panel, the summaries and the Redux part. */
const TRACES = /ringfence-devtools|REDUX_DEVTOOLS|live handles|collected alive|attachShadow/;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringfence-devtools-'));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/ringfence'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('a production bundle', () => {
  const APP = `import { openDevtools } from 'ringfence/devtools'; import { createStore } from 'ringfence';
    createStore({ budget: '1 MiB' }).then((store) => openDevtools(store));`;

  it('of esbuild has nothing of them', async () => {
    expect(TRACES.test(await bundle(APP))).toBe(true); // the check can fail
    expect(TRACES.exec(await bundle(APP, PRODUCTION))?.[0]).toBeUndefined();
  });

  it('of Vite has nothing of them', async () => {
    writeFileSync(join(folder, 'index.html'), '<!doctype html><script type="module" src="/app.js"></script>');
    writeFileSync(join(folder, 'app.js'), APP);
    const outDir = join(folder, 'out');
    // In a process of its own: Vite goes by NODE_ENV, which is `test` in here.
    const vite = createRequire(import.meta.url)
      .resolve('vite/package.json')
      .replace('package.json', 'bin/vite.js');
    const env = { ...process.env, NODE_ENV: 'production' };
    execFileSync(process.execPath, [vite, 'build', '--outDir', outDir, '--logLevel', 'error'], { cwd: folder, env });
    const files = readdirSync(join(outDir, 'assets')).filter((name) => name.endsWith('.js'));
    expect(files.length).toBeGreaterThan(0);
    for (const name of files)
      expect([name, TRACES.exec(readFileSync(join(outDir, 'assets', name), 'utf8'))?.[0]]).toEqual([name, undefined]);
  });

  it('gives a handle that does nothing', () => {
    const store = makeStore();
    const devtools = off(store);
    devtools();
    devtools.end();
    devtools[Symbol.dispose]();
    expect([devtools.active, devtools.summary()]).toEqual([false, undefined]);
    store.end();
  });
});

describe('the Redux DevTools extension', () => {
  it('is told at most one summary a second, only when something came, and never an event', () => {
    vi.useFakeTimers();
    const sent: { type: string; records: number; state: string }[] = [];
    const init = vi.fn();
    vi.stubGlobal('__REDUX_DEVTOOLS_EXTENSION__', {
      connect: () => ({
        init,
        send: (action: { type: string; records: number }, state: unknown) =>
          sent.push({ ...action, state: JSON.stringify(state) }),
      }),
    });
    const store = makeStore();
    const feed = new Feed(store, store.history('chat', { capacity: 1000 }));
    const devtools = on(store, { parent: false, everyMs: 100 });
    for (let tenth = 0; tenth < 50; ++tenth) {
      feed.push(1000, (seq) => `{"secret":${seq}}`); // 10,000 a second
      vi.advanceTimersByTime(100);
    }
    expect([init.mock.calls.length, sent.length]).toEqual([1, 5]);
    expect(sent.map(({ type, records }) => [type, records])).toEqual(
      sent.map(() => ['ringfence: 10000 records', 10_000]),
    );
    expect(sent.every(({ state }) => !state.includes('secret') && state.length < 4000)).toBe(true);
    vi.advanceTimersByTime(10_000);
    expect(sent).toHaveLength(5);
    expect(devtools.summary()?.histories[0]).toMatchObject({
      name: 'chat',
      held: 1000,
      evicted: 49_000,
      capacity: 1000,
    });
    devtools.end();
    devtools.end();
    expect([devtools.active, vi.getTimerCount()]).toEqual([false, 0]);
    store.end();
  });

  it('ends with the store, and refuses an interval out of its bounds', () => {
    vi.useFakeTimers();
    const store = makeStore();
    const devtools = on(store, { parent: false });
    store.end();
    vi.advanceTimersByTime(1000);
    expect([devtools.active, vi.getTimerCount()]).toEqual([false, 0]);
    for (const everyMs of [99, 60_001, Number.NaN]) expect(() => on(store, { everyMs })).toThrow(RangeError);
  });
});

describe('the panel', () => {
  let server: Server;
  let base = '';
  beforeAll(async () => {
    const script = await bundle(PAGE);
    const wasm = readFileSync(join(root, 'dist/core.wasm'));
    server = createServer((request, response) => {
      response.setHeader(
        'content-security-policy',
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'",
      );
      if (request.url === '/page.js') return response.setHeader('content-type', 'text/javascript').end(script);
      if (request.url === '/core.wasm') return response.setHeader('content-type', 'application/wasm').end(wasm);
      return response
        .setHeader('content-type', 'text/html')
        .end('<!doctype html><title></title><body><script type="module" src="/page.js"></script>');
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    base = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  });
  afterAll(() => void server?.close());

  it('shows fill, bytes, evictions, handles with stacks and memory, under a strict policy', async () => {
    const executablePath = process.env['RINGFENCE_CHROMIUM'] ?? '/usr/bin/chromium';
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
    try {
      const page = await browser.newPage({ viewport: { width: 1000, height: 620 } });
      const problems: string[] = [];
      page.on('console', (message) => void (message.type() === 'error' && problems.push(message.text())));
      page.on('pageerror', (error) => problems.push(String(error)));
      await page.goto(base);
      await page.waitForFunction(() => document.title === 'ready', undefined, { timeout: 60_000 });
      const panel = page.locator('ringfence-devtools');
      await panel.locator('summary').click();
      await panel.getByText('showsTheChat').or(panel.getByText('listener "" of history "chat"')).first().waitFor();
      const text = await panel.locator('section').innerText();
      for (const part of ['chat', 'combat log', '0 of 100', 'KiB of 4.0 MiB', '3 live handles', 'page.js'])
        expect(text).toContain(part);
      await page.evaluate(() => (globalThis as unknown as { listener: () => void }).listener());
      await panel.getByText('2 live handles').waitFor();
      const gone = page.evaluate(() => (globalThis as unknown as { feed: () => void }).feed());
      await panel.getByText('100 of 100').waitFor();
      await gone;
      const row = await panel.locator('tbody tr').first().locator('td').allInnerTexts();
      expect([row[0], row[2], row[4], row[5]]).toEqual(['chat', '100 of 100', '60', '6']);
      expect(row[3]).toMatch(/^\d+ KiB of 256 KiB$/);
      expect(Number(row[6])).toBeGreaterThan(0); // 160 in the tenth of a second it was fed in, or in a longer one
      const totals = (await panel.locator('dl div').allInnerTexts()).map((text) => text.replace(/\s+/g, ' '));
      expect(totals).toEqual(expect.arrayContaining(['records 160', 'gaps 6', 'refused 0', 'listener errors 0']));
      await page.waitForFunction(() => (globalThis as unknown as { sent: unknown[] }).sent.length === 2);
      const picture = process.env['RINGFENCE_SCREENSHOT'];
      if (picture) await page.screenshot({ path: picture });

      await panel.locator('[data-action=pause]').click();
      expect(await panel.locator('[data-action=pause]').innerText()).toBe('Resume');
      const download = page.waitForEvent('download');
      await panel.locator('[data-action=export]').click();
      const file = await (await download).path();
      expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
        histories: [{ name: 'chat' }, { name: 'combat log' }],
      });
      await panel.locator('[data-action=fold]').click();
      await panel.locator('table').waitFor({ state: 'hidden' });
      await panel.locator('[data-action=close]').click();
      await panel.waitFor({ state: 'detached' });
      expect(await page.evaluate(() => (globalThis as unknown as { sent: unknown }).sent)).toEqual([
        ['init', 'ringfence'],
        ['ringfence: 160 records'],
      ]);
      expect(problems).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});
