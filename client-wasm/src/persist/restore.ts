// Puts what was kept into an empty history: by the way that batches come, so the core checks every byte of it.
import type { HistoryImpl } from '../history.js';
import type { Kept } from './database.js';
import { type Segment, batchesOf } from './segment.js';

const CHANNEL_ID = 1;

/**
 * The history is then where it was in its channel, and goes on there when it is subscribed.
 * @throws RingfenceError of the decoder (`batch_...`); the history is empty again
 */
export function restore(history: HistoryImpl<unknown>, kept: Kept, segments: readonly Segment[]): void {
  const { store, id } = history;
  const { core } = store;
  const source = store.nextSource(); // no connection's
  let prev = segments[0] ? segments[0].first - 1 : kept.lastSeq;
  const route = core.attach(CHANNEL_ID, id, false, prev, source);
  try {
    for (const segment of segments) {
      for (const batch of batchesOf(segment, CHANNEL_ID, prev, store.batchBytes)) {
        const refused = store.ingest(batch, source);
        if (refused) throw refused;
      }
      prev = segment.last;
    }
    if (kept.lastSeq > prev) core.noteGap(CHANNEL_ID, kept.lastSeq, source);
  } catch (error) {
    route.delete();
    core.attach(CHANNEL_ID, id, true, 0, source).delete(); // another epoch: nothing of it stays
    throw error;
  } finally {
    route.delete();
    history.fed = core.place(id).lastSeq > 0;
    core.markChanged(id);
    store.changed();
  }
  history.fed = true;
  history.resume = { channel: kept.channel, epoch: kept.epoch };
  if (history.maxAge !== undefined) history.expire(store.timers.now());
}
