// What the tests of delivery share: records that know who they are, and a job with a SIEM of its own.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { Siem, type SiemOptions } from "./siem.ts";
import { eventually, freshScope, type Client, type TestWorker } from "./worker.ts";

export const DATASET = "http_requests";
/** The only token or key that a SIEM of these tests knows at first. */
export const KEY = "0b5ecf3a-6d3f-4d7c-9a53-8a1f5c1de2a7";

/** Selects every record of `recordLines`, and makes a copy of them. */
export const COPIED = { where: { key: "EdgeResponseStatus", operator: "geq", value: 400 } };

/** `count` records from number `from` on, as they must arrive; `pad` makes one larger. */
export function recordLines(from: number, count: number, pad: (number: number) => number = () => 100): string[] {
  return Array.from({ length: count }, (_, index) => {
    const number = from + index;
    return `{"RayID":"r${number}","EdgeStartTimestamp":${1_782_900_000 + number},"EdgeResponseStatus":500,"UserAgent":"${"x".repeat(pad(number))}"}`;
  });
}

export const batchOf = (lines: readonly string[]) => gzipSync(`${lines.join("\n")}\n`);

/** A certificate for 127.0.0.1 that nobody signed, made for these tests and good for nothing else. */
export const CERTIFICATE_FILE = fileURLToPath(new URL("untrusted.cert.pem", import.meta.url));

export function untrusted(): { key: string; cert: string } {
  const key = readFileSync(new URL("untrusted.key.pem", import.meta.url), "utf8");
  return { key, cert: readFileSync(CERTIFICATE_FILE, "utf8") };
}

/** What `/stats` says of a job's records. */
export interface Places {
  waiting: number;
  parked: number;
  dead: number;
  delivered: number;
}

export class Delivery {
  readonly worker: Client;
  readonly siem: Siem;
  readonly scope: string;
  readonly id: number;

  constructor(worker: Client, siem: Siem, scope: string, id: number) {
    this.worker = worker;
    this.siem = siem;
    this.scope = scope;
    this.id = id;
  }

  static async setUp(
    context: TestContext,
    worker: Client,
    kind: "https" | "splunk",
    job: Record<string, unknown> = {},
    siemOptions: SiemOptions = {},
  ): Promise<Delivery> {
    const siem = await Siem.start({ intakeKeys: [KEY], splunkTokens: [KEY], ...siemOptions });
    context.after(async () => await siem.close());
    const scope = freshScope();
    const destination_conf = kind === "https" ? siem.plain(KEY) : siem.splunk(KEY);
    const { id } = await worker.createJob(scope, { name: "job", dataset: DATASET, destination_conf, ...job });
    return new Delivery(worker, siem, scope, id);
  }

  get intake() {
    return this.siem.intake(KEY);
  }

  async push(lines: readonly string[]): Promise<void> {
    const answer = await this.worker.push(`${this.scope}/${DATASET}`, batchOf(lines));
    assert.equal(answer.json.result, "accepted", answer.text);
  }

  /** The job's counters. Both sums must hold whenever they are looked at. */
  async job(): Promise<any> {
    const stats = await this.worker.stats(`scope=${this.scope}`);
    assert.equal(stats.reconciliation.holds, true, JSON.stringify(stats.reconciliation));
    return stats.jobs.find(({ id }: { id: number }) => id === this.id);
  }

  async places(): Promise<Places> {
    return placesOf(await this.job());
  }

  async untilJob(what: string, holds: (job: any) => boolean, deadlineMillis = 30_000): Promise<any> {
    const look = async () => {
      const job = await this.job();
      return holds(job) ? job : undefined;
    };
    return await eventually(`${what} of job ${this.id}`, look, deadlineMillis);
  }

  /** As soon as nothing waits, is parked or owed. */
  async untilDone(deadlineMillis = 30_000): Promise<any> {
    return await this.untilJob("the end", ({ waiting, parked, owed }) => waiting.records + parked.records + owed.batches === 0, deadlineMillis);
  }

  /** An operator who changes nothing, but wants it tried at once. */
  async touch(): Promise<void> {
    await this.worker.changeJob(this.scope, this.id, { name: "touched" });
  }

  /** The lines of the job's dead letters, oldest first, as they lie in the bucket. */
  async deadLines(): Promise<string[]> {
    const { json } = await this.worker.api("GET", `${this.scope}/logpush/jobs/${this.id}/dead-letters`);
    const letters: string[] = [];
    for (const { id } of json.result) {
      const one = await this.worker.api("GET", `${this.scope}/logpush/jobs/${this.id}/dead-letters/${id}`);
      letters.push(one.json.result.content);
    }
    return letters.flatMap((content) => content.trimEnd().split("\n"));
  }
}

/** Changes the stored job without asking its destination first: what was good when it was stored may not be later. */
export async function changeStoredJob(worker: TestWorker, id: number, change: Record<string, unknown>): Promise<void> {
  const [row] = await worker.callObject("REGISTRY", "registry", "jobs", { id, with_deleted: false });
  const update = { expected_version: row.job.version, job: { ...row.job, ...change } };
  assert.ok(await worker.callObject("REGISTRY", "registry", "update", update), "the stored job");
}

/** The same in the state that a Worker left on disk which is not running. */
export function changeJobOnDisk(persistDir: string, id: number, change: Record<string, unknown>): void {
  const folder = join(persistDir, "v3", "do", "logpush-edge-Registry");
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".sqlite"))) {
    const database = new DatabaseSync(join(folder, name));
    try {
      if (!database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").get()) continue;
      const row = database.prepare("SELECT body FROM jobs WHERE id = ?").get(id) as { body: string };
      const body = JSON.stringify({ ...JSON.parse(row.body), ...change });
      database.prepare("UPDATE jobs SET body = ? WHERE id = ?").run(body, id);
      return;
    } finally {
      database.close();
    }
  }
  throw new Error(`there is no job ${id} under ${folder}`);
}

export function placesOf(job: any): Places {
  return { waiting: job.waiting.records, parked: job.parked.records, dead: job.dead.records, delivered: job.delivered.records };
}
