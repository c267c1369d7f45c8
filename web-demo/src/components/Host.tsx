import { useSyncExternalStore } from 'react';
import { bytes } from '../logic/format.ts';
import type { HostSeries } from '../logic/host-series.ts';
import { Chart, type Line } from './Chart.tsx';

const kOne: readonly Line[] = [{ color: '--line-1', fill: true }];
const kMemory: readonly Line[] = [{ color: '--line-3', fill: true }];
const kNetwork: readonly Line[] = [{ color: '--line-1' }, { color: '--line-2' }, { color: '--line-3' }];
const kAxisPx = 56;
const rate = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? '' : `${bytes(value)}/s`);
const percent = (value: number) => `${Math.round(value)} %`;

export function Host({ series }: { readonly series: HostSeries }) {
  const now = useSyncExternalStore(series.subscribe, series.getSnapshot);
  return (
    <section className="panel host" aria-labelledby="host-title" data-testid="host" data-samples={series.cpu.size}>
      <header>
        <h2 id="host-title">The server's machine</h2>
        <span className="quiet">four times a second</span>
      </header>
      <div className="charts">
        <Chart
          title="Processor"
          legend={<span className="key">{now ? percent(now.cpu * 100) : ''}</span>}
          series={series.cpu}
          lines={kOne}
          version={now}
          format={percent}
          top={100}
          axisPx={kAxisPx}
        />
        <Chart
          title="Memory"
          legend={
            <span className="key" style={{ '--hue': 'var(--line-3)' }}>
              {now ? `${bytes(now.memoryUsedBytes)} of ${bytes(now.memoryTotalBytes)}` : ''}
            </span>
          }
          series={series.memory}
          lines={kMemory}
          version={now}
          format={bytes}
          base={1024}
          axisPx={kAxisPx}
        />
        <Chart
          title="Network"
          legend={
            <>
              <span className="key">in {rate(now?.receivedBytesPerS)}</span>
              <span className="key" style={{ '--hue': 'var(--line-2)' }}>
                out {rate(now?.sentBytesPerS)}
              </span>
              <span className="key" style={{ '--hue': 'var(--line-3)' }}>
                local {rate(now?.loopbackBytesPerS)}
              </span>
            </>
          }
          series={series.network}
          lines={kNetwork}
          version={now}
          format={bytes}
          base={1024}
          axisPx={kAxisPx}
        />
      </div>
    </section>
  );
}
