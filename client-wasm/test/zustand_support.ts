// Rows of the tests of ringfence/zustand: numbered.

export interface Message {
  readonly n: number;
}
export const row = (n: number): Message => ({ n });
export const rows = (from: number, to: number): Message[] =>
  Array.from({ length: to - from + 1 }, (_, at) => row(from + at));
export const numbers = (state: { messages: readonly Message[] }): number[] => state.messages.map(({ n }) => n);
export const range = (from: number, to: number): number[] => rows(from, to).map(({ n }) => n);
