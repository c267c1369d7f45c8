// The slider of the game's speed: even steps on a logarithmic scale, so that 1 and 10,000 are as easy to reach as 200.

export const kSpeedMin = 1;
export const kSpeedMax = 10_000;
export const kSliderSteps = 80;

/** Events a second at a step of the slider, to two digits: nobody wants 1,258. */
export function speedAt(step: number): number {
  const clipped = Math.min(Math.max(step, 0), kSliderSteps);
  const exact = kSpeedMin * (kSpeedMax / kSpeedMin) ** (clipped / kSliderSteps);
  const scale = 10 ** Math.max(0, Math.floor(Math.log10(exact)) - 1);
  return Math.min(kSpeedMax, Math.max(kSpeedMin, Math.round(exact / scale) * scale));
}

export function stepOf(eventsPerS: number): number {
  const clipped = Math.min(Math.max(eventsPerS, kSpeedMin), kSpeedMax);
  return Math.round((Math.log(clipped / kSpeedMin) / Math.log(kSpeedMax / kSpeedMin)) * kSliderSteps);
}

/** The speed that a record of the control channel tells, if it tells one. */
export function speedIn(data: unknown): number | null {
  if (typeof data !== 'object' || data === null || !('events_per_s' in data)) return null;
  const value = data.events_per_s;
  return typeof value === 'number' && value > 0 && Number.isFinite(value) ? value : null;
}
