// Memory is bounded whatever the size of a batch and however many come at once. The figures are printed; wasm memory
// never shrinks, so what /healthz says after the fact is the peak. Each measurement has a Worker of its own.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, before, beforeEach, describe, test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { generateBatch, type Batch } from "../support/generate.ts";
import { WorkerProcess } from "../support/process.ts";
import { PLAIN_PATH, Siem } from "../support/siem.ts";
import { Client, SECRETS } from "../support/worker.ts";

const MIB = 1024 * 1024;
const SCOPE = "zones/memory";
const DEFAULT_BATCH_RECORDS = 100_000;
const PARALLEL = 20;

/** One line in front makes another batch of it: several gzip members are one stream. */
const variant = (batch: Batch, number: number) => Buffer.concat([gzipSync(`{"RayID":"${number}"}\n`), batch.gzip]);

describe("memory", { timeout: 600_000 }, () => {
  let batch: Batch;
  let worker: WorkerProcess;
  let client: Client;
  let siem: Siem;
  let persistDir: string;

  before(() => void (batch = generateBatch({ dataset: "http_requests", records: DEFAULT_BATCH_RECORDS, seed: 11 })));
  beforeEach(async () => {
    persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-memory-"));
    siem = await Siem.start({ intakeKeys: ["errors", "copy"], keepLines: false });
    worker = await WorkerProcess.start({ persistDir, vars: { ...SECRETS, ALLOW_PRIVATE_DESTINATIONS: "true" } });
    client = new Client(worker.url);
    await createJob("errors", { where: { key: "EdgeResponseStatus", operator: "geq", value: 400 } });
  });
  afterEach(async () => {
    await worker.kill9();
    await siem.close();
    rmSync(persistDir, { recursive: true, force: true });
  });

  async function createJob(key: string, filter?: object, limits: object = {}): Promise<void> {
    await client.createJob(SCOPE, {
      name: key,
      dataset: "http_requests",
      filter,
      destination_conf: `http://${siem.host}${PLAIN_PATH}?header_X-SEKOIAIO-INTAKE-KEY=${key}`,
      ...limits,
    });
  }

  async function push(body: Buffer | Readable): Promise<void> {
    const answer = await client.push(`${SCOPE}/http_requests`, body);
    assert.equal(answer.status, 200, answer.text);
  }

  /** Prints the figure and holds it against what was promised. */
  async function assertWasmMemory(context: TestContext, what: string, mostMib: number): Promise<void> {
    const { wasm_memory_bytes } = (await client.get("/healthz")).json;
    const rss = worker.peakRssBytes();
    const process = rss === undefined ? "" : `; workerd's peak with its R2 and SQLite ${(rss / MIB).toFixed(0)} MiB`;
    context.diagnostic(`${what}: ${(wasm_memory_bytes / MIB).toFixed(1)} MiB of wasm memory, at most ${mostMib} promised${process}`);
    assert.ok(wasm_memory_bytes <= mostMib * MIB, `${wasm_memory_bytes} bytes`);
  }

  test("one default batch takes at most 8 MiB", async (context) => {
    await push(batch.gzip);
    await assertWasmMemory(context, `one batch of ${batch.records} records, ${mb(batch.rawBytes)} MB raw`, 8);
    assert.equal((await client.jobStats(SCOPE, 1)).selected.records, batch.facts.errors.records);
  });

  test("one default batch of which a job copies every record takes at most 8 MiB", async (context) => {
    await createJob("copy", undefined, { max_upload_bytes: 5_000_000 });
    await push(batch.gzip);
    await assertWasmMemory(context, `one batch of ${batch.records} records, all of them copied`, 8);
    assert.equal((await client.jobStats(SCOPE, 2)).selected.bytes, batch.rawBytes);
  });

  test("twenty default batches in flight take at most 24 MiB", async (context) => {
    await Promise.all(Array.from({ length: PARALLEL }, (_, number) => push(variant(batch, number))));
    await assertWasmMemory(context, `${PARALLEL} of them at once, ${mb(PARALLEL * batch.rawBytes)} MB raw`, 24);
    assert.equal((await client.jobStats(SCOPE, 1)).selected.records, PARALLEL * batch.facts.errors.records);
  });

  test("a batch of a gigabyte takes as little as a default one", async (context) => {
    const copies = Math.ceil(1_000_000_000 / batch.rawBytes);
    // Without Content-Length, which is the harder way: its parts have to be held.
    await push(Readable.from(Array.from({ length: copies }, () => batch.gzip)));
    await assertWasmMemory(context, `one batch of ${mb(copies * batch.rawBytes)} MB raw`, 8);
    assert.equal((await client.jobStats(SCOPE, 1)).selected.records, copies * batch.facts.errors.records);
  });
});

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
