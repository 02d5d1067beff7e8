// Every attempt to push is in the log, by what became of it, and the log agrees with what the SIEM saw and with `/stats`.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { COPIED, DATASET, Delivery, batchOf, changeStoredJob, recordLines } from "../support/delivery.ts";
import { WorkerProcess } from "../support/process.ts";
import { Siem, type Failure } from "../support/siem.ts";
import { Client, SECRETS, TestWorker, eventually, freshScope } from "../support/worker.ts";

const VARS = { ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1", PROBE_MAX_SECONDS: "1", PUSH_DEADLINE_SECONDS: "1" };
const HOUR = 3_600_000;

/** A row as an outbox writes it. */
type Row = [at: number, job: number, destination: string, status: number, final: number, attempts: number, records: number, bytes: number, compressed: number, duration: number];

// At once, because much of it is waiting.
describe("the push log", { concurrency: 6 }, () => {
  let worker: TestWorker;
  before(async () => void (worker = await TestWorker.start(VARS)));
  after(async () => await worker.close());

  async function rows(id: number, resolution: "attempt" | "minute" | "hour", span?: { from_millis: number; until_millis: number }): Promise<Row[]> {
    const now = Date.now();
    const whole = { from_millis: now - HOUR, until_millis: now + 1_000 };
    const log = await worker.callObject("OUTBOX", `job/${id}/shard/0`, "push-log", { resolution, span: span ?? whole });
    assert.ok(log.rows_read >= log.rows.length, `${log.rows_read}`);
    return log.rows;
  }

  /** Rows with the same result added up: `destination status final` to attempts, records, bytes, bytes sent. */
  function sums(rows: Row[]): Record<string, number[]> {
    const found: Record<string, number[]> = {};
    for (const [, , destination, status, final, ...figures] of rows) {
      const sum = (found[`${destination} ${status} ${final}`] ??= [0, 0, 0, 0]);
      sum.forEach((_, at) => void (sum[at] = (sum[at] ?? 0) + (figures[at] ?? NaN)));
    }
    return found;
  }

  /** What the log says in all its forms, which have to agree with each other and with `/stats`. */
  async function agreed(delivery: Delivery): Promise<Record<string, number[]>> {
    const attempts = await rows(delivery.id, "attempt");
    const byResult = sums(attempts);
    for (const resolution of ["minute", "hour"] as const) {
      const coarse = await rows(delivery.id, resolution);
      assert.deepEqual(sums(coarse), byResult, resolution);
      assert.ok(coarse.length <= attempts.length);
    }
    // Whole hours, of which the current one is not rolled up yet.
    const hour = Math.floor(Date.now() / HOUR) * HOUR;
    const whole = await rows(delivery.id, "hour", { from_millis: hour - HOUR, until_millis: hour + HOUR });
    assert.deepEqual(sums(whole), byResult);
    assert.ok(whole.every(([at]) => at % HOUR === 0));
    for (const [at, job, , , , count, , , , duration] of attempts) {
      assert.deepEqual([job, count], [delivery.id, 1]);
      assert.ok(Math.abs(at - Date.now()) < 120_000 && duration >= 0 && duration < 60_000, `${at} ${duration}`);
    }
    const { totals } = await worker.callObject("OUTBOX", `job/${delivery.id}/shard/0`, "now", {});
    const counted = totals.results.map((one: any) => [`${one.destination} ${one.status} ${one.final}`, [one.attempts, one.records, one.bytes, one.bytes_compressed]]);
    assert.deepEqual(Object.fromEntries(counted), byResult, "totals");
    assert.equal(totals.duration_millis.buckets.reduce((a: number, b: number) => a + b, 0), attempts.length);
    assert.equal(totals.duration_millis.sum, attempts.reduce((sum, row) => sum + row[9], 0));
    const job = await delivery.job();
    const of = (is: (status: number, final: number) => boolean, figure: number) =>
      attempts.filter(([, , , status, final]) => is(status, final)).reduce((sum, row) => sum + Number(row[figure]), 0);
    const accepted = (status: number) => status === 200;
    assert.deepEqual([job.delivered.records, job.delivered.bytes, job.delivered.pushes], [of(accepted, 6), of(accepted, 7), of(accepted, 5)]);
    assert.equal(job.dead.records, of((status, final) => status !== 200 && final === 1, 6));
    for (const window of ["5m", "1h", "24h"]) {
      const { pushes, records, bytes, bytes_compressed, failures, dead_records } = job.rates[window];
      assert.deepEqual([pushes, records, bytes, bytes_compressed], [of(accepted, 5), of(accepted, 6), of(accepted, 7), of(accepted, 8)], window);
      assert.deepEqual([failures, dead_records], [of((status) => status !== 200, 5), job.dead.records], window);
    }
    const failed = attempts.filter(([, , , status]) => status !== 200).at(-1);
    assert.equal(job.last_failure.status, failed?.[3] ?? null);
    if (failed) assert.equal(Date.parse(job.last_failure.at), failed[0]);
    return byResult;
  }

  for (const [kind, filter] of [["https", COPIED], ["splunk", COPIED], ["https", undefined]] as const) {
    test(`has a push to ${kind} of ${filter ? "copied records" : "an archived object"} with its records, bytes, and bytes sent`, async (context) => {
      const delivery = await Delivery.setUp(context, worker, kind, { filter });
      const lines = recordLines(0, 200);
      await delivery.push(lines);
      await delivery.untilDone();
      const bytes = lines.join("\n").length + 1;
      assert.deepEqual(await agreed(delivery), { [`${kind} 200 1`]: [1, 200, bytes, delivery.intake.wireBytes] });
      const job = await delivery.job();
      assert.deepEqual([job.state, job.lag_seconds, job.last_failure], ["healthy", null, { at: null, status: null }]);
    });
  }

  const faults: [what: string, failures: Failure[], wanted: Record<string, number>][] = [
    ["a refusal to be tried again", [{ status: 503, times: 2 }], { "https 503 0": 2, "https 200 1": 1 }],
    ["a busy destination", [{ status: 429 }], { "https 429 0": 1, "https 200 1": 1 }],
    ["a parked queue that probes", [{ status: 403, times: 2 }], { "https 403 0": 2, "https 200 1": 1 }],
    ["no answer in time", [{ delayMillis: 2_500 }], { "https 1106 0": 1, "https 200 1": 1 }],
    ["an answer of another kind than 200 that means taken", [{ status: 202 }], { "https 200 1": 1 }],
    ["a push that is too large and split", [{ status: 413 }], { "https 413 0": 1, "https 200 1": 3 }],
    ["another reason each time", [{ status: 500 }, { status: 401 }, { status: 502 }], { "https 500 0": 1, "https 401 0": 1, "https 502 0": 1, "https 200 1": 1 }],
  ];
  for (const [what, failures, wanted] of faults) {
    test(`has every attempt of ${what}`, async (context) => {
      const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
      for (const failure of failures) delivery.siem.fail(failure);
      const lines = recordLines(0, 40);
      await delivery.push(lines);
      // What was answered with 202 was not taken by this SIEM, whatever the Worker has to believe.
      await delivery.untilDone();
      const found = await agreed(delivery);
      assert.deepEqual(Object.fromEntries(Object.entries(found).map(([result, [attempts]]) => [result, attempts])), wanted);
      const bytes = lines.join("\n").length + 1;
      for (const [result, [attempts = 0, records, raw, sent = 0]] of Object.entries(found)) {
        // Each attempt had all of it, or, split, all together.
        const times = result === "https 200 1" ? 1 : attempts;
        assert.deepEqual([records, raw], [40 * times, bytes * times], result);
        assert.ok(sent > 0 && sent < (raw ?? 0), `${result}: ${sent}`);
      }
      const timeouts = (await rows(delivery.id, "attempt")).filter(([, , , status]) => status === 1106);
      for (const row of timeouts) assert.ok(row[9] >= 990 && row[9] < 2_400, `${row[9]} ms`);
    });
  }

  test("says that a dead letter is decided, and that the larger pushes it was found in were not", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    // Refused whole, then the first half, then its half, …, until one record of 8 stands alone.
    delivery.siem.fail({ status: 422, times: 4 });
    await delivery.push(recordLines(0, 8));
    const { dead } = await delivery.untilDone();
    assert.deepEqual([dead.records, dead.letters], [1, 1]);
    const found = await agreed(delivery);
    assert.deepEqual(found["https 422 0"]?.slice(0, 2), [3, 8 + 4 + 2]);
    assert.deepEqual(found["https 422 1"]?.slice(0, 2), [1, 1]);
    assert.equal(found["https 200 1"]?.[1], 7);
  });

  test("has an attempt that came to no request, with nothing sent", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    const [{ job }] = await worker.callObject("REGISTRY", "registry", "jobs", { id: delivery.id, with_deleted: false });
    await changeStoredJob(worker, delivery.id, { destination_conf: `${job.destination_conf}&header_X-Token=\${secret:NOT_SET}` });
    await delivery.push(recordLines(0, 3));
    const parked = await delivery.untilJob("a failure", ({ error_message }) => error_message !== null);
    assert.match(parked.error_message, /^error 1108/);
    assert.equal(parked.state, "parked");
    assert.ok(parked.lag_seconds >= 0);
    const [first] = await rows(delivery.id, "attempt");
    assert.deepEqual(first?.slice(2, 9), ["https", 1108, 0, 1, 3, recordLines(0, 3).join("\n").length + 1, 0]);
    await changeStoredJob(worker, delivery.id, { destination_conf: job.destination_conf });
    await delivery.touch();
    await delivery.untilDone();
    await agreed(delivery);
  });

  test("has records whose archived object is gone as decided, and not delivered", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "https");
    delivery.siem.fail({ status: 503, times: Infinity });
    await delivery.push(recordLines(0, 5));
    await delivery.untilJob("a failure", ({ error_message }) => error_message !== null);
    for (const key of await worker.keys(`${delivery.scope}/`)) await worker.remove(key);
    const { dead } = await delivery.untilDone();
    assert.equal(dead.records, 5);
    const found = await agreed(delivery);
    assert.deepEqual(found["https 1201 1"]?.slice(0, 2), [1, 5]);
    assert.equal(found["https 1201 1"]?.[3], 0);
  });

  test("answers a span to the millisecond, and an empty one with nothing", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    for (const from of [0, 10, 20, 30]) {
      await delivery.push(recordLines(from, 10));
      await delivery.untilDone();
    }
    const all = await rows(delivery.id, "attempt");
    assert.equal(all.length, 4);
    const at = all[1]?.[0] ?? 0;
    for (const resolution of ["attempt", "minute", "hour"] as const) {
      const upTo = await rows(delivery.id, resolution, { from_millis: at - HOUR, until_millis: at });
      const from = await rows(delivery.id, resolution, { from_millis: at, until_millis: at + HOUR });
      const count = (rows: Row[]) => rows.reduce((sum, row) => sum + row[5], 0);
      assert.deepEqual([count(upTo), count(from)], [all.filter((row) => row[0] < at).length, all.filter((row) => row[0] >= at).length], resolution);
      assert.deepEqual(await rows(delivery.id, resolution, { from_millis: at + HOUR, until_millis: at + 2 * HOUR }), []);
    }
    const { rows: none } = await worker.callObject("OUTBOX", "job/999999/shard/0", "push-log", { resolution: "hour", span: { from_millis: 0, until_millis: Date.now() } });
    assert.deepEqual(none, []);
  });

  test("has beside it what came in: batches by size, bad lines by reason, tests and duplicates, by minute and in all time", async () => {
    const scope = freshScope();
    const good = batchOf(recordLines(0, 300));
    const bad = gzipSync(`${recordLines(300, 2).join("\n")}\nno record\n[1]\n`);
    for (const body of [good, bad, good]) assert.equal((await worker.push(`${scope}/${DATASET}`, body)).status, 200);
    const [dataset] = (await worker.stats(`scope=${scope}`)).datasets;
    const ledgers = await worker.callObject("REGISTRY", "registry", "ledgers", {});
    const { name } = ledgers.find((ledger: any) => ledger.scope === scope);
    const now = Date.now();
    for (const resolution of ["minute", "hour"]) {
      const log = await worker.callObject("LEDGER", name, "log", { resolution, span: { from_millis: now - HOUR, until_millis: now + 1_000 } });
      const sum = (figure: string) => log.rows.reduce((total: number, row: any) => total + row[figure], 0);
      assert.deepEqual(["batches", "records", "bytes_compressed", "invalid_lines", "duplicates", "tests"].map(sum), [2, 302, good.length + bad.length, 2, 1, 0]);
      assert.equal(sum("bytes"), dataset.bytes_raw);
      const reasons: Record<string, number> = {};
      for (const row of log.rows) for (const [reason, count] of Object.entries<number>(row.invalid)) reasons[reason] = (reasons[reason] ?? 0) + count;
      assert.deepEqual(reasons, dataset.invalid);
    }
    const totals = await worker.callObject("LEDGER", name, "totals", {});
    assert.deepEqual([totals.batches, totals.records, totals.duplicates, totals.invalid], [2, 302, 1, dataset.invalid]);
    // 52 kB and some hundred bytes.
    assert.deepEqual(totals.batch_bytes, { buckets: [1, 1, 0, 0, 0, 0, 0, 0, 0, 0], sum: dataset.bytes_raw });
    assert.equal(totals.last_batch_millis, Date.parse(dataset.last_batch));
    assert.ok(Math.abs(totals.last_batch_millis - now) < 120_000);
    for (const window of ["5m", "1h", "24h"]) {
      const { batches, records, invalid_lines } = dataset.rates[window];
      assert.deepEqual([batches, records, invalid_lines], [2, 302, 2], window);
    }

    // The registry adds up what closed ledgers have counted, and forgets it when one counts again.
    const closed = async () => {
      const row = (await worker.callObject("REGISTRY", "registry", "datasets", {})).find((one: any) => one.scope === scope);
      return [row.closed.records, row.open.length];
    };
    const row = ledgers.find((ledger: any) => ledger.scope === scope);
    const close = async (last_seen: number) => await worker.callObject("REGISTRY", "registry", "close-ledger", { name, last_seen, totals });
    assert.deepEqual(await closed(), [0, 1]);
    assert.equal(await close(row.last_seen - 1), false, "it has counted meanwhile");
    assert.deepEqual(await closed(), [0, 1]);
    for (let again = 0; again < 2; again += 1) {
      assert.equal(await close(row.last_seen), true);
      assert.deepEqual(await closed(), [302, 0]);
    }
    await worker.callObject("REGISTRY", "registry", "ledger", { ...row, last_seen: row.last_seen + 1 });
    assert.deepEqual(await closed(), [0, 1]);
  });
});

test("a log is rolled up and loses its detail after a day, without a push, and totals and sums stay", { timeout: 120_000 }, async () => {
  const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-log-"));
  const start = async () => await WorkerProcess.start({ persistDir, vars: { ...SECRETS, ...VARS } });
  /** Runs `work` in the database of the one outbox there is. */
  const inOutbox = <T>(work: (database: DatabaseSync) => T): T => {
    const folder = join(persistDir, "v3", "do", "logpush-edge-Outbox");
    for (const name of readdirSync(folder).filter((file) => file.endsWith(".sqlite"))) {
      const database = new DatabaseSync(join(folder, name));
      try {
        if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'push_minutes'").get()) return work(database);
      } finally {
        database.close();
      }
    }
    throw new Error("no outbox on disk");
  };
  const siem = await Siem.start({ intakeKeys: ["key"] });
  let running = await start();
  try {
    const scope = freshScope();
    let client = new Client(running.url);
    const { id } = await client.createJob(scope, { dataset: DATASET, destination_conf: siem.plain("key"), filter: COPIED });
    assert.equal((await client.push(`${scope}/${DATASET}`, batchOf(recordLines(0, 120)))).status, 200);
    await client.settled(scope, id);
    await running.stop();
    const hours = 30;
    inOutbox((database) => {
      // As if there had been 51 attempts in that minute: one row takes 50, and another one the rest.
      database.exec("UPDATE push_minutes SET attempts = 50");
      database.exec(`INSERT INTO push_minutes SELECT minute, destination, status, final, 1, 1, records, bytes, bytes_compressed,
        duration, detail FROM push_minutes`);
      database.exec(`UPDATE push_minutes SET minute = minute - ${hours * 60}; UPDATE health SET log_hour = log_hour - ${hours}`);
    });
    running = await start();
    client = new Client(running.url);
    // The alarm that looks after a push is still set, and finds nothing else to do.
    const aged = await eventually("the log to age", async () => {
      await client.jobStats(scope, id);
      const found = inOutbox((database) => database.prepare(
        "SELECT count(*) AS rows, count(detail) AS detailed, sum(attempts) AS attempts, (SELECT sum(attempts) FROM push_hours) AS hourly, (SELECT totals FROM health) AS totals FROM push_minutes",
      ).get() as any);
      return found.detailed === 0 ? found : undefined;
    }, 60_000);
    assert.deepEqual([aged.rows, aged.attempts, aged.hourly], [1, 51, 51]);
    assert.equal(JSON.parse(aged.totals).results[0].attempts, 1);
    const job = await client.jobStats(scope, id);
    assert.deepEqual([job.delivered.records, job.rates["24h"].pushes, job.state], [120, 0, "idle"]);
  } finally {
    await running.stop();
    await siem.close();
    rmSync(persistDir, { recursive: true, force: true });
  }
});
