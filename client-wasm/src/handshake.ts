// Why a handshake was refused. A browser tells a page no more than close code 1006, so it is asked by HTTP with the same
// token: `GET info` beside the socket's address answers 401 with the code where the token is refused.
//
// Bounds   one question until the server has greeted; another only for another token after one that was refused. Each
//          follows a failed attempt, so the backoff spreads them too.
// Errors   none: what cannot be asked (no answer, another origin, a Content-Security-Policy) is not known.
import { ServerError } from './errors.js';

const ANSWER_MS = 10_000;

export class HandshakeCheck {
  #asked = false;
  #refused: string | undefined;

  /** The server has greeted. */
  passed(): void {
    this.#asked = false;
  }

  /** The server's refusal; undefined where it is not known, or was asked already. */
  async why(socketUrl: string, token: string | undefined): Promise<ServerError | undefined> {
    if (this.#asked && (this.#refused === undefined || this.#refused === token)) return undefined;
    this.#asked = true;
    this.#refused = undefined;
    try {
      const response = await fetch(new URL('info', socketUrl.replace(/^ws/, 'http')), {
        cache: 'no-store',
        credentials: 'omit',
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (response.status !== 401) return undefined;
      const { error } = (await response.json()) as { error: { code: string; message: string } };
      this.#refused = token ?? '';
      return new ServerError(String(error.code), `the handshake was refused: ${String(error.message)}`);
    } catch {
      return undefined;
    }
  }
}
