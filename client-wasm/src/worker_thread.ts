// The script of the worker of ringfence/worker: one file that imports nothing. Not to be imported by a page.
import { Host } from './worker/host.js';
import type { HostPort } from './worker/messages.js';

new Host(globalThis as unknown as HostPort, {});
