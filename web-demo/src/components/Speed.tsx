import { useEffect, useRef, useState } from 'react';
import type { Client, History } from 'ringfence';
import { useConnection, useHistory } from 'ringfence/react';
import { kControl } from '../channels.ts';
import { count } from '../logic/format.ts';
import { kSliderSteps, speedAt, speedIn, stepOf } from '../logic/speed.ts';

// A dragged slider asks at most this often: the feed follows as one drags.
const kAskPeriodMs = 120;

export interface SpeedProps {
  readonly client: Client;
  /** The control channel: what was asked for, and what the game answered. */
  readonly control: History;
}

export function Speed({ client, control }: SpeedProps) {
  const { status } = useConnection(client);
  const { items } = useHistory(control, { last: 1 });
  const told = speedIn(items[0]?.data);
  const [wanted, setWanted] = useState<number | null>(null);
  const [problem, setProblem] = useState('');
  const timer = useRef<number | null>(null);
  const speed = wanted ?? told;

  useEffect(
    () => () => {
      if (timer.current !== null) window.clearTimeout(timer.current);
      timer.current = null;
    },
    [],
  );

  const latest = useRef(0);
  const ask = (eventsPerS: number) => {
    latest.current = eventsPerS;
    setWanted(eventsPerS);
    timer.current ??= window.setTimeout(() => {
      timer.current = null;
      const asked = latest.current;
      client.publish(kControl, 'speed', { events_per_s: asked }).then(
        () => {
          setProblem('');
          setWanted((now) => (now === asked ? null : now));
        },
        (error: Error) => {
          setProblem(error.message);
          setWanted((now) => (now === asked ? null : now));
        },
      );
    }, kAskPeriodMs);
  };

  return (
    <div className="speed">
      <label htmlFor="speed">Game speed</label>
      <input
        id="speed"
        type="range"
        min={0}
        max={kSliderSteps}
        value={speed === null ? 0 : stepOf(speed)}
        disabled={status !== 'open'}
        onChange={(event) => ask(speedAt(event.target.valueAsNumber))}
        aria-valuetext={speed === null ? 'not known' : `${count(speed)} events a second`}
        data-testid="speed"
      />
      <output htmlFor="speed" title={problem || undefined} data-testid="speed-value">
        {problem ? 'refused' : speed === null ? 'no game yet' : `${count(speed)} events/s`}
      </output>
    </div>
  );
}
