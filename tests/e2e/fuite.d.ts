// As much of fuite as the tests use; its own types leave out what a metric found.
declare module 'fuite' {
  import type { Page } from 'puppeteer';

  export interface Leaks {
    readonly detected: boolean;
    readonly objects: readonly { readonly name: string; readonly countDeltaPerIteration: number }[];
    readonly eventListeners: readonly { readonly type: string; readonly deltaPerIteration: number }[];
    readonly domNodes: { readonly delta: number; readonly nodes: readonly { readonly description: string }[] };
    readonly collections: readonly {
      readonly type: string;
      readonly preview: string;
      readonly deltaPerIteration: number;
    }[];
  }
  export interface Result {
    readonly leaks: Leaks;
    readonly deltaPerIteration: number;
  }
  export interface Failed {
    readonly failed: true;
    readonly error: Error;
  }
  export interface Options {
    readonly iterations: number;
    readonly progress: boolean;
    readonly browserArgs: readonly string[];
    readonly scenario: {
      setup(page: Page): Promise<void>;
      iteration(page: Page): Promise<void>;
      waitForIdle(page: Page): Promise<void>;
    };
  }
  export function findLeaks(url: string, options: Options): AsyncIterable<{ readonly result: Result | Failed }>;
}
