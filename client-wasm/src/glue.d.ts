// What Emscripten generates from bindings.cpp, as core.ts uses it. Addresses and booleans are numbers.
declare module 'ringfence-glue' {
  export interface Glue {
    /** Set by core.ts: called for a listener's number. */
    changed: (listener: number) => void;
    _rf_start(memoryBytes: number, batchBytesMax: number): number;
    _rf_delete(): void;
    _rf_error_name(error: number): number;
    _rf_error(): number;
    _rf_end(handle: number): void;
    _rf_active(handle: number): number;
    _rf_text_address(): number;
    _rf_rows_address(): number;
    _rf_numbers_address(): number;
    _rf_staging(bytes: number): number;
    _rf_ingest(bytes: number, source: number): number;
    _rf_blocked(): number;
    _rf_resume(): void;
    _rf_add_history(nameBytes: number, recordsMax: number, bytesMax: number, ageMaxUs: number): number;
    _rf_remove_history(id: number): void;
    _rf_attach(channelId: number, id: number, newEpoch: number, after: number, source: number): number;
    _rf_note_gap(channelId: number, to: number, source: number): void;
    _rf_on_change(id: number, listener: number): number;
    _rf_mark_changed(id: number): void;
    _rf_has_changes(): number;
    _rf_notify(): void;
    _rf_expire(id: number, nowUs: number): number;
    _rf_clear(id: number): void;
    _rf_set_channel(id: number, bytes: number): void;
    _rf_hold(id: number, position: number): void;
    _rf_wanted(id: number): number;
    _rf_set_push_type(bytes: number): void;
    _rf_push(id: number, timeUs: number, charge: number, textBytes: number, own: number): number;
    _rf_first_position(id: number): number;
    _rf_last_key(id: number): number;
    _rf_lower_bound(id: number, seq: number): number;
    _rf_window(id: number, position: number, count: number): number;
    _rf_add_view(
      id: number,
      typesBytes: number,
      channelsBytes: number,
      textBytes: number,
      capacity: number,
      rateBucketUs: number,
    ): number;
    _rf_remove_view(view: number): void;
    _rf_view_positions(view: number, match: number, count: number): number;
    _rf_mark_read(view: number, id: number, seq: number): number;
    _rf_view_rates(view: number, nowUs: number): number;
    _rf_read_place(id: number): void;
    _rf_read_history(id: number): void;
    _rf_read_store(): void;
    _rf_read_view(view: number): void;
    _rf_refused_by(error: number): number;
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
