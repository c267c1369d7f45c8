// What a visitor would see: the interval of frames, and how old the newest row on the screen is once it has been painted.

const KEPT_MAX = 65_536; // 18 minutes of frames

export const watch = {
  /** When what the newest row shows was published, set as it is committed to the document. */
  shownAt: 0,
  frames: new Float64Array(KEPT_MAX),
  frameCount: 0,
  ages: new Float64Array(KEPT_MAX),
  ageCount: 0,
  reset() {
    this.frameCount = 0;
    this.ageCount = 0;
  },
  read() {
    return { frames: [...this.frames.subarray(0, this.frameCount)], ages: [...this.ages.subarray(0, this.ageCount)] };
  },
};

export function startWatch() {
  let last = performance.now();
  let counted = 0;
  // A message sent by a frame's callback comes after the frame was painted.
  const { port1, port2 } = new MessageChannel();
  port2.onmessage = () => {
    if (watch.shownAt === counted || watch.ageCount === KEPT_MAX) return;
    counted = watch.shownAt;
    watch.ages[watch.ageCount++] = Date.now() - counted;
  };
  const frame = (now) => {
    if (watch.frameCount < KEPT_MAX) watch.frames[watch.frameCount++] = now - last;
    last = now;
    port1.postMessage(null);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}
