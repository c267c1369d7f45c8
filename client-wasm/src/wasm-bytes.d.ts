// core.wasm in base64, put in by build.mjs.
declare module 'ringfence-wasm-base64' {
  const base64: string;
  export default base64;
}
