import { Chat } from './components/Chat.tsx';
import { Events } from './components/Events.tsx';
import { Header } from './components/Header.tsx';
import { Host } from './components/Host.tsx';
import { Memory } from './components/Memory.tsx';
import type { HostSeries } from './logic/host-series.ts';
import type { Sampler } from './logic/sampler.ts';
import type { Session } from './session.ts';

export interface AppProps {
  readonly session: Session;
  readonly sampler: Sampler;
  readonly hostSeries: HostSeries;
}

export function App({ session, sampler, hostSeries }: AppProps) {
  return (
    <div className="page">
      <Header client={session.client} nodes={session.nodes} />
      <main className="grid">
        <Events session={session} sampler={sampler} />
        <Chat client={session.client} history={session.histories.chat} />
        <Host series={hostSeries} />
        <Memory sampler={sampler} />
      </main>
      <footer className="foot">
        <span>Every history has a capacity. When it is full the oldest records leave, and are counted.</span>
        <span>Ringfence</span>
      </footer>
    </div>
  );
}
