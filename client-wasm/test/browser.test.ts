// The built package in Chromium, as files, under a strict Content-Security-Policy.
import { existsSync, readFileSync } from 'node:fs';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';

import { type Browser, type Page, chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const dist = resolve(import.meta.dirname, '../dist');
const STRICT = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";

const TYPES: Record<string, string> = { js: 'text/javascript', wasm: 'application/wasm' };

// A page's own script: `entry` and `wasm` come by the address, the outcome goes into the title.
const SCRIPT = `
const query = new URLSearchParams(location.search);
const violations = [];
addEventListener('securitypolicyviolation', (event) => violations.push(event.violatedDirective + ' ' + event.blockedURI));
try {
  const { createStore } = await import('/' + query.get('entry') + '.js');
  const wasm = query.get('wasm');
  const store = await createStore({ budget: '2 MiB', ...(wasm ? { wasm } : {}) });
  const history = store.history('a', { bytes: 65536 });
  let calls = 0;
  history.subscribe(() => ++calls);
  history.clear();
  await new Promise((resolve) => setTimeout(resolve, 400));
  const { memoryBytes, handles } = store.stats();
  store.end();
  document.title = JSON.stringify({ memoryBytes, listeners: handles.listeners, calls, left: store.handles().total, violations });
} catch (error) {
  document.title = JSON.stringify({ error: error.code + ': ' + error.message });
}`;

let server: Server;
let address: string;
let browser: Browser;

beforeAll(async () => {
  server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://host');
    response.setHeader('content-security-policy', searchParams.get('csp') ?? STRICT);
    if (pathname === '/page') {
      response.setHeader('content-type', 'text/html');
      return response.end('<!doctype html><title></title><script type="module" src="/script.js"></script>');
    }
    if (pathname === '/script.js') return response.setHeader('content-type', 'text/javascript').end(SCRIPT);
    if (pathname === '/plain') return response.end(readFileSync(join(dist, 'core.wasm')));
    const file = join(dist, pathname);
    if (!existsSync(file)) return response.writeHead(404).end();
    response.setHeader('content-type', TYPES[file.split('.').pop() ?? ''] ?? 'application/octet-stream');
    return response.end(readFileSync(file));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const executablePath = process.env['RINGFENCE_CHROMIUM'] ?? '/usr/bin/chromium';
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
});
afterAll(async () => {
  await browser?.close();
  server?.close();
});

async function outcome(query: Record<string, string>, prepare?: (page: Page) => Promise<void>): Promise<unknown> {
  const page = await browser.newPage();
  try {
    await prepare?.(page);
    await page.goto(`${address}/page?${new URLSearchParams(query).toString()}`);
    await page.waitForFunction(() => document.title !== '', undefined, { timeout: 30_000 });
    return JSON.parse(await page.title()) as unknown;
  } finally {
    await page.close();
  }
}

const FINE = { memoryBytes: 262144, listeners: 1, calls: 1, left: 0, violations: [] };

describe('in Chromium, under a strict policy', () => {
  it('the main entry finds and streams the WASM beside it', async () => {
    expect(await outcome({ entry: 'index' })).toEqual(FINE);
  });

  it('./inline starts without fetching anything', async () => {
    const wasm: string[] = [];
    const prepare = async (page: Page): Promise<void> => {
      page.on('request', (request) => {
        if (request.url().includes('.wasm')) wasm.push(request.url());
      });
    };
    expect(await outcome({ entry: 'inline' }, prepare)).toEqual(FINE);
    expect(wasm).toEqual([]);
  });

  it('takes the WASM without its MIME type', async () => {
    expect(await outcome({ entry: 'index', wasm: '/plain' })).toEqual(FINE);
  });

  it('names a page that is served in its place', async () => {
    expect(await outcome({ entry: 'index', wasm: '/page' })).toEqual({
      error: expect.stringMatching(/^wasm_load: .*\/page is an HTML page, not WASM/) as string,
    });
  });

  it('says so where the policy forbids WASM', async () => {
    const csp = "default-src 'none'; script-src 'self'; connect-src 'self'";
    expect(await outcome({ entry: 'index', csp })).toEqual({
      error: expect.stringMatching(/^wasm_load: .*(unsafe-eval|Content Security Policy)/) as string,
    });
  });
});
