// The page of `./dev bench frames`: one virtual list that shows the newest rows, above one of several stores. The list, the
// rows and the watch are the same for all; ?store= says which store, and its module in stores/ is all that differs, unless
// that brings a list of its own.
import { useVirtualizer } from '@tanstack/react-virtual';
import { memo, useLayoutEffect, useRef } from 'react';
import { createRoot } from 'react-dom/client';

import { startWatch, watch } from './watch.js';

const ROW_PX = 30;
const OVERSCAN_ROWS = 3;
const PREVIEW_CHARS = 80;

const stores = {
  pixels: () => import('./stores/pixels.js'),
  ringfence: () => import('./stores/ringfence.js'),
  ringfence_worker: () => import('./stores/ringfence_worker.js'),
  ringfence_list: () => import('./stores/ringfence_list.jsx'),
  zustand: () => import('./stores/zustand.js'),
  zustand_naive: () => import('./stores/zustand_naive.js'),
  rtk: () => import('./stores/rtk.jsx'),
  mnemonist: () => import('./stores/mnemonist.js'),
  perspective: () => import('./stores/perspective.js'),
};

const Row = memo(function Row({ row, top }) {
  const { seq, data } = row;
  return (
    <div className="row" style={{ transform: `translateY(${top}px)` }}>
      <span>{seq}</span>
      <span>{data.user}</span>
      <span>{data.score}</span>
      <span>{data.text.slice(0, PREVIEW_CHARS)}</span>
    </div>
  );
});

/** `useTail` gives how many rows there are, and the one at an index, of which the list asks for the last few only. */
function List({ useTail }) {
  const scroller = useRef(null);
  const { size, rowAt } = useTail();
  const virtualizer = useVirtualizer({
    count: size,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN_ROWS,
  });
  useLayoutEffect(() => {
    if (scroller.current) scroller.current.scrollTop = scroller.current.scrollHeight;
  }, [size]);
  const items = virtualizer.getVirtualItems();
  useLayoutEffect(() => {
    watch.shownAt = rowAt(items.at(-1)?.index ?? 0)?.data.at ?? 0;
  });
  return (
    <div className="scroller" ref={scroller}>
      <div className="rows" style={{ height: virtualizer.getTotalSize() }}>
        {items.map(({ key, index, start }) => {
          const row = rowAt(index);
          return row && <Row key={key} row={row} top={start} />;
        })}
      </div>
    </div>
  );
}

const options = new URLSearchParams(location.search);
const { open } = await stores[options.get('store')]();
const {
  useTail,
  taken,
  size,
  Wrapper = ({ children }) => children,
  OwnList,
} = await open({
  url: `ws://${location.host}/v1/ws`,
  channel: options.get('channel'),
  capacity: Number(options.get('capacity')),
  eventsPerS: Number(options.get('rate')),
});
createRoot(document.getElementById('root')).render(
  <Wrapper>{OwnList ? <OwnList rowHeight={ROW_PX} /> : <List useTail={useTail} />}</Wrapper>,
);
startWatch();
globalThis.bench = { taken, size, watch };
