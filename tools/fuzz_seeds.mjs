// fuzz_seeds FOLDER: every string of hex digits in tests/vectors/*.json and every *.bin there, each a file of FOLDER.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder] = process.argv.slice(2);
const vectors = 'tests/vectors';
let seeds = 0;
const write = (bytes) => writeFileSync(join(folder, `seed-${seeds++}`), bytes);

function walk(value) {
  if (typeof value === 'string') {
    const digits = value.replace(/\s+/g, '');
    if (digits.length >= 16 && /^([0-9a-f]{2})+$/i.test(digits)) write(Buffer.from(digits, 'hex'));
  } else if (value && typeof value === 'object') Object.values(value).forEach(walk);
}

for (const name of existsSync(vectors) ? readdirSync(vectors) : []) {
  const bytes = readFileSync(join(vectors, name));
  if (name.endsWith('.json')) walk(JSON.parse(bytes.toString()));
  else if (name.endsWith('.bin')) write(bytes);
}
console.log(`${seeds} seeds`);
if (seeds === 0) process.exit(1);
