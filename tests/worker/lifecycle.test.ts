// What is stored grows old: it expires when the operator says so, is swept for what does not belong together, and nothing
// that somebody still waits for is touched. Time is the trigger's: a run is told that it is days later.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { foreign, mistakes, NEVER_BY_AGE, rules, settings } from "../../scripts/lifecycle/rules.ts";
import { batchOf, COPIED, DATASET, Delivery, recordLines } from "../support/delivery.ts";
import { eventually, freshScope, TestWorker } from "../support/worker.ts";

const DAY_MILLIS = 86_400_000;
const root = fileURLToPath(new URL("../..", import.meta.url));

async function setUp(context: TestContext, vars: Record<string, string> = {}) {
  const worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1", ...vars });
  context.after(async () => await worker.close());
  const began = Date.now();
  /** What happens on the way to that day is done, some things at a time as every run does it. */
  const runAt = async (days: number, runs = 2) => {
    for (let run = 0; run < runs; run += 1) await worker.scheduled(new Date(began + days * DAY_MILLIS + run * 300_000));
  };
  const archive = async () => (await worker.stats()).archive;
  const kept = async (scope: string, dataset = DATASET) =>
    (await archive()).datasets.find((one: any) => one.scope === scope && one.dataset === dataset);
  return { worker, runAt, archive, kept };
}

/** Pushes a batch of which nobody selects anything; returns its object and the ledger that has it. */
async function pushed(worker: TestWorker, scope: string, from: number, lines = recordLines(from, 3)) {
  const { json, text } = await worker.push(`${scope}/${DATASET}`, batchOf(lines));
  assert.equal(json.result, "accepted", text);
  const object = json.object as string;
  return { object, ledger: object.slice(0, object.lastIndexOf("/")), json };
}

async function batchesOf(worker: TestWorker, ledger: string): Promise<any[]> {
  const query = { span: { from_millis: 0, until_millis: 8e15 }, after: null, limit: 100 };
  return await worker.callObject("LEDGER", ledger, "batches", query);
}

describe("what is stored", { concurrency: 3 }, () => {
  test("objects without a row and rows without an object are found, named, and left as they are", async (context) => {
    const { worker, runAt, kept } = await setUp(context);
    const scope = freshScope();
    const [one, two] = [await pushed(worker, scope, 0), await pushed(worker, scope, 100)];
    const bad = await pushed(worker, scope, 200, [...recordLines(200, 2), "not json"]);
    const orphan = `${one.ledger}/20260701T000000Z_20260701T000001Z_0123456789abcdef.log.gz`;
    const nobodys = `${scope}/dns_logs/20250101/20250101T000000Z_20250101T000001Z_0123456789abcdef.log.gz`;
    const letter = `quarantine/${one.ledger}/${"0".repeat(64)}.ndjson`;
    for (const key of [orphan, nobodys, letter]) await worker.put(key, Buffer.from("bytes"));
    const gone = await worker.object(two.object);
    await worker.remove(two.object);
    const listed = (await worker.keys()).sort();

    await runAt(0.5);
    assert.equal(await kept(scope), undefined, "the day is not over");
    const young = await kept(scope, "dns_logs");
    assert.deepEqual([young.orphans.count, young.objects], [0, 1], "who wrote it may be about to commit");

    await runAt(3);
    let found = await kept(scope);
    assert.deepEqual(found.orphans, { count: 1, bytes: 5, named: [orphan] });
    assert.deepEqual(found.missing, { count: 1, bytes: 0, named: [two.object] });
    assert.deepEqual(found.quarantine_orphans, { count: 1, bytes: 5, named: [letter] });
    assert.deepEqual(found.quarantine_missing, { count: 0 });
    assert.deepEqual([found.rows, found.objects], [3, 3]);
    assert.deepEqual((await kept(scope, "dns_logs")).orphans, { count: 1, bytes: 5, named: [nobodys] });
    assert.deepEqual((await worker.keys()).sort(), listed, "nothing is deleted");
    const metrics = await worker.metrics();
    const labels = `scope="${scope}",dataset="${DATASET}"`;
    assert.ok(metrics.includes(`logpush_edge_archive_orphans{${labels}} 2`), metrics);
    assert.ok(metrics.includes(`logpush_edge_archive_missing{${labels}} 1`));

    // Somebody mends it, and takes the quarantine object of the bad batch away: the next day knows.
    await worker.put(two.object, gone.bytes);
    for (const key of [orphan, letter, `quarantine/${bad.ledger}/${bad.json.batch_id}.ndjson`]) await worker.remove(key);
    await runAt(4.1);
    found = await kept(scope);
    assert.deepEqual([found.orphans, found.missing, found.quarantine_orphans].map(({ count }) => count), [0, 0, 0]);
    assert.equal(found.quarantine_missing.count, 1);
    assert.equal((await worker.datasetStats(scope)).batches ?? 0, 3);
    assert.equal((await worker.stats()).reconciliation.holds, true);
  });

  test("a quiet day is looked at again after a month, or when another retention is set, and a sweep goes on where it was", async (context) => {
    const { worker, runAt } = await setUp(context);
    const scope = freshScope();
    const { ledger, object } = await pushed(worker, scope, 0);
    await runAt(3);
    // What a call does of which the one before it has looked at everything up to a key.
    const keys = ["a", "c", "e"].map((name) => `${ledger}/${name}.log.gz`);
    for (const key of keys) await worker.put(key, Buffer.from("x"));
    const retention = { raw_days: null, quarantine_days: null, dead_letters_days: null, rows_days: null, spool_orphan_days: 7 };
    const tend = async (going: unknown) =>
      await worker.callObject("LEDGER", ledger, "tend", { now_millis: Date.now() + 9 * DAY_MILLIS, retention, going });
    const first = await tend({ stage: "raw", after: `${ledger}/b`, found: {} });
    assert.deepEqual([first.going.stage, first.going.after, first.sweep], ["quarantine", "", null]);
    assert.deepEqual(first.going.found.orphans, { count: 2, bytes: 2, named: keys.slice(1) });
    const { sweep, going, facts } = await tend(first.going);
    assert.deepEqual([sweep.orphans.count, sweep.objects, sweep.missing.count, going, facts.rows], [2, 2, 0, null, 1]);
    const whole = await tend({});
    assert.deepEqual([whole.going.found.objects, whole.going.found.orphans.named], [4, keys]);
    assert.ok(!whole.going.found.missing.named.includes(object));
    // What the registry is told when the deployment has another retention.
    const due = async (raw_days: number | null) => {
      const retention = JSON.stringify({ raw_days, quarantine_days: null, dead_letters_days: null, rows_days: null, spool_orphan_days: 7 });
      const query = { now_millis: Date.now() + 5 * DAY_MILLIS, retention, limit: 20 };
      const { ledgers } = await worker.callObject("REGISTRY", "registry", "due", query);
      return ledgers.map(({ name }: { name: string }) => name.startsWith(scope));
    };
    assert.deepEqual(await due(null), [], "it was looked at, and is looked at again in a month");
    assert.deepEqual(await due(30), [true]);
  });

  test("a spooled object is deleted when nobody refers to it, and never while a queue does, however long it is parked", async (context) => {
    const { worker, runAt, archive } = await setUp(context);
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    delivery.siem.fail({ times: Infinity, status: 403 });
    const lines = recordLines(0, 400, () => 9_000);
    await delivery.push(lines);
    await delivery.untilJob("the queue to park", ({ parked }) => parked.records === lines.length);
    const live = await worker.keys("spool/");
    assert.ok(live.length > 0 && live.every((key) => key.split("/")[2] === String(delivery.id)), live.join());
    const dead = [0, 1].map((n) => `spool/0b5ecf3a-6d3f-4d7c-9a53-8a1f5c1de2a7/${delivery.id}/${n}`);
    const unknown = ["spool/0b5ecf3a-6d3f-4d7c-9a53-8a1f5c1de2a7/987654/0", "spool/something else"];
    for (const key of [...dead, ...unknown]) await worker.put(key, Buffer.from("bytes"));

    await runAt(6);
    assert.equal((await worker.keys("spool/")).length, live.length + 4, "none is old enough");
    assert.equal((await archive()).spool.referred, 0);
    // A year, in which everything is looked at again and again.
    for (const days of [8, 9, 40, 400]) await runAt(days);
    assert.deepEqual((await worker.keys("spool/")).sort(), [...live, ...unknown].sort());
    const { spool } = await archive();
    assert.deepEqual(spool.orphans_deleted, { objects: 2, bytes: 10 });
    assert.deepEqual([spool.objects, spool.referred, spool.unasked], [live.length + 2, live.length, 0]);
    assert.deepEqual(spool.unknown, { count: 2, bytes: 10, named: unknown });

    delivery.siem.mend();
    await delivery.touch();
    await delivery.untilDone();
    assert.equal(delivery.intake.tallyOnce.records, lines.length, "every record arrives");
    await eventually("the queue's own objects to go", async () => (await worker.keys("spool/")).length === 2);
  });

  test("after its retention a batch is expired, later its row is gone, and the sums stay", async (context) => {
    const { worker, runAt, kept } = await setUp(context, { RETAIN_RAW_DAYS: "30" });
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    const lines = recordLines(0, 20);
    const { scope } = delivery;
    const { json } = await worker.push(`${scope}/${DATASET}`, batchOf(lines));
    await delivery.untilDone();
    const ledger = json.object.slice(0, json.object.lastIndexOf("/"));

    await runAt(3);
    await runAt(29.5);
    assert.deepEqual((await kept(scope)).expired, { batches: 0, bytes: 0 });
    assert.equal((await batchesOf(worker, ledger))[0].expired, false);
    // R2 deletes within a day of the time.
    await worker.remove(json.object);
    await runAt(33);
    let found = await kept(scope);
    assert.deepEqual(found.expired, { batches: 1, bytes: batchOf(lines).length });
    assert.equal(found.missing.count, 0, "it was to go");
    assert.deepEqual((await batchesOf(worker, ledger)).map(({ expired }) => expired), [true]);
    const again = await worker.push(`${scope}/${DATASET}`, batchOf(lines));
    assert.equal(again.json.result, "duplicate", "its row knows it");

    await runAt(64);
    found = await kept(scope);
    assert.deepEqual([found.rows, found.rows_removed, found.expired.batches], [0, 1, 1]);
    assert.deepEqual(await batchesOf(worker, ledger), []);
    const stats = await worker.stats(`scope=${scope}`);
    assert.deepEqual([stats.datasets[0].batches, stats.datasets[0].records, stats.datasets[0].duplicates], [1, 20, 1]);
    assert.deepEqual([stats.jobs[0].selected.records, stats.jobs[0].delivered.records], [20, 20]);
    assert.equal(stats.reconciliation.holds, true, JSON.stringify(stats.reconciliation));
    const metrics = await worker.metrics();
    assert.ok(metrics.includes(`logpush_edge_archive_expired_batches_total{scope="${scope}",dataset="${DATASET}"} 1`));
  });

  test("a retention that is too short is refused, and what is deleted all the same is missing and not expired", async (context) => {
    const { worker, runAt, archive, kept } = await setUp(context, { RETAIN_RAW_DAYS: "3" });
    const scope = freshScope();
    const { object, ledger } = await pushed(worker, scope, 0);
    await worker.remove(object);
    await runAt(40);
    const { retention, misconfigured } = await archive();
    assert.equal(retention.raw_days, null);
    assert.match(misconfigured[0], /RETAIN_RAW_DAYS: `3` is no whole number of days from 7/);
    assert.equal((await batchesOf(worker, ledger))[0].expired, false);
    const found = await kept(scope);
    assert.deepEqual([found.missing.count, found.expired.batches], [1, 0]);
  });

  test("a selection that is owed of an object that is gone is counted as gone, and nobody waits for it", async (context) => {
    const { worker } = await setUp(context);
    const delivery = await Delivery.setUp(context, worker, "https");
    // A job that takes whole batches has to have this one copied, which is made from the archive in two seconds.
    const broken = gzipSync(`${recordLines(0, 5).join("\n")}\nnot json\n`);
    const { json } = await worker.push(`${delivery.scope}/${DATASET}`, broken);
    await worker.remove(json.object);
    assert.equal((await delivery.job()).owed.batches, 1);
    const job = await delivery.untilJob("it to be given up", ({ owed }) => owed.batches === 0);
    assert.deepEqual([job.owed, job.selected.records, job.delivered.records], [{ batches: 0, gone: 1 }, 0, 0]);
    // The queue goes on.
    await delivery.push(recordLines(100, 5));
    await delivery.untilDone();
    assert.equal(delivery.intake.tallyOnce.records, 5);
    assert.equal((await worker.stats(`scope=${delivery.scope}`)).reconciliation.selected_equals_accounted.owed_batches, 0);
  });

  test("dead letters expire when somebody says so, and are counted; those without an object and objects without one are found", async (context) => {
    const { worker, runAt, archive } = await setUp(context, { RETAIN_DEAD_LETTERS_DAYS: "30" });
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    delivery.siem.fail({ times: 2, status: 422 });
    await delivery.push(recordLines(0, 1));
    await delivery.untilJob("a dead letter", ({ dead }) => dead.letters === 1);
    await delivery.push(recordLines(10, 1));
    await delivery.untilJob("another", ({ dead }) => dead.letters === 2);
    const prefix = `dead-letters/${delivery.scope}/${delivery.id}/`;
    const letters = await worker.keys(prefix);
    assert.equal(letters.length, 2);
    const orphan = `${prefix}ffffffffffffffffffffffffffffffff`;
    await worker.put(orphan, Buffer.from("bytes"));
    await worker.remove(letters[0] as string);
    const of = async () => (await archive()).dead_letters.find(({ job }: { job: number }) => job === delivery.id);

    await runAt(2);
    assert.deepEqual((await of()).orphans, { count: 1, bytes: 5, named: [orphan] });
    assert.deepEqual((await of()).missing, { count: 1, bytes: 0, named: [letters[0]] });
    assert.deepEqual((await of()).expired, { letters: 0, records: 0 });
    await runAt(33);
    assert.deepEqual((await of()).expired, { letters: 2, records: 2 });
    assert.equal((await of()).missing.count, 0);
    const job = await delivery.job();
    assert.deepEqual([job.dead.letters, job.dead.records, job.discarded.records, job.selected.records], [0, 0, 2, 2]);
    assert.deepEqual(await worker.keys(prefix), [orphan], "what is not ours stays");
  });

  test("every prefix that the Worker writes is kept by a rule or by the Worker", async (context) => {
    const { worker } = await setUp(context);
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    delivery.siem.fail({ times: 1, status: 422 });
    await delivery.push(recordLines(0, 1));
    await delivery.untilJob("a dead letter", ({ dead }) => dead.letters === 1);
    delivery.siem.fail({ times: Infinity, status: 503 });
    await delivery.push(recordLines(10, 400, () => 9_000));
    await pushed(worker, "accounts/a", 0, [...recordLines(0, 1), "not json"]);
    const written = new Set((await worker.keys()).map((key) => `${key.split("/")[0]}/`));
    const answered = [NEVER_BY_AGE, ...settings().flatMap(({ prefixes }) => prefixes)];
    assert.deepEqual([...written].sort(), answered.sort());
  });
});

describe("the bucket's rules", { concurrency: true }, () => {
  const ALL = { RETAIN_RAW_DAYS: "30", RETAIN_QUARANTINE_DAYS: "14", RETAIN_DEAD_LETTERS_DAYS: 90 };

  test("are what R2 takes, by prefix, and none deletes what a queue may refer to", () => {
    const byAge = (prefix: string, name: string, days: number) => ({
      id: `logpush-edge ${prefix} ${name}`,
      enabled: true,
      conditions: { prefix },
      deleteObjectsTransition: { condition: { maxAge: days * 86_400, type: "Age" } },
    });
    const uploads = {
      id: "logpush-edge incomplete uploads",
      enabled: true,
      conditions: {},
      abortMultipartUploadsTransition: { condition: { maxAge: 604_800, type: "Age" } },
    };
    assert.deepEqual(rules({}), [uploads]);
    assert.deepEqual(rules(ALL), [
      byAge("accounts/", "RETAIN_RAW_DAYS", 30),
      byAge("zones/", "RETAIN_RAW_DAYS", 30),
      byAge("quarantine/", "RETAIN_QUARANTINE_DAYS", 14),
      byAge("dead-letters/", "RETAIN_DEAD_LETTERS_DAYS", 90),
      uploads,
    ]);
    for (const rule of rules(ALL)) {
      if (rule.deleteObjectsTransition === undefined) continue;
      const { prefix } = rule.conditions;
      assert.ok(prefix && !prefix.startsWith(NEVER_BY_AGE) && !NEVER_BY_AGE.startsWith(prefix), prefix);
    }
  });

  test("are refused where the Worker would refuse them", () => {
    assert.deepEqual(mistakes(ALL), []);
    for (const value of ["6", "0", "-1", "7.5", "a week", "36501"]) {
      assert.match(mistakes({ RETAIN_RAW_DAYS: value })[0] as string, /from 7 to 36500/);
      assert.throws(() => rules({ RETAIN_RAW_DAYS: value }));
    }
  });

  test("of somebody else are told from ours", () => {
    const listed = `Listing lifecycle rules for bucket 'b'...
name:     Default Multipart Abort Rule
enabled:  Yes
prefix:   (all prefixes)
action:   Abort incomplete multipart uploads after 7 days

name:     logpush-edge zones/ RETAIN_RAW_DAYS
enabled:  Yes

name:     my own rule
enabled:  Yes
`;
    assert.deepEqual(foreign(listed), ["my own rule"]);
    assert.deepEqual(foreign(`\u001b[37mname:\u001b[39m     \u001b[90mlogpush-edge x\u001b[39m\n`), []);
  });

  /** A wrangler that writes down how it is called and lists these rules. */
  async function lifecycle(context: TestContext, listed: string, vars: object, flags: string[]) {
    const folder = mkdtempSync(join(tmpdir(), "logpush-edge-lifecycle-"));
    context.after(() => rmSync(folder, { recursive: true, force: true }));
    const calls = join(folder, "calls");
    writeFileSync(calls, "");
    const fake = join(folder, "wrangler");
    writeFileSync(fake, `#!/bin/sh
echo "$*" >> '${calls}'
case "$4" in
  list) printf '%s' '${listed}';;
  set) cp "$7" '${join(folder, "set.json")}';;
esac
`);
    chmodSync(fake, 0o755);
    const config = join(folder, "wrangler.toml");
    const shipped = readFileSync(join(root, "wrangler.toml"), "utf8");
    const lines = Object.entries(vars).map(([name, value]) => `${name} = "${value}"`);
    writeFileSync(config, `${shipped}\n[vars]\n${lines.join("\n")}\n`);
    const env = { ...process.env, PATH: [folder, process.env["PATH"]].join(delimiter) };
    const args = [join(root, "scripts/lifecycle.ts"), "--config", config, ...flags];
    const done = await new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
      execFile(process.execPath, args, { env }, (error, stdout, stderr) => resolve({ status: error ? Number(error.code) : 0, stdout, stderr }));
    });
    const set = () => JSON.parse(readFileSync(join(folder, "set.json"), "utf8"));
    return { done, calls: readFileSync(calls, "utf8"), set };
  }

  test("are set as a whole, when nobody else has set any", async (context) => {
    const { done, calls, set } = await lifecycle(context, "name:  Default Multipart Abort Rule\n", ALL, []);
    assert.equal(done.status, 0, done.stderr);
    assert.match(calls, /^r2 bucket lifecycle list logpush-edge-archive --config \S+\nr2 bucket lifecycle set logpush-edge-archive --file \S+ --force --config \S+\n$/);
    assert.deepEqual(set(), { rules: rules(ALL) });
  });

  test("of somebody else stay unless they are to be replaced", async (context) => {
    const listed = "name:  my own rule\n";
    const [kept, replaced] = await Promise.all([[], ["--replace"]].map((flags) => lifecycle(context, listed, ALL, flags)));
    assert.ok(kept && replaced);
    assert.equal(kept.done.status, 1);
    assert.match(kept.done.stderr, /my own rule[^]*--replace/);
    assert.doesNotMatch(kept.calls, /lifecycle set/);
    assert.deepEqual([replaced.done.status, replaced.set().rules.length], [0, 5]);
  });

  test("are shown without a call, checked, and left alone by a deployment that keeps everything", async (context) => {
    const [shown, wrong, nothing] = await Promise.all([
      lifecycle(context, "", ALL, ["--print"]),
      lifecycle(context, "", { RETAIN_RAW_DAYS: "1" }, ["--check"]),
      lifecycle(context, "", { SPOOL_ORPHAN_DAYS: "9" }, ["--when-configured"]),
    ]);
    assert.deepEqual(JSON.parse(shown.done.stdout), { rules: rules(ALL) });
    assert.equal(wrong.done.status, 1);
    assert.match(wrong.done.stderr, /RETAIN_RAW_DAYS is `1`/);
    assert.equal(nothing.done.status, 0, nothing.done.stderr);
    for (const { calls } of [shown, wrong, nothing]) assert.equal(calls, "");
  });
});
