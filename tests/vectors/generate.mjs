// node tests/vectors/generate.mjs: writes batches.txt. See README.md for its form.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { encodeBatch } from './encode.mjs';

const SEQ_MAX = 2n ** 53n - 1n;
const vectors = [];
const hex = (bytes) => Buffer.from(bytes).toString('hex');

function valid(name, sections) {
  const lines = [`batch\t${name}`, 'expect\tok', `hex\t${hex(encodeBatch(sections))}`];
  for (const { channelId, prev = 0, records } of sections) {
    lines.push(`section\t${channelId}\t${prev}\t${records.length}`);
    for (const { seq, timeUs, type, payload } of records) lines.push(`record\t${seq}\t${timeUs}\t${type}\t${payload}`);
  }
  vectors.push(lines.join('\n'));
}

function refused(name, code, bytes) {
  vectors.push([`batch\t${name}`, `expect\t${code}`, `hex\t${hex(bytes)}`].join('\n'));
}

const record = (seq, payload = `{"n":${seq}}`, type = 'tick') => ({ seq, timeUs: 1768478400000000n + BigInt(seq), type, payload });
const two = () => encodeBatch([{ channelId: 7, prev: 0, records: [record(1), record(2)] }]);
/** The bytes of two records, changed. */
const changed = (change) => {
  const bytes = two();
  change(new DataView(bytes.buffer), bytes);
  return bytes;
};
// Offsets in two(): the batch header, the section's, and the records'.
const SECTION = 8;
const FIRST = SECTION + 24;
const SECOND = FIRST + 40;

valid('one record', [{ channelId: 1, records: [record(1)] }]);
valid('padding of every length', [
  { channelId: 1, records: Array.from({ length: 8 }, (_, index) => record(index + 1, `"${'x'.repeat(index)}"`)) },
]);
valid('two channels', [
  { channelId: 7, prev: 41, records: [record(42), record(43)] },
  { channelId: 4294967295, prev: 0, records: [record(1)] },
]);
valid('one channel twice', [
  { channelId: 7, prev: 0, records: [record(1)] },
  { channelId: 7, prev: 1, records: [record(2)] },
]);
valid('seqs with holes', [{ channelId: 7, prev: 5, records: [record(9), record(10), record(1000)] }]);
valid('the largest seq', [{ channelId: 7, prev: SEQ_MAX - 1n, records: [record(SEQ_MAX)] }]);
valid('times before 1970 and far ahead', [
  { channelId: 7, records: [{ ...record(1), timeUs: -1n }, { ...record(2), timeUs: 253402300799999999n }] },
]);
valid('the longest type', [{ channelId: 7, records: [record(1, 'null', 't'.repeat(255))] }]);
valid('beyond ASCII', [{ channelId: 7, records: [record(1, '{"text":"grüße, 世界 🌍"}', 'größe')] }]);
valid('an empty payload', [{ channelId: 7, records: [record(1, '')] }]);
valid('a payload that is not JSON', [{ channelId: 7, records: [record(1, '{"cut')] }]);
vectors.push(
  [
    'batch\ta flag that may be ignored',
    'expect\tok',
    `hex\t${hex(changed((view) => view.setUint16(FIRST + 4, 0x8000, true)))}`,
    'section\t7\t0\t2',
    ...[record(1), record(2)].map(({ seq, timeUs, type, payload }) => `record\t${seq}\t${timeUs}\t${type}\t${payload}`),
  ].join('\n'),
);

refused('nothing', 'batch_truncated', new Uint8Array(0));
refused('half a header', 'batch_truncated', two().subarray(0, 7));
refused('no section behind the header', 'batch_truncated', two().subarray(0, 8));
refused('half a section header', 'batch_truncated', two().subarray(0, SECTION + 23));
refused('a section without its records', 'batch_truncated', two().subarray(0, FIRST));
refused('cut in the last record', 'batch_truncated', two().subarray(0, two().length - 8));
refused('cut between records', 'batch_truncated', two().subarray(0, SECOND));
refused('another magic', 'batch_bad_magic', changed((_, bytes) => (bytes[3] = 0x32)));
refused('text', 'batch_bad_magic', new TextEncoder().encode('{"op":"event","channel":"a"}'));
refused('version 2', 'batch_bad_version', changed((view) => view.setUint8(4, 2)));
refused('version 0', 'batch_bad_version', changed((view) => view.setUint8(4, 0)));
refused('reserved byte of the header', 'batch_bad_version', changed((view) => view.setUint8(5, 1)));
refused('no sections', 'batch_bad_section', changed((view) => view.setUint16(6, 0, true)));
refused('one section more than there is', 'batch_truncated', changed((view) => view.setUint16(6, 2, true)));
refused('no records', 'batch_bad_section', changed((view) => view.setUint32(SECTION + 4, 0, true)));
refused('one record more than there is', 'batch_bad_section', changed((view) => view.setUint32(SECTION + 4, 3, true)));
refused('one record less than there is', 'batch_bad_section', changed((view) => view.setUint32(SECTION + 4, 1, true)));
refused('4 billion records', 'batch_bad_section', changed((view) => view.setUint32(SECTION + 4, 0xffffffff, true)));
refused('bytes that are no multiple of 8', 'batch_bad_section', changed((view) => view.setUint32(SECTION + 16, 79, true)));
refused('bytes past the end', 'batch_truncated', changed((view) => view.setUint32(SECTION + 16, 88, true)));
refused('4 GB of bytes', 'batch_truncated', changed((view) => view.setUint32(SECTION + 16, 0xfffffff8, true)));
refused('bytes short of the last record', 'batch_bad_section', changed((view) => view.setUint32(SECTION + 16, 72, true)));
refused('reserved bytes of the section', 'batch_bad_section', changed((view) => view.setUint32(SECTION + 20, 1, true)));
refused('prev above 2^53 - 1', 'batch_bad_section', changed((view) => view.setBigUint64(SECTION + 8, SEQ_MAX + 1n, true)));
refused('prev at the first seq', 'batch_bad_order', changed((view) => view.setBigUint64(SECTION + 8, 1n, true)));
refused('the same seq twice', 'batch_bad_order', changed((view) => view.setBigUint64(SECOND + 8, 1n, true)));
refused('seqs that fall', 'batch_bad_order', changed((view) => view.setBigUint64(FIRST + 8, 3n, true)));
refused('seq 0', 'batch_bad_record', changed((view) => view.setBigUint64(FIRST + 8, 0n, true)));
refused('seq above 2^53 - 1', 'batch_bad_record', changed((view) => view.setBigUint64(SECOND + 8, SEQ_MAX + 1n, true)));
refused('size below the header', 'batch_bad_record', changed((view) => view.setUint32(FIRST, 23, true)));
refused('size below header and type', 'batch_bad_record', changed((view) => view.setUint32(FIRST, 27, true)));
refused('size 0', 'batch_bad_record', changed((view) => view.setUint32(FIRST, 0, true)));
refused('size of 4 GB', 'batch_bad_record', changed((view) => view.setUint32(FIRST, 0xffffffff, true)));
refused('size past the section', 'batch_bad_section', changed((view) => view.setUint32(SECOND, 48, true)));
refused('no type', 'batch_bad_record', changed((view) => view.setUint8(FIRST + 6, 0)));
refused('a flag that must be understood', 'batch_bad_record', changed((view) => view.setUint16(FIRST + 4, 1, true)));
refused('reserved byte of the record', 'batch_bad_record', changed((view) => view.setUint8(FIRST + 7, 1)));
refused('padding that is not zero', 'batch_bad_record', changed((_, bytes) => (bytes[SECOND - 1] = 1)));
refused('a second section that is bad', 'batch_bad_order', encodeBatch([
  { channelId: 7, records: [record(1)] },
  { channelId: 8, prev: 9, records: [record(9)] },
]));
refused('bytes behind the last section', 'batch_trailing_bytes', new Uint8Array([...two(), 0, 0, 0, 0, 0, 0, 0, 0]));
refused('one byte behind the last section', 'batch_trailing_bytes', new Uint8Array([...two(), 0]));

const head = '# Written by generate.mjs; see README.md for the form.\n\n';
const content = head + vectors.join('\n\n') + '\n';
const path = fileURLToPath(new URL('batches.txt', import.meta.url));
if (process.argv[2] === '--print') process.stdout.write(content);
else writeFileSync(path, content);
