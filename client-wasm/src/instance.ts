// One instance of the WASM core with a memory of its own: all that stands between it and core.ts. Emscripten's own glue
// would be 3 KB gzip, for what a page has no use of.

/** The functions of bindings.cpp. Addresses and booleans are numbers. */
export interface Exports {
  _initialize(): void;
  rf_start(memoryBytes: number, batchBytesMax: number): number;
  rf_delete(): void;
  rf_error_name(error: number): number;
  rf_error(): number;
  rf_end(handle: number): void;
  rf_active(handle: number): number;
  rf_text_address(): number;
  rf_rows_address(): number;
  rf_numbers_address(): number;
  rf_staging(bytes: number): number;
  rf_ingest(bytes: number, source: number): number;
  rf_blocked(): number;
  rf_resume(): void;
  rf_add_history(nameBytes: number, recordsMax: number, bytesMax: number, ageMaxUs: number): number;
  rf_remove_history(id: number): void;
  rf_attach(channelId: number, id: number, newEpoch: number, after: number, source: number): number;
  rf_note_gap(channelId: number, to: number, source: number): void;
  rf_on_change(id: number, listener: number): number;
  rf_mark_changed(id: number): void;
  rf_has_changes(): number;
  rf_notify(): void;
  rf_expire(id: number, nowUs: number): number;
  rf_clear(id: number): void;
  rf_set_channel(id: number, bytes: number): void;
  rf_hold(id: number, position: number): void;
  rf_wanted(id: number): number;
  rf_set_push_type(bytes: number): void;
  rf_push(id: number, timeUs: number, charge: number, textBytes: number, own: number): number;
  rf_first_position(id: number): number;
  rf_last_key(id: number): number;
  rf_lower_bound(id: number, seq: number): number;
  rf_window(id: number, position: number, count: number): number;
  rf_add_view(
    id: number,
    typesBytes: number,
    channelsBytes: number,
    textBytes: number,
    capacity: number,
    rateBucketUs: number,
  ): number;
  rf_remove_view(view: number): void;
  rf_view_positions(view: number, match: number, count: number): number;
  rf_mark_read(view: number, id: number, seq: number): number;
  rf_view_rates(view: number, nowUs: number): number;
  rf_add_keyed(entries: number, bytesMax: number): number;
  rf_remove_keyed(table: number): void;
  rf_keyed_set(table: number, entry: number, nowMs: number, ttlMs: number, bytes: number): number;
  rf_keyed_touch(table: number, entry: number, nowMs: number): number;
  rf_keyed_erase(table: number, entry: number, nowMs: number): number;
  rf_keyed_expire(table: number, nowMs: number): void;
  rf_keyed_clear(table: number, nowMs: number): void;
  rf_keyed_left(table: number, from: number): number;
  rf_read_keyed(table: number, nowMs: number): void;
  rf_read_place(id: number): void;
  rf_read_history(id: number): void;
  rf_read_store(): void;
  rf_read_view(view: number): void;
  rf_refused_by(error: number): number;
}

/** The text at an address, up to its zero. */
export function textAt(memory: WebAssembly.Memory, address: number): string {
  const bytes = new Uint8Array(memory.buffer);
  return new TextDecoder().decode(bytes.subarray(address, bytes.indexOf(0, address)));
}

/**
 * Starts the module. `changed` is called for a listener's number, and must not throw.
 * @throws WebAssembly.LinkError, TypeError if the module is not ours
 */
export function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  changed: (listener: number) => void,
): Exports {
  const given: Record<string, WebAssembly.ImportValue> = {
    memory,
    ringfence_changed: changed,
    ringfence_report: (text: number) => console.error(textAt(memory, text)),
  };
  // What else a version of Emscripten asks for is notices that nobody needs, and the exit before a trap.
  const imports: WebAssembly.Imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module))
    (imports[from] ??= {})[name] = given[name] ?? (() => 0);
  const exports = new WebAssembly.Instance(module, imports).exports as unknown as Exports;
  exports._initialize();
  return exports;
}
