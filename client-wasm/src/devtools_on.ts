// ringfence/devtools of a development build.
export { open as openDevtools, type Devtools, type DevtoolsOptions } from './devtools/open.js';
export type { HistoryRow, Summary } from './devtools/summary.js';
