import { useSyncExternalStore } from 'react';
import type { HistoryStats } from 'ringfence';
import { bytes, count, short } from '../logic/format.ts';
import type { Sampler } from '../logic/sampler.ts';
import { Chart, type Line } from './Chart.tsx';

const kRate: readonly Line[] = [{ color: '--line-1', fill: true }];
const kBytes: readonly Line[] = [{ color: '--line-3', fill: true }, { color: '--line-2' }];

const kAxisPx = 56;

export function Memory({ sampler }: { readonly sampler: Sampler }) {
  const sample = useSyncExternalStore(sampler.subscribe, sampler.getSnapshot);
  const { store } = sample;
  return (
    <section className="panel memory" aria-labelledby="memory-title" data-testid="memory">
      <header>
        <h2 id="memory-title">What this tab holds</h2>
        <span className="quiet">Flat at any speed: the oldest records make room for the newest</span>
      </header>
      <dl className="totals">
        <Total
          id="held"
          label="Records held"
          value={count(sample.held)}
          of={`of ${count(sample.capacity)}`}
          raw={sample.held}
        />
        <Total id="evicted" label="Evicted" value={count(sample.evicted)} raw={sample.evicted} />
        <Total
          id="bytes"
          label="Bytes held"
          value={bytes(sample.heldBytes)}
          of={`of ${bytes(store.declaredBytes)}`}
          raw={sample.heldBytes}
        />
        <Total
          id="wasm"
          label="WASM memory"
          value={bytes(store.memoryBytes)}
          of={`of ${bytes(store.budgetBytes)}`}
          raw={store.memoryBytes}
        />
        <Total id="handles" label="Live handles" value={count(store.handles.total)} raw={store.handles.total} />
        <Total
          id="listeners"
          label="Listeners"
          value={count(store.handles.listeners + store.handles.clientListeners)}
          raw={store.handles.listeners + store.handles.clientListeners}
        />
        <Total id="received" label="Received" value={`${bytes(sample.bytesPerS)}/s`} raw={sample.bytesPerS} />
      </dl>
      <div className="charts">
        <Chart
          title="Events a second"
          legend={<span className="key">{count(sample.eventsPerS)}</span>}
          series={sampler.rates}
          lines={kRate}
          version={sample.version}
          format={short}
          axisPx={kAxisPx}
        />
        <Chart
          title="Bytes"
          legend={
            <>
              <span className="key" style={{ '--hue': 'var(--line-3)' }}>
                held
              </span>
              <span className="key" style={{ '--hue': 'var(--line-2)' }}>
                WASM memory
              </span>
            </>
          }
          series={sampler.bytes}
          lines={kBytes}
          version={sample.version}
          format={bytes}
          base={1024}
          axisPx={kAxisPx}
        />
      </div>
      <div className="table-wrap" tabIndex={0} role="group" aria-label="Each history">
        <table className="ledger">
          <thead>
            <tr>
              <th scope="col">History</th>
              <th scope="col">Records held of capacity</th>
              <th scope="col">Bytes held of limit</th>
              <th scope="col">Evicted</th>
              <th scope="col">Missed</th>
              <th scope="col">Listeners</th>
            </tr>
          </thead>
          <tbody>
            {sample.histories.map((row) => (
              <HistoryRow key={row.name} row={row} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function HistoryRow({ row }: { readonly row: HistoryStats }) {
  return (
    <tr data-testid={`history-${row.name}`}>
      <th scope="row">{row.name}</th>
      <td>
        {count(row.held)} <span className="of">of {count(row.capacity)}</span>
        <Meter of={row.capacity} value={row.held} />
      </td>
      <td>
        {bytes(row.heldBytes)} <span className="of">of {bytes(row.bytesMax)}</span>
        <Meter of={row.bytesMax} value={row.allocatedBytes} />
      </td>
      <td>{count(row.evictedTotal)}</td>
      <td>{row.missedUnknown > 0 ? `${count(row.missed)} and unknown` : count(row.missed)}</td>
      <td>{count(row.listeners)}</td>
    </tr>
  );
}

function Meter({ value, of }: { readonly value: number; readonly of: number }) {
  return (
    <span className="meter" aria-hidden="true">
      <i style={{ transform: `scaleX(${Math.min(1, value / of)})` }} />
    </span>
  );
}

interface TotalProps {
  readonly id: string;
  readonly label: string;
  readonly value: string;
  readonly of?: string;
  /** The number behind the text. */
  readonly raw: number;
}

function Total({ id, label, value, of, raw }: TotalProps) {
  return (
    <div>
      <dt>{label}</dt>
      <dd data-testid={`total-${id}`} data-value={raw}>
        {value}
        {of && <small>{of}</small>}
      </dd>
    </div>
  );
}
