// A line of chat out of whatever was published: anyone can publish anything to the channel.

import { oneLine } from './format.ts';

export interface ChatLine {
  readonly name: string;
  readonly text: string;
}

export function chatLine(data: unknown): ChatLine {
  if (typeof data === 'object' && data !== null && 'text' in data && typeof data.text === 'string') {
    const name = 'name' in data && typeof data.name === 'string' ? data.name.trim() : '';
    return { name: name.slice(0, 40) || 'Someone', text: data.text };
  }
  return { name: 'Someone', text: oneLine(data, 500) };
}
