// `npm run cost -- --records-per-day N --bytes-per-record N [flags]`: what a month costs at list price. See docs/cost.md.

import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { DEFAULTS, benchCases, estimate, type Input, type Measured, type Prices } from "./cost/model.ts";
import { piecesTable, scale, text } from "./cost/report.ts";

/** A wrong flag or file; shown without a stack trace. */
export class CostError extends Error {}

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const MEASURED = at("cost/measured.json");
const PAGE = at("../docs/cost.md");
const SCALING_PAGE = at("../docs/scaling.md");

/** Records a day that `--scale` shows side by side: a small site, a large one, and the customer of Cloudflare's post. */
const SCALE = [1e6, 1e9, 21e9];
/** Bytes of their records, where nothing else is given: that customer's. */
const SCALE_BYTES = 1186;

interface Flag {
  to: keyof Input;
  what: string;
  least: number;
  most?: number;
  whole?: boolean;
}

const FLAGS: Record<string, Flag> = {
  "records-per-day": { to: "recordsPerDay", least: 1, what: "records that Logpush sends a day" },
  "bytes-per-record": { to: "bytesPerRecord", least: 2, what: "their average size, uncompressed" },
  "gzip-ratio": { to: "gzipRatio", least: 1, what: "uncompressed to compressed" },
  "records-per-batch": { to: "recordsPerBatch", least: 1, what: "records of one batch; Logpush's max_upload_records" },
  jobs: { to: "jobs", least: 0, most: 1_000, whole: true, what: "jobs behind the Worker" },
  selected: { to: "selected", least: 0, most: 1, what: "share of the records that each job selects; 1 is a job without filter" },
  "max-upload-bytes": { to: "maxUploadBytes", least: 1, what: "the jobs' max_upload_bytes" },
  "batches-per-push": { to: "batchesPerPush", least: 1, most: 1_000, whole: true, what: "batches that an outbox gathers before it pushes" },
  "batches-in-flight": { to: "batchesInFlight", least: 1, most: 40, what: "batches that one isolate works on at once" },
  "retention-days": { to: "retentionDays", least: 0, what: "how long the bucket keeps a batch" },
  "ledger-months": { to: "ledgerMonths", least: 0, what: "months of ledger rows that are kept" },
  "answer-ms": { to: "answerMillis", least: 0, what: "what a destination takes to answer a push" },
  "storage-ms": { to: "storageMillis", least: 0, what: "what a Durable Object takes to make a write durable" },
  "r2-ms": { to: "r2Millis", least: 0, what: "what R2 takes to the first byte of an object" },
  "log-event-bytes": { to: "logEventBytes", least: 0, what: "size of an event in Workers Logs" },
  "log-sampling": { to: "logSampling", least: 0, most: 1, what: "head_sampling_rate of Workers Logs; 0 is off" },
  "export-price-per-gb": { to: "exportPricePerGb", least: 0, what: "what a contract asks for Logpush's export, instead of the list price" },
  "siem-price-per-gb": { to: "siemPricePerGb", least: 0, what: "what the SIEM asks for a GB, to see what it is spared" },
};

const USAGE = [
  "npm run cost -- --records-per-day N --bytes-per-record N [flags]",
  "",
  ...Object.entries(FLAGS).map(([name, { to, what }]) => {
    const standard = (DEFAULTS as Record<string, unknown>)[to];
    return `  --${name.padEnd(20)} ${what}${standard === undefined ? "" : ` (${standard})`}`;
  }),
  `  --${"chunked".padEnd(20)} batches come without Content-Length`,
  `  --${"r2-events".padEnd(20)} Logpush writes to R2, and R2's events bring the batches: docs/r2-events.md`,
  `  --${"json".padEnd(20)} the estimate as JSON`,
  `  --${"scale".padEnd(20)} what 1 M, 1 G and 21 G records a day need, side by side: docs/scaling.md`,
  `  --${"measured FILE".padEnd(20)} CPU from what \`npm run bench -- --json\` printed`,
  `  --${"save".padEnd(20)} keeps that CPU in scripts/cost/measured.json, and renews the examples in docs/cost.md and docs/scaling.md`,
].join("\n");

/** A command line, read: what to estimate and how to show it. */
interface Command {
  input: Input | undefined;
  isJson: boolean;
  /** The volumes of docs/scaling.md instead of one. */
  scale: Input[] | undefined;
  isHelp: boolean;
  isToSave: boolean;
  measured: string | undefined;
}

export function read(args: string[]): Command {
  const numbers = Object.fromEntries(Object.keys(FLAGS).map((name) => [name, { type: "string" as const }]));
  const switches = Object.fromEntries(["chunked", "r2-events", "json", "save", "scale", "help"].map((name) => [name, { type: "boolean" as const }]));
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({ args, options: { ...numbers, ...switches, measured: { type: "string" } } }).values as typeof values;
  } catch (error) {
    throw new CostError(`${(error as Error).message}\n\n${USAGE}`);
  }
  const given: Record<string, number> = {};
  for (const [name, { to, least, most, whole }] of Object.entries(FLAGS)) {
    const value = values[name];
    if (value === undefined) continue;
    const number = value === "" ? NaN : Number(value);
    if (!Number.isFinite(number) || number < least || number > (most ?? Infinity) || (whole && !Number.isInteger(number))) {
      throw new CostError(`--${name} is a ${whole ? "whole " : ""}number ${most === undefined ? `of at least ${least}` : `from ${least} to ${most}`}, not ${value}`);
    }
    given[to] = number;
  }
  const input = { ...DEFAULTS, ...given, isChunked: values["chunked"] === true, isByEvents: values["r2-events"] === true } as Input;
  const isScale = values["scale"] === true;
  if (isScale && given["recordsPerDay"] !== undefined) throw new CostError("--scale has volumes of its own: leave --records-per-day out");
  const isComplete = input.recordsPerDay !== undefined && input.bytesPerRecord !== undefined;
  const isToSave = values["save"] === true;
  if (!isComplete && !isScale && (!isToSave || Object.keys(given).length > 0) && values["help"] !== true) {
    throw new CostError(`give --records-per-day and --bytes-per-record\n\n${USAGE}`);
  }
  return {
    input: isComplete ? input : undefined,
    isJson: values["json"] === true,
    scale: isScale ? SCALE.map((recordsPerDay) => ({ ...input, recordsPerDay, bytesPerRecord: input.bytesPerRecord ?? SCALE_BYTES })) : undefined,
    isHelp: values["help"] === true,
    isToSave,
    measured: values["measured"] as string | undefined,
  };
}

export function prices(): Prices {
  return JSON.parse(readFileSync(at("cost/prices.json"), "utf8"));
}

export function measured(): Measured {
  return JSON.parse(readFileSync(MEASURED, "utf8"));
}

/** The measured figures with the CPU of a bench's output. */
function renewed(file: string): Measured {
  const old = measured();
  // npm runs scripts in the package's folder; the file's name is meant where the command was typed.
  const output = readFileSync(resolve(process.env["INIT_CWD"] ?? process.cwd(), file), "utf8");
  const cases = benchCases(output);
  if (cases.length === 0) throw new CostError(`${file} has no JSON line with cases named "ours, N jobs": make it with \`npm run --silent bench -- --json > ${file}\``);
  const note = "http_requests; CPU of the whole local runtime, its R2 and SQLite included";
  return { ...old, cpu: { command: "npm run bench -- --json", date: new Date().toISOString().slice(0, 10), note, cases } };
}

const FLAGS_TABLE = /(<!-- flags -->\n)(?:\|.*\n|\n(?=\|))*/;
const PIECES = /(<!-- pieces -->\n)(?:\|.*\n|\n(?=\|))*/;
const EXAMPLE = /(<!-- npm run cost -- (.*?) -->\n```\n)[^]*?(```\n)/g;

function flagsTable(): string {
  const rows = Object.entries(FLAGS).map(([name, { to, what }]) => {
    const standard = (DEFAULTS as Record<string, unknown>)[to];
    return `| \`--${name}\` | ${standard ?? "–"} | ${what} |`;
  });
  return ["| flag | default | meaning |", "|---|---|---|", ...rows].join("\n");
}

/** docs/cost.md or docs/scaling.md with its examples and tables made anew. */
export function withFigures(page: string, of: Measured): string {
  const tables = page
    .replace(FLAGS_TABLE, (_, before: string) => `${before}\n${flagsTable()}\n`)
    .replace(PIECES, (_, before: string) => `${before}\n${piecesTable(of.pieces)}\n`);
  return tables.replace(EXAMPLE, (_, before: string, flags: string, after: string) => {
    const { input, scale: volumes } = read(flags.split(" "));
    if (volumes !== undefined) return `${before}${scale(volumes.map((one) => estimate(one, of, prices())))}\n${after}`;
    if (input === undefined) throw new CostError(`an example is incomplete: ${flags}`);
    return `${before}${text(estimate(input, of, prices()), of, prices())}\n${after}`;
  });
}

function main(args: string[]): void {
  const { input, isJson, scale: volumes, isHelp, isToSave, measured: file } = read(args);
  if (isHelp) return void console.log(USAGE);
  const figures = file === undefined ? measured() : renewed(file);
  if (isToSave) {
    writeFileSync(MEASURED, `${JSON.stringify(figures, null, 2)}\n`);
    for (const page of [PAGE, SCALING_PAGE]) writeFileSync(page, withFigures(readFileSync(page, "utf8"), figures));
    console.error("✓ scripts/cost/measured.json, docs/cost.md and docs/scaling.md are renewed");
  }
  if (volumes !== undefined) {
    const found = volumes.map((one) => estimate(one, figures, prices()));
    return void console.log(isJson ? JSON.stringify(found, null, 2) : scale(found));
  }
  if (input === undefined) return;
  const found = estimate(input, figures, prices());
  console.log(isJson ? JSON.stringify(found, null, 2) : text(found, figures, prices()));
}

if (import.meta.main) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof CostError) && (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
