import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// A server that the pages of `vite dev` talk to; the built page talks to the one that serves it.
const server = process.env['RINGFENCE_SERVER'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  // The package finds its core.wasm with `new URL('./core.wasm', import.meta.url)`; pre-bundling would move the module
  // away from the file.
  optimizeDeps: { exclude: ['ringfence', 'ringfence/react'] },
  build: {
    target: 'es2022',
    // No data: URLs, which the server's Content-Security-Policy refuses.
    assetsInlineLimit: 0,
    sourcemap: false,
  },
  server: { host: '127.0.0.1', proxy: { '/v1': { target: server, ws: true } } },
  test: { include: ['test/**/*.test.ts', 'feeds/**/*.test.mjs'], environment: 'node', testTimeout: 30_000 },
});
