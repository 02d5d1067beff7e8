// The workerd process dies by SIGKILL and comes up again on the same state, as after a power failure. Whatever was
// answered with 200 is there, whatever was not comes again, and no counter has moved twice.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { archivedObjects } from "../support/archive.ts";
import { generateBatch, type Batch, type Dataset } from "../support/generate.ts";
import { sumTallies, type Tally } from "../support/lines.ts";
import { WorkerProcess } from "../support/process.ts";
import { Random } from "../support/random.ts";
import { PLAIN_PATH, Siem } from "../support/siem.ts";
import { Client, eventually, SECRETS } from "../support/worker.ts";

const SCOPE = "zones/crash";
const KEYS = { errors: "key-errors", blocked: "key-blocked", all: "key-all" } as const;
type Selection = keyof typeof KEYS;

const FILTERS: Record<Selection, object | undefined> = {
  errors: { where: { key: "EdgeResponseStatus", operator: "geq", value: 400 } },
  blocked: { where: { key: "Action", operator: "eq", value: "block" } },
  all: undefined,
};

let siem: Siem;
let persistDir: string;
let worker: WorkerProcess;
let client: Client;

async function startWorker(): Promise<void> {
  worker = await WorkerProcess.start({ persistDir, vars: { ...SECRETS, ALLOW_PRIVATE_DESTINATIONS: "true" } });
  client = new Client(worker.url);
}

async function crash(): Promise<void> {
  await worker.kill9();
}

/** A job that selects this; the SIEM counts by key what it gets. */
async function createJob(dataset: Dataset, selection: Selection): Promise<number> {
  const job = await client.createJob(SCOPE, {
    name: `${selection} of ${dataset}`,
    dataset,
    filter: FILTERS[selection],
    destination_conf: `http://${siem.host}${PLAIN_PATH}?header_X-SEKOIAIO-INTAKE-KEY=${KEYS[selection]}`,
  });
  return job.id;
}

const push = async (dataset: Dataset, batch: Batch, chunked = false) =>
  await client.push(`${SCOPE}/${dataset}`, batch.gzip, { chunked });

/** As Logpush does: again and again, until there is a 200. */
async function pushUntilTaken(dataset: Dataset, batch: Batch, chunked = false): Promise<void> {
  await eventually("the batch to be taken", async () => {
    const answer = await push(dataset, batch, chunked).catch(() => undefined);
    return answer?.status === 200;
  });
}

/** Waits for the deliveries, then holds every figure against what the generator knows. */
async function assertEverythingArrived(dataset: Dataset, batches: Batch[], expected: Partial<Record<Selection, Tally>>) {
  for (const [selection, tally] of Object.entries(expected) as [Selection, Tally][]) {
    const arrived = () => siem.intake(KEYS[selection]).tallyOnce.records >= tally.records;
    await siem.waitFor(arrived, 60_000, `the records of ${selection}`);
    assert.deepEqual(siem.intake(KEYS[selection]).tallyOnce, tally, `${selection}: each record once, but for repeated pushes`);
  }
  const stats = await eventually("every job to settle", async () => {
    const stats = await client.stats();
    const isSettled = (job: any) => job.waiting.records === 0 && job.owed.batches === 0;
    return stats.jobs.every(isSettled) ? stats : undefined;
  });
  const counted = stats.datasets.find((one: any) => one.dataset === dataset);
  const sum = (of: (batch: Batch) => number) => batches.reduce((total, batch) => total + of(batch), 0);
  assert.equal(counted.batches, batches.length);
  assert.equal(counted.records, sum((batch) => batch.records));
  assert.equal(counted.bytes_raw, sum((batch) => batch.rawBytes));
  assert.equal(counted.bytes_compressed, sum((batch) => batch.gzip.length));
  for (const [selection, tally] of Object.entries(expected) as [Selection, Tally][]) {
    const job = stats.jobs.find((one: any) => one.name === `${selection} of ${dataset}`);
    assert.equal(job.selected.records, tally.records, selection);
    assert.equal(job.selected.bytes, tally.bytes, selection);
    assert.equal(job.delivered.records, tally.records, selection);
  }
  assert.equal(stats.reconciliation.holds, true, JSON.stringify(stats.reconciliation));
}

async function assertArchiveHoldsExactly(batches: Batch[]): Promise<void> {
  await worker.stop();
  const objects = (await archivedObjects(persistDir)).filter(({ key }) => key.startsWith(`${SCOPE}/`));
  assert.deepEqual(objects.map(({ bytes }) => bytes).sort(), batches.map(({ gzip }) => gzip.length).sort());
}

describe("a Worker that is killed", () => {
  before(() => void (persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-crash-"))));
  afterEach(async () => {
    await worker?.kill9();
    await siem?.close();
    rmSync(persistDir, { recursive: true, force: true });
    persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-crash-"));
  });
  after(() => rmSync(persistDir, { recursive: true, force: true }));

  test("between accepting and delivering delivers afterwards, whether the payload is in the table, in R2, or the archived object itself", async () => {
    siem = await Siem.start({ intakeKeys: Object.values(KEYS) });
    siem.fail({ times: Infinity, status: 503 });
    await startWorker();
    await createJob("http_requests", "errors");
    await createJob("http_requests", "all");
    // A limit makes it a copy, and megabytes of it do not fit into the table.
    const big = await client.createJob(SCOPE, {
      name: "blocked of http_requests",
      dataset: "http_requests",
      max_upload_bytes: 5_000_000,
      destination_conf: `http://${siem.host}${PLAIN_PATH}?header_X-SEKOIAIO-INTAKE-KEY=${KEYS.blocked}`,
    });
    const batches = [1, 2].map((seed) => generateBatch({ dataset: "http_requests", records: 5_000, seed }));
    for (const batch of batches) assert.equal((await push("http_requests", batch)).status, 200);
    await siem.waitFor(() => siem.refusals.length >= 3, 30_000, "a first try of each job");
    assert.equal((await client.jobStats(SCOPE, big.id)).delivered.records, 0);
    await crash();
    siem.mend();
    await startWorker();
    const all = sumTallies(batches.map((batch) => batch.facts.all));
    const errors = sumTallies(batches.map((batch) => batch.facts.errors));
    await assertEverythingArrived("http_requests", batches, { errors, all, blocked: all });
    await assertArchiveHoldsExactly(batches);
  });

  test("after the destination took a push and before it said so sends that push again under the same id", async () => {
    siem = await Siem.start({ intakeKeys: Object.values(KEYS) });
    await startWorker();
    await createJob("firewall_events", "blocked");
    const batch = generateBatch({ dataset: "firewall_events", records: 2_000, seed: 5 });
    siem.fail({ times: Infinity, reset: "after" });
    assert.equal((await push("firewall_events", batch)).status, 200);
    await siem.waitFor(() => siem.intake(KEYS.blocked).pushes >= 1, 30_000, "the first push");
    await crash();
    const before = siem.intake(KEYS.blocked);
    assert.equal(before.pushIds.size, 1);
    siem.mend();
    await startWorker();
    // Left alone, the outbox waits for the deadline of the push that died; the next batch makes it look at once.
    const next = generateBatch({ dataset: "firewall_events", records: 2_000, seed: 6 });
    assert.equal((await push("firewall_events", next)).status, 200);
    await siem.waitFor(() => siem.intake(KEYS.blocked).repeats > before.repeats, 60_000, "the push again");
    const [first] = before.pushIds.keys();
    assert.ok((siem.intake(KEYS.blocked).pushIds.get(first as string) ?? 0) > 1);
    const blocked = sumTallies([batch, next].map((one) => one.facts.blocked));
    await assertEverythingArrived("firewall_events", [batch, next], { blocked });
  });

  for (const chunked of [false, true]) {
    test(`in the middle of a batch ${chunked ? "without" : "with"} Content-Length has promised nothing, and takes it whole afterwards`, async () => {
      siem = await Siem.start({ intakeKeys: Object.values(KEYS) });
      await startWorker();
      await createJob("http_requests", "errors");
      const batch = generateBatch({ dataset: "http_requests", records: 60_000, seed: 9 });
      // Far enough that the object has been begun: parts take 5 MiB.
      const cut = Math.floor(batch.gzip.length * 0.95);
      assert.ok(cut > 5 * 1024 * 1024);
      const broken = halfAnUpload(batch.gzip.subarray(0, cut), chunked ? undefined : batch.gzip.length);
      await eventually("the Worker to be in the middle of it", async () => {
        const health = await client.get("/healthz");
        return health.json.batches_in_flight === 1;
      });
      await broken.written;
      await crash();
      await broken.ended;
      await startWorker();
      const nothing = await client.stats();
      assert.deepEqual(nothing.datasets, []);
      await pushUntilTaken("http_requests", batch, chunked);
      await assertEverythingArrived("http_requests", [batch], { errors: batch.facts.errors });
      await assertArchiveHoldsExactly([batch]);
    });
  }

  test("at many moments of many batches loses nothing and counts nothing twice", async (context) => {
    siem = await Siem.start({ intakeKeys: Object.values(KEYS) });
    await startWorker();
    await createJob("http_requests", "errors");
    await createJob("http_requests", "all");
    const random = new Random(20_260_701);
    const rounds = 8;
    const batches: Batch[] = [];
    let killedBeforeAnswer = 0;
    for (let round = 0; round < rounds; round += 1) {
      const records = round % 2 === 0 ? 500 : 20_000;
      const some = [0, 1, 2].map((i) => generateBatch({ dataset: "http_requests", records, seed: 100 * round + i }));
      batches.push(...some);
      const answers = some.map((batch, i) => push("http_requests", batch, i === 1).then(() => true, () => false));
      // Some are killed while they read, some while they store, some while they deliver.
      await Promise.race([delay(random.below(round % 2 === 0 ? 60 : 500)), Promise.all(answers)]);
      await crash();
      killedBeforeAnswer += (await Promise.all(answers)).filter((taken) => !taken).length;
      await startWorker();
      for (const [i, batch] of some.entries()) await pushUntilTaken("http_requests", batch, i === 1);
    }
    context.diagnostic(`${rounds} kills, ${killedBeforeAnswer} of ${batches.length} batches without an answer at that moment`);
    assert.ok(killedBeforeAnswer > 0, "the kills came too late to mean anything");
    const errors = sumTallies(batches.map((batch) => batch.facts.errors));
    const all = sumTallies(batches.map((batch) => batch.facts.all));
    await assertEverythingArrived("http_requests", batches, { errors, all });
    await assertArchiveHoldsExactly(batches);
  });
});

/** Sends the beginning of a body and then nothing more. */
function halfAnUpload(part: Buffer, contentLength: number | undefined) {
  const length = contentLength === undefined ? { "Transfer-Encoding": "chunked" } : { "Content-Length": contentLength };
  const outgoing = request(`${worker.url}/ingest/${SCOPE}/http_requests`, {
    method: "POST",
    headers: { Authorization: `Bearer ${SECRETS.INGEST_SECRET}`, ...length },
  });
  const ended = new Promise<void>((done) => outgoing.on("error", () => done()).on("close", () => done()));
  const written = new Promise<void>((done) => outgoing.write(part, () => done()));
  return { ended, written };
}
