import type { Row } from 'ringfence';
import { clock, count } from '../logic/format.ts';

export interface InspectorProps {
  readonly row: Row;
  /** Whether the history still has it. */
  readonly held: boolean;
  readonly onClose: () => void;
}

export function Inspector({ row, held, onClose }: InspectorProps) {
  return (
    <aside className="inspector" aria-label="Selected event" data-testid="inspector">
      <div>
        <h3>{row.type}</h3>
        <span className="quiet">number {count(row.seq)}</span>
        <span className="quiet">{clock(row.time)}</span>
        {!held && <span className="quiet">has left the history</span>}
        <button type="button" className="button plain" onClick={onClose}>
          Close
        </button>
      </div>
      <pre tabIndex={0}>{row.error ? row.error.message : JSON.stringify(row.data, null, 2)}</pre>
    </aside>
  );
}
