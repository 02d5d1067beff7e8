// A live tail under load: batches at a steady pace, one viewer that reads and one that does not.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { generateBatch } from "./generate.ts";
import { WorkerProcess } from "./process.ts";
import { Viewer } from "./viewer.ts";
import { Client, SECRETS } from "./worker.ts";

const SCOPE = "zones/tail-load";
const DATASET = "http_requests";
/** Batches that wake everything up before anything is measured. */
const WARM_UP = 20;

export interface TailLoad {
  seconds: number;
  recordsPerSecond: number;
  batchesPerSecond: number;
}

export interface Latency {
  batches: number;
  p50: number;
  p99: number;
  max: number;
}

/** What a phase was like. */
export interface Phase {
  latency: Latency;
  /** Of the process that runs the Worker. */
  cpuMillis: number | undefined;
  peakRssBytes: number | undefined;
  wasmBytes: number;
}

export interface Watched extends Phase {
  sent: number;
  rawBytes: number;
  good: { shown: number; lost: number };
  stalled: { shown: number; lost: number; notices: number };
}

export interface TailReport {
  without: Phase;
  watched: Watched;
}

function latencyOf(millis: number[]): Latency {
  const sorted = millis.toSorted((a, b) => a - b);
  const at = (share: number) => Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 10) / 10;
  return { batches: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

class Load {
  readonly #worker: WorkerProcess;
  readonly #client: Client;
  readonly #load: TailLoad;
  #seed = 0;

  constructor(worker: WorkerProcess, load: TailLoad) {
    this.#worker = worker;
    this.#client = new Client(worker.url);
    this.#load = load;
  }

  #batches(count: number): { gzip: Buffer; rawBytes: number }[] {
    const records = Math.round(this.#load.recordsPerSecond / this.#load.batchesPerSecond);
    return Array.from({ length: count }, () => {
      const { gzip, rawBytes } = generateBatch({ dataset: DATASET, records, seed: (this.#seed += 1) });
      return { gzip, rawBytes };
    });
  }

  /** Sends each batch when it is due, whether those before it were answered or not. */
  async run(seconds = this.#load.seconds): Promise<Phase & { sent: number; rawBytes: number }> {
    const batches = this.#batches(Math.round(seconds * this.#load.batchesPerSecond));
    for (const { gzip } of this.#batches(WARM_UP)) await this.#push(gzip);
    const cpuBefore = this.#worker.cpuMillis();
    const start = performance.now();
    const millis = await Promise.all(
      batches.map(async ({ gzip }, index) => {
        await delay(Math.max(0, start + (index * 1_000) / this.#load.batchesPerSecond - performance.now()));
        const begun = performance.now();
        await this.#push(gzip);
        return performance.now() - begun;
      }),
    );
    const cpuAfter = this.#worker.cpuMillis();
    const { json } = await this.#client.get("/healthz");
    const perBatch = Math.round(this.#load.recordsPerSecond / this.#load.batchesPerSecond);
    return {
      latency: latencyOf(millis),
      cpuMillis: cpuBefore === undefined || cpuAfter === undefined ? undefined : cpuAfter - cpuBefore,
      peakRssBytes: this.#worker.peakRssBytes(),
      wasmBytes: json.wasm_memory_bytes,
      sent: (batches.length + WARM_UP) * perBatch,
      rawBytes: batches.reduce((sum, { rawBytes }) => sum + rawBytes, 0),
    };
  }

  async #push(gzip: Buffer): Promise<void> {
    const answer = await this.#client.push(`${SCOPE}/${DATASET}`, gzip);
    if (answer.json?.result !== "accepted") throw new Error(`a batch was not accepted: ${answer.status} ${answer.text}`);
  }

  /** The same while two watch, one of which reads nothing until all is over. */
  async watched(): Promise<Watched> {
    const { status, json } = await this.#client.api("POST", `${SCOPE}/logpush/edge/jobs`, { dataset: DATASET });
    if (status !== 200) throw new Error(JSON.stringify(json));
    const url = `${json.result.destination_conf}?ack=true`;
    const [good, stalled] = await Promise.all([Viewer.connect(url), Viewer.connect(url)]);
    stalled.pause();
    try {
      const phase = await this.run();
      await good.until(phase.sent, 30_000);
      stalled.resume();
      await stalled.until(phase.sent, 30_000);
      return {
        ...phase,
        good: { shown: good.lines.length, lost: good.lost },
        stalled: { shown: stalled.lines.length, lost: stalled.lost, notices: stalled.notices.length },
      };
    } finally {
      good.close();
      stalled.close();
      await this.#client.api("DELETE", `${SCOPE}/logpush/edge/jobs/${json.result.id}`);
    }
  }
}

/** Runs it without anybody who watches, and then with two. */
export async function tailLoad(load: TailLoad, phases: { without?: boolean; watched?: boolean } = { without: true, watched: true }): Promise<Partial<TailReport>> {
  const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-tail-"));
  const worker = await WorkerProcess.start({ persistDir, vars: { ...SECRETS } });
  try {
    const running = new Load(worker, load);
    return {
      ...(phases.without === true ? { without: await running.run() } : {}),
      ...(phases.watched === true ? { watched: await running.watched() } : {}),
    };
  } finally {
    await worker.kill9();
    rmSync(persistDir, { recursive: true, force: true });
  }
}
