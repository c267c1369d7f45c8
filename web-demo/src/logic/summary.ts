// What a row of the list says of an event: its own words where it has some, else the plain fields of its payload.

import { oneLine } from './format.ts';

export interface Summary {
  readonly text: string;
  /** Words for a person rather than JSON. */
  readonly words: boolean;
}

export function summary(data: unknown): Summary {
  if (typeof data === 'object' && data !== null && !Array.isArray(data)) {
    const fields = data as Record<string, unknown>;
    const words = [fields['message'], fields['text'], fields['result']].find(
      (each) => typeof each === 'string' && each,
    );
    if (typeof words === 'string') {
      const who = [fields['name'], fields['logger']].find((each) => typeof each === 'string' && each);
      return { text: oneLine(typeof who === 'string' ? `${who}: ${words}` : words), words: true };
    }
    return { text: oneLine(Object.entries(fields).filter(isPlain).map(field).join(', ') || data), words: false };
  }
  return { text: oneLine(data), words: false };
}

const isPlain = ([, value]: [string, unknown]) => typeof value !== 'object' && value !== '';
const field = ([name, value]: [string, unknown]) => `${name} ${String(value)}`;
