// How stores other than Ringfence's are fed: the same server's JSON sub-protocol, where a message holds one line an event.

/** Calls onEvents with the events of each message. `taken()`: how many came. */
export function openFeed({ url, channel }, onEvents) {
  let count = 0;
  const socket = new WebSocket(url, ['ringfence.v1.json']);
  socket.onopen = () => socket.send(JSON.stringify({ op: 'subscribe', channel, last: 1 }));
  socket.onmessage = ({ data }) => {
    const events = [];
    for (const line of data.split('\n')) {
      if (line === '') continue;
      const event = JSON.parse(line);
      if (event.op === 'event') events.push(event);
    }
    count += events.length;
    if (events.length > 0) onEvents(events);
  };
  return { taken: () => count };
}

/** Gathers what comes between two frames: onBatch is called once a frame at most, with all of it. */
export function oncePerFrame(onBatch) {
  let pending = [];
  return (events) => {
    if (pending.length === 0)
      requestAnimationFrame(() => {
        const batch = pending;
        pending = [];
        onBatch(batch);
      });
    for (const event of events) pending.push(event);
  };
}
