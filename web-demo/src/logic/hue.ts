// A colour for a name: the same one in every tab, one of the page's six.

export const kHues = 6;

export function hueOf(name: string): string {
  let hash = 0x811c9dc5; // FNV-1a: similar names get different colours
  for (let index = 0; index < name.length; ++index) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  return `var(--hue-${((hash ^ (hash >>> 15)) >>> 0) % kHues})`;
}
