// fuzz_seeds FOLDER: every message of tests/vectors/batches.txt becomes a file of FOLDER.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder] = process.argv.slice(2);
const messages = readFileSync('tests/vectors/batches.txt', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('hex\t'))
  .map((line) => Buffer.from(line.slice(4), 'hex'));
if (messages.length === 0) throw new Error('tests/vectors/batches.txt holds no message');
messages.forEach((bytes, index) => writeFileSync(join(folder, `seed-${index}`), bytes));
console.log(`${messages.length} seeds`);
