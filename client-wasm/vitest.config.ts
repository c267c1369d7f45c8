import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

import { defineConfig } from 'vitest/config';

const wasmDir = resolve(process.env['RINGFENCE_WASM_DIR'] ?? resolve(import.meta.dirname, '../build/wasm/client-wasm'));
const wasmBase64 = '\0ringfence-wasm-base64';

export default defineConfig({
  resolve: { alias: { 'ringfence-glue': resolve(wasmDir, 'core.js') } },
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
    include: ['test/**/*.test.{ts,tsx}'],
    pool: 'forks',
    execArgv: ['--expose-gc'],
    testTimeout: 240_000, // a ceiling for a busy machine: the compiler and the linters of the package run in here
    hookTimeout: 240_000,
    maxWorkers: 2,
  },
});
