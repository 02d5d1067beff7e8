// Batches that Logpush wrote into the bucket itself: events of R2 by the real local queue, objects in the real local bucket.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { batchOf, COPIED, DATASET, recordLines } from "../support/delivery.ts";
import { creation, eventWorker, EventSource, type StoredAs } from "../support/events.ts";
import { generateBatch } from "../support/generate.ts";
import { LineCounter, sumTallies } from "../support/lines.ts";
import { WorkerProcess } from "../support/process.ts";
import { Siem } from "../support/siem.ts";
import { Client, eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const DAY = "20260701";
const PATHS = "logpush/{scope}/{dataset}/{DATE} csv/{zone}/{DATE}?dataset=dns_logs&output_type=csv&fields=QueryName,Timestamp";
/** Far more than it takes, because other files run beside this one. */
const PATIENCE_MILLIS = 60_000;
const FAST = { ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1" };

let names = 0;
/** A key that no other object has, as Logpush makes them. */
const keyIn = (folder: string, ending = "log.gz") => `${folder}/${DAY}T100000Z_${DAY}T100100Z_${String((names += 1)).padStart(8, "0")}.${ending}`;
const keyFor = (scope: string, dataset = DATASET) => keyIn(`logpush/${scope}/${dataset}/${DAY}`);
const tallyOf = (lines: readonly string[]) => {
  const counter = new LineCounter();
  for (const line of lines) counter.add(line);
  return counter.tally();
};

// At once, because most of it is waiting.
describe("events of R2", { concurrency: 4 }, () => {
  describe("an object that Logpush wrote", { concurrency: 7 }, () => {
    let built: Awaited<ReturnType<typeof eventWorker>>;
    let worker: TestWorker;
    let source: EventSource;
    before(async () => {
      built = await eventWorker({ max_batch_size: 10 });
      worker = await TestWorker.start({ ...FAST, R2_EVENTS_PATHS: PATHS }, built.configPath, [], built.folder);
      source = new EventSource(worker.url);
    });
    after(async () => {
      await worker?.close();
      built?.remove();
    });

    /** A SIEM for one test and a job that sends there, in a scope of its own. */
    async function setUp(context: TestContext, job: Record<string, unknown> = { filter: COPIED }) {
      const siem = await Siem.start({ intakeKeys: ["key"] });
      context.after(async () => await siem.close());
      const scope = freshScope();
      const { id } = await worker.createJob(scope, { name: "job", dataset: DATASET, destination_conf: siem.plain("key"), ...job });
      return { siem, scope, id: id as number };
    }

    const dataset = async (scope: string, ready: (dataset: any) => boolean) =>
      await eventually(`the ledger of ${scope}`, async () => {
        const dataset = await worker.datasetStats(scope);
        return dataset !== undefined && ready(dataset) ? dataset : undefined;
      }, PATIENCE_MILLIS);

    const events = async () => (await worker.stats()).r2_events;
    /** What was counted of events since `before`. */
    const counted = async (before: any, what: string, wanted: number) => {
      const number = (of: any) => what.split(".").reduce((value, name) => value?.[name], of) ?? 0;
      return await eventually(`${what} to count ${wanted}`, async () => number(await events()) - number(before) === wanted, PATIENCE_MILLIS);
    };

    test("is delivered as if it had come by HTTP, and is itself the archived batch", async (context) => {
      const { siem, scope, id } = await setUp(context);
      const whole = await worker.createJob(scope, { name: "whole", dataset: DATASET, destination_conf: siem.plain("key") });
      const lines = recordLines(0, 500);
      // The second one is longer than the block that is held before a key is made.
      const large = generateBatch({ dataset: "http_requests", records: 12_000, seed: 3 });
      const keys = [keyFor(scope), keyFor(scope)];
      const bytes = [batchOf(lines), large.gzip];
      assert.ok(large.gzip.length > 512 * 1024);
      for (const [index, key] of keys.entries()) await source.send(creation(await source.put(key, bytes[index] as Buffer)));
      const found = await dataset(scope, ({ batches }) => batches === 2);
      assert.equal(found.records, 500 + large.records);
      assert.deepEqual(found.archived, { batches: 2, bytes: bytes[0]!.length + bytes[1]!.length });
      assert.ok(found.last_batch, "the look for silent datasets goes by this");
      const copied = sumTallies([tallyOf(lines), large.facts.errors]);
      assert.deepEqual([(await worker.settled(scope, id)).delivered.records, (await worker.settled(scope, whole.id)).delivered.records], [copied.records, 500 + large.records]);
      const all = sumTallies([copied, tallyOf(lines), large.facts.all]);
      assert.deepEqual(siem.intake("key").tally, all);
      assert.deepEqual(await worker.keys(`${scope}/`), [], "nothing is copied");
      assert.deepEqual((await worker.keys(`logpush/${scope}/`)).toSorted(), keys.toSorted());
      assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
    });

    test("counts once, however often its event comes, and two at once", async (context) => {
      const { siem, scope, id } = await setUp(context);
      const lines = recordLines(1_000, 200);
      const event = creation(await source.put(keyFor(scope), batchOf(lines)));
      // In one message batch, so that two are worked on at the same time.
      await source.send(event, event, event);
      const found = await dataset(scope, ({ batches, duplicates }) => batches === 1 && duplicates === 2);
      assert.equal(found.records, 200);
      await worker.settled(scope, id);
      await source.send({ ...event, action: "CompleteMultipartUpload" });
      await dataset(scope, ({ duplicates }) => duplicates === 3);
      assert.deepEqual(siem.intake("key").tally, tallyOf(lines));
      assert.equal((await worker.jobStats(scope, id)).selected.records, 200);
      assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
    });

    test("counts once if the same bytes come by HTTP, before or after it", async (context) => {
      const { siem, scope, id } = await setUp(context);
      const before = await events();
      const [first, second] = [recordLines(2_000, 100), recordLines(3_000, 100)];
      const posted = await worker.push(`${scope}/${DATASET}`, batchOf(first));
      assert.equal(posted.json.result, "accepted");
      const copy = creation(await source.put(keyFor(scope), batchOf(first)));
      await source.send(copy);
      await dataset(scope, ({ duplicates }) => duplicates === 1);
      await counted(before, "extra_copies", 1);
      // The copy is known by its key from now on, and counted as one once.
      await source.send(copy);
      await dataset(scope, ({ duplicates }) => duplicates === 2);

      const key = keyFor(scope);
      await source.send(creation(await source.put(key, batchOf(second))));
      await dataset(scope, ({ batches }) => batches === 2);
      const again = await worker.push(`${scope}/${DATASET}`, batchOf(second));
      assert.deepEqual([again.status, again.json.result, again.json.object], [200, "duplicate", key]);
      await counted(before, "extra_copies", 2);
      const job = await worker.settled(scope, id);
      assert.equal(job.delivered.records, 200);
      assert.deepEqual(siem.intake("key").tally, tallyOf([...first, ...second]));
      const found = await dataset(scope, () => true);
      assert.deepEqual([found.batches, found.records, found.duplicates], [2, 200, 3]);
      assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
    });

    for (const what of ["Ledger/commit", "Ledger/lookup", "Ledger/sight"]) {
      test(`comes again when ${what} fails, and is counted once`, async (context) => {
        const { siem, scope, id } = await setUp(context);
        const lines = recordLines(4_000, 50);
        await source.fail(`${what} of ${scope}/`, 2);
        await source.send(creation(await source.put(keyFor(scope), batchOf(lines))));
        await dataset(scope, ({ batches }) => batches === 1);
        assert.equal((await worker.settled(scope, id)).delivered.records, 50);
        assert.deepEqual(siem.intake("key").tally, tallyOf(lines));
        assert.equal((await worker.datasetStats(scope)).duplicates, 0);
        assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
      });
    }

    test("whose commit is done and not answered comes again, and is a duplicate", async (context) => {
      const { siem, scope, id } = await setUp(context);
      const lines = recordLines(4_500, 50);
      await source.fail(`Ledger/commit of ${scope}/`, 1, true);
      await source.send(creation(await source.put(keyFor(scope), batchOf(lines))));
      const found = await dataset(scope, ({ duplicates }) => duplicates === 1);
      assert.deepEqual([found.batches, found.records], [1, 50]);
      assert.equal((await worker.settled(scope, id)).delivered.records, 50);
      assert.deepEqual(siem.intake("key").tally, tallyOf(lines));
      assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
    });

    for (const isDone of [false, true]) {
      test(`is taken when an outbox ${isDone ? "takes its selection and does not say so" : "does not take its selection"}, which is owed then`, async (context) => {
        const { siem, scope, id } = await setUp(context);
        const lines = recordLines(5_000, 50);
        await source.fail(`Outbox/append of job/${id}/`, 1, isDone);
        await source.send(creation(await source.put(keyFor(scope), batchOf(lines))));
        await dataset(scope, ({ batches }) => batches === 1);
        assert.equal((await worker.settled(scope, id)).delivered.records, 50);
        assert.deepEqual(siem.intake("key").tally, tallyOf(lines));
        assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
      });
    }

    test("of CSV is read by what its path says, when it comes and when it is read again", async (context) => {
      const { siem, scope } = await setUp(context, { dataset: "dns_logs" });
      const id = (await worker.stats(`scope=${scope}`)).jobs[0].id;
      const rows = 'www.example.com,1657233726004000000\n"a,b.example.com",1657233727004000000\n';
      const key = keyIn(`csv/${scope.replace("zones/", "")}/${DAY}`, "csv.gz");
      await source.send(creation(await source.put(key, gzipSync(rows))));
      const found = await dataset(scope, ({ batches }) => batches === 1);
      assert.deepEqual([found.dataset, found.records, found.invalid_lines], ["dns_logs", 2, 0]);
      // A job without a filter takes whole batches, and this one has to be copied: from the object, later.
      assert.equal((await worker.settled(scope, id)).delivered.records, 2);
      const lines = [
        '{"QueryName":"www.example.com","Timestamp":1657233726004000000}',
        '{"QueryName":"a,b.example.com","Timestamp":1657233727004000000}',
      ];
      assert.deepEqual(siem.intake("key").tally, tallyOf(lines));
      const range = "start=2022-07-07T22:00:00Z&end=2022-07-07T23:00:00Z&dataset=dns_logs";
      const headers = { Authorization: `Bearer ${SECRETS.READ_TOKEN}` };
      const answer = await fetch(`${worker.url}/client/v4/${scope}/logs/retrieve?${range}`, { headers });
      assert.deepEqual([answer.status, await answer.text()], [200, `${lines.join("\n")}\n`], "and out of the archive");
    });

    test("that is a test message is counted as one", async () => {
      const scope = freshScope();
      const key = `logpush/${scope}/${DATASET}/${DAY}/test.txt.gz`;
      await source.send(creation(await source.put(key, gzipSync('{"content":"tests"}'))));
      const found = await dataset(scope, ({ tests }) => tests === 1);
      assert.deepEqual([found.batches, found.archived.batches], [0, 0]);
    });

    test("that is damaged is committed as it would be by HTTP, and set aside as well if no record is in it", async () => {
      const before = await events();
      const scope = freshScope();
      const cut = batchOf(recordLines(6_000, 2_000)).subarray(0, 9_000);
      const noise = createHash("sha512").update("noise").digest();
      for (const bytes of [cut, noise]) await source.send(creation(await source.put(keyFor(scope), bytes)));
      const found = await dataset(scope, ({ batches }) => batches === 2);
      assert.ok(found.records > 0 && found.records < 2_000);
      assert.equal(found.invalid.gzip_truncated, 1);
      assert.equal(found.archived.bytes, cut.length + noise.length);
      await counted(before, "quarantined.no_records", 1);
      assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
    });

    test("that was written over by other bytes is read again, and that is said", async () => {
      const before = await events();
      const scope = freshScope();
      const key = keyFor(scope);
      for (const [index, lines] of [recordLines(7_000, 3), recordLines(8_000, 4)].entries()) {
        await source.send(creation(await source.put(key, batchOf(lines))));
        await dataset(scope, ({ batches }) => batches === index + 1);
      }
      await counted(before, "overwritten", 1);
      assert.equal((await worker.datasetStats(scope)).records, 7);
    });
  });

  describe("an event that brings no batch", { concurrency: 1 }, () => {
    let built: Awaited<ReturnType<typeof eventWorker>>;
    let worker: TestWorker;
    let source: EventSource;
    before(async () => {
      built = await eventWorker();
      worker = await TestWorker.start({ ...FAST, UNKNOWN_DATASETS: "refuse" }, built.configPath, [], built.folder);
      source = new EventSource(worker.url);
    });
    after(async () => {
      await worker?.close();
      built?.remove();
    });

    const at = (key: string): StoredAs => ({ key, etag: "0".repeat(32), size: 9 });
    const reasons = async (group: string, reason: string, wanted: number) =>
      await eventually(`${group}.${reason}`, async () => (await worker.stats()).r2_events[group][reason] === wanted, PATIENCE_MILLIS);

    test("is acknowledged and counted by reason", async () => {
      const scope = freshScope();
      await source.send(creation(at(`${scope}/http_requests/${DAY}/own.log.gz`)), creation(at("spool/x/1/0")));
      await reasons("skipped", "own_object", 2);
      await source.send(creation(at("elsewhere/x.log.gz")));
      await reasons("skipped", "other_path", 1);
      await source.send(creation(at(keyFor(scope)), "DeleteObject"), creation(at(keyFor(scope)), "LifecycleDeletion"));
      await reasons("skipped", "deletion", 2);
      await source.send(creation(at(keyFor(scope, "no_such_dataset"))));
      await reasons("skipped", "unknown_dataset", 1);
      const text = await worker.metrics();
      assert.match(text, /logpush_edge_r2_events_total\{outcome="skipped",reason="own_object"\} 2/);
      assert.deepEqual(await worker.keys(), []);
    });

    test("and should not be there is kept with its reason", async () => {
      const scope = freshScope();
      const missing = creation(at(keyFor(scope)));
      const cases = [
        ["not JSON", "not_an_event", 1],
        [{ some: "thing" }, "not_an_event", 2],
        [{ action: "PutObject", object: { size: 4 } }, "not_an_event", 3],
        [creation(at(keyFor(scope)), "MoveObject"), "unknown_action", 1],
        [missing, "object_missing", 1],
      ] as const;
      for (const [body, reason, wanted] of cases) {
        await source.send(body);
        await reasons("quarantined", reason, wanted);
      }
      const keys = await worker.keys("quarantine/events/");
      assert.equal(keys.length, cases.length);
      const kept = await Promise.all(keys.map(async (key) => JSON.parse((await worker.object(key)).bytes.toString())));
      const gone = kept.find(({ reason }) => reason === "object_missing");
      assert.deepEqual([gone.body, gone.queue], [missing, "logpush-edge-events"]);
      assert.match(gone.detail, /is not in the bucket that is bound as ARCHIVE/);
      assert.equal(kept.find(({ body }) => body === "not JSON").reason, "not_an_event");
    });

    test("comes again until it is counted", async () => {
      const before = (await worker.stats()).r2_events.skipped.other_path;
      await source.fail("Registry/count-events", 1);
      await source.send(creation(at("elsewhere/y.log.gz")));
      await reasons("skipped", "other_path", before + 1);
    });
  });

  test("paths that can not be followed are said in /stats, and events wait for better ones", async () => {
    const built = await eventWorker();
    const worker = await TestWorker.start({ ...FAST, R2_EVENTS_PATHS: "logpush/{zone}" }, built.configPath, [], built.folder);
    try {
      const { misconfigured } = (await worker.stats()).r2_events;
      assert.match(misconfigured, /^the path logpush\/\{zone\}: the dataset has to be said once/);
      const source = new EventSource(worker.url);
      const scope = freshScope();
      await source.send(creation(await source.put(keyFor(scope), batchOf(recordLines(0, 3)))));
      await eventually("the event to be put back", () => worker.logs().some((line) => line.includes("R2_EVENTS_PATHS")));
      assert.deepEqual((await worker.stats()).datasets, []);
      assert.deepEqual(await worker.keys("quarantine/"), []);
    } finally {
      await worker.close();
      built.remove();
    }
  });

  test("a crash in the middle of many events loses nothing, and counts nothing twice", { timeout: 120_000 }, async (context) => {
    const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-events-crash-"));
    const built = await eventWorker({ max_batch_size: 5 });
    const siem = await Siem.start({ intakeKeys: ["key"] });
    let worker: WorkerProcess | undefined;
    const start = async () => {
      worker = await WorkerProcess.start({ persistDir, vars: { ...SECRETS, ...FAST }, configPath: built.configPath });
      return { client: new Client(worker.url), source: new EventSource(worker.url) };
    };
    try {
      let { client, source } = await start();
      const scope = "zones/crash";
      const { id } = await client.createJob(scope, { name: "all", dataset: DATASET, destination_conf: siem.plain("key"), filter: COPIED });
      const batches = Array.from({ length: 40 }, (_, index) => recordLines(index * 1_000, 400));
      const stored: StoredAs[] = [];
      for (const lines of batches) stored.push(await source.put(keyFor(scope), batchOf(lines)));
      await source.send(...stored.map((one) => creation(one)));
      const taken = await eventually("some of them to be taken", async () => (await client.datasetStats(scope))?.batches);
      await worker!.kill9();
      ({ client, source } = await start());
      // The local queue forgets when it dies; the platform's sends again what was not acknowledged, and at times what was.
      await source.send(...stored.map((one) => creation(one)));
      const found = await eventually("all of them", async () => {
        const dataset = await client.datasetStats(scope);
        return dataset?.batches === 40 ? dataset : undefined;
      }, PATIENCE_MILLIS);
      const all = tallyOf(batches.flat());
      assert.equal(found.records, all.records);
      const job = await client.settled(scope, id);
      assert.deepEqual([job.selected.records, job.delivered.records], [all.records, all.records]);
      assert.deepEqual(siem.intake("key").tallyOnce, all);
      assert.equal((await client.stats()).reconciliation.holds, true);
      context.diagnostic(`${taken} of 40 batches were committed when the crash was begun, ${found.duplicates} events came again for what was`);
    } finally {
      await worker?.kill9();
      await siem.close();
      built.remove();
      rmSync(persistDir, { recursive: true, force: true });
    }
  });
});
