import { describe, expect, it } from 'vitest';
import { Nodes } from '../src/logic/nodes.ts';

describe('Nodes', () => {
  it('has the server of the page alone where no others are named', () => {
    const nodes = new Nodes('a:1', '');
    expect(nodes.several).toBe(false);
    nodes.next();
    expect(nodes.current).toBe('a:1');
  });

  it('begins with the server of the page and goes round', () => {
    const nodes = new Nodes('b:2', '?test&nodes=a:1,b:2,c:3');
    expect(nodes.hosts).toEqual(['b:2', 'a:1', 'c:3']);
    const seen = [0, 1, 2, 3].map(() => {
      const { current } = nodes;
      nodes.next();
      return current;
    });
    expect(seen).toEqual(['b:2', 'a:1', 'c:3', 'b:2']);
  });
});
