// A colour for a name: the same one in every tab, one of the page's six.

export function hueOf(name: string): string {
  let hash = 0;
  for (let index = 0; index < name.length; ++index) hash = (hash * 31 + name.charCodeAt(index)) | 0;
  return `var(--hue-${Math.abs(hash) % 6})`;
}
