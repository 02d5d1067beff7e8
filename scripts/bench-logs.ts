// `npm run bench:logs`: what it takes to get records out of the archive, and a RayID out of many batches.
//
//     npm run bench:logs -- [--mb N] [--batches N] [--only retrieval|rays] [--quick] [--json]
//
// In the local runtime, with its R2 and SQLite in files, so a get has no way to go: in a deployment add some tens of
// milliseconds for every object that is not opened ahead. Each part has a Worker of its own that has done nothing before,
// but with `--quick`, whose figures of memory are those of all parts.

import { mkdtempSync, rmSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { generateBatch } from "../tests/support/generate.ts";
import { WorkerProcess } from "../tests/support/process.ts";
import { Random } from "../tests/support/random.ts";
import { Client, SECRETS } from "../tests/support/worker.ts";
import { quantile, rounded, table } from "./bench/figures.ts";

let scope = "zones/0123456789abcdef0123456789abcdef";
const MIB = 1024 * 1024;
const START = Date.UTC(2026, 6, 1, 10);

const { values } = parseArgs({
  options: {
    mb: { type: "string", default: "1000" },
    batches: { type: "string", default: "10000" },
    only: { type: "string" },
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const number = (name: "mb" | "batches", least: number, most: number) => {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < least || value > most) throw new Error(`--${name} must be a whole number from ${least} to ${most}`);
  return value;
};
// 2 GB is what one request reads.
const [mb, batchCount] = [number("mb", 10, 1_900), number("batches", 20, 50_000)];

/** For so long a slow reader takes nothing, after its first megabyte. */
const PAUSE_MILLIS = values.quick ? 300 : 3_000;

/** RayIDs that are looked for. */
const LOOKUPS = values.quick ? 5 : 30;

const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-bench-logs-"));
// Ended from outside, it ends its Worker: that listens to the exit.
process.once("SIGTERM", () => process.exit(143));
let shared: WorkerProcess | undefined;
const start = async () => {
  if (shared) return shared;
  const worker = await WorkerProcess.start({ persistDir, vars: { ...SECRETS } });
  if (values.quick) shared = worker;
  return worker;
};
const stop = async (worker: WorkerProcess) => {
  if (worker !== shared) await worker.kill9();
};

/** The answer as soon as its head is there. */
async function ask(url: string, path: string, gzip: boolean): Promise<IncomingMessage> {
  return await new Promise((done, failed) => {
    const headers = { Authorization: `Bearer ${SECRETS.READ_TOKEN}`, "Accept-Encoding": gzip ? "gzip" : "identity" };
    request(`${url}/client/v4/${scope}/logs/${path}`, { headers, agent: false }, done).once("error", failed).end();
  });
}

/** Reads an answer to its end; with a pause after the first megabyte, if one is wanted. */
async function drain(answer: IncomingMessage, pauseMillis = 0): Promise<number> {
  let [bytes, isPaused] = [0, pauseMillis > 0];
  for await (const chunk of answer) {
    bytes += (chunk as Buffer).length;
    if (isPaused && bytes > 1e6) {
      isPaused = false;
      await delay(pauseMillis);
    }
  }
  if (answer.statusCode !== 200) throw new Error(`answered ${answer.statusCode}`);
  return bytes;
}

async function push(client: Client, dataset: string, body: Buffer): Promise<void> {
  const answer = await client.push(`${scope}/${dataset}`, body);
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`);
}

interface Retrieval {
  what: string;
  raw_mb: number;
  received_mb: number;
  seconds: number;
  mb_per_s: number;
  cpu_ms: number | null;
  wasm_mib: number;
  rss_mib: number | null;
}

async function retrievals(): Promise<Retrieval[]> {
  const batch = generateBatch({ dataset: "http_requests", records: Math.min(100_000, Math.ceil((mb * 1e6) / 4_000)), seed: 7, startTime: new Date(START) });
  const count = Math.ceil((mb * 1e6) / batch.rawBytes);
  const filling = await start();
  try {
    const client = new Client(filling.url);
    // A line in front makes another batch of it.
    for (let n = 0; n < count; n += 1) await push(client, "http_requests", Buffer.concat([gzipSync(`{"n":${n}}\n`), batch.gzip]));
  } finally {
    await stop(filling);
  }
  const range = `retrieve?start=2026-07-01T00:00:00Z&end=2026-07-02T00:00:00Z&dataset=http_requests`;
  const where = encodeURIComponent('{"key":"EdgeResponseStatus","operator":"geq","value":500}');
  const cases: [string, string, boolean, number][] = [
    ["every record", range, false, 0],
    ["every record, gzip", range, true, 0],
    ["filtered, three fields", `${range}&where=${where}&fields=RayID,ClientIP,EdgeResponseStatus`, false, 0],
    [`every record, read with a pause of ${PAUSE_MILLIS / 1_000} s`, range, false, PAUSE_MILLIS],
    [`the same, gzip`, range, true, PAUSE_MILLIS],
  ];
  const found: Retrieval[] = [];
  for (const [what, path, gzip, pause] of cases) {
    const worker = await start();
    try {
      const cpu = worker.cpuMillis();
      const began = performance.now();
      const answer = await ask(worker.url, path, gzip);
      const rawBytes = Number(answer.headers["x-logs-bytes"]);
      const received = await drain(answer, pause);
      const seconds = (performance.now() - began - pause) / 1_000;
      const { wasm_memory_bytes } = (await new Client(worker.url).get("/healthz")).json;
      const [cpuAfter, rss] = [worker.cpuMillis(), worker.peakRssBytes()];
      if (path === range && !gzip && received < rawBytes) throw new Error(`${received} of ${rawBytes} bytes came`);
      found.push({
        what, raw_mb: rounded(rawBytes / 1e6, 0), received_mb: rounded(received / 1e6, 1), seconds: rounded(seconds, 1), mb_per_s: rounded(rawBytes / 1e6 / seconds, 0),
        cpu_ms: cpu === undefined || cpuAfter === undefined ? null : cpuAfter - cpu,
        wasm_mib: rounded(wasm_memory_bytes / MIB, 1), rss_mib: rss === undefined ? null : rounded(rss / MIB, 0),
      });
      console.error(JSON.stringify(found.at(-1)));
    } finally {
      await stop(worker);
    }
  }
  return found;
}

interface Lookups {
  what: string;
  batches: number;
  lookups: number;
  objects_read_median: number;
  objects_read_max: number;
  ms_median: number;
  ms_max: number;
}

/** Records of a batch of which RayIDs are looked for. */
const RAY_RECORDS = 100;
/** A batch begins so long after the one before it, and holds records of so long: each overlaps with some others. */
const [EVERY_MILLIS, LASTS_MILLIS] = [2_000, 30_000];

/**
 * RayIDs in both orders: growing with time, as Cloudflare's have done for years (about 2^35 a second), with machines that are
 * two seconds apart; and in none.
 */
async function lookups(): Promise<Lookups[]> {
  scope = "zones/fedcba9876543210fedcba9876543210"; // the batches of the retrievals are none of these
  const random = new Random(11);
  const growing = (millis: number) => BigInt(Math.floor((millis + random.below(4_000) - 2_000) * 34_359_738)) & 0xffffffffffffffffn;
  const kept: Record<"http_requests" | "firewall_events", { ray: string; millis: number }[]> = { http_requests: [], firewall_events: [] };
  const filling = await start();
  try {
    const client = new Client(filling.url);
    const bodies = function* (dataset: keyof typeof kept, time: string, batches: number): Generator<Buffer> {
      for (let n = 0; n < batches; n += 1) {
        let text = "";
        for (let record = 0; record < RAY_RECORDS; record += 1) {
          const millis = START + n * EVERY_MILLIS + random.below(LASTS_MILLIS);
          const ray = dataset === "http_requests" ? growing(millis).toString(16).padStart(16, "0") : random.hex(16);
          text += `{"RayID":"${ray}","${time}":${millis}000000,"ClientIP":"192.0.2.${record}","ClientRequestURI":"/${random.hex(24)}"}\n`;
          if (random.below(batches * RAY_RECORDS) < LOOKUPS * 2) kept[dataset].push({ ray, millis });
        }
        yield gzipSync(text, { level: 1 });
      }
    };
    const all = [bodies("http_requests", "EdgeStartTimestamp", batchCount), bodies("firewall_events", "Datetime", Math.min(batchCount, 850))];
    for (const [at, source] of all.entries()) {
      const dataset = at === 0 ? "http_requests" : "firewall_events";
      const sender = async () => {
        for (const body of source) await push(client, dataset, body);
      };
      await Promise.all(Array.from({ length: 8 }, sender));
    }
  } finally {
    await stop(filling);
  }
  const whole = `start=${new Date(START - 60_000).toISOString()}&end=${new Date(START + 8 * 86_400_000).toISOString()}`;
  const near = (millis: number) => `start=${new Date(millis - 60_000).toISOString()}&end=${new Date(millis + 60_000).toISOString()}`;
  const worker = await start();
  try {
    const measure = async (what: string, dataset: keyof typeof kept, batches: number, range: (millis: number) => string): Promise<Lookups> => {
      const [times, objects]: [number[], number[]] = [[], []];
      for (const { ray, millis } of kept[dataset].slice(0, LOOKUPS)) {
        const began = performance.now();
        const answer = await ask(worker.url, `rayids/${ray}-DFW?dataset=${dataset}&${range(millis)}`, false);
        const bytes = await drain(answer);
        times.push(performance.now() - began);
        objects.push(Number(answer.headers["x-logs-objects"]));
        if (bytes === 0) throw new Error(`${ray} was not found`);
      }
      const of = (samples: number[], share: number) => rounded(quantile(samples.toSorted((a, b) => a - b), share), 0);
      return {
        what, batches, lookups: times.length, objects_read_median: of(objects, 0.5), objects_read_max: of(objects, 1), ms_median: of(times, 0.5), ms_max: of(times, 1),
      };
    };
    const random850 = Math.min(batchCount, 850);
    return [
      await measure("RayIDs that grow with time, no range given but eight days", "http_requests", batchCount, () => whole),
      await measure("RayIDs in any order, the same", "firewall_events", random850, () => whole),
      await measure("RayIDs in any order, within a minute of the record", "firewall_events", random850, near),
    ];
  } finally {
    await stop(worker);
  }
}

try {
  const retrieved = values.only === "rays" ? [] : await retrievals();
  const looked = values.only === "retrieval" ? [] : await lookups();
  if (values.json) console.log(JSON.stringify({ retrievals: retrieved, lookups: looked }));
  else {
    const cells = (one: object) => Object.values(one).map((value) => String(value ?? "–"));
    if (retrieved.length > 0) {
      console.log(table(["retrieval", "MB raw", "MB received", "s", "MB/s raw", "CPU ms", "wasm MiB", "peak RSS MiB"], retrieved.map(cells)));
    }
    if (looked.length > 0) {
      console.log(table(["look-up", "batches", "look-ups", "objects read, median", "max", "ms, median", "max"], looked.map(cells)));
    }
  }
} finally {
  await shared?.kill9();
  rmSync(persistDir, { recursive: true, force: true });
}
