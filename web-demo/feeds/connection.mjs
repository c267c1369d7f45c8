// Connection: publishes to a server and hears channels, over `ringfence.v1.json`; connects again when it is lost. Of
// several addresses, with commas between them, to the next one.
//
// Bounds   windowMax publishes that the server has not answered: when full, or not connected, publish() takes nothing
//          and says so. The caller holds what it wants to send.

import WebSocket from 'ws';

const kBackoffMsMin = 100;
const kBackoffMsMax = 5_000;

export class Connection {
  #urls;
  #at = 0;
  #windowMax;
  #channels;
  #onOpen;
  #onEvent;
  #socket = null;
  #ready = false;
  #ended = false;
  #attempts = 0;
  #timer = null;
  #waitUntilMs = 0;
  #nextId = 1;
  #unanswered = new Set();
  #saidLost = false;
  counts = { acknowledged: 0, refused: 0, unknown: 0 };

  constructor(url, { windowMax = 1024, channels = [], onOpen = () => {}, onEvent = () => {} } = {}) {
    this.#urls = url.split(',');
    this.#windowMax = windowMax;
    this.#channels = channels;
    this.#onOpen = onOpen;
    this.#onEvent = onEvent;
    this.#connect();
  }

  /** How many publishes it would take now. */
  get room() {
    return this.#ready && Date.now() >= this.#waitUntilMs ? this.#windowMax - this.#unanswered.size : 0;
  }

  /** False, and nothing is sent, if there is no room. */
  publish(channel, type, data) {
    if (this.room <= 0) return false;
    const id = this.#nextId++;
    this.#unanswered.add(id);
    this.#socket.send(JSON.stringify({ op: 'publish', id, channel, type, data }));
    return true;
  }

  end() {
    this.#ended = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.close(1000);
    // A server that does not answer the close is not waited for.
    setTimeout(() => this.#socket?.terminate(), 1000).unref();
  }

  #connect() {
    const socket = new WebSocket(this.#urls[this.#at], 'ringfence.v1.json', {
      perMessageDeflate: false,
      handshakeTimeout: 10_000,
    });
    this.#socket = socket;
    socket.on('message', (message) => this.#take(message.toString()));
    socket.on('error', (error) => this.#lost(error.message));
    socket.on('close', (code) => this.#lost(`closed with ${code}`));
  }

  #take(text) {
    if (text.startsWith('{"op":"event"')) {
      for (const line of text.split('\n')) {
        const event = JSON.parse(line);
        this.#onEvent(event.channel, event.type, event.data);
      }
      return;
    }
    const message = JSON.parse(text);
    if (message.op === 'ok') {
      if (this.#unanswered.delete(message.id)) ++this.counts.acknowledged;
    } else if (message.op === 'error') {
      if (this.#unanswered.delete(message.id)) ++this.counts.refused;
      if (message.retry_after_ms > 0) this.#waitUntilMs = Date.now() + message.retry_after_ms;
      else console.error(`feed: the server refused: ${message.code}: ${message.message}`);
    } else if (message.op === 'welcome') {
      this.#attempts = 0;
      this.#saidLost = false;
      for (const channel of this.#channels) this.#socket.send(JSON.stringify({ op: 'subscribe', channel }));
      this.#ready = true;
      this.#onOpen();
    } else if (message.op === 'closing') {
      this.#ready = false;
      this.#waitUntilMs = Date.now() + message.retry_after_ms;
    }
  }

  #lost(why) {
    if (this.#timer !== null || this.#ended) return;
    this.#ready = false;
    this.counts.unknown += this.#unanswered.size;
    this.#unanswered.clear();
    if (!this.#saidLost) console.error(`feed: ${this.#urls[this.#at]}: ${why}; trying again`);
    this.#at = (this.#at + 1) % this.#urls.length;
    this.#saidLost = true;
    // Full jitter: feeds that lost one server do not all come back at once.
    const backoffMs = Math.random() * Math.min(kBackoffMsMax, kBackoffMsMin * 2 ** this.#attempts++);
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#connect();
      },
      Math.max(backoffMs, this.#waitUntilMs - Date.now()),
    );
  }
}
