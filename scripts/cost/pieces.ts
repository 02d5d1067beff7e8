// What a batch, a selection, an entry and a push cost in pieces that Cloudflare bills: asked of the built Worker with a
// meter around it, and taken apart into what each adds. `npm run cost:count` renews them in measured.json.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { creation, EventSource } from "../../tests/support/events.ts";
import { generateBatch, type BatchOptions } from "../../tests/support/generate.ts";
import { MeteredWorker } from "../../tests/support/metered.ts";
import { Siem } from "../../tests/support/siem.ts";
import { eventually, freshScope, type JobInput } from "../../tests/support/worker.ts";
import { isSame, minus, times, type Latency, type Part, type Pieces } from "./parts.ts";

const CLASS_A = ["put", "list", "createMultipartUpload", "uploadPart", "completeMultipartUpload"];
const CLASS_B = ["get", "head"];
/** Parts of a chunked batch here: R2 bills each, and the model adds the others. */
const CHUNKED_PARTS = 1;
const LATENCY_ROUNDS = 20;
const ROUNDS_MAX = 6;

/** What was sent in a scenario. */
export interface Scenario {
  jobs: JobInput[];
  batch: BatchOptions;
  isChunked?: boolean;
  /** Logpush writes it into the bucket, and R2 sends an event. */
  isByEvent?: boolean;
  /** Pushes that will come. */
  pushes: number;
}

export class Counter {
  readonly #worker: MeteredWorker;
  readonly #siem: Siem;
  #seed = 1;

  private constructor(worker: MeteredWorker, siem: Siem) {
    this.#worker = worker;
    this.#siem = siem;
  }

  static async start(): Promise<Counter> {
    const siem = await Siem.start({ intakeKeys: ["key"], keepLines: false });
    try {
      return new Counter(await MeteredWorker.start(), siem);
    } catch (error) {
      await siem.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#worker.close();
    await this.#siem.close();
  }

  /**
   * The pieces of one batch of a scenario, after one that wakes everything up: objects, tables, caches. Asked until two
   * batches agree, because an outbox of an earlier scenario looks at its queue once more, 45 s later.
   */
  async pieces(scenario: Scenario): Promise<Pieces> {
    const send = await this.#prepared(scenario);
    await send();
    const rounds: Pieces[] = [];
    while (rounds.length < ROUNDS_MAX) {
      const before = await this.#pieces();
      await send();
      const found = minus(await this.#pieces(), before);
      if (rounds.some((round) => isSame(round, found))) return found;
      rounds.push(found);
    }
    throw new Error(`no two batches cost the same: ${JSON.stringify(rounds)}`);
  }

  async #prepared({ jobs, batch, isChunked, isByEvent, pushes }: Scenario): Promise<() => Promise<void>> {
    const scope = freshScope();
    for (const [index, job] of jobs.entries()) {
      await this.#worker.createJob(scope, { name: `job ${index}`, dataset: batch.dataset, destination_conf: this.#siem.plain("key"), ...job });
    }
    return async () => {
      const { gzip } = generateBatch({ ...batch, seed: (this.#seed += 1) });
      const wanted = this.#siem.intake("key").pushes + pushes;
      if (isByEvent) await this.#sendEvent(`logpush/${scope}/${batch.dataset}/20260701/${this.#seed}.log.gz`, gzip);
      else {
        const answer = await this.#worker.push(`${scope}/${batch.dataset}`, gzip, { chunked: isChunked === true });
        if (answer.json?.result !== "accepted") throw new Error(`a batch was not accepted: ${answer.status} ${answer.text}`);
      }
      await this.#siem.waitFor((siem) => siem.intake("key").pushes >= wanted, 20_000, `${wanted} pushes`);
      await this.#quiet();
      const found = this.#siem.intake("key").pushes;
      if (found !== wanted) throw new Error(`${found - wanted} more pushes came than the scenario says`);
    };
  }

  async #sendEvent(key: string, gzip: Buffer): Promise<void> {
    const source = new EventSource(this.#worker.url);
    const commits = async () => (await this.#worker.meter()).times["Ledger /commit"]?.length ?? 0;
    const before = await commits();
    await source.send(creation(await source.put(key, gzip)));
    await eventually("the batch to be committed", async () => (await commits()) > before);
  }

  /** Waits until nothing runs, and nothing has moved since the look before. */
  async #quiet(): Promise<void> {
    let before = "";
    await eventually("the Worker to be idle", async () => {
      const meter = await this.#worker.meter();
      const now = JSON.stringify(meter.counts);
      const isIdle = meter.busy === 0 && now === before;
      before = now;
      return isIdle;
    });
  }

  async #pieces(): Promise<Pieces> {
    const { counts } = await this.#worker.meter();
    const objects = [counts["Ledger"] ?? {}, counts["Outbox"] ?? {}];
    const sum = (of: readonly Record<string, number>[], names: readonly string[]) =>
      of.reduce((total, one) => total + names.reduce((part, name) => part + (one[name] ?? 0), 0), 0);
    const r2 = [counts["R2"] ?? {}];
    return {
      requests: sum(objects, ["requests"]),
      alarms: sum(objects, ["alarms"]),
      rows_read: sum(objects, ["rowsRead"]),
      rows_written: sum(objects, ["rowsWritten", "alarmsSet"]),
      class_a: sum(r2, CLASS_A),
      class_b: sum(r2, CLASS_B),
    };
  }

  /** What each part adds: scenarios that differ in one thing, subtracted from each other. */
  async parts(): Promise<Record<Part, Pieces>> {
    const alone = await this.pieces({ jobs: [], batch: SMALL, pushes: 0 });
    const large = await this.pieces({ jobs: [], batch: LARGE, pushes: 0 });
    const chunked = await this.pieces({ jobs: [], batch: LARGE, isChunked: true, pushes: 0 });
    const byEvent = await this.pieces({ jobs: [], batch: LARGE, isByEvent: true, pushes: 0 });
    const inline = await this.pieces({ jobs: [ERRORS], batch: SMALL, pushes: 1 });
    const three = await this.pieces({ jobs: [{ ...ERRORS, max_upload_records: 1_000 }], batch: { ...SMALL, records: 3_000 }, pushes: 3 });
    const archived = await this.pieces({ jobs: [{}], batch: SMALL, pushes: 1 });
    const [two, twoEntries] = [await this.pieces(SPOOLED(2)), 2];
    const [more, moreEntries] = [await this.pieces(SPOOLED(3)), 3];
    const spooledEntry = over(minus(more, two), moreEntries - twoEntries);
    // One selection of one inline entry and one push, and one of three of each.
    const entryAndPush = over(minus(three, inline), 2);
    const selection = minus(minus(inline, alone), entryAndPush);
    // What is left of a spooled selection is its object, which is put once and read once by its push, and the push.
    const object: Pieces = { requests: 0, alarms: 0, rows_read: 0, rows_written: 0, class_a: 1, class_b: 1 };
    const push = minus(minus(minus(minus(two, alone), selection), object), times(spooledEntry, twoEntries));
    return {
      batch: alone,
      large_batch: minus(large, alone),
      chunked_batch: minus(minus(chunked, alone), { ...object, class_a: CHUNKED_PARTS, class_b: 0 }),
      event_batch: byEvent,
      selection,
      inline_entry: minus(entryAndPush, push),
      spooled_entry: spooledEntry,
      archived_entry: minus(minus(minus(archived, alone), selection), push),
      spooled_object: object,
      push,
    };
  }

  async latency(): Promise<Latency> {
    const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
    const run = async (scenario: Scenario, rounds: number) => {
      const send = await this.#prepared(scenario);
      await send();
      const { times: before } = await this.#worker.meter();
      for (let round = 0; round < rounds; round += 1) await send();
      const { times } = await this.#worker.meter();
      return (what: string) => median((times[what] ?? []).slice(before[what]?.length ?? 0));
    };
    const small = await run({ jobs: [ERRORS], batch: SMALL, pushes: 1 }, LATENCY_ROUNDS);
    const heavy = await run(SPOOLED(3), LATENCY_ROUNDS);
    const bytes = generateBatch(SPOOLED(3).batch).rawBytes;
    return {
      commit_ms: small("Ledger /commit"),
      append_ms: small("Outbox /append"),
      push_ms: small("Outbox alarm"),
      push_ms_per_mb: round2((heavy("Outbox alarm") - small("Outbox alarm")) / (bytes / 1e6)),
    };
  }
}

const SMALL: BatchOptions = { dataset: "dns_logs", records: 300 };
/** More than the 512 KiB that are held before the archive key is made, and less than the 5 MiB of a part. */
const LARGE: BatchOptions = { dataset: "http_requests", records: 9_000 };
/** Takes every record, but by its own copy, because there is a filter. */
const ERRORS: JobInput = { filter: { where: { key: "QueryName", operator: "!eq", value: "no such name" } } };
/** 1.2 kB a record: more than the 1 MiB that go inline, less than the 3 MiB that are held, and as many segments of 1 MiB. */
const SPOOLED = (entries: 2 | 3): Scenario => ({
  jobs: [{ filter: { where: { key: "EdgeResponseStatus", operator: "geq", value: 100 } } }],
  batch: { dataset: "http_requests", records: entries === 2 ? 1_300 : 2_000 },
  pushes: 1,
});

const over = (a: Pieces, divisor: number): Pieces => times(a, 1 / divisor);
const round2 = (value: number) => Math.round(value * 100) / 100;

export const MEASURED = fileURLToPath(new URL("measured.json", import.meta.url));

/** Counts and writes them down. */
async function main(): Promise<void> {
  const counter = await Counter.start();
  try {
    const pieces = await counter.parts();
    const latency = await counter.latency();
    const measured = JSON.parse(readFileSync(MEASURED, "utf8"));
    const date = new Date().toISOString().slice(0, 10);
    const head = { command: "npm run cost:count", date };
    const changed = { ...measured, pieces: { ...head, ...pieces }, latency: { ...head, ...latency } };
    writeFileSync(MEASURED, `${JSON.stringify(changed, null, 2)}\n`);
    console.table({ ...pieces });
    console.log(latency);
  } finally {
    await counter.close();
  }
}

if (import.meta.main) {
  await main();
  process.exit();
}
