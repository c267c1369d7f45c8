import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App.tsx';
import { HostSeries } from './logic/host-series.ts';
import { Nodes } from './logic/nodes.ts';
import { Sampler } from './logic/sampler.ts';
import { openSession, socketUrl, type Session } from './session.ts';
import './style/base.css';
import './style/page.css';
import './style/events.css';
import './style/panels.css';

declare global {
  interface Window {
    /** Only with `?test` in the address: the session, through the package's public interface. */
    __ringfence?: Session;
  }
}

const root = createRoot(document.getElementById('root')!);

// No top-level await: a page whose module awaits shows nothing in some browsers if that fails.
async function start(): Promise<void> {
  try {
    const nodes = new Nodes(window.location.host, window.location.search);
    const session = await openSession(socketUrl(window.location), nodes);
    const sampler = new Sampler(session);
    const hostSeries = new HostSeries(session.histories.host);
    if (new URLSearchParams(window.location.search).has('test')) window.__ringfence = session;
    root.render(
      <StrictMode>
        <App session={session} sampler={sampler} hostSeries={hostSeries} />
      </StrictMode>,
    );
  } catch (error) {
    root.render(
      <div className="problem" role="alert">
        <h1>This page could not start</h1>
        <p>{error instanceof Error ? error.message : String(error)}</p>
        <p className="quiet">
          It needs WebAssembly, which every browser of the last years has unless it is switched off.
        </p>
      </div>,
    );
  }
}

void start();
