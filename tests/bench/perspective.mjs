// Perspective for the benchmarks that list it: 15 MB with what it needs, so it is not in the lock file but fetched into
// .cache/ when one of them first runs.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PACKAGE = '@finos/perspective@3.8.0';
const cache = fileURLToPath(new URL('../../.cache/perspective/', import.meta.url));

/** The path of one of its bundles, such as `perspective.node.js`; undefined where npm does not install it. */
export function perspectiveBundle(name) {
  const bundle = `${cache}node_modules/@finos/perspective/dist/esm/${name}`;
  if (existsSync(bundle)) return bundle;
  mkdirSync(cache, { recursive: true });
  writeFileSync(`${cache}package.json`, '{"private": true}\n');
  try {
    execFileSync('npm', ['install', '--prefix', cache, '--no-audit', '--no-fund', '--ignore-scripts', PACKAGE], {
      stdio: 'ignore',
    });
  } catch {
    return undefined;
  }
  return existsSync(bundle) ? bundle : undefined;
}
