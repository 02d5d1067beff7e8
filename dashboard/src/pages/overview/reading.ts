// What the overview reads: `/stats` for figures, GraphQL for their course over time.

import { graphql } from "../../api.ts";
import type { Tell } from "../../load.ts";
import { readStats, type Stats } from "../../stats.ts";
import type { Series } from "../../ui/chart.tsx";
import { statusName } from "../../words.ts";
import { steps, type Range } from "./ranges.ts";

/** Zones and accounts of which the course is shown together: each is a query of its own. */
export const SCOPES_MAX = 20;
/** Queries at once. */
const QUERIES_AT_ONCE = 4;
/** Lines of a chart; what is beyond is one more line, "others". */
const LINES_MAX = 5;
/** Groups that GraphQL answers at most for a node. */
const GROUPS_MAX = 10_000;

export interface Course {
  times: number[];
  records: Series[];
  bytes: Series[];
  pushes: Series[];
  /** Attempts of each job in the range, by status. */
  attempts: Map<number, Map<number, number>>;
  /** An answer was as long as one can be, so lines may be too low. */
  isCut: boolean;
}

export interface Overview {
  stats: Stats;
  /** Undefined when there are too many zones and accounts for it. */
  course: Course | undefined;
}

export async function readOverview(range: Range, scope: string, signal: AbortSignal, tell: Tell): Promise<Overview> {
  const times = steps(range, Date.now());
  const stats = await readStats({ scope, since: new Date((times[0] ?? 0) * 1_000) }, signal);
  const scopes = scopesOf(stats);
  return { stats, course: scopes.length > SCOPES_MAX ? undefined : await readCourse(range, times, scopes, signal, tell) };
}

/** Every zone and account that anything is known of. */
export const scopesOf = (stats: Stats): string[] => [...new Set([...stats.datasets, ...stats.jobs].map(({ scope }) => scope))].sort();

interface Groups {
  incoming: { sum: { records: number; bytes: number }; dimensions: { dataset: string; at: string } }[];
  outgoing: { count: number; dimensions: { status: number; at: string } }[];
  jobs: { count: number; dimensions: { jobId: number; status: number } }[];
}

function query(isZone: boolean, { dimension }: Range): string {
  const filter = "filter: { datetime_geq: $since }, limit: 10000";
  return `query ($tag: string, $since: Time) { viewer { of: ${isZone ? "zones(filter: { zoneTag: $tag })" : "accounts(filter: { accountTag: $tag })"} {
    incoming: logpushIngestAdaptiveGroups(${filter}) { sum { records bytes } dimensions { dataset at: ${dimension} } }
    outgoing: logpushHealthAdaptiveGroups(${filter}) { count dimensions { status at: ${dimension} } }
    jobs: logpushHealthAdaptiveGroups(${filter}) { count dimensions { jobId status } }
  } } }`;
}

async function readCourse(range: Range, times: number[], scopes: readonly string[], signal: AbortSignal, tell: Tell): Promise<Course> {
  const since = new Date((times[0] ?? 0) * 1_000).toISOString();
  const all = scopes.length + 1; // and /stats, which has been answered
  let done = 1;
  tell({ done, of: all });
  const answers = await eachOf(scopes, async (scope) => {
    const [kind, tag] = scope.split("/", 2);
    const data = await graphql<{ viewer: { of: Groups[] } }>(query(kind === "zones", range), { tag, since }, { signal });
    tell({ done: (done += 1), of: all });
    return { scope, groups: data.viewer.of[0] };
  });
  const place = new Map(times.map((time, index) => [time, index]));
  const [records, bytes, pushes] = [new Lines(times.length), new Lines(times.length), new Lines(times.length)];
  const attempts: Course["attempts"] = new Map();
  let isCut = false;
  for (const { scope, groups } of answers) {
    if (groups === undefined) continue;
    isCut ||= Object.values(groups).some((rows) => rows.length >= GROUPS_MAX);
    for (const { sum, dimensions } of groups.incoming) {
      const name = scopes.length === 1 ? dimensions.dataset : `${dimensions.dataset}, ${scope}`;
      const at = place.get(Date.parse(dimensions.at) / 1_000);
      records.add(name, at, sum.records);
      bytes.add(name, at, sum.bytes);
    }
    for (const { count, dimensions } of groups.outgoing) pushes.add(statusName(dimensions.status), place.get(Date.parse(dimensions.at) / 1_000), count);
    for (const { count, dimensions: { jobId, status } } of groups.jobs) {
      const ofJob = attempts.get(jobId) ?? new Map<number, number>();
      attempts.set(jobId, ofJob.set(status, (ofJob.get(status) ?? 0) + count));
    }
  }
  return { times, records: records.largest(), bytes: bytes.largest(), pushes: pushes.largest(), attempts, isCut };
}

/** Sums by name and step. */
class Lines {
  readonly #steps: number;
  readonly #values = new Map<string, number[]>();

  constructor(count: number) {
    this.#steps = count;
  }

  /** What lies outside of the steps counts for none. */
  add(name: string, at: number | undefined, value: number): void {
    if (at === undefined || value === 0) return;
    const values = this.#values.get(name) ?? Array<number>(this.#steps).fill(0);
    values[at] = (values[at] ?? 0) + value;
    this.#values.set(name, values);
  }

  /** The largest ones by name, so that a line keeps its colour from one reading to the next, and the others as one. */
  largest(): Series[] {
    const total = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
    const sorted = [...this.#values].sort(([, a], [, b]) => total(b) - total(a));
    const [shown, others] = [sorted.slice(0, LINES_MAX), sorted.slice(LINES_MAX)];
    const series = shown.map(([name, values]) => ({ name, values })).sort((a, b) => (a.name < b.name ? -1 : 1));
    if (others.length === 0) return series;
    const rest = Array.from({ length: this.#steps }, (_, at) => others.reduce((sum, [, values]) => sum + (values[at] ?? 0), 0));
    return [...series, { name: `${others.length} others`, values: rest }];
  }
}

/** All of them, a few at once, in order. The first that fails fails all. */
async function eachOf<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at] as T);
  };
  await Promise.all(Array.from({ length: QUERIES_AT_ONCE }, worker));
  return results;
}
