// ringfence/testing: a clock, a socket and a server that live in memory, and a check that nothing was left. For tests: nothing
// here belongs into a page.
export { FakeClock } from './testing/clock.js';
export { type EncodedEvent, type EncodedSection, encodeBatch } from './testing/encode.js';
export { type LeakOptions, expectNoLeaks } from './testing/leaks.js';
export { MemoryServer, type MemoryServerOptions } from './testing/server.js';
export { FakeSocket, type Message } from './testing/socket.js';
