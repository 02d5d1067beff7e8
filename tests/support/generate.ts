// Logpush batches made to measure: the same seed gives the same bytes, and what a job must select from them is counted
// while they are made, not by reading them again. As a command it writes a batch to a file:
//
//     node tests/support/generate.ts --dataset http_requests --records 100000 --seed 1 --out batch.ndjson.gz

import { createWriteStream, readFileSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";
import { createGzip, gzipSync } from "node:zlib";
import { LineCounter, type Tally } from "./lines.ts";
import { Random } from "./random.ts";
import { dnsLogs } from "./records/dns_logs.ts";
import { firewallEvents } from "./records/firewall_events.ts";
import { httpRequests } from "./records/http_requests.ts";
import { networkAnalyticsLogs } from "./records/network_analytics_logs.ts";
import { emptyOf, timestamp, type TimestampFormat } from "./records/text.ts";
import { world, type World } from "./records/world.ts";

export type Dataset = "http_requests" | "firewall_events" | "dns_logs" | "network_analytics_logs";

export interface BatchOptions {
  dataset: Dataset;
  records: number;
  seed?: number;
  /** The first record's time; the others follow within milliseconds of each other. */
  startTime?: Date;
  timestampFormat?: TimestampFormat;
  /** "common" (default), "flat" (the same without nested objects), "all" of the catalogue, or names in the wanted order. */
  fields?: "common" | "flat" | "all" | readonly string[];
}

export interface Facts {
  all: Tally;
  /** EdgeResponseStatus ≥ 400. */
  errors: Tally;
  /** Action is block. */
  blocked: Tally;
  firstMillis: number;
  lastMillis: number;
}

export interface Batch {
  ndjson: Buffer;
  gzip: Buffer;
  records: number;
  rawBytes: number;
  facts: Facts;
}

/** One point in time, already written in the wanted format, and others near it. */
export interface Moment {
  text: string;
  plus(millis: number, nanos?: number): string;
}

/** What a record says: JSON text by field; a field that is not named stays empty. */
export interface Drawn {
  values: Record<string, string>;
  status?: number;
  action?: string;
}

export interface RecordMaker {
  dataset: Dataset;
  common: readonly string[];
  flat: readonly string[];
  /** How far records lie apart on average. */
  gapMillis: number;
  draw(random: Random, world: World, moment: Moment): Drawn;
}

const MAKERS: Record<Dataset, RecordMaker> = {
  http_requests: httpRequests,
  firewall_events: firewallEvents,
  dns_logs: dnsLogs,
  network_analytics_logs: networkAnalyticsLogs,
};

/** Logs of a fixed day, so that a test's objects have the same names every time. */
const START = new Date("2026-07-01T10:00:00Z");
const CHUNK_CHARACTERS = 256 * 1024;

/** A batch of any size, made as it is read: `chunks` once through, then `facts()`. */
export class BatchStream {
  readonly #options: BatchOptions;
  readonly #all = new LineCounter();
  readonly #errors = new LineCounter();
  readonly #blocked = new LineCounter();
  readonly #start: number;
  #lastMillis: number;

  constructor(options: BatchOptions) {
    this.#options = options;
    this.#start = (options.startTime ?? START).getTime();
    this.#lastMillis = this.#start;
  }

  /** The NDJSON in pieces of a few hundred kilobytes, cut between records. */
  *chunks(): Generator<Buffer> {
    const { dataset, records, seed = 1, timestampFormat = "unixnano", fields = "common" } = this.#options;
    const maker = MAKERS[dataset];
    const columns = columnsOf(maker, fields);
    const random = new Random(seed);
    let millis = this.#start;
    let text = "";
    for (let i = 0; i < records; i += 1) {
      if (i > 0) millis += random.below(maker.gapMillis * 2 + 1);
      // Most times are known to the millisecond only; the others need all 64 bits.
      const nanos = random.chance(0.25) ? random.below(1_000_000) : 0;
      const at = millis;
      const drawn = maker.draw(random, world(), {
        text: timestamp(at, nanos, timestampFormat),
        plus: (more, finer = 0) => timestamp(at + more, finer, timestampFormat),
      });
      const line = lineOf(columns, drawn.values);
      this.#all.add(line);
      if ((drawn.status ?? 0) >= 400) this.#errors.add(line);
      if (drawn.action === "block") this.#blocked.add(line);
      this.#lastMillis = at;
      text += `${line}\n`;
      if (text.length >= CHUNK_CHARACTERS) {
        yield Buffer.from(text);
        text = "";
      }
    }
    if (text !== "") yield Buffer.from(text);
  }

  /** The same, compressed as Logpush compresses it. */
  gzip(): Readable {
    const gzip = createGzip({ level: 6 });
    pipeline(Readable.from(this.chunks(), { objectMode: true }), gzip).catch((error: Error) => gzip.destroy(error));
    return gzip;
  }

  facts(): Facts {
    return {
      all: this.#all.tally(),
      errors: this.#errors.tally(),
      blocked: this.#blocked.tally(),
      firstMillis: this.#start,
      lastMillis: this.#lastMillis,
    };
  }
}

export function generateBatch(options: BatchOptions): Batch {
  const stream = new BatchStream(options);
  const ndjson = Buffer.concat([...stream.chunks()]);
  const facts = stream.facts();
  return { ndjson, gzip: gzipSync(ndjson, { level: 6 }), records: facts.all.records, rawBytes: ndjson.length, facts };
}

interface Column {
  name: string;
  /** `{"Name":` or `,"Name":` */
  prefix: string;
  empty: string;
}

function columnsOf(maker: RecordMaker, fields: NonNullable<BatchOptions["fields"]>): Column[] {
  const types = catalogue(maker.dataset);
  const names =
    fields === "common" ? maker.common : fields === "flat" ? maker.flat : fields === "all" ? Object.keys(types) : fields;
  return names.map((name, position) => {
    const field = types[name];
    if (!field) throw new Error(`${maker.dataset} has no field ${name}`);
    return { name, prefix: `${position === 0 ? "{" : ","}"${name}":`, empty: emptyOf(field.type) };
  });
}

function lineOf(columns: readonly Column[], values: Record<string, string>): string {
  let line = "";
  for (const column of columns) line += column.prefix + (values[column.name] ?? column.empty);
  return `${line}}`;
}

function catalogue(dataset: Dataset): Record<string, { type: string }> {
  const file = new URL(`../../src/logpush/datasets/${dataset}.json`, import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")).fields;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      dataset: { type: "string", default: "http_requests" },
      records: { type: "string", default: "100000" },
      seed: { type: "string", default: "1" },
      start: { type: "string", default: START.toISOString() },
      timestamps: { type: "string", default: "unixnano" },
      fields: { type: "string", default: "common" },
      out: { type: "string" },
    },
  });
  if (!(values.dataset in MAKERS)) throw new Error(`--dataset is one of ${Object.keys(MAKERS).join(", ")}`);
  const named = ["common", "flat", "all"].includes(values.fields);
  const stream = new BatchStream({
    dataset: values.dataset as Dataset,
    records: Number(values.records),
    seed: Number(values.seed),
    startTime: new Date(values.start),
    timestampFormat: values.timestamps as TimestampFormat,
    fields: named ? (values.fields as "common") : values.fields.split(","),
  });
  const started = performance.now();
  let compressed = 0;
  const gzip = stream.gzip();
  gzip.on("data", (chunk: Buffer) => void (compressed += chunk.length));
  const ended = new Promise((resolve, reject) => gzip.on("end", resolve).on("error", reject));
  if (values.out) await Promise.all([ended, pipeline(gzip, createWriteStream(values.out))]);
  else await ended;
  const { all, errors, blocked } = stream.facts();
  const figures = [
    `${values.dataset}: ${all.records} records, ${all.bytes} bytes raw, ${compressed} gzip`,
    `per record ${(all.bytes / all.records).toFixed(1)} raw, ${(compressed / all.records).toFixed(1)} gzip; ratio ${(all.bytes / compressed).toFixed(2)}`,
    `EdgeResponseStatus ≥ 400: ${errors.records} records, ${errors.bytes} bytes; Action block: ${blocked.records} records, ${blocked.bytes} bytes`,
    `made in ${((performance.now() - started) / 1000).toFixed(1)} s`,
  ];
  console.log(figures.join("\n"));
}

if (import.meta.main) await main();
