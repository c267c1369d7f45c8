// What the server refuses for now and takes later, as long as it asks to wait.

export const LATER: ReadonlySet<string> = new Set(['rate_limited', 'overloaded', 'broker_unavailable']);
/** Where the server does not say how long to wait. */
const RETRY_MS = 1000;
const RETRY_MS_MAX = 10 * 60 * 1000;

export const laterMs = (retryAfterMs: number | undefined): number => Math.min(retryAfterMs ?? RETRY_MS, RETRY_MS_MAX);
