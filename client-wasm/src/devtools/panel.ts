// The panel: a custom element with a shadow root, and text alone, so that neither the page's style nor what a record holds
// gets in. Draws what it is given.
import type { HistoryRow, Summary } from './summary.js';

export const PANEL_TAG = 'ringfence-devtools';

// By CSSOM: a policy against inline styles does not forbid it.
const STYLE = `
:host { all: initial; position: fixed; right: 12px; bottom: 12px; z-index: 2147483000; width: 560px; max-width: calc(100vw - 24px);
  font: 12px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; color: #e6e9ef; color-scheme: dark; }
section { background: #14171d; border: 1px solid #333a46; border-radius: 8px; box-shadow: 0 8px 28px #0008; overflow: hidden; }
header { display: flex; gap: 8px; align-items: center; padding: 7px 10px; background: #1c2129; }
h2 { font: inherit; font-weight: 700; margin: 0; flex: 1; }
button { font: inherit; color: inherit; background: #2b323e; border: 1px solid #414b5b; border-radius: 5px; padding: 1px 9px; cursor: pointer; }
button:hover { background: #384252; } button:focus-visible, summary:focus-visible { outline: 2px solid #6cb2ff; outline-offset: 1px; }
.body { padding: 8px 10px 10px; max-height: 56vh; overflow: auto; } .body[hidden] { display: none; }
dl { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 8px; } dl div { display: flex; gap: 6px; }
dt { color: #98a2b3; } dd { margin: 0; } .bad { color: #ff8f7a; }
table { border-collapse: collapse; width: 100%; } th { text-align: right; font-weight: 400; color: #98a2b3; }
th:first-child, td:first-child { text-align: left; max-width: 150px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
td { text-align: right; padding: 2px 0 2px 10px; } th { padding-left: 10px; } th:first-child, td:first-child { padding-left: 0; }
progress { width: 64px; height: 8px; accent-color: #4fb477; vertical-align: middle; }
details { margin-top: 8px; } summary { cursor: pointer; color: #98a2b3; }
pre { margin: 2px 0 8px 14px; white-space: pre-wrap; color: #98a2b3; font-size: 11px; } ul { list-style: none; margin: 4px 0 0; padding: 0; }`;

const HANDLES_SHOWN_MAX = 100;

export interface PanelActions {
  pause(paused: boolean): void;
  export(): void;
  close(): void;
}

export interface Panel extends HTMLElement {
  connect(actions: PanelActions): void;
  draw(summary: Summary): void;
}

const kib = (bytes: number): string =>
  bytes >= 1024 ** 2 ? `${(bytes / 1024 ** 2).toFixed(1)} MiB` : `${(bytes / 1024).toFixed(0)} KiB`;

/** Defines the element, once a page. */
export function definePanel(): void {
  if (customElements.get(PANEL_TAG)) return;

  class RingfenceDevtools extends HTMLElement implements Panel {
    readonly #totals = document.createElement('dl');
    readonly #rows = document.createElement('tbody');
    readonly #handles = document.createElement('ul');
    readonly #handlesTitle = document.createElement('summary');
    readonly #details = document.createElement('details');
    readonly #body = document.createElement('div');
    readonly #header = document.createElement('header');
    #drawnHandles = '';

    connect(actions: PanelActions): void {
      const shadow = this.attachShadow({ mode: 'open' });
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(STYLE);
      shadow.adoptedStyleSheets = [sheet];
      const title = text('h2', 'ringfence');
      let paused = false;
      const pause = button('Pause', 'pause', () => {
        paused = !paused;
        pause.textContent = paused ? 'Resume' : 'Pause';
        pause.setAttribute('aria-pressed', String(paused));
        actions.pause(paused);
      });
      const fold = button('Hide', 'fold', () => {
        this.#body.hidden = !this.#body.hidden;
        fold.textContent = this.#body.hidden ? 'Show' : 'Hide';
        fold.setAttribute('aria-expanded', String(!this.#body.hidden));
      });
      this.#header.append(
        title,
        pause,
        button('Export', 'export', actions.export),
        fold,
        button('Close', 'close', actions.close),
      );
      const table = document.createElement('table');
      const head = table.createTHead().insertRow();
      for (const name of ['history', 'fill', 'held', 'bytes', 'evicted', 'missed', 'rec/s'])
        head.append(text('th', name));
      table.append(this.#rows);
      this.#body.className = 'body';
      this.#details.append(this.#handlesTitle, this.#handles);
      this.#body.append(this.#totals, table, this.#details);
      const section = document.createElement('section');
      section.setAttribute('aria-label', 'Ringfence developer tools');
      section.append(this.#header, this.#body);
      shadow.append(section);
    }

    draw({ store, histories, handles }: Summary): void {
      const totals: readonly [string, string, boolean?][] = [
        ['WASM memory', `${kib(store.memoryBytes)} of ${kib(store.budgetBytes)}`],
        ['declared', `${kib(store.declaredBytes)} of ${kib(store.capacityBytes)}`],
        ['records', String(store.records)],
        ['gaps', String(histories.reduce((sum, { missed }) => sum + missed, 0))],
        [
          'refused',
          String(store.refusedBatches + store.refusedRecords),
          store.refusedBatches + store.refusedRecords > 0,
        ],
        ['listener errors', String(store.listenerErrors), store.listenerErrors > 0],
        ['collected alive', String(store.collectedHandles), store.collectedHandles > 0],
      ];
      this.#totals.replaceChildren(
        ...totals.map(([name, value, bad]) => {
          const pair = document.createElement('div');
          const shown = text('dd', value);
          if (bad) shown.className = 'bad';
          pair.append(text('dt', name), shown);
          return pair;
        }),
      );
      this.#rows.replaceChildren(...histories.map(row));
      this.#handlesTitle.textContent = `${handles.length} live handles`;
      if (!this.#details.open) return;
      // Only when they have changed: a stack that somebody reads or selects stays where it is.
      const shown = handles.slice(0, HANDLES_SHOWN_MAX);
      const key =
        shown.map(({ kind, name, owner, stack }) => `${kind}\n${name}\n${owner}\n${stack}`).join('\0') + handles.length;
      if (key === this.#drawnHandles) return;
      this.#drawnHandles = key;
      const items = shown.map(({ kind, name, owner, stack }) => {
        const item = text('li', `${kind} ${JSON.stringify(name)} of ${owner}`);
        if (stack) item.append(text('pre', stack.replace(/^\s+/gm, '')));
        return item;
      });
      if (handles.length > shown.length) items.push(text('li', `and ${handles.length - shown.length} more`));
      this.#handles.replaceChildren(...items);
    }
  }

  customElements.define(PANEL_TAG, RingfenceDevtools);
}

function text(tag: string, value: string): HTMLElement {
  const element = document.createElement(tag);
  element.textContent = value;
  return element;
}

function button(label: string, name: string, act: () => void): HTMLElement {
  const element = text('button', label);
  element.setAttribute('type', 'button');
  element.dataset['action'] = name;
  element.addEventListener('click', act);
  return element;
}

function row(history: HistoryRow): HTMLElement {
  const line = document.createElement('tr');
  const fill = document.createElement('progress');
  // Whichever of the two bounds is nearer.
  fill.value = Math.max(history.held / history.capacity, history.allocatedBytes / history.bytesMax);
  fill.setAttribute('aria-label', `fill of ${history.name}`);
  const bar = document.createElement('td');
  bar.append(fill);
  const bytes = `${kib(history.allocatedBytes)} of ${kib(history.bytesMax)}`;
  const held = `${history.held} of ${history.capacity}`;
  const cells = [held, bytes, history.evicted, history.missed, history.perSecond];
  line.append(text('td', history.name), bar, ...cells.map((cell) => text('td', String(cell))));
  return line;
}
