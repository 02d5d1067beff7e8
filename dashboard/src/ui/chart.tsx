import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { onColours } from "../theme.ts";
import { Table } from "./table.tsx";

export interface Series {
  name: string;
  /** One for each time. */
  values: readonly number[];
}

interface ChartProps {
  title: string;
  /** Beginnings of equally long steps, unix seconds. */
  times: readonly number[];
  stepSeconds: number;
  series: readonly Series[];
  /** A value as text, also beside the axis. */
  format: (value: number) => string;
}

const HEIGHT = 200;
const COLOURS = 6;
/** Lines differ by their dashes as well as by colour. */
const DASHES = [[], [8, 4], [2, 3], [8, 3, 2, 3], [14, 4], [4, 4]];
const DAY_SECONDS = 86_400;
/** A value holds for the whole of its step. */
const stepped = uPlot.paths.stepped?.({ align: 1 });
/** Whole numbers between the lines of the grid: there is no half record. */
const STEPS = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((factor) => factor * 10 ** power)).flat();

/** Lines over time, and the same as a table for who can not see them or wants the figures. */
export function Chart({ title, times, stepSeconds, series, format }: ChartProps): JSX.Element {
  const element = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const [at, setAt] = useState<number | null>(null);
  const [paint, setPaint] = useState(0);
  const names = series.map(({ name }) => name).join("\n");
  useEffect(() => onColours(() => setPaint((n) => n + 1)), []);

  useEffect(() => {
    const place = element.current;
    if (place === null) return;
    const made = new uPlot(options(place, series, stepSeconds, format, setAt), data(times, stepSeconds, series), place);
    plot.current = made;
    const size = new ResizeObserver(() => made.setSize({ width: place.clientWidth, height: HEIGHT }));
    size.observe(place);
    return () => {
      size.disconnect();
      made.destroy();
      plot.current = undefined;
    };
    // New figures of the same series are put into the chart that is there, below.
  }, [names, stepSeconds, paint]);

  useEffect(() => plot.current?.setData(data(times, stepSeconds, series)), [times, series]);

  const step = at === null ? undefined : Math.min(at, times.length - 1);
  const time = step === undefined ? undefined : times[step];
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <p class="reading">{time === undefined ? "" : `${stepName(time, stepSeconds)}: ${series.map(({ name, values }) => `${name} ${format(values[step ?? 0] ?? 0)}`).join(" · ")}`}</p>
      </figcaption>
      <div ref={element} class="plot" aria-hidden="true" />
      <ul class="legend" aria-hidden="true">
        {series.map(({ name }, index) => <li key={name} class={`key key-${(index % COLOURS) + 1}`}>{name}</li>)}
      </ul>
      <details>
        <summary>{title} as a table</summary>
        <Figures title={title} times={times} stepSeconds={stepSeconds} series={series} format={format} />
      </details>
    </figure>
  );
}

/** Steps in which nothing was counted are left out, newest first. */
function Figures({ title, times, stepSeconds, series, format }: ChartProps): JSX.Element {
  const rows = times.map((time, index) => ({ time, index })).filter(({ index }) => series.some(({ values }) => (values[index] ?? 0) > 0)).reverse();
  return (
    <Table
      caption={title} rows={rows} rowKey={({ time }) => time} empty="Nothing in this time."
      columns={[
        { title: "Time", isHeading: true, cell: ({ time }) => <time dateTime={new Date(time * 1_000).toISOString()}>{stepName(time, stepSeconds)}</time> },
        ...series.map(({ name, values }) => ({ title: name, isNumber: true, cell: ({ index }: { index: number }) => format(values[index] ?? 0) })),
      ]}
    />
  );
}

/** With the end of the last step, so that it is as wide as the others. */
function data(times: readonly number[], stepSeconds: number, series: readonly Series[]): uPlot.AlignedData {
  const last = times.at(-1) ?? 0;
  return [[...times, last + stepSeconds], ...series.map(({ values }) => [...values, values.at(-1) ?? 0])];
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayAndClock = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
/** Steps of whole days are days of UTC. */
const dayOfUtc = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

function stepName(time: number, stepSeconds: number): string {
  return stepSeconds >= DAY_SECONDS ? `${dayOfUtc.format(time * 1_000)} (UTC)` : dayAndClock.format(time * 1_000);
}

function options(place: HTMLElement, series: readonly Series[], stepSeconds: number, format: (value: number) => string, setAt: (at: number | null) => void): uPlot.Options {
  const colours = getComputedStyle(place);
  const colour = (name: string) => colours.getPropertyValue(name).trim();
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font: `12px ${colours.fontFamily}` };
  const label = (time: number, increment: number) => {
    if (stepSeconds >= DAY_SECONDS || increment >= DAY_SECONDS) return dayOfUtc.format(time * 1_000);
    const date = new Date(time * 1_000);
    return date.getHours() + date.getMinutes() === 0 ? dayAndClock.format(date).split(",")[0] ?? "" : clock.format(date);
  };
  return {
    width: place.clientWidth, height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    tzDate: stepSeconds >= DAY_SECONDS ? (time) => uPlot.tzDate(new Date(time * 1_000), "UTC") : (time) => new Date(time * 1_000),
    scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.05)] } },
    axes: [
      { ...axis, size: 28, space: 70, values: (_, splits, __, ___, increment) => splits.map((time) => label(time, increment)) },
      { ...axis, size: 68, space: 36, incrs: STEPS, values: (_, splits) => splits.map(format) },
    ],
    series: [{}, ...series.map(({ name }, index) => ({
      label: name, stroke: colour(`--series-${(index % COLOURS) + 1}`), dash: DASHES[index % DASHES.length] ?? [], width: 2, points: { show: false }, paths: stepped,
    }))],
    hooks: { setCursor: [(made) => setAt(made.cursor.idx ?? null)] },
  };
}
