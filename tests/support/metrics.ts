// Reads what /metrics says, as far as a test has to: names, labels and values of Prometheus' text format.

export interface Series {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?/g;

/** Every series; throws at a line that is none and no comment. */
export function seriesOf(text: string): Series[] {
  return text.split("\n").flatMap((line) => {
    if (line === "" || line.startsWith("#")) return [];
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new Error(`not a series: ${line}`);
    const pairs = [...labels.matchAll(LABEL)].map(([, key, text]) => [key, unescape(text as string)]);
    return [{ name, labels: Object.fromEntries(pairs) as Record<string, string>, value: Number(value) }];
  });
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, (_, letter: string) => (letter === "n" ? "\n" : letter));
}

/** The sum of a metric's series that have these labels; undefined when there is none. */
export function sumOf(series: readonly Series[], name: string, labels: Record<string, string | number> = {}): number | undefined {
  const wanted = Object.entries(labels);
  const found = series.filter((one) => one.name === name && wanted.every(([key, value]) => one.labels[key] === String(value)));
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
}
