// fuzz_seeds FOLDER: every message of tests/vectors/batches.txt, each a file of FOLDER.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder] = process.argv.slice(2);
let seeds = 0;
const write = (bytes) => writeFileSync(join(folder, `seed-${seeds++}`), bytes);

for (const line of readFileSync('tests/vectors/batches.txt', 'utf8').split('\n')) {
  const [kind, digits] = line.split('\t');
  if (kind === 'hex') write(Buffer.from(digits, 'hex'));
}
console.log(`${seeds} seeds`);
if (seeds === 0) process.exit(1);
