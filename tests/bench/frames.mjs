// ./dev bench frames [--seconds 60] [--naive-seconds 20] [--stores ringfence,zustand] [--rate 10000]: from a message to
// pixels, in Chromium, for one store after the other.
//
// A real server publishes 10,000 events/s of 300 B. A page holds the newest 10,000 and shows the last of them in a virtual
// list. Ringfence speaks its binary sub-protocol, all others the JSON one of the same server, one `set` or dispatch a
// frame. Measured for each: how busy the page's main thread is, and the whole browser, the JavaScript heap of the page and its
// workers and whether it grows, frames dropped, and how old the newest row is when it has been painted.
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';
import { build } from 'vite';

import { EVENT_BYTES, startFeed } from './frames_feed.mjs';
import { openHeaps } from './page_heaps.mjs';
import { perspectiveBundle } from './perspective.mjs';
import * as bench from './processes.mjs';
import { judge, trend } from './statistics.mjs';

const STORES = {
  pixels: 'the list alone',
  ringfence: 'ringfence',
  ringfence_worker: 'ringfence/worker',
  ringfence_list: 'ringfence/list',
  zustand: 'Zustand, batched',
  mnemonist: 'mnemonist + uSES',
  rtk: 'Redux Toolkit, batched',
  perspective: 'Perspective, limit',
  zustand_naive: 'Zustand, a set an event',
};
// Of batched Zustand's.
const LIST_BUSY_SHARE_MAX = 1 / 4; // of a list that the worker draws
// With the same list of React rows. That and its frames are most of what keeps the thread busy, and the same for both: on a
// busy machine the ratio was 0.73 to 1.04 from run to run.
const BUSY_SHARE_MAX = 1.25;
const HEAP_SHARE_MAX = 1 / 4; // of batched Zustand's, beyond what the list alone takes
const JUDGED = new Set(['ringfence', 'ringfence_list']);
const CAPACITY = 10_000;
const FILL_MS_MAX = 60_000;
const SETTLE_MS_MAX = 30_000; // code is compiled, rows are at their steady number
const SAMPLES = 15;
const HEAP_SECONDS_MIN = 30; // in less, what comes once is a trend
const FRAME_MS = 1000 / 60;
const TAKEN_ERROR_MAX = 0.02; // page and publisher are not read at the same moment
const CHROMIUM_ARGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];

const options = bench.parseOptions({
  seconds: 60,
  naive_seconds: 20,
  rate: 10_000,
  stores: Object.keys(STORES).join(),
  server: `${bench.RELEASE_DIR}/ringfence-server`,
});
const names = options.stores.split(',');
for (const name of names)
  if (!STORES[name]) bench.stop(`no store ${JSON.stringify(name)}; there are: ${Object.keys(STORES).join()}`);
if (!(options.seconds >= 2 && options.naive_seconds >= 2)) bench.stop('--seconds, --naive-seconds: 2 or more');
if (!(options.rate >= 1 && options.rate <= 50_000)) bench.stop('--rate: 1 to 50000');
const browserPath = process.env.RINGFENCE_CHROMIUM ?? '/usr/bin/chromium';
bench.need(browserPath, 'install chromium, or set RINGFENCE_CHROMIUM');
bench.need(options.server, './dev build');

async function buildPage(outDir, perspective) {
  const root = fileURLToPath(new URL('./frames/', import.meta.url));
  await build({
    root,
    configFile: false,
    logLevel: 'error',
    resolve: { alias: { perspective: perspective ?? `${root}stores/perspective_missing.js` } },
    worker: { format: 'es' },
    build: { outDir, emptyOutDir: true, assetsInlineLimit: 0, target: 'es2022', chunkSizeWarningLimit: 10_000 },
  });
}

/** Counters of the page's main thread, in seconds: by the clock, and of CPU time, which other load does not stretch. */
async function openMetrics(page) {
  const sessions = {};
  for (const timeDomain of ['timeTicks', 'threadTicks']) {
    sessions[timeDomain] = await page.context().newCDPSession(page);
    await sessions[timeDomain].send('Performance.enable', { timeDomain });
  }
  const of = async (session) =>
    Object.fromEntries((await session.send('Performance.getMetrics')).metrics.map(({ name, value }) => [name, value]));
  return async () => ({ wall: await of(sessions.timeTicks), cpu: await of(sessions.threadTicks) });
}

/** CPU seconds of all processes of a browser so far. */
async function browserCpu(session) {
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0);
}

const PARTS = { script: 'ScriptDuration', style: 'RecalcStyleDuration', layout: 'LayoutDuration' };

async function measure(name, url, feed, seconds) {
  const browser = await chromium.launch({ executablePath: browserPath, args: CHROMIUM_ARGS });
  try {
    // Perspective's Worker comes from a blob, which the server's policy refuses.
    const context = await browser.newContext({
      viewport: { width: 1000, height: 640 },
      bypassCSP: name === 'perspective',
    });
    const page = await context.newPage();
    const problems = [];
    page.on('pageerror', (error) => problems.push(String(error)));
    await page.goto(`${url}?store=${name}&channel=${feed.channel}&capacity=${CAPACITY}&rate=${options.rate}`);
    await page
      .waitForFunction((capacity) => globalThis.bench?.size() === capacity, CAPACITY, { timeout: FILL_MS_MAX })
      .catch((cause) => {
        throw new Error(`${name}: the store was not full in time. ${problems.join('; ')}`, { cause });
      });
    await bench.sleep(Math.min(SETTLE_MS_MAX, (seconds * 1000) / 2));
    const read = await openMetrics(page);
    const heaps = await openHeaps(page);
    const whole = await browser.newBrowserCDPSession();
    await heaps.used();
    const takenBefore = await page.evaluate(() => (globalThis.bench.watch.reset(), globalThis.bench.taken()));
    const publishedBefore = feed.published();
    const samples = [];
    const spent = { seconds: 0, wall: 0, cpu: 0, script: 0, style: 0, layout: 0 };
    const framesSoFar = () => page.evaluate(() => globalThis.bench.watch.frameCount);
    for (let sample = 0; sample < SAMPLES; ++sample) {
      const framesBefore = await framesSoFar();
      const before = await read();
      const wholeBefore = await browserCpu(whole);
      await bench.sleep((seconds * 1000) / SAMPLES);
      const after = await read();
      const wholeCpu = (await browserCpu(whole)) - wholeBefore;
      const drawn = (await framesSoFar()) - framesBefore;
      // The collection that the heap is sampled after counts for nobody: it is between two intervals.
      const heapBytes = await heaps.used();
      const interval = after.wall.Timestamp - before.wall.Timestamp;
      const wall = after.wall.TaskDuration - before.wall.TaskDuration;
      const cpu = after.cpu.TaskDuration - before.cpu.TaskDuration;
      samples.push({
        wall: wall / interval,
        cpu: cpu / interval,
        frameMs: (cpu * 1000) / Math.max(1, drawn),
        browser: wholeCpu / interval,
        heap: heapBytes,
      });
      spent.seconds += interval;
      for (const [part, metric] of Object.entries(PARTS)) spent[part] += after.cpu[metric] - before.cpu[metric];
    }
    const { taken, frames, ages } = await page.evaluate(() => ({
      taken: globalThis.bench.taken(),
      ...globalThis.bench.watch.read(),
    }));
    const takenShare = (taken - takenBefore) / (feed.published() - publishedBefore);
    // By itself, behind the rest: a snapshot stops the page for longer than a frame.
    const held = [];
    while (JUDGED.has(name) && held.length < SAMPLES) {
      await bench.sleep((seconds * 1000) / SAMPLES);
      held.push(await heaps.held());
    }
    if (problems.length > 0) throw new Error(`${name}: ${problems.join('; ')}`);
    const heap = samples.map((sample) => sample.heap);
    return {
      busyCpu: bench.median(samples.map((sample) => sample.cpu)),
      frameCpuMs: bench.median(samples.map((sample) => sample.frameMs)),
      browser: bench.median(samples.map((sample) => sample.browser)),
      busyWall: bench.median(samples.map((sample) => sample.wall)),
      parts: Object.keys(PARTS).map((part) => spent[part] / spent.seconds),
      heap,
      heapMiB: bench.median(heap) / 2 ** 20,
      heapTrend: trend(heap),
      heapSlopeBytesPerS: trend(heap).slope / (seconds / SAMPLES),
      frames: frames.length,
      dropped: frames.reduce((sum, ms) => sum + Math.max(0, Math.round(ms / FRAME_MS) - 1), 0),
      frameP99Ms: bench.quantile(frames, 0.99),
      ageP50Ms: bench.quantile(ages, 0.5),
      ageP99Ms: bench.quantile(ages, 0.99),
      taken,
      takenShare,
      held,
    };
  } finally {
    await browser.close();
  }
}

const percent = (share) => `${(share * 100).toFixed(1)} %`;
const COLUMNS = [
  ['main thread', (of) => percent(of.busyCpu)],
  ['ms a frame', (of) => of.frameCpuMs.toFixed(2)],
  ['by the clock', (of) => percent(of.busyWall)],
  ['whole browser', (of) => percent(of.browser)],
  ['script/style/layout', (of) => of.parts.map((part) => (part * 100).toFixed(1)).join(' / ')],
  ['heap MiB', (of) => of.heapMiB.toFixed(1)],
  ['heap B/s (p)', (of) => `${Math.round(of.heapSlopeBytesPerS)} (${of.heapTrend.p.toFixed(2)})`],
  ['frames', (of) => String(of.frames)],
  ['dropped', (of) => String(of.dropped)],
  ['p99 frame ms', (of) => of.frameP99Ms.toFixed(1)],
  ['age ms p50/p99', (of) => (of.taken > 0 ? `${of.ageP50Ms.toFixed(0)} / ${of.ageP99Ms.toFixed(0)}` : '-')],
  ['taken', (of) => (of.taken > 0 ? percent(of.takenShare) : '-')],
];

function printTable(results) {
  const rows = [
    ['store', ...COLUMNS.map(([title]) => title)],
    ...Object.entries(results).map(([name, of]) => [STORES[name], ...COLUMNS.map(([, cell]) => cell(of))]),
  ];
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows)
    console.log(`  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')}`);
}

/** Ringfence against batched Zustand, as far as they were run. */
function goalsOf({ pixels, ringfence, ringfence_list: list, zustand }) {
  const goals = [];
  if (list) goals.push(...goalsOfList(list, zustand));
  if (!ringfence) return goals;
  if (pixels && zustand) {
    const beyond = (of) => of.frameCpuMs - pixels.frameCpuMs;
    console.log(
      `  the list alone takes ${(pixels.frameCpuMs / zustand.frameCpuMs).toFixed(2)} of batched Zustand's time of the main ` +
        `thread, and no store can do with less; beyond it Ringfence takes ${(beyond(ringfence) / beyond(zustand)).toFixed(2)} of Zustand's`,
    );
    const heapShare = (ringfence.heapMiB - pixels.heapMiB) / (zustand.heapMiB - pixels.heapMiB);
    goals.push({
      name: `JavaScript heap beyond the list's: at most ${HEAP_SHARE_MAX} of batched Zustand's`,
      value: heapShare.toFixed(2),
      ok: heapShare <= HEAP_SHARE_MAX,
    });
  }
  if (zustand) {
    const share = ringfence.frameCpuMs / zustand.frameCpuMs;
    goals.push({
      name: `with the same list, main thread busy for each frame at most ${BUSY_SHARE_MAX.toFixed(2)} of batched Zustand's`,
      value: share.toFixed(2),
      ok: share <= BUSY_SHARE_MAX,
    });
  }
  goals.push(...soundnessOf(STORES.ringfence, ringfence));
  return goals;
}

function goalsOfList(list, zustand) {
  const goals = [];
  if (zustand) {
    const share = list.busyCpu / zustand.busyCpu;
    goals.push({
      name: `ringfence/list: main thread busy at most ${LIST_BUSY_SHARE_MAX} of batched Zustand's`,
      value: share.toFixed(2),
      ok: share <= LIST_BUSY_SHARE_MAX,
    });
  }
  goals.push(...soundnessOf(STORES.ringfence_list, list));
  return goals;
}

function soundnessOf(name, { held, takenShare }) {
  const goals = [];
  if (options.seconds >= HEAP_SECONDS_MIN) {
    const { slope, p, grows } = trend(held);
    goals.push({
      name: `${name}: what JavaScript holds, workers' included, does not grow significantly (p < 0.01)`,
      value: `${Math.round(slope / (options.seconds / SAMPLES))} B/s, p = ${p.toFixed(2)}`,
      ok: !grows,
    });
  }
  goals.push({
    name: `${name}: every event reached the page`,
    value: percent(takenShare),
    ok: Math.abs(takenShare - 1) < TAKEN_ERROR_MAX,
  });
  return goals;
}

const dir = mkdtempSync(join(tmpdir(), 'ringfence-frames-'));
let feed;
try {
  const perspective = names.includes('perspective') ? perspectiveBundle('perspective.inline.js') : undefined;
  if (names.includes('perspective') && !perspective) {
    console.log('  Perspective is left out: npm did not install it');
    names.splice(names.indexOf('perspective'), 1);
  }
  await buildPage(dir, perspective);
  feed = await startFeed({ server: options.server, files: dir, eventsPerS: options.rate });
  const results = {};
  for (const name of names) {
    const seconds = name === 'zustand_naive' ? Math.min(options.naive_seconds, options.seconds) : options.seconds;
    results[name] = await measure(name, feed.url, feed, seconds);
    const heapKiB = results[name].heap.map((bytes) => Math.round(bytes / 1024)).join(' ');
    console.log(`  ${STORES[name]}: ${seconds} s; heap after collections, KiB: ${heapKiB}`);
    const { held } = results[name];
    if (held.length > 0)
      console.log(
        `  then ${seconds} s; held by JavaScript, KiB: ${held.map((bytes) => (bytes / 1024).toFixed(1)).join(' ')}`,
      );
  }
  console.log(
    `${options.rate.toLocaleString('en')} events/s of ${EVENT_BYTES} B, ${CAPACITY.toLocaleString('en')} held, ` +
      `${options.seconds} s each; ${loadavg()[0].toFixed(1)} is the machine's load`,
  );
  printTable(results);
  judge(goalsOf(results));
} finally {
  await feed?.stop();
  rmSync(dir, { recursive: true, force: true });
}
