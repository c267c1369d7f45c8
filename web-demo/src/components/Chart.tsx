import { useEffect, useRef, type ReactNode } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { RingSeries } from '../logic/ring-series.ts';
import { scaleTop } from '../logic/scale.ts';

const kLabelPx = 54;
const kWindowMaxS = 300;
const kWindowMinS = 60;
const kFont = '11px system-ui, sans-serif';

export interface Line {
  /** A custom property of the page's style, e.g. `--line-1`. */
  readonly color: string;
  readonly fill?: boolean;
  readonly dash?: boolean;
}

export interface ChartProps {
  readonly title: string;
  readonly legend?: ReactNode;
  readonly series: RingSeries;
  readonly lines: readonly Line[];
  /** Redraws when it changes. */
  readonly version: unknown;
  readonly format: (value: number) => string;
  /** The top of the scale; by default what fits, in steps that do not flicker. */
  readonly top?: number | undefined;
  /** Steps of the scale: of ten, or of 1,024 for bytes. */
  readonly base?: 10 | 1024;
  readonly axisPx?: number;
}

/** A strip of the last five minutes; of the first minute, as long as there is no more. */
export function Chart({ title, legend, series, lines, version, format, top, base = 10, axisPx = 46 }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const settings = useRef({ lines, format, top, base, axisPx });
  settings.current = { lines, format, top, base, axisPx };

  useEffect(() => {
    const parent = place.current;
    if (!parent) return;
    const build = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsFor(parent, settings), dataOf(series), parent);
    };
    build();
    const resize = new ResizeObserver(() =>
      plot.current?.setSize({ width: parent.clientWidth, height: parent.clientHeight }),
    );
    resize.observe(parent);
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', build);
    return () => {
      dark.removeEventListener('change', build);
      resize.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [series]);

  useEffect(() => {
    plot.current?.setData(dataOf(series));
  }, [series, version]);

  return (
    <figure className="chart" style={{ margin: 0 }}>
      <figcaption>
        <b>{title}</b>
        {legend}
      </figcaption>
      <div className="plot" ref={place} role="img" aria-label={`${title}, the last five minutes`} />
    </figure>
  );
}

function dataOf(series: RingSeries): uPlot.AlignedData {
  return series.columns() as unknown as uPlot.AlignedData;
}

type Settings = {
  readonly current: Required<Pick<ChartProps, 'lines' | 'format' | 'base' | 'axisPx'>> & {
    readonly top: number | undefined;
  };
};

function optionsFor(parent: HTMLElement, settings: Settings): uPlot.Options {
  const style = getComputedStyle(parent);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const { lines, axisPx } = settings.current;
  return {
    width: Math.max(1, parent.clientWidth),
    height: Math.max(1, parent.clientHeight),
    padding: [6, 2, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: true, range: windowOf },
      y: { range: (_, __, max) => [0, settings.current.top ?? scaleTop(max ?? 0, settings.current.base)] },
    },
    axes: [
      {
        size: 18,
        gap: 2,
        font: kFont,
        stroke: color('--faint'),
        grid: { show: false },
        ticks: { show: false },
        space: 90,
        // A label that the right edge would cut is left out.
        filter: (chart, times) =>
          times.map((time) => (chart.valToPos(time, 'x') > chart.width - axisPx - kLabelPx / 2 ? null : time)),
        incrs: [15, 30, 60, 120],
        values: (_, times, __, ___, incrementS) =>
          times.map((time) =>
            time === null ? '' : new Date(time * 1000).toTimeString().slice(0, incrementS < 60 ? 8 : 5),
          ),
      },
      {
        size: axisPx,
        gap: 6,
        font: kFont,
        stroke: color('--faint'),
        grid: { stroke: color('--line'), width: 1 },
        ticks: { show: false },
        splits: (chart) => {
          const high = chart.scales['y']?.max ?? 1;
          return [0, high / 2, high];
        },
        values: (_, values) => values.map((value) => settings.current.format(value)),
      },
    ],
    series: [
      {},
      ...lines.map((line): uPlot.Series => ({
        stroke: color(line.color),
        width: 1.5,
        points: { show: false },
        ...(line.fill && { fill: `color-mix(in srgb, ${color(line.color)} 14%, transparent)` }),
        ...(line.dash && { dash: [4, 4] }),
      })),
    ],
  };
}

function windowOf(chart: uPlot): [number, number] {
  const times = chart.data[0];
  const newestS = times[times.length - 1] ?? Date.now() / 1000;
  const heldS = newestS - (times[0] ?? newestS);
  return [newestS - Math.min(kWindowMaxS, Math.max(kWindowMinS, heldS)), newestS];
}
