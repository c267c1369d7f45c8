import { defineConfig } from 'vitest/config';

// One file at a time: each has a browser and servers of its own, and two of the tests look at how smoothly a page runs.
export default defineConfig({
  test: {
    include: ['*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // The usual second is short for a browser on a machine that has other things to do.
    expect: { poll: { timeout: 20_000 } },
  },
});
