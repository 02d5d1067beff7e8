// What the demo prints: the figures as tables, and a list of everything that has to agree.

import { createHash } from "node:crypto";
import type { ArchivedObject } from "../tests/support/archive.ts";
import type { Batch, Dataset } from "../tests/support/generate.ts";
import type { Tally } from "../tests/support/lines.ts";
import type { Answer } from "../tests/support/logpush.ts";
import { sumOf, type Series } from "../tests/support/metrics.ts";
import type { Siem } from "../tests/support/siem.ts";

/** Workers' price for CPU time, USD per million milliseconds. */
const USD_PER_MILLION_CPU_MILLIS = 0.02;
/** Of a delivered event, these come first, then as many others as fill the number. */
const EVENT_FIELDS_FIRST = ["EdgeStartTimestamp", "RayID", "EdgeResponseStatus", "ClientIP", "ClientCountry", "ClientRequestHost", "ClientRequestURI"];
const EVENT_FIELDS_SHOWN = 12;

export interface DatasetRun {
  dataset: Dataset;
  jobName: string;
  jobId: number;
  destination: string;
  credential: string;
  batches: Batch[];
  answers: Answer[];
  expected: Tally;
  testAnswer: Answer | undefined;
  duplicateAnswer: Answer | undefined;
  pushCpuMillis?: number;
}

export interface Stats {
  datasets: {
    scope: string;
    dataset: string;
    batches: number;
    records: number;
    bytes_raw: number;
    bytes_compressed: number;
    archived: { batches: number; bytes: number };
    invalid_lines: number;
    tests: number;
    duplicates: number;
  }[];
  jobs: {
    id: number;
    name: string;
    dataset: string;
    selected: { batches: number; records: number; bytes: number };
    owed: { batches: number };
    delivered: { records: number; bytes: number; pushes: number };
    waiting: { records: number; bytes: number };
    discarded: { records: number; bytes: number };
    parked: { records: number };
    dead: { records: number };
    last_error: string | null;
  }[];
  reconciliation: {
    received_equals_archived: { holds: boolean };
    selected_equals_accounted: { holds: boolean };
    holds: boolean;
  };
}

/** What GraphQL answers to `query`, and what /metrics says. */
export interface Health {
  query: string;
  pushes: {
    count: number;
    dimensions: { jobId: number; status: number; final: number; destinationType: string };
    sum: { bytes: number; bytesCompressed: number; records: number };
  }[];
  ingest: {
    count: number;
    dimensions: { dataset: string };
    sum: { records: number; bytes: number; bytesCompressed: number; invalid: number; tests: number; duplicates: number };
  }[];
  metrics: Series[];
}

interface Outcome {
  runs: DatasetRun[];
  stats: Stats;
  health: Health;
  objects: ArchivedObject[];
  siem: Siem;
}

interface Runtime {
  cpuMillis: number | undefined;
  peakRssBytes: number | undefined;
  wasmBytes: number | undefined;
}

const colours = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
const paint = (code: number, text: string) => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);
const bold = (text: string) => paint(1, text);
const dim = (text: string) => paint(2, text);
const green = (text: string) => paint(32, text);
const red = (text: string) => paint(31, text);
const whole = (value: number) => Math.round(value).toLocaleString("en-US");

export class Report {
  #failed = 0;
  #checked = 0;
  #runtime: Runtime = { cpuMillis: undefined, peakRssBytes: undefined, wasmBytes: undefined };

  note(text: string): void {
    console.log(`${dim("·")} ${text}`);
  }

  step(text: string, startMillis: number): void {
    this.note(`${text} ${dim(`(${((performance.now() - startMillis) / 1000).toFixed(1)} s)`)}`);
  }

  runtime(runtime: Runtime): void {
    this.#runtime = runtime;
  }

  /** Prints everything; true when every figure agrees. */
  print(outcome: Outcome): boolean {
    this.#flow(outcome);
    this.#archive(outcome);
    this.#event(outcome);
    this.#cost(outcome);
    this.#health(outcome);
    console.log(`\n${bold("What /stats says")}\n${JSON.stringify(outcome.stats, null, 2)}`);
    this.#checklist(outcome);
    const verdict = `${this.#checked - this.#failed} of ${this.#checked} figures agree`;
    console.log(`\n${this.#failed === 0 ? green(`✓ ${verdict}`) : red(`✗ ${verdict}`)}`);
    return this.#failed === 0;
  }

  #flow({ runs, stats, siem }: Outcome): void {
    const rows = runs.map((run) => {
      const dataset = stats.datasets.find((one) => one.dataset === run.dataset);
      const job = stats.jobs.find((one) => one.id === run.jobId);
      const intake = siem.intake(run.credential);
      return [
        run.dataset,
        `${whole(dataset?.batches ?? 0)} / ${whole(dataset?.records ?? 0)} / ${whole(dataset?.bytes_raw ?? 0)}`,
        `${whole(dataset?.archived.batches ?? 0)} / ${whole(dataset?.archived.bytes ?? 0)}`,
        `${whole(job?.selected.records ?? 0)} / ${whole(job?.selected.bytes ?? 0)}`,
        `${whole(intake.pushes)} / ${whole(intake.records)} / ${whole(intake.bytes)}`,
      ];
    });
    const head = ["dataset", "received (batches / records / raw bytes)", "archived (objects / gzip bytes)", "selected (records / bytes)", "at the SIEM (pushes / records / bytes)"];
    console.log(`\n${bold("From Logpush to the SIEM")}\n${table(head, rows)}`);
    for (const run of runs) console.log(dim(`  job ${run.jobId} "${run.jobName}" → ${run.destination.split("?")[0]}`));
  }

  #archive({ objects }: Outcome): void {
    console.log(`\n${bold("In the archive (R2)")}\n${table(["key", "bytes"], objects.map((one) => [one.key, whole(one.bytes)]))}`);
  }

  #event({ runs, siem }: Outcome): void {
    const line = runs.map((run) => siem.intake(run.credential).lines[0]).find((one) => one !== undefined);
    if (line === undefined) return;
    const order = (name: string) => (EVENT_FIELDS_FIRST.includes(name) ? EVENT_FIELDS_FIRST.indexOf(name) : Infinity);
    const fields = Object.entries(exact(line)).sort(([a], [b]) => (order(a) === order(b) ? 0 : order(a) - order(b)));
    const shown = Object.fromEntries(fields.slice(0, EVENT_FIELDS_SHOWN));
    const more = fields.length - EVENT_FIELDS_SHOWN;
    console.log(`\n${bold("One delivered event")}\n${JSON.stringify(shown, null, 2)}${more > 0 ? dim(`\n… and ${more} fields more`) : ""}`);
  }

  #health({ health }: Outcome): void {
    const rows = health.pushes.map(({ count, dimensions, sum }) => [
      String(dimensions.jobId),
      dimensions.destinationType,
      String(dimensions.status),
      String(dimensions.final),
      ...[count, sum.records, sum.bytes, sum.bytesCompressed].map(whole),
    ]);
    const head = ["jobId", "destinationType", "status", "final", "count", "records", "bytes", "bytesCompressed"];
    console.log(`\n${bold("What Cloudflare's health query answers")}\n${dim(health.query.replaceAll(/^ {2}/gm, ""))}\n${table(head, rows)}`);
  }

  #cost({ runs }: Outcome): void {
    const { cpuMillis, peakRssBytes, wasmBytes } = this.#runtime;
    const rows = runs
      .filter((run) => run.pushCpuMillis !== undefined)
      .map((run) => costRow(run.dataset, run.batches, run.pushCpuMillis as number));
    if (rows.length === 0) {
      console.log(`\n${bold("Cost")}\n  not measured: this system has no /proc`);
      return;
    }
    const pushed = runs.reduce((sum, run) => sum + (run.pushCpuMillis ?? 0), 0);
    rows.push(costRow("all", runs.flatMap((run) => run.batches), pushed));
    console.log(`\n${bold("CPU of the runtime while the batches were pushed")}`);
    console.log(table(["dataset", "CPU ms per batch", "CPU ms per GB raw", "USD per TB raw"], rows));
    console.log(
      dim(
        `  The local runtime's own R2 and SQLite run in the same process and are counted too, as are deliveries that went on meanwhile.\n` +
          `  Whole run, start-up and deliveries included: ${whole(cpuMillis ?? 0)} ms CPU; at most ${mib(peakRssBytes)} resident; wasm memory ${mib(wasmBytes)}.`,
      ),
    );
  }

  /** GraphQL and /metrics against the SIEM and what was sent. */
  #checkHealth({ health, siem }: Outcome, run: DatasetRun): void {
    const pushes = health.pushes.filter((one) => one.dimensions.jobId === run.jobId);
    const accepted = pushes.filter((one) => one.dimensions.status === 200 && one.dimensions.final === 1);
    const came = health.ingest.find((one) => one.dimensions.dataset === run.dataset);
    const intake = siem.intake(run.credential);
    const total = (of: (one: Health["pushes"][number]) => number) => accepted.reduce((sum, one) => sum + of(one), 0);
    const sent = (of: (batch: Batch) => number) => run.batches.reduce((sum, batch) => sum + of(batch), 0);
    const metric = (name: string, labels: Record<string, string | number>) => sumOf(health.metrics, `logpush_edge_${name}`, labels);
    const [job, dataset] = [{ job_id: run.jobId, status: 200, final: 1 }, { dataset: run.dataset }];
    this.#check("pushes accepted, by GraphQL", total((one) => one.count), intake.pushes);
    this.#check("records accepted, by GraphQL", total((one) => one.sum.records), intake.records);
    this.#check("bytes accepted, by GraphQL", total((one) => one.sum.bytes), intake.bytes);
    this.#check("gzip bytes accepted, by GraphQL", total((one) => one.sum.bytesCompressed), intake.wireBytes);
    this.#check("pushes that were not accepted, by GraphQL", pushes.length - accepted.length, 0);
    const figures = came && [came.count, came.sum.records, came.sum.bytes, came.sum.bytesCompressed, came.sum.tests, came.sum.duplicates, came.sum.invalid];
    const wanted = [run.batches.length, sent((one) => one.records), sent((one) => one.rawBytes), sent((one) => one.gzip.length), 1, run.duplicateAnswer ? 1 : 0, 0];
    this.#check("batches, records, bytes … received, by GraphQL", figures?.join(), wanted.join());
    this.#check("pushes accepted, by /metrics", metric("pushes_total", job), intake.pushes);
    this.#check("records accepted, by /metrics", metric("pushed_records_total", job), intake.records);
    this.#check("bytes accepted, by /metrics", metric("pushed_bytes_total", job), intake.bytes);
    this.#check("gzip bytes accepted, by /metrics", metric("pushed_compressed_bytes_total", job), intake.wireBytes);
    const names = ["batches", "records", "inflated_bytes", "received_bytes", "test_messages", "duplicate_batches", "invalid"];
    const counted = names.map((name) => metric(`${name}_total`, dataset) ?? 0);
    this.#check("batches, records, bytes … received, by /metrics", counted.join(), wanted.join());
    this.#check("lag in seconds, by /metrics", metric("lag_seconds", { job_id: run.jobId }), 0);
  }

  #checklist(outcome: Outcome): void {
    const { runs, stats, objects, siem } = outcome;
    console.log(`\n${bold("Do the figures agree?")}`);
    for (const run of runs) {
      const dataset = stats.datasets.find((one) => one.dataset === run.dataset);
      const job = stats.jobs.find((one) => one.id === run.jobId);
      const intake = siem.intake(run.credential);
      const sum = (of: (batch: Batch) => number) => run.batches.reduce((total, batch) => total + of(batch), 0);
      const gzip = sum((batch) => batch.gzip.length);
      console.log(`  ${run.dataset}`);
      this.#check("test message answered as one", run.testAnswer?.json?.result, "test");
      this.#check("test messages counted", dataset?.tests, 1);
      this.#check("batches answered 200 and accepted", run.answers.filter((one) => one.status === 200 && one.json?.result === "accepted").length, run.batches.length);
      this.#check("batches received", dataset?.batches, run.batches.length);
      this.#check("records received", dataset?.records, sum((batch) => batch.records));
      this.#check("raw bytes received", dataset?.bytes_raw, sum((batch) => batch.rawBytes));
      this.#check("gzip bytes received", dataset?.bytes_compressed, gzip);
      this.#check("batches archived", dataset?.archived.batches, run.batches.length);
      this.#check("gzip bytes archived", dataset?.archived.bytes, gzip);
      this.#check("lines that are no record", dataset?.invalid_lines, 0);
      this.#check("duplicates", dataset?.duplicates, run.duplicateAnswer ? 1 : 0);
      const stored = run.batches.filter((batch, index) => {
        const object = objects.find((one) => one.key === run.answers[index]?.json?.object);
        return object?.bytes === batch.gzip.length && object.sha256 === sha256(batch.gzip);
      });
      this.#check("objects in R2 equal to what was sent, byte for byte", stored.length, run.batches.length);
      this.#check("records selected", job?.selected.records, run.expected.records);
      this.#check("bytes selected", job?.selected.bytes, run.expected.bytes);
      this.#check("records delivered, by /stats", job?.delivered.records, run.expected.records);
      this.#check("bytes delivered, by /stats", job?.delivered.bytes, run.expected.bytes);
      this.#check("records at the SIEM", intake.tallyOnce.records, run.expected.records);
      this.#check("bytes at the SIEM", intake.tallyOnce.bytes, run.expected.bytes);
      this.#check("lines at the SIEM, by their digest", intake.tallyOnce.digest, run.expected.digest);
      this.#check("records waiting, parked, dead, discarded", [job?.waiting.records, job?.parked.records, job?.dead.records, job?.discarded.records].join(), "0,0,0,0");
      this.#check("batches owed", job?.owed.batches, 0);
      this.#checkHealth(outcome, run);
      if (run.duplicateAnswer) {
        this.#check("the second copy answered 200", run.duplicateAnswer.status, 200);
        this.#check("the second copy known as a duplicate", run.duplicateAnswer.json?.result, "duplicate");
      }
    }
    console.log("  all together");
    this.#check("received = archived, says /stats", stats.reconciliation.received_equals_archived.holds, true);
    this.#check("selected = delivered + waiting + parked + dead …, says /stats", stats.reconciliation.selected_equals_accounted.holds, true);
    this.#check("both hold", stats.reconciliation.holds, true);
    const refused = siem.refusals.map((one) => `${one.status} ${one.body}`.slice(0, 80));
    this.#check("pushes that the SIEM refused", refused.length === 0 ? "none" : refused.join("; "), "none");
  }

  #check(what: string, found: unknown, wanted: unknown): void {
    this.#checked += 1;
    const show = (value: unknown) => (typeof value === "number" ? whole(value) : String(value));
    if (found === wanted) {
      console.log(`    ${green("✓")} ${what.padEnd(62)} ${show(found)}`);
      return;
    }
    this.#failed += 1;
    console.log(`    ${red("✗")} ${what.padEnd(62)} ${red(`${show(found)}, expected ${show(wanted)}`)}`);
  }
}

function costRow(name: string, batches: Batch[], cpuMillis: number): string[] {
  const rawBytes = batches.reduce((sum, batch) => sum + batch.rawBytes, 0);
  const perGigabyte = (cpuMillis / rawBytes) * 1e9;
  const dollars = (perGigabyte * 1_000 * USD_PER_MILLION_CPU_MILLIS) / 1e6;
  return [name, whole(cpuMillis / batches.length), whole(perGigabyte), dollars.toFixed(3)];
}

function mib(bytes: number | undefined): string {
  return bytes === undefined ? "unknown" : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Parses a record and keeps its numbers as they were written: a time in nanoseconds does not fit a JavaScript number. */
function exact(line: string): Record<string, unknown> {
  const raw = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;
  const keep = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && context?.source !== undefined ? raw(context.source) : value;
  return JSON.parse(line, keep as (key: string, value: unknown) => unknown);
}

function table(head: string[], rows: string[][]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => (row[column] ?? "").length)));
  const line = (cells: string[]) =>
    `  ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number))).join("  ")}`.trimEnd();
  return [dim(line(head)), ...rows.map(line)].join("\n");
}
