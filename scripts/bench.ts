// `npm run bench`: what a batch costs, next to what the same work costs others, in the same runtime on the same machine.
// CPU time of the whole runtime process, as the operating system counts it; see docs/performance.md.
//
//     npm run bench -- [--records N] [--rounds N] [--batches N] [--json] [--no-stages] [--no-extras] [--only WORDS] [--quick]
//
// --quick runs everything that the ratios need once, on whatever builds there are: a test of the bench, not a measurement.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Batches } from "./bench/batches.ts";
import { latency, memory, startUp } from "./bench/extras.ts";
import { megabytesPerSecond, rounded, spread, table } from "./bench/figures.ts";
import { OTHER_DATASETS, filters } from "./bench/jobs.ts";
import { CONFIGS, Target, bucketElsewhere, createJobs, quiet, refusingSiem, type TargetName } from "./bench/targets.ts";
import type { Siem } from "../tests/support/siem.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Cumulative, in this order; see src/runtime/bench.rs. */
const STAGES = ["read", "inflate", "framing", "projection", "filters", "payload", "archive"];

interface Options {
  records: number;
  rounds: number;
  batches: number;
  warmUps: number;
  stages: boolean;
  extras: boolean;
  only: string | undefined;
  quick: boolean;
}

/** One thing that is measured again and again. */
interface Case {
  name: string;
  target: Target;
  batches: Batches;
  path: string;
  /** CPU milliseconds a batch, one a round. */
  samples: number[];
  /** Records that were selected from one batch by the first job; undefined where nothing selects. */
  selected?: number;
}

type Dataset = "http_requests" | keyof typeof OTHER_DATASETS;

/** A case before its Worker runs; batches are generated when they are wanted. */
interface Planned {
  name: string;
  dataset: Dataset;
  batches: () => Batches;
  scope: string;
  query: string;
  filters: string[];
  /** Of its jobs. */
  output_options?: object;
}

/** As it stands in the JSON line. */
interface CaseFigures {
  name: string;
  dataset: string;
  records: number;
  raw_bytes: number;
  cpu_ms_median: number;
  cpu_ms_low: number;
  cpu_ms_high: number;
  mb_per_cpu_s: number;
  selected?: number;
  peak_rss_mib?: number;
}

const say = (text: string) => void process.stderr.write(`${text}\n`);

function options(): Options & { json: boolean } {
  const { values } = parseArgs({
    options: {
      records: { type: "string", default: "40000" },
      rounds: { type: "string", default: "7" },
      batches: { type: "string", default: "5" },
      json: { type: "boolean", default: false },
      "no-stages": { type: "boolean", default: false },
      "no-extras": { type: "boolean", default: false },
      only: { type: "string" },
      quick: { type: "boolean", default: false },
    },
  });
  const number = (name: "records" | "rounds" | "batches") => {
    const value = Number(values[name]);
    if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} is a whole number above 0`);
    return value;
  };
  const { quick, json, only } = values;
  return {
    records: number("records"),
    rounds: quick ? 1 : number("rounds"),
    batches: quick ? 1 : number("batches"),
    // V8 compiles hot WebAssembly anew while it runs; after that figures stay.
    warmUps: quick ? 1 : 12,
    stages: !quick && !values["no-stages"],
    extras: !quick && !values["no-extras"],
    only,
    quick,
    json,
  };
}

/** Which cases a target has: job counts, stages, or the one of a peer. */
function casesOf(name: TargetName, given: Options, batches: Record<Dataset, () => Batches>): Planned[] {
  const http = { dataset: "http_requests" as const, batches: batches.http_requests };
  // One job that takes every record, as a normalised event.
  const events = { ...http, filters: [""], output_options: { schema: "ecs" } };
  if (name === "stage") {
    const stages: Planned[] = STAGES.map((stage) => ({ ...http, name: `stage: ${stage}`, scope: "zones/bench1", query: `?stage=${stage}`, filters: filters(1) }));
    return [...stages, { ...events, name: "stage: events", scope: "zones/stage-events", query: "?stage=payload" }];
  }
  if (!name.endsWith("ours")) return [{ ...http, name, scope: "zones/bench", query: "", filters: [] }];
  const counts = name === "ours" ? [0, 1, 5, 50] : [1, 50];
  const cases: Planned[] = counts.map((count) => ({ ...http, name: `${name}, ${jobs(count)}`, scope: `zones/bench${count}`, query: "", filters: filters(count) }));
  if (name === "ours") cases.push({ ...events, name: "ours, 1 job, events", scope: "zones/events", query: "" });
  if (name !== "ours" || given.quick) return cases;
  for (const [dataset, filter] of Object.entries(OTHER_DATASETS) as [keyof typeof OTHER_DATASETS, string][]) {
    cases.push({ name: `ours, 1 job, ${dataset}`, dataset, batches: batches[dataset], scope: `zones/${dataset}`, query: "", filters: [filter] });
  }
  return cases;
}

/** Everything that is measured in a runtime, warmed up and ready to be sampled. */
async function prepare(given: Options, targets: Target[], siem: Siem, bucketUrl: string): Promise<Case[]> {
  const made = new Map<Dataset, Batches>();
  const batchesOf = (dataset: Dataset) => () => {
    const known = made.get(dataset);
    if (known) return known;
    const batches = new Batches(dataset, given.records);
    const { records, rawBytes, gzip } = batches.batch;
    say(`· ${dataset}: ${records} records, ${rawBytes} bytes raw, ${gzip.length} gzip (ratio ${(rawBytes / gzip.length).toFixed(1)})`);
    made.set(dataset, batches);
    return batches;
  };
  const batches = { http_requests: batchesOf("http_requests"), dns_logs: batchesOf("dns_logs"), firewall_events: batchesOf("firewall_events") };
  const cases: Case[] = [];
  for (const name of Object.keys(CONFIGS) as TargetName[]) {
    if ((name === "stage" && !given.stages) || (name.startsWith("local R2") && given.quick)) continue;
    const planned = casesOf(name, given, batches).filter((one) => given.only === undefined || one.name.includes(given.only));
    if (planned.length === 0) continue;
    const target = await Target.start(name, bucketUrl);
    targets.push(target);
    const withJobs = new Set<string>();
    for (const { name: title, dataset, batches, scope, query, filters, output_options } of planned) {
      if (filters.length > 0 && !withJobs.has(scope)) await createJobs(target, siem, scope, dataset, filters, output_options ?? null);
      withJobs.add(scope);
      const one: Case = { name: title, target, batches: batches(), path: `${scope}/${dataset}${query}`, samples: [] };
      await warmUp(one, scope, given);
      cases.push(one);
      say(`· ${title}: warm`);
    }
  }
  return cases;
}

async function warmUp(one: Case, scope: string, given: Options): Promise<void> {
  const expected = one.batches.batch.records;
  let selected: number | undefined;
  for (let n = 0; n < given.warmUps; n += 1) {
    const answer = await one.target.push(one.path, one.batches.next());
    if (typeof answer.records === "number" && answer.records !== expected) {
      throw new Error(`${one.name} found ${answer.records} records of ${expected}`);
    }
    selected = answer.selected;
  }
  if (one.target.name.endsWith("ours")) {
    await quiet(one.target, scope);
    const [first] = (await one.target.client.stats(`scope=${scope}`)).jobs;
    selected = first === undefined ? undefined : first.selected.records / given.warmUps;
  }
  if (selected !== undefined) one.selected = selected;
}

const jobs = (count: number) => (count === 1 ? "1 job" : `${count} jobs`);

async function sample(cases: Case[], given: Options): Promise<void> {
  for (let round = 1; round <= given.rounds; round += 1) {
    const started = performance.now();
    for (const one of cases) {
      const bodies = Array.from({ length: given.batches }, () => one.batches.next());
      const before = one.target.cpuMillis();
      for (const body of bodies) await one.target.push(one.path, body);
      one.samples.push((one.target.cpuMillis() - before) / given.batches);
    }
    say(`· round ${round} of ${given.rounds}, ${((performance.now() - started) / 1e3).toFixed(1)} s`);
  }
}

/** The native limits: benches/limit.rs prints one JSON object. */
async function limits(given: Options): Promise<CaseFigures[]> {
  const { batch } = new Batches("http_requests", given.records);
  const folder = mkdtempSync(join(tmpdir(), "logpush-edge-limit-"));
  try {
    const [file, filterFile] = [join(folder, "batch.gz"), join(folder, "filters")];
    writeFileSync(file, batch.gzip);
    writeFileSync(filterFile, filters(50).join("\n"));
    // A quick run takes the build that the tests have made anyway; its figures say nothing.
    const args = [given.quick ? "test" : "bench", "--quiet", "--bench", "limit", "--", "--batch", file, "--filters", filterFile, "--rounds", String(3 * given.rounds)];
    const text = await output("cargo", args);
    const found = JSON.parse(text.trim().split("\n").at(-1) ?? "") as { name: string; millis: number[]; selected?: number }[];
    return found.map(({ name, millis, selected }) => figures(`native: ${name}`, "http_requests", batch, millis, selected));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function output(command: string, args: string[]): Promise<string> {
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (piece: string) => void (text += piece));
  const code = await new Promise<number | null>((done, fail) => child.once("error", fail).once("close", done));
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}`);
  return text;
}

function figures(name: string, dataset: string, batch: { records: number; rawBytes: number }, samples: number[], selected?: number): CaseFigures {
  const { median, low, high } = spread(samples);
  return {
    name,
    dataset,
    records: batch.records,
    raw_bytes: batch.rawBytes,
    cpu_ms_median: rounded(median),
    cpu_ms_low: rounded(low),
    cpu_ms_high: rounded(high),
    mb_per_cpu_s: rounded(megabytesPerSecond(batch.rawBytes, median), 1),
    ...(selected === undefined ? {} : { selected }),
  };
}

/** Both are CPU time for the same bytes, so this is our throughput over that of inflating alone. */
function inflateOverOurs(inflate: number | undefined, ours: number | undefined, archive: number): number | null {
  return inflate === undefined || ours === undefined || ours <= archive ? null : rounded(inflate / (ours - archive));
}

/** Ratios of CPU time, but for those to native inflating, which are of throughput, and for one throughput; see docs/performance.md. */
function ratios(all: CaseFigures[]): Record<string, number | null> {
  const cpu = (name: string) => all.find((one) => one.name === name)?.cpu_ms_median;
  const over = (a: string, b: string) => {
    const [above, below] = [cpu(a), cpu(b)];
    return above === undefined || below === undefined || below === 0 ? null : rounded(above / below);
  };
  // What sending the bytes to the bucket and hashing them adds; without the stages it stays in.
  const archive = Math.max(0, (cpu("stage: archive") ?? 0) - (cpu("stage: payload") ?? 0));
  return {
    cpu_js_common_over_ours: over("JavaScript, stream", "ours, 1 job"),
    cpu_js_best_over_ours: over("JavaScript, best", "ours, 1 job"),
    ours_over_native_inflate: inflateOverOurs(cpu("native: inflate, zlib-rs"), cpu("ours, 1 job"), archive),
    ours_with_archive_over_native_inflate: over("native: inflate, zlib-rs", "ours, 1 job"),
    jobs_50_over_1: over("ours, 50 jobs", "ours, 1 job"),
    events_mb_per_cpu_s: all.find((one) => one.name === "ours, 1 job, events")?.mb_per_cpu_s ?? null,
    local_r2_cpu_js_common_over_ours: over("local R2: JavaScript, stream", "local R2: ours, 1 job"),
    local_r2_cpu_js_best_over_ours: over("local R2: JavaScript, best", "local R2: ours, 1 job"),
    local_r2_jobs_50_over_1: over("local R2: ours, 50 jobs", "local R2: ours, 1 job"),
  };
}

function machine(): Record<string, string | number> {
  const memoryGib = rounded(totalmem() / 1024 ** 3, 1);
  const locked = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const workerd = Object.entries<any>(locked).find(([path]) => path.endsWith("node_modules/workerd"))?.[1].version ?? "unknown";
  return { cores: cpus().length, cpu: cpus()[0]?.model ?? "unknown", memory_gib: memoryGib, workerd };
}

async function main(): Promise<void> {
  const given = options();
  const started = performance.now();
  const targets: Target[] = [];
  const siem = await refusingSiem();
  const bucket = await bucketElsewhere();
  let found: CaseFigures[] = [];
  try {
    const cases = await prepare(given, targets, siem, bucket.url);
    await sample(cases, given);
    found = cases.map((one) => {
      const rss = one.target.worker.peakRssBytes();
      return {
        ...figures(one.name, one.batches.dataset, one.batches.batch, one.samples, one.selected),
        ...(rss === undefined ? {} : { peak_rss_mib: Math.round(rss / 1024 ** 2) }),
      };
    });
  } finally {
    await Promise.all(targets.map((target) => target.stop()));
    await siem.close();
    await bucket.close();
  }
  if (given.only === undefined || "native".includes(given.only)) found.push(...(await limits(given)));
  const extras = given.extras ? { memory: await memory(say), latency: await latency(say), start_up: await startUp(say) } : {};
  const result = { ratios: ratios(found), cases: found, ...extras, machine: machine() };
  report(result);
  say(`· took ${((performance.now() - started) / 1e3).toFixed(0)} s`);
  if (given.json) console.log(JSON.stringify(result));
}

function report(result: { ratios: Record<string, number | null>; cases: CaseFigures[]; machine: object } & Record<string, any>): void {
  const rows = result.cases.map((one) => [
    one.name,
    one.cpu_ms_median.toFixed(1),
    `${one.cpu_ms_low.toFixed(1)}–${one.cpu_ms_high.toFixed(1)}`,
    one.mb_per_cpu_s.toFixed(0),
    one.selected === undefined ? "–" : String(one.selected),
    one.peak_rss_mib === undefined ? "–" : String(one.peak_rss_mib),
  ]);
  console.log(table(["", "CPU ms a batch", "spread", "MB/s raw per CPU s", "selected", "process peak MiB"], rows));
  for (const [name, value] of Object.entries(result.ratios)) console.log(`${name.padEnd(28)} ${value ?? "–"}`);
  for (const name of ["memory", "latency", "start_up", "machine"]) {
    if (result[name] !== undefined) console.log(`${name.padEnd(28)} ${JSON.stringify(result[name])}`);
  }
}

await main();
