// What most tests need: Chromium, a server, a publisher. Set up before the tests of a file, torn down after them.

import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { launch } from './browser.ts';
import { type BuiltPage, buildPage } from './built_page.ts';
import { Publisher } from './publisher.ts';
import { TestServer } from './server.ts';

export interface Site {
  readonly browser: Browser;
  readonly server: TestServer;
  readonly publisher: Publisher;
}

export interface BuiltSite extends Site {
  readonly built: BuiltPage;
}

/** A page of the tests' own (see buildPage), served for all tests of the file. Its members are there while tests run. */
export function builtSite(
  name: string,
  { args = [], ...options }: Parameters<typeof buildPage>[1] & { args?: readonly string[] } = {},
): BuiltSite {
  const site = {} as { -readonly [K in keyof BuiltSite]: BuiltSite[K] };
  beforeAll(async () => {
    site.built = await buildPage(name, options);
    site.browser = await launch();
    site.server = await TestServer.start({ files: site.built.files, args });
    site.publisher = await Publisher.open(site.server.socketUrl);
  });
  afterAll(async () => {
    site.publisher?.close();
    await site.browser?.close();
    await site.server?.down();
    site.built?.remove();
  });
  return site;
}

/** The demo page, with a server of its own for each test. Its members are there while a test runs. */
export function demoSite(): Site {
  const site = {} as { -readonly [K in keyof Site]: Site[K] };
  beforeAll(async () => {
    site.browser = await launch();
  });
  afterAll(() => site.browser?.close());
  beforeEach(async () => {
    site.server = await TestServer.start();
    site.publisher = await Publisher.open(site.server.socketUrl);
  });
  afterEach(async () => {
    site.publisher?.close();
    await Promise.all(site.browser.contexts().map((context) => context.close()));
    await site.server?.down();
  });
  return site;
}
