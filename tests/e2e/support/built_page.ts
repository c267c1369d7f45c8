// A page of the tests' own (a folder here with an index.html), built by Vite into a folder that is removed afterwards.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

export interface BuiltPage {
  /** Its sources. */
  readonly root: string;
  readonly files: string;
  remove(): void;
}

/** `mode` and `minify` as of Vite: React does StrictMode's double work in mode `development` only. */
export async function buildPage(
  name: string,
  { mode = 'production', minify = true }: { mode?: string; minify?: boolean } = {},
): Promise<BuiltPage> {
  const root = fileURLToPath(new URL(`../${name}/`, import.meta.url));
  const files = mkdtempSync(join(tmpdir(), `ringfence-${name}-`));
  const remove = () => rmSync(files, { recursive: true, force: true });
  try {
    await build({
      root,
      configFile: false,
      logLevel: 'error',
      mode,
      build: { outDir: files, emptyOutDir: true, assetsInlineLimit: 0, target: 'es2022', minify },
    });
  } catch (error) {
    remove();
    throw error;
  }
  return { root, files, remove };
}
