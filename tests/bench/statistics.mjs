// What the benchmarks share: medians, whether a series grows, and the verdict.

const SIGNIFICANCE = 0.01;
const TREND_SAMPLES_MIN = 8;

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The value below which `share` of them lie. NaN of nothing. */
export function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Of all pairs of points the middle slope: one odd sample does not move it. */
export function theilSen(values) {
  const slopes = [];
  for (let i = 0; i < values.length; ++i)
    for (let j = i + 1; j < values.length; ++j) slopes.push((values[j] - values[i]) / (j - i));
  return median(slopes);
}

/**
 * Theil-Sen for how fast a series grows, Mann-Kendall for whether that could be chance. `slope` a sample; `p`: how often a
 * series without a trend rises as clearly; `grows`: p below 0.01, and the slope above zero.
 * @throws RangeError for fewer than 8 samples, which say nothing
 */
export function trend(values) {
  const { length } = values;
  if (length < TREND_SAMPLES_MIN) throw new RangeError(`a trend needs ${TREND_SAMPLES_MIN} samples, not ${length}`);
  let score = 0;
  for (let i = 0; i < length; ++i) for (let j = i + 1; j < length; ++j) score += Math.sign(values[j] - values[i]);
  const ties = new Map();
  for (const value of values) ties.set(value, (ties.get(value) ?? 0) + 1);
  const spread = (n) => n * (n - 1) * (2 * n + 5);
  const variance = (spread(length) - [...ties.values()].reduce((sum, n) => sum + spread(n), 0)) / 18;
  const z = variance === 0 ? 0 : (score - Math.sign(score)) / Math.sqrt(variance);
  const slope = theilSen(values);
  const p = 1 - normal(z);
  return { slope, p, grows: p < SIGNIFICANCE && slope > 0 };
}

// The cumulative distribution; Abramowitz and Stegun 26.2.17, to within 1e-7.
function normal(z) {
  if (z < 0) return 1 - normal(-z);
  const t = 1 / (1 + 0.2316419 * z);
  const tail = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return 1 - (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * tail;
}

/** Prints each goal with its figure; ends with status 1 if one is missed. */
export function judge(goals) {
  let missed = 0;
  for (const { name, value, ok } of goals) {
    console.log(`${ok ? 'met   ' : 'MISSED'}  ${name}: ${value}`);
    if (!ok) ++missed;
  }
  process.exitCode = missed > 0 ? 1 : 0;
}
