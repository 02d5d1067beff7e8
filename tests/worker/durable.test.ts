// What is durable, step by step: objects leave memory, attempts end between two steps, an outbox is full.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { generateBatch } from "../support/generate.ts";
import { sumTallies } from "../support/lines.ts";
import { PLAIN_PATH, Siem } from "../support/siem.ts";
import { eventually, freshScope, TestWorker } from "../support/worker.ts";

const DATASET = "firewall_events";
const BLOCKED = { where: { key: "Action", operator: "eq", value: "block" } };
const batchOf = (seed: number, records = 400) => generateBatch({ dataset: DATASET, records, seed });
const idOf = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** A SIEM for the time of one test, and a job that sends there, in a scope of its own. */
async function setUp(context: TestContext, worker: TestWorker, job: Record<string, unknown> = {}) {
  const siem = await Siem.start({ intakeKeys: ["key"] });
  context.after(async () => await siem.close());
  const scope = freshScope();
  const { id } = await worker.createJob(scope, {
    name: "job",
    dataset: DATASET,
    destination_conf: `http://${siem.host}${PLAIN_PATH}?header_X-SEKOIAIO-INTAKE-KEY=key`,
    ...job,
  });
  return { siem, scope, path: `${scope}/${DATASET}`, id: id as number };
}

describe("durable state", () => {
  let worker: TestWorker;
  before(async () => void (worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" })));
  after(async () => await worker.close());

  test("jobs, rows, waiting payloads and counters outlive the eviction of each Durable Object", async (context) => {
    const { siem, scope, path, id } = await setUp(context, worker, { filter: BLOCKED });
    // No push is under way while objects are evicted: the runtime would wait for its answer, and the answer for the runtime.
    siem.fail({ times: Infinity, status: 503, headers: { "Retry-After": "3600" } });
    const [first, second] = [batchOf(1), batchOf(2)];
    assert.equal((await worker.push(path, first.gzip)).json.result, "accepted");
    await eventually("a refused push", async () => (await worker.jobStats(scope, id)).last_error !== null);
    // Rates are of spans that end now.
    const counters = async () => ({ ...(await worker.datasetStats(scope)), rates: undefined });
    const before = await counters();
    for (const name of ["REGISTRY", "LEDGER", "OUTBOX"]) {
      assert.ok((await worker.evict(name)) > 0, `${name}: something to evict`);
      assert.deepEqual(await counters(), before, `${name}: the counters`);
      const job = await worker.jobStats(scope, id);
      assert.equal(job.waiting.records, first.facts.blocked.records, `${name}: what waits`);
    }
    assert.equal((await worker.push(path, first.gzip)).json.result, "duplicate");
    assert.equal((await worker.push(path, second.gzip)).json.result, "accepted");
    await worker.evict("REGISTRY", "LEDGER", "OUTBOX");
    siem.mend();
    // A job that is changed is tried at once.
    await worker.changeJob(scope, id, { enabled: true });
    const job = await worker.settled(scope, id);
    const expected = sumTallies([first.facts.blocked, second.facts.blocked]);
    assert.deepEqual(siem.intake("key").tally, expected);
    assert.equal(job.delivered.records, expected.records);
    assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
  });

  test("an attempt that died after the archive and before the ledger is taken up by the retry", async (context) => {
    const { scope, path, id } = await setUp(context, worker, { filter: BLOCKED });
    const batch = batchOf(3);
    const key = await keyOf(worker, batch.gzip, scope);
    await worker.put(key, batch.gzip);
    const answer = await worker.push(path, batch.gzip);
    assert.equal(answer.status, 200);
    assert.equal(answer.json.result, "accepted");
    assert.equal(answer.json.object, key);
    assert.deepEqual(await worker.keys(`${scope}/`), [key]);
    assert.equal((await worker.settled(scope, id)).delivered.records, batch.facts.blocked.records);
    assert.equal((await worker.datasetStats(scope)).batches, 1);
    assert.equal((await worker.push(path, batch.gzip)).json.result, "duplicate");
  });

  test("an attempt that died after the outbox and before the ledger is delivered once, and counted as it was stored", async (context) => {
    const { siem, scope, path, id } = await setUp(context, worker, { filter: BLOCKED });
    const batch = batchOf(4);
    const lines = blockedLines(batch.ndjson);
    const append = {
      job_id: id,
      batch_id: idOf(batch.gzip),
      received_at_millis: Date.now(),
      segments: [[{ records: batch.facts.blocked.records, bytes: lines.length }, { kind: "inline" }]],
    };
    const appended = await worker.callObject("OUTBOX", `job/${id}/shard/0`, "append", append, lines);
    assert.equal(appended.result, "stored");
    await siem.waitFor(() => siem.intake("key").pushes === 1, 20_000, "the push");
    assert.equal((await worker.push(path, batch.gzip)).json.result, "accepted");
    const job = await worker.settled(scope, id);
    assert.equal(job.selected.records, batch.facts.blocked.records);
    assert.equal(job.delivered.records, batch.facts.blocked.records);
    assert.deepEqual(siem.intake("key").tally, batch.facts.blocked);
    assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
  });

  for (const [what, change] of [
    ["disabled", async (scope: string, id: number) => void (await worker.changeJob(scope, id, { enabled: false }))],
    ["deleted", async (scope: string, id: number) => void (await worker.deleteJob(scope, id))],
  ] as const) {
    test(`a selection whose job was ${what} between a died attempt and its retry is counted all the same`, async (context) => {
      const { scope, path, id } = await setUp(context, worker, { filter: BLOCKED });
      const batch = batchOf(40);
      const key = await keyOf(worker, batch.gzip, scope);
      await worker.put(key, batch.gzip);
      const lines = blockedLines(batch.ndjson);
      const append = {
        job_id: id,
        batch_id: idOf(batch.gzip),
        received_at_millis: Date.now() - 3_600_000,
        segments: [[{ records: batch.facts.blocked.records, bytes: lines.length }, { kind: "inline" }]],
      };
      await worker.callObject("OUTBOX", `job/${id}/shard/0`, "append", append, lines);
      await worker.settled(scope, id);
      await change(scope, id);
      assert.equal((await worker.push(path, batch.gzip)).json.result, "accepted");
      const job = await worker.jobStats(scope, id);
      assert.equal(job.selected.records, batch.facts.blocked.records);
      assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
      // It counts for the minute in which it was stored, in the ledger as in the outbox.
      const since = new Date(Date.now() - 1_800_000).toISOString();
      const lately = await worker.stats(`scope=${scope}&since=${since}`);
      assert.equal(lately.reconciliation.holds, true, JSON.stringify(lately));
      });
  }

  test("an append that is shorter than it says is refused whole", async (context) => {
    const { id } = await setUp(context, worker);
    const append = {
      job_id: id,
      batch_id: idOf(Buffer.from("short")),
      received_at_millis: Date.now(),
      segments: [1, 2].map(() => [{ records: 1, bytes: 10 }, { kind: "inline" }]),
    };
    const outbox = `job/${id}/shard/0`;
    await assert.rejects(worker.callObject("OUTBOX", outbox, "append", append, Buffer.from('{"a":"b"}\n')), /shorter/);
    const range = { from: 0, to: 4_000_000_000 };
    const summary = await worker.callObject("OUTBOX", outbox, "summary", range);
    assert.equal(summary.waiting_records + summary.stored_records, 0);
  });

  test("somebody else's bytes under the key of a batch are not taken for it", async (context) => {
    const { scope, path } = await setUp(context, worker);
    const batch = batchOf(5);
    const key = await keyOf(worker, batch.gzip, scope);
    await worker.put(key, gzipSync("{}"));
    const refused = await worker.push(path, batch.gzip);
    assert.equal(refused.status, 503);
    assert.equal(refused.json.error.code, "archive_key_taken");
    assert.ok(Number(refused.headers["retry-after"]) > 0);
    // They may belong to an attempt that is still under way, so they are left alone.
    assert.ok((await worker.object(key)).bytes.equals(gzipSync("{}")));
    await worker.remove(key);
    const answer = await worker.push(path, batch.gzip);
    assert.equal(answer.json.result, "accepted");
    assert.ok((await worker.object(key)).bytes.equals(batch.gzip));
  });

  for (const chunked of [false, true]) {
    test(`the object of an attempt that died is found beside that of a batch which begins alike, ${chunked ? "without" : "with"} Content-Length`, async () => {
      const scope = freshScope();
      const path = `${scope}/http_requests`;
      const common = generateBatch({ dataset: "http_requests", records: 20_000, seed: 6 }).gzip;
      assert.ok(common.length > 1_000_000);
      const [one, other] = ["a", "b"].map((ray) => Buffer.concat([common, gzipSync(`{"RayID":"${ray}"}\n`)])) as [Buffer, Buffer];
      const { object } = (await worker.push(path, one)).json;
      const second = object.replace(".log.gz", "-2.log.gz");
      await worker.put(second, other);
      const answer = await worker.push(path, other, { chunked });
      assert.deepEqual([answer.json.result, answer.json.object], ["accepted", second]);
      assert.deepEqual(await worker.keys(`${scope}/`), [second, object].sort());
      assert.equal((await worker.push(path, one, { chunked })).json.object, object);
      const { batches, duplicates } = await worker.datasetStats(scope);
      assert.deepEqual([batches, duplicates], [2, 1]);
    });
  }

  test("a job that takes everything gets a copy of a batch that can not be passed on as it came", async (context) => {
    const { siem, scope, path, id } = await setUp(context, worker);
    const good = batchOf(7);
    const bad = gzipSync(Buffer.concat([good.ndjson, Buffer.from("not a record\n")]));
    assert.equal((await worker.push(path, bad)).json.invalid_lines, 1);
    const job = await worker.settled(scope, id);
    assert.deepEqual(siem.intake("key").tally, good.facts.all);
    assert.equal(job.selected.records, good.records);
    assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
  });
});

describe("an outbox that is full", () => {
  test("leaves the selection owed, and the ledger makes it from the archive when there is room", async (context) => {
    const worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", OUTBOX_MAX_BYTES: "150000" });
    context.after(async () => await worker.close());
    const { siem, scope, path, id } = await setUp(context, worker, { filter: BLOCKED });
    siem.fail({ times: Infinity, status: 503 });
    const batches = [1, 2, 3, 4].map((seed) => batchOf(seed, 300));
    const expected = sumTallies(batches.map((batch) => batch.facts.blocked));
    assert.ok(expected.bytes > 200_000, "more than the outbox takes");
    for (const batch of batches) assert.equal((await worker.push(path, batch.gzip)).status, 200);
    const full = await worker.jobStats(scope, id);
    assert.ok(full.owed.batches >= 1, JSON.stringify(full));
    assert.ok(full.waiting.bytes <= 150_000);
    const stats = await worker.stats(`scope=${scope}`);
    assert.equal(stats.reconciliation.received_equals_archived.holds, true);
    await worker.evict("LEDGER");
    siem.mend();
    const job = await eventually("nothing to be owed", async () => {
      const job = await worker.jobStats(scope, id);
      return job.owed.batches === 0 && job.waiting.records === 0 ? job : undefined;
    }, 60_000);
    assert.deepEqual(siem.intake("key").tally, expected);
    assert.deepEqual([job.selected.records, job.delivered.records], [expected.records, expected.records]);
    assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
  });
});

/** Where the Worker archives these bytes; found out in another scope. */
async function keyOf(worker: TestWorker, bytes: Buffer, scope: string): Promise<string> {
  const elsewhere = freshScope();
  const { json } = await worker.push(`${elsewhere}/${DATASET}`, bytes);
  return json.object.replace(elsewhere, scope);
}

function blockedLines(ndjson: Buffer): Buffer {
  const lines = ndjson.toString().trimEnd().split("\n");
  return Buffer.from(lines.filter((line) => JSON.parse(line).Action === "block").map((line) => `${line}\n`).join(""));
}
