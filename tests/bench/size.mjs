// ./dev bench size: what a page loads of the npm package, gzip -9, by file and in all.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

import { judge } from './client_rig.mjs';

const GOAL_BYTES = 48 * 1000;
const ADDED_BYTES_MAX = { react: 3000, persist: 5000, worker: 5100 };
const dist = new URL('../../client-wasm/dist/', import.meta.url);

/** An entry and every file that it imports from the package, now or later. */
function closure(entry, files = new Set()) {
  if (files.has(entry)) return files;
  files.add(entry);
  const code = readFileSync(new URL(entry, dist), 'utf8');
  for (const [, name] of code.matchAll(/(?:from|import)\s*\(?"\.\/([^"]+)"/g)) closure(name, files);
  return files;
}

const zipped = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;
const sum = (files) => files.reduce((total, file) => total + zipped(file), 0);
const line = (name, bytes, size) =>
  console.log(`  ${name.padEnd(40)} ${String(size ?? '').padStart(8)} ${String(bytes).padStart(8)}`);

const main = [...closure('index.js'), 'core.wasm'];
console.log(`  ${'file'.padEnd(40)} ${'bytes'.padStart(8)} ${'gzip'.padStart(8)}`);
for (const file of main) line(file, zipped(file), readFileSync(new URL(file, dist)).length);
const total = sum(main);
line('WASM, store and client', total);
// Each beside the main entry: what it adds, and the most that it may.
const added = Object.entries(ADDED_BYTES_MAX).map(([entry, most]) => {
  const bytes = sum([...closure(`${entry}.js`)].filter((file) => !main.includes(file)));
  line(`ringfence/${entry} adds`, bytes);
  return { name: `${entry}: at most ${most} B gzip`, value: `${bytes} B`, ok: bytes > 500 && bytes <= most };
});
line('ringfence/inline instead', sum([...closure('inline.js')]));

judge([{ name: `at most ${GOAL_BYTES} B gzip`, value: `${total} B`, ok: total <= GOAL_BYTES }, ...added]);
