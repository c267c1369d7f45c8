// fuite (https://github.com/nolanlawson/fuite) over mount and unmount, and over connect and disconnect: no class of objects,
// no listener, no DOM node and no collection grows with the iterations. And what is leaked on purpose is found.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { kArgs, kChromium } from './support/browser.ts';
import { type BuiltPage, buildPage } from './support/built_page.ts';
import { TestServer } from './support/server.ts';

// Prime, so that little grows by a multiple of it by chance; what is found has to be found twice, by two primes.
const kIterations = [7, 11] as const;

let findLeaks: typeof import('fuite').findLeaks;
let built: BuiltPage;
let server: TestServer;

beforeAll(async () => {
  built = await buildPage('leaks', { minify: false });
  process.env['PUPPETEER_EXECUTABLE_PATH'] = kChromium; // read as it is loaded
  ({ findLeaks } = await import('fuite'));
  server = await TestServer.start({ files: built.files });
});
afterAll(async () => {
  await server?.down();
  built?.remove();
});

type Call = 'mount' | 'connect' | 'list';

// fuite leaves these out itself, but by names that Chromium has since changed.
const kBrowserInternal =
  /^(\(.*\)|system \/ .*|InternalNode|DOMRectReadOnly|LayoutShift.*|Performance.*|TaskAttribution.*)$/;

/** What fuite names, one string each. */
async function look(call: Call, query: string, iterations: number): Promise<string[]> {
  const found: string[] = [];
  const runs = findLeaks(`${server.url}${query}`, {
    iterations,
    progress: false,
    browserArgs: kArgs,
    scenario: {
      setup: async (page) => {
        await page.waitForFunction(() => window.leaks !== undefined, { timeout: 60_000 });
      },
      iteration: (page) => page.evaluate((name) => window.leaks![name](), call),
      waitForIdle: () => new Promise((resolve) => setTimeout(resolve, 200)),
    },
  });
  for await (const { result } of runs) {
    if ('failed' in result) throw new Error('fuite failed', { cause: result.error });
    const { objects, eventListeners, domNodes, collections, detected } = result.leaks;
    if (!detected) continue;
    found.push(
      ...objects.filter(({ name }) => !kBrowserInternal.test(name)).map(({ name }) => `object ${name}`),
      ...eventListeners.map(({ type }) => `listener ${type}`),
      ...(domNodes.delta > 0 ? domNodes.nodes.map(({ description }) => `node ${description}`) : []),
      ...collections.map(({ type, preview }) => `${type} ${preview}`),
    );
  }
  return found;
}

for (const [call, what] of [
  ['mount', 'mounting and unmounting'],
  ['connect', 'connecting and disconnecting'],
  ['list', 'a list that a worker draws'],
] as const) {
  test(`fuite finds nothing that ${what} leaves behind`, { timeout: 180_000 }, async () => {
    const first = await look(call, '', kIterations[0]);
    const second = first.length === 0 ? [] : await look(call, '', kIterations[1]);
    expect(first.filter((leak) => second.includes(leak))).toEqual([]);
  });

  test(`fuite finds what ${what} leaves behind on purpose`, { timeout: 180_000 }, async () => {
    expect(await look(call, '?leak', kIterations[0])).toContain('object KeptOnPurpose');
  });
}
