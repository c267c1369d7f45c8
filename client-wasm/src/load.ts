// Finds and compiles the WASM; each compiled once a page.
import { WasmLoadError } from './errors.js';
import type { StoreOptions } from './types.js';

type Source = NonNullable<StoreOptions['wasm']>;

const VITE_NOTE =
  "with Vite, add optimizeDeps: { exclude: ['ringfence'] }, or pass createStore({ wasm }) the address of ringfence/core.wasm";

const compiled = new Map<string, Promise<WebAssembly.Module>>();

/** The module; of an address it is fetched once, unless that failed. */
export async function loadModule(source: Source): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (typeof source === 'string' || source instanceof URL) {
    const address = String(source);
    let module = compiled.get(address);
    if (!module) {
      module = fetchModule(address);
      compiled.set(address, module);
      module.catch(() => compiled.delete(address));
    }
    return module;
  }
  if (ArrayBuffer.isView(source) || source instanceof ArrayBuffer) return compile(bytesOf(source), 'the bytes given');
  return fromResponse(await source);
}

async function fetchModule(address: string): Promise<WebAssembly.Module> {
  if (address.startsWith('file:')) return compile(await readFile(address), address);
  let response: Response;
  try {
    response = await fetch(address);
  } catch (cause) {
    throw new WasmLoadError(`${address} could not be fetched: ${String(cause)}`, cause);
  }
  return fromResponse(response);
}

async function fromResponse(response: Response): Promise<WebAssembly.Module> {
  const where = response.url || 'the response given';
  if (!response.ok) throw new WasmLoadError(`${where} answered ${response.status} ${response.statusText}`.trim());
  // Streaming needs the right MIME type; servers that give another one still serve the right bytes.
  // By the specification a parameter is wrong, too.
  const type = response.headers.get('content-type')?.trim().toLowerCase();
  if (type === 'application/wasm' && typeof WebAssembly.compileStreaming === 'function') {
    try {
      return await WebAssembly.compileStreaming(response);
    } catch (cause) {
      throw new WasmLoadError(`${where} is not the WASM of this package: ${String(cause)}`, cause);
    }
  }
  return compile(new Uint8Array(await response.arrayBuffer()), where);
}

async function compile(bytes: Uint8Array<ArrayBuffer>, where: string): Promise<WebAssembly.Module> {
  checkMagic(bytes, where);
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    throw new WasmLoadError(`${where} is not the WASM of this package: ${String(cause)}`, cause);
  }
}

function checkMagic(bytes: Uint8Array, where: string): void {
  if (bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d) return;
  const start = new TextDecoder().decode(bytes.subarray(0, 64)).trimStart();
  if (start.startsWith('<'))
    throw new WasmLoadError(
      `${where} is an HTML page, not WASM: the server answers this address with a page. ${VITE_NOTE}`,
    );
  throw new WasmLoadError(
    `${where} is not WASM: it has ${bytes.length} bytes and begins with ${JSON.stringify(start)}`,
  );
}

function bytesOf(source: BufferSource): Uint8Array<ArrayBuffer> {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  return new Uint8Array(source.buffer as ArrayBuffer, source.byteOffset, source.byteLength);
}

async function readFile(address: string): Promise<Uint8Array<ArrayBuffer>> {
  // Not to be resolved by a bundler, nor made a constant by a minifier: only Node gets here.
  const module = address.startsWith('file:') ? 'node:fs/promises' : address;
  try {
    const fs = (await import(/* @vite-ignore */ /* webpackIgnore: true */ module)) as typeof import('node:fs/promises');
    const bytes = await fs.readFile(new URL(address));
    return new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
  } catch (cause) {
    throw new WasmLoadError(`${address} could not be read: ${String(cause)}`, cause);
  }
}
