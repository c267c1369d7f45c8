import { expect, test } from 'vitest';
import { chatLine } from '../src/logic/chat-line.ts';
import { hostSample } from '../src/logic/host-series.ts';
import { summary } from '../src/logic/summary.ts';
import { resumeText } from '../src/logic/resume.ts';

test('the sentence after a reconnect says what was missed', () => {
  const resume = { channels: 2, text: '' };
  expect(resumeText({ ...resume, replayed: 0, missed: 0 })).toEqual({
    verdict: 'nothing missed',
    detail: '',
    missed: false,
  });
  expect(resumeText({ ...resume, replayed: 1200, missed: 0 }).detail).toBe('replayed 1,200');
  expect(resumeText({ ...resume, replayed: 9, missed: 12_345 })).toEqual({
    verdict: 'missed 12,345',
    detail: 'replayed 9',
    missed: true,
  });
  expect(resumeText({ ...resume, replayed: 0, missed: null }).verdict).toBe('missed an unknown number');
});

test('whatever is published to the chat has a name and a text', () => {
  expect(chatLine({ name: ' Ada ', text: 'hello' })).toEqual({ name: 'Ada', text: 'hello' });
  expect(chatLine({ text: 'hello' }).name).toBe('Someone');
  expect(chatLine({ name: 7, text: 'hello' }).name).toBe('Someone');
  expect(chatLine(42)).toEqual({ name: 'Someone', text: '42' });
  expect(chatLine(null).text).toBe('null');
  expect(chatLine({ name: 'x'.repeat(500), text: 'y' }).name).toHaveLength(40);
});

test('a host record without a processor share is no sample', () => {
  expect(hostSample({ cpu: 0.5, memory_used_bytes: 1 })?.cpu).toBe(0.5);
  expect([null, 'x', {}, { cpu: '0.5' }].map(hostSample)).toEqual([null, null, null, null]);
});

test('a row shows the words of an event, or its plain fields', () => {
  expect(summary({ player_id: 'p1', message: 'It is dark.' })).toEqual({ text: 'It is dark.', words: true });
  expect(summary({ name: 'Ada', text: 'hello\nthere' })).toEqual({ text: 'Ada: hello there', words: true });
  expect(summary({ level: 'info', logger: 'net', text: 'listening' }).text).toBe('net: listening');
  expect(summary({ message: 7, hp: 3, at: [1], open: true })).toEqual({
    text: 'message 7, hp 3, open true',
    words: false,
  });
  expect(summary({ at: [1, 2] }).text).toBe('{"at":[1,2]}');
  expect([null, 'x', [1]].map((data) => summary(data).text)).toEqual(['null', 'x', '[1]']);
});
