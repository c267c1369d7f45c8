// Chromium, and pages that remember what went wrong in them.

import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import type { Client, Store, History } from 'ringfence';

export const kChromium = process.env['RINGFENCE_CHROMIUM'] ?? '/usr/bin/chromium';
export const kArgs = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

declare global {
  interface Window {
    __ringfence?: { store: Store; client: Client; histories: Record<string, History> };
    violations?: string[];
  }
}

export function launch(): Promise<Browser> {
  // npm's Chromium makes a language of the locale, and of POSIX's one that Intl refuses, and with it the page's charts.
  const env = { ...process.env, LC_ALL: 'en_US.UTF-8' } as Record<string, string>;
  return chromium.launch({ executablePath: kChromium, args: kArgs, env });
}

export interface WatchedPage {
  readonly page: Page;
  /** Uncaught errors, errors on the console, violations of the Content-Security-Policy. Empty in a sound page. */
  problems(): Promise<string[]>;
}

/** What the browser itself writes to the console when a connection fails: expected where a test stops the server. */
const kConnectionNoise = /WebSocket connection to .* failed|net::ERR_CONNECTION/;

export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(`uncaught: ${error.stack ?? error.message}`));
  page.on('console', (message) => {
    if (message.type() !== 'error' || kConnectionNoise.test(message.text())) return;
    problems.push(`console: ${message.text()}`);
  });
  await page.addInitScript(() => {
    const violations: string[] = [];
    window.violations = violations;
    document.addEventListener('securitypolicyviolation', (event) => {
      violations.push(`policy: ${event.violatedDirective} refused ${event.blockedURI}`);
    });
  });
  await page.goto(url);
  return {
    page,
    problems: async () => [
      ...problems,
      ...(await page.evaluate(() => window.violations ?? ['no watch for violations'])),
    ],
  };
}

/** The demo page with its session reachable, once it is connected. */
export async function openDemo(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const opened = await openPage(browser, `${url}?test`, options);
  await connected(opened.page);
  return opened;
}

export async function connected(page: Page): Promise<void> {
  await page.locator('[data-testid=status][data-status=open]').waitFor();
}

/** The seqs a history of the page holds, oldest first. */
export function seqsOf(page: Page, channel: string): Promise<number[]> {
  return page.evaluate(
    (name) =>
      window
        .__ringfence!.histories[name]!.window({ last: 100_000 })
        .getSnapshot()
        .items.map((row) => row.seq),
    channel,
  );
}

/** Waits until a history of the page has the record. */
export async function untilSeq(page: Page, channel: string, seq: number): Promise<void> {
  await page.waitForFunction(
    ([name, wanted]) => window.__ringfence!.histories[name]!.window({ last: 1 }).getSnapshot().lastSeq >= wanted,
    [channel, seq] as const,
    { polling: 50 },
  );
}

export function consecutive(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
}

/** The number that a total of the strip shows. */
export async function total(page: Page, id: string): Promise<number> {
  return Number(await page.locator(`[data-testid=total-${id}]`).getAttribute('data-value'));
}
