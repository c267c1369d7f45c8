// The page under the Content-Security-Policy that the server sends: no eval, no inline script.

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connected, launch, openDemo, untilSeq } from './support/browser.ts';
import { Publisher } from './support/publisher.ts';
import { TestServer } from './support/server.ts';

let browser: Browser;
let server: TestServer;

beforeAll(async () => {
  browser = await launch();
  server = await TestServer.start();
});
afterAll(async () => {
  await browser?.close();
  await server?.down();
});

test('the policy allows WebAssembly and no other evaluation', async () => {
  const policy = (await fetch(server.url)).headers.get('content-security-policy') ?? '';
  const scripts = policy
    .split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith('script-src '));
  expect(scripts?.split(/\s+/).sort()).toEqual(["'self'", "'wasm-unsafe-eval'", 'script-src'].sort());
  expect(policy).toContain("default-src 'self'");
});

test('the WASM comes as a file of its own, under its own type, so that it is compiled while it comes', async () => {
  const page = await browser.newPage();
  const wasm: { status: number; type: string | undefined }[] = [];
  page.on('response', (answer) => {
    if (new URL(answer.url()).pathname.endsWith('.wasm'))
      wasm.push({ status: answer.status(), type: answer.headers()['content-type'] });
  });
  await page.goto(server.url);
  await connected(page);
  await page.close();
  expect(wasm).toEqual([{ status: 200, type: 'application/wasm' }]);
});

test('the page works under the policy and violates nothing', async () => {
  const { page, problems } = await openDemo(browser, server.url);
  const publisher = await Publisher.open(server.socketUrl);
  await publisher.publishMany('game', 50);
  publisher.close();
  await untilSeq(page, 'game', 50);
  await page.locator('[data-testid=row][data-seq="50"]').click();
  await page.getByTestId('inspector').waitFor();
  for (const tab of ['chat', 'host', 'log', 'game']) await page.getByTestId(`tab-${tab}`).click();
  await page.getByTestId('cut').click();
  await page.waitForFunction(() => window.__ringfence!.client.stats().connects > 1);
  expect(await problems()).toEqual([]);
});

test('the policy is in force, and a violation would be seen', async () => {
  const { page, problems } = await openDemo(browser, server.url);
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.inlineRan = true';
    document.body.append(script);
  });
  await expect
    .poll(async () => (await problems()).some((problem) => problem.startsWith('policy: script-src')))
    .toBe(true);
  expect(await page.evaluate(() => 'inlineRan' in window)).toBe(false);
});
