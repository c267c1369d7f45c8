import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { defineConfig } from 'vitest/config';

const wasmDir = resolve(process.env['RINGFENCE_WASM_DIR'] ?? resolve(import.meta.dirname, '../build/wasm/client-wasm'));
// A workspace of its own holds React 18 beside the 19 of all others.
const react18 = (name: string): string => resolve(import.meta.dirname, '../tests/react18/node_modules', name);
const wasmBase64 = '\0ringfence-wasm-base64';

export default defineConfig({
  plugins: [
    {
      name: 'wasm-base64',
      resolveId: (id) => (id === 'ringfence-wasm-base64' ? wasmBase64 : undefined),
      load: (id) =>
        id === wasmBase64
          ? `export default ${JSON.stringify(readFileSync(resolve(wasmDir, 'core.wasm')).toString('base64'))}`
          : undefined,
    },
  ],
  test: {
    projects: [
      { extends: true, test: { name: 'react 19', include: ['test/**/*.test.{ts,tsx}'] } },
      {
        extends: true,
        resolve: { alias: { react: react18('react'), 'react-dom': react18('react-dom') } },
        test: {
          name: 'react 18',
          include: ['test/{list,react{,_hooks,_keyed,_own,_tearing}}.test.tsx'],
          env: { RINGFENCE_REACT: '18' },
        },
      },
    ],
    pool: 'forks',
    execArgv: ['--expose-gc'],
    testTimeout: 240_000, // a ceiling for a busy machine: the compiler and the linters of the package run in here
    hookTimeout: 240_000,
    maxWorkers: 2,
  },
});
