// The top of a chart's scale: a round number with a tenth to spare, so that the scale stays put while values wander.

export function scaleTop(value: number, base: 10 | 1024 = 10): number {
  const wanted = Math.max(value * 1.1, 1);
  const unit = base ** Math.floor(Math.log(wanted) / Math.log(base) + 1e-9);
  const steps = base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  return (steps.find((step) => step * unit >= wanted) ?? base) * unit;
}
