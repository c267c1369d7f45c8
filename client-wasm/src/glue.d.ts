// What Emscripten generates from bindings.cpp, as core.ts uses it.
declare module 'ringfence-glue' {
  type NativeHandle = import('./core.js').CoreHandle;

  export interface NativeCore {
    start(memoryBytes: number, batchBytesMax: number): number;
    error(): number;
    staging(bytes: number): number;
    ingest(bytes: number, source: number): number;
    addHistory(name: string, recordsMax: number, bytesMax: number, ageMaxUs: number): number;
    removeHistory(id: number): boolean;
    attach(channelId: number, id: number, newEpoch: boolean, after: number, source: number): NativeHandle | null;
    noteGap(channelId: number, to: number, source: number): void;
    onChange(id: number, callback: () => void): NativeHandle | null;
    markChanged(id: number): void;
    hasChanges(): boolean;
    notify(): number;
    expire(id: number, nowUs: number): number;
    clear(id: number): void;
    lowerBound(id: number, seq: number): number;
    window(id: number, position: number, count: number): number;
    rowsAddress(): number;
    numbersAddress(): number;
    readPlace(id: number): void;
    readHistory(id: number): void;
    readStore(): void;
    refusedBy(error: number): number;
    delete(): void;
  }

  export interface Glue {
    readonly Core: new () => NativeCore;
    errorName(error: number): string;
  }

  export interface GlueOptions {
    wasmMemory: WebAssembly.Memory;
    instantiateWasm(
      imports: WebAssembly.Imports,
      receive: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
    ): WebAssembly.Exports;
  }

  export default function createGlue(options: GlueOptions): Glue;
}
