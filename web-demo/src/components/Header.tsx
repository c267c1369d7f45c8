import type { Client, ConnectionState } from 'ringfence';
import { useConnection } from 'ringfence/react';
import type { Nodes } from '../logic/nodes.ts';
import { resumeText } from '../logic/resume.ts';

function stateText({ status, retryInMs }: ConnectionState): string {
  switch (status) {
    case 'connecting':
      return 'Connecting';
    case 'open':
      return 'Connected';
    case 'waiting':
      return retryInMs >= 1000 ? `Reconnecting in ${Math.round(retryInMs / 1000)} s` : 'Reconnecting';
    case 'offline':
      return 'No network';
    case 'stopped':
      return 'Offline';
    case 'closed':
      return 'Closed';
  }
}

const kStateClass = {
  connecting: 'waiting',
  open: 'open',
  waiting: 'waiting',
  offline: 'waiting',
  stopped: 'down',
  closed: 'down',
} as const;

export function Header({ client, nodes }: { readonly client: Client; readonly nodes: Nodes }) {
  const state = useConnection(client);
  const { status, lastResume } = state;
  const resume = lastResume && resumeText(lastResume);
  return (
    <header className="top">
      <div className="brand">
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <circle
            cx="16"
            cy="16"
            r="11"
            fill="none"
            stroke="var(--line-1)"
            strokeWidth="4.5"
            strokeDasharray="55 14.1"
            strokeLinecap="round"
            transform="rotate(-60 16 16)"
          />
          <circle cx="16" cy="16" r="3.4" fill="var(--line-2)" />
        </svg>
        <div>
          <h1>Ringfence</h1>
          <p>Live events, held in bounded WebAssembly memory</p>
        </div>
      </div>
      <div className="connection">
        <p className={resume?.missed ? 'resume missed' : 'resume'} role="status" data-testid="resume">
          {status === 'open' && resume && (
            <>
              Back: <strong>{resume.verdict}</strong>
              {resume.detail && `, ${resume.detail}`}
            </>
          )}
        </p>
        <span className={`state ${kStateClass[status]}`} data-testid="status" data-status={status}>
          {stateText(state)}
          {nodes.several && status === 'open' && (
            <>
              {' to '}
              <span data-testid="node">{nodes.current}</span>
            </>
          )}
        </span>
        {status === 'waiting' || status === 'offline' || status === 'stopped' ? (
          <button type="button" className="button" onClick={() => client.reconnect()} data-testid="reconnect">
            Reconnect now
          </button>
        ) : (
          <button
            type="button"
            className="button"
            onClick={() => client.cut()}
            disabled={status !== 'open'}
            title="Drops the socket as a lost network would. The page reconnects and resumes where it was."
            data-testid="cut"
          >
            Cut the connection
          </button>
        )}
      </div>
    </header>
  );
}
