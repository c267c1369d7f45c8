import { useRef, useState, useSyncExternalStore, type KeyboardEvent } from 'react';
import { kChannels, kControl, type Channel } from '../channels.ts';
import { count, short } from '../logic/format.ts';
import type { Sampler } from '../logic/sampler.ts';
import type { Session } from '../session.ts';
import { EventList } from './EventList.tsx';
import { Speed } from './Speed.tsx';

const kTitles: Record<Channel, string> = { game: 'Game', chat: 'Chat', host: 'Host', log: 'Log' };

export interface EventsProps {
  readonly session: Session;
  readonly sampler: Sampler;
}

export function Events({ session, sampler }: EventsProps) {
  const [channel, setChannel] = useState<Channel>('game');
  const sample = useSyncExternalStore(sampler.subscribe, sampler.getSnapshot);
  const tabs = useRef<HTMLDivElement>(null);

  const onKeyDown = (event: KeyboardEvent) => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const next = (kChannels.indexOf(channel) + step + kChannels.length) % kChannels.length;
    setChannel(kChannels[next]!);
    (tabs.current?.children[next] as HTMLElement | undefined)?.focus();
  };

  const row = sample.histories.find((each) => each.name === channel);
  return (
    <section className="panel events" aria-label="Live events">
      <div className="tabs" role="tablist" aria-label="Channels" ref={tabs} onKeyDown={onKeyDown}>
        {kChannels.map((each) => (
          <button
            key={each}
            type="button"
            role="tab"
            id={`tab-${each}`}
            className="tab"
            aria-selected={each === channel}
            aria-controls="events-panel"
            tabIndex={each === channel ? 0 : -1}
            onClick={() => setChannel(each)}
            data-testid={`tab-${each}`}
          >
            {kTitles[each]}
            <small>{short(sample.channelEventsPerS[each])}/s</small>
          </button>
        ))}
      </div>
      <div id="events-panel" role="tabpanel" aria-labelledby={`tab-${channel}`} className="panel-body">
        <div className="toolbar">
          <span className="count" data-testid="held">
            {row ? `${count(row.held)} of ${count(row.capacity)} held` : ''}
          </span>
          {row && row.evictedTotal > 0 && <span className="count">{count(row.evictedTotal)} evicted</span>}
          {channel === 'game' && <Speed client={session.client} control={session.histories[kControl]} />}
        </div>
        <EventList key={channel} history={session.histories[channel]} name={channel} />
      </div>
    </section>
  );
}
