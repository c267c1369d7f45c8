// One call of `notify` a microtask or animation frame, however often schedule() is called before it.

export type NotifyMode = 'frame' | 'microtask';

/** A hidden page gets no frames: this long after the first change, listeners are called without one. */
const FRAME_WAIT_MS_MAX = 250;

export class Notifier {
  readonly #mode: NotifyMode;
  readonly #notify: () => void;
  #scheduled = false;
  #frame: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(mode: NotifyMode, notify: () => void) {
    this.#mode = mode;
    this.#notify = notify;
  }

  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (this.#mode === 'microtask') {
      queueMicrotask(() => this.#run());
      return;
    }
    if (typeof globalThis.requestAnimationFrame === 'function')
      this.#frame = globalThis.requestAnimationFrame(() => this.#run());
    this.#timer = setTimeout(() => this.#run(), this.#frame === undefined ? 16 : FRAME_WAIT_MS_MAX);
  }

  end(): void {
    this.#scheduled = false;
    if (this.#frame !== undefined) globalThis.cancelAnimationFrame(this.#frame);
    clearTimeout(this.#timer);
    this.#frame = undefined;
    this.#timer = undefined;
  }

  #run(): void {
    if (!this.#scheduled) return;
    this.end();
    this.#notify();
  }
}
