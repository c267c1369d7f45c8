import { defineConfig } from 'vitest/config';

// One file at a time: each has a browser and servers of its own, and two of the tests look at how smoothly a page runs.
export default defineConfig({
  test: { include: ['*.test.ts'], fileParallelism: false, testTimeout: 120_000, hookTimeout: 120_000 },
});
