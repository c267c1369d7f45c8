// The servers that the page may use. `?nodes=HOST:PORT,HOST:PORT` names those of a cluster: when the connection to one is
// lost, the next attempt goes to another, and the histories resume there.

export class Nodes {
  readonly hosts: readonly string[];
  #at = 0;

  /** `own`: the server that sent the page, which is tried first. */
  constructor(own: string, search: string) {
    const named = (new URLSearchParams(search).get('nodes') ?? '').split(',').filter((host) => host !== '');
    this.hosts = [own, ...named.filter((host) => host !== own)];
  }

  /** Where the present connection goes, or the next attempt. */
  get current(): string {
    return this.hosts[this.#at] ?? '';
  }

  get several(): boolean {
    return this.hosts.length > 1;
  }

  next(): void {
    this.#at = (this.#at + 1) % this.hosts.length;
  }

  /** A WebSocket for the client: its address is that of the node whose turn it is. */
  socket(): typeof WebSocket {
    const nodes = this;
    return class extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        const target = new URL(url);
        target.host = nodes.current;
        super(target, protocols);
        this.addEventListener('close', () => {
          // Left by the client, for whatever reason, or lost: another one may be better.
          if (target.host === nodes.current) nodes.next();
        });
      }
    };
  }
}
