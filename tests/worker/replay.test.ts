// Replays: archived records are sent once more, to the job that had them or to somebody else, exactly those of a range of
// event time, each once, beside what just comes.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import Cloudflare from "cloudflare";
import { WorkerProcess } from "../support/process.ts";
import { Siem } from "../support/siem.ts";
import { Client, eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const DATASET = "dns_logs";
/** The day that the batches are of. */
const DAY = Date.UTC(2026, 5, 2);
const KEY = "the-job";
const OTHER = "somebody-else";
const VARS = { ALLOW_PRIVATE_DESTINATIONS: "true", PUSH_DEADLINE_SECONDS: "5", PROBE_MAX_SECONDS: "1", RETRY_MAX_SECONDS: "1" };

const at = (millis: number) => new Date(millis).toISOString();
const where = (key: string, operator: string, value: unknown) => JSON.stringify({ where: { key, operator, value } });

/** Records of batch `n`: a second apart, with codes 0 to 4. */
function linesOf(n: number, records = 10, pad = 0): string[] {
  return Array.from({ length: records }, (_, i) =>
    JSON.stringify({ Timestamp: at(DAY + n * 60_000 + i * 1_000), QueryName: `q${n}-${i}.example`, ResponseCode: (n + i) % 5, ...(pad ? { ColoCode: "x".repeat(pad) } : {}) }),
  );
}

const sorted = (lines: readonly string[]) => [...lines].sort();
const code = (line: string) => JSON.parse(line).ResponseCode as number;
const batch = (lines: readonly string[]) => gzipSync(`${lines.join("\n")}\n`);

class Scene {
  readonly scope: string;
  readonly siem: Siem;
  readonly client: Client;
  readonly batches: string[][] = [];

  constructor(client: Client, siem: Siem, scope: string) {
    this.client = client;
    this.siem = siem;
    this.scope = scope;
  }

  static async setUp(context: TestContext, client: Client): Promise<Scene> {
    const siem = await Siem.start({ intakeKeys: [KEY, OTHER] });
    context.after(async () => await siem.close());
    return new Scene(client, siem, freshScope());
  }

  async push(lines: readonly string[]): Promise<any> {
    const answer = await this.client.push(`${this.scope}/${DATASET}`, batch(lines));
    assert.equal(answer.status, 200, answer.text);
    return answer.json;
  }

  async archive(count: number, records = 10, pad = 0): Promise<void> {
    for (let n = 0; n < count; n += 8) {
      const some = Array.from({ length: Math.min(8, count - n) }, (_, i) => linesOf(n + i, records, pad));
      this.batches.push(...some);
      await Promise.all(some.map(async (lines) => await this.push(lines)));
    }
  }

  get lines(): string[] {
    return this.batches.flat();
  }

  async job(change: Record<string, unknown> = {}): Promise<any> {
    return await this.client.createJob(this.scope, { name: "job", dataset: DATASET, destination_conf: this.siem.plain(KEY), ...change });
  }

  async call(method: string, path: string, body?: unknown, token?: string): Promise<{ status: number; json: any }> {
    return await this.client.api(method, `${this.scope}/logpush/replays${path}`, body, token);
  }

  /** The whole day into the destination of nobody's job, unless `change` says otherwise. */
  body(change: Record<string, unknown> = {}): Record<string, unknown> {
    const own = "job_id" in change ? {} : { destination_conf: this.siem.plain(OTHER) };
    return { dataset: DATASET, start: at(DAY), end: at(DAY + 24 * 3_600_000), ...own, ...change };
  }

  async replay(change: Record<string, unknown> = {}): Promise<any> {
    const { status, json } = await this.call("POST", "", this.body(change));
    assert.equal(status, 200, JSON.stringify(json));
    return json.result;
  }

  async get(id: string): Promise<any> {
    const { json } = await this.call("GET", `/${id}`);
    return json.result;
  }

  async until(id: string, what: string, holds: (replay: any) => boolean, deadlineMillis = 30_000): Promise<any> {
    let last: any;
    return await eventually(`${what} of replay ${id}`, async () => {
      last = await this.get(id);
      return holds(last) ? last : undefined;
    }, deadlineMillis).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(last)}`);
    });
  }

  async untilCompleted(id: string, deadlineMillis?: number): Promise<any> {
    return await this.until(id, "the end", ({ state }) => state === "completed", deadlineMillis);
  }

  /** Both sums hold, and `/stats` shows the replay. */
  async stats(): Promise<any> {
    const stats = await this.client.stats(`scope=${this.scope}`);
    assert.equal(stats.reconciliation.holds, true, JSON.stringify(stats.reconciliation));
    return stats;
  }

  got(key: string): string[] {
    return sorted(this.siem.intake(key).lines);
  }

  attempts(key: string) {
    return this.siem.attempts.filter(({ credential }) => credential === key);
  }
}

describe("a replay", () => {
  let worker: TestWorker;
  before(async () => void (worker = await TestWorker.start(VARS)));
  after(async () => await worker?.close());

  test("of 200 batches with a changed filter sends what a fresh run over them selects, each record once and marked; the dry run said so before, and a second run sends nothing", async (context) => {
    const scene = await Scene.setUp(context, worker);
    const job = await scene.job({ filter: where("ResponseCode", "eq", 0) });
    await scene.archive(200);
    const before = scene.lines.filter((line) => code(line) === 0);
    await scene.siem.waitFor(() => scene.siem.intake(KEY).records === before.length, 30_000, "what came to be delivered");
    const live = scene.attempts(KEY).length;

    const wanted = scene.lines.filter((line) => code(line) >= 3);
    const request = { id: "changed-filter", job_id: job.id, filter: where("ResponseCode", "geq", 3) };
    const dry = await scene.replay({ ...request, dry_run: true });
    const selected = { records: wanted.length, bytes: wanted.reduce((sum, line) => sum + line.length + 1, 0) };
    assert.deepEqual([dry.exact, dry.batches, dry.batches_read, dry.records, dry.selected], [true, 200, 200, 2_000, selected]);
    assert.ok(dry.cost.usd > 0 && dry.duration_seconds > 0, JSON.stringify(dry));
    assert.deepEqual((await scene.call("GET", "")).json.result, []);

    const made = await scene.replay(request);
    assert.deepEqual([made.id, made.state, made.job_id], ["changed-filter", "running", job.id]);
    const done = await scene.untilCompleted(made.id);
    assert.deepEqual(scene.got(KEY), sorted([...before, ...wanted]));
    assert.deepEqual(done.selected, selected);
    assert.deepEqual([done.progress.batches, done.progress.batches_total, done.progress.percent], [200, 200, 100]);
    assert.equal(done.queue.delivered.records, wanted.length);
    const attempts = scene.attempts(KEY);
    assert.deepEqual(new Set(attempts.slice(0, live).map(({ headers }) => headers["x-logpush-replay"])), new Set([undefined]));
    assert.deepEqual(new Set(attempts.slice(live).map(({ headers }) => headers["x-logpush-replay"])), new Set(["changed-filter"]));

    const again = await scene.replay(request);
    assert.deepEqual([again.state, again.created_at], ["completed", done.created_at]);
    assert.equal((await scene.call("POST", "", scene.body({ ...request, filter: "" }))).status, 409);
    assert.equal((await scene.call("POST", "/changed-filter/resume")).status, 400);
    const stats = await scene.stats();
    assert.deepEqual(stats.jobs.map(({ id }: { id: number }) => id), [job.id], "its queue is no job");
    assert.deepEqual(stats.replays.map(({ id, state }: any) => [id, state]), [["changed-filter", "completed"]]);
    assert.equal(stats.reconciliation.selected_equals_accounted.selected_records, before.length + wanted.length);
    assert.deepEqual((await worker.api("GET", `${scene.scope}/logpush/jobs`)).json.result.map(({ id }: any) => id), [job.id]);

    assert.deepEqual((await scene.call("DELETE", "/changed-filter")).json.result, { id: "changed-filter" });
    assert.equal((await scene.call("GET", "/changed-filter")).status, 404);
    assert.equal((await scene.call("POST", "", scene.body(request))).status, 409, "a deleted id stays taken");
    await scene.stats();
    assert.equal(scene.siem.intake(KEY).records, before.length + wanted.length);
  });

  test("has the records of its range to the millisecond, whatever batches they lie in; without a readable time they count as at 0", async (context) => {
    const scene = await Scene.setUp(context, worker);
    const line = (millis: number) => JSON.stringify({ Timestamp: at(millis), QueryName: `at-${millis}` });
    const times = [-1, 0, 1, 59_999, 60_000, 60_001].map((offset) => DAY + offset);
    const undated = JSON.stringify({ Timestamp: "soon", QueryName: "never" });
    await scene.push([line(times[0]!), line(times[3]!), undated, line(times[4]!)]);
    await scene.push([line(times[1]!), line(times[2]!), "no record", line(times[5]!)]);
    await scene.push([line(DAY + 3_600_000)]);
    const { id } = await scene.replay({ end: at(DAY + 60_000) });
    const done = await scene.untilCompleted(id);
    assert.deepEqual(scene.got(OTHER), sorted(times.slice(1, 4).map(line)));
    assert.deepEqual([done.progress.batches, done.undated_records, done.invalid_lines], [2, 1, 1]);
    const all = await scene.replay({ start: 0, end: at(DAY + 60_000) });
    assert.equal((await scene.untilCompleted(all.id)).selected.records, 5);
    assert.ok(scene.got(OTHER).includes(undated));
  });

  test("goes on without objects that are gone, and names them", async (context) => {
    const scene = await Scene.setUp(context, worker);
    await scene.archive(4);
    const { object, batch_id } = await scene.push(linesOf(9));
    assert.ok(batch_id);
    await worker.remove(object);
    const dry = await scene.replay({ dry_run: true });
    assert.deepEqual([dry.exact, dry.missing.batches, dry.selected.records], [true, 1, 40]);
    const { id } = await scene.replay();
    const done = await scene.untilCompleted(id);
    assert.deepEqual(done.missing, { batches: 1, objects: [object] });
    assert.deepEqual(scene.got(OTHER), sorted(scene.lines));
  });

  test("keeps its rate within a tenth, while what comes is delivered as fast as without it", async (context) => {
    const scene = await Scene.setUp(context, worker);
    await scene.archive(60, 10, 1_000);
    const bytes = scene.lines.reduce((sum, line) => sum + line.length + 1, 0);
    const rate = 120_000;
    const job = await scene.job({ filter: where("QueryName", "startsWith", "live") });
    const latency = async (name: string): Promise<number> => {
      const began = performance.now();
      const count = scene.siem.intake(KEY).records;
      await scene.push([JSON.stringify({ Timestamp: at(DAY), QueryName: `live-${name}` })]);
      await scene.siem.waitFor(() => scene.siem.intake(KEY).records > count, 20_000, "a live record");
      return performance.now() - began;
    };
    const alone: number[] = [];
    for (let n = 0; n < 8; n += 1) alone.push(await latency(`alone-${n}`));
    // Live batches that come while it runs lie in its range as well.
    const { id } = await scene.replay({ max_bytes_per_second: rate, filter: where("QueryName", "startsWith", "q") });
    const beside: number[] = [];
    await scene.siem.waitFor(() => scene.siem.intake(OTHER).pushes > 0, 20_000, "the first push");
    while ((await scene.get(id)).state !== "completed") {
      if (beside.length < 8) beside.push(await latency(`beside-${beside.length}`));
    }
    assert.deepEqual(scene.got(OTHER), sorted(scene.lines));
    const pushes = scene.attempts(OTHER).filter(({ taken }) => taken);
    const [first, last] = [pushes.at(0)!, pushes.at(-1)!];
    // The last push is followed by nothing.
    const paced = bytes - last.rawBytes;
    const measured = paced / ((last.atMillis - first.atMillis) / 1_000);
    const middle = (all: number[]) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)]!;
    context.diagnostic(`${pushes.length} pushes, ${(measured / 1_000).toFixed(1)} KB/s of ${rate / 1_000}; ` +
      `live latency ${middle(alone).toFixed(0)} ms alone, ${middle(beside).toFixed(0)} ms beside it (median of ${alone.length} and ${beside.length})`);
    assert.ok(Math.abs(measured / rate - 1) < 0.1, `${measured} bytes a second`);
    assert.ok(beside.length >= 4 && middle(beside) < middle(alone) * 2 + 100, `${beside} after ${alone}`);
    assert.equal((await scene.stats()).jobs.find((one: any) => one.id === job.id).delivered.records, alone.length + beside.length);
  });

  test("stands still when it is paused, goes on when it is resumed, and discards what waits when it is cancelled", async (context) => {
    const scene = await Scene.setUp(context, worker);
    await scene.archive(12, 10, 1_000);
    scene.siem.fail({ times: Infinity, status: 503 });
    const paused = await scene.replay({ id: "paused" });
    await scene.siem.waitFor(() => scene.siem.refusals.length > 0, 20_000, "a refusal");
    const { json } = await scene.call("POST", "/paused/pause");
    assert.equal(json.result.state, "paused");
    scene.siem.mend();
    assert.equal((await scene.call("POST", "/paused/pause")).json.result.state, "paused");
    const tries = scene.siem.attempts.length;
    // Whoever looks at it, and its outbox being woken, move nothing.
    await worker.callObject("OUTBOX", `job/${paused.queue_job_id}/shard/0`, "wake", {});
    await scene.stats();
    assert.ok(scene.siem.attempts.length <= tries + 1, "one may have been on its way");
    const waiting = await scene.get("paused");
    assert.equal(waiting.queue.delivered.records, 0);
    assert.notEqual((await scene.call("POST", "/paused/resume")).json.result.state, "paused");
    await scene.untilCompleted("paused");
    assert.deepEqual(scene.got(OTHER), sorted(scene.lines));

    scene.siem.fail({ times: Infinity, status: 503 });
    await scene.replay({ id: "cancelled" });
    await scene.until("cancelled", "everything to wait", ({ queue }) => queue.waiting.records === scene.lines.length);
    assert.equal((await scene.call("POST", "/cancelled/cancel")).json.result.state, "cancelled");
    scene.siem.mend();
    const gone = await scene.until("cancelled", "the discard", ({ queue }) => queue.waiting.records === 0);
    assert.equal(gone.queue.discarded.records, scene.lines.length);
    assert.equal((await scene.call("POST", "/cancelled/cancel")).status, 200, "once more changes nothing");
    await scene.stats();
    assert.deepEqual(scene.got(OTHER), sorted(scene.lines));
  });

  test("parks like a job, is told like one, and follows the destination of the job that it feeds", async (context) => {
    const scene = await Scene.setUp(context, worker);
    await scene.archive(3);
    const job = await scene.job({ filter: where("ResponseCode", "eq", 77) });
    scene.siem.fail({ times: Infinity, status: 401 });
    const { id, queue_job_id } = await scene.replay({ job_id: job.id, filter: "" });
    await scene.until(id, "parking", ({ state }) => state === "parked");
    const [row] = await worker.callObject("REGISTRY", "registry", "jobs", { id: queue_job_id, with_deleted: false });
    assert.equal(row.job.name, `replay ${id} of job`);
    await eventually("the alert", async () => JSON.stringify((await scene.stats()).alerts).includes(`replay ${id} of job`));
    scene.siem.mend();
    await worker.changeJob(scene.scope, job.id, { destination_conf: scene.siem.plain(OTHER) });
    await scene.untilCompleted(id);
    assert.deepEqual(scene.got(OTHER), sorted(scene.lines));
    assert.equal(scene.siem.intake(KEY).records, 0);
  });

  test("is refused with a reason, tests a destination that no job has, and looks to Cloudflare's SDK like any other answer", async (context) => {
    const scene = await Scene.setUp(context, worker);
    await scene.archive(1);
    const refused = async (change: Record<string, unknown>, token?: string) => {
      const { status, json } = await scene.call("POST", "", scene.body(change), token);
      return [status, json.errors[0]?.code, json.errors[0]?.message];
    };
    assert.deepEqual((await refused({ job_id: 999_999 })).slice(0, 2), [404, 1006]);
    assert.deepEqual((await refused({ filter: "{}" })).slice(0, 2), [400, 1002]);
    assert.deepEqual((await refused({}, SECRETS.READ_TOKEN)).slice(0, 2), [403, 1004]);
    assert.equal((await scene.call("PUT", "")).status, 405);
    const wrong = await refused({ destination_conf: scene.siem.plain("nobody") });
    assert.match(wrong[2], /^destination_conf: error validating destination: error 40/);
    const { tests } = scene.siem.intake(OTHER);
    const sdk = new Cloudflare({ baseURL: `${worker.url}/client/v4`, apiToken: SECRETS.API_TOKEN, apiEmail: null, apiKey: null, userServiceKey: null, maxRetries: 0 });
    const made: any = await sdk.post(`/${scene.scope}/logpush/replays`, { body: scene.body({ id: "by-sdk" }) });
    assert.deepEqual([made.success, made.errors, made.result.id], [true, [], "by-sdk"]);
    assert.equal(scene.siem.intake(OTHER).tests, tests + 1);
    await scene.untilCompleted("by-sdk");
    const read: any = (await scene.call("GET", "/by-sdk", undefined, SECRETS.READ_TOKEN)).json;
    assert.ok(!JSON.stringify(read).includes(OTHER), "masked for who may only read");
    await assert.rejects(async () => await sdk.get(`/${scene.scope}/logpush/replays/nothing`), Cloudflare.NotFoundError);
  });

  test("that fills up a new job gives it every record from a time on once, those that come while it is made among them", async (context) => {
    const scene = await Scene.setUp(context, worker);
    await scene.archive(30);
    const from = DAY + 10 * 60_000 + 5_000;
    let made: any;
    let n = 100;
    const stop = performance.now() + 20_000;
    const pushing = (async () => {
      // Before, while and after the job is made, from several senders at once.
      for (let after = 0; after < 12 && performance.now() < stop; after += made === undefined ? 0 : 1) {
        const some = [0, 1, 2].map((i) => linesOf(n + i));
        n += 3;
        scene.batches.push(...some);
        await Promise.all(some.map(async (lines) => await scene.push(lines)));
      }
    })();
    await eventually("some batches", () => n > 110);
    made = await scene.job({ filter: where("ResponseCode", "leq", 3), backfill_from: at(from) });
    assert.equal(made.backfill_from, at(from).replace(".000Z", "Z"));
    await pushing;
    const wanted = scene.lines.filter((line) => code(line) <= 3 && Date.parse(JSON.parse(line).Timestamp) >= from);
    await scene.siem.waitFor(() => scene.siem.intake(KEY).records >= wanted.length, 30_000, `the ${wanted.length} records`);
    const id = `backfill-${made.id}`;
    const replay = await scene.get(id);
    assert.deepEqual([replay.kind, replay.job_id, replay.queue], ["backfill", made.id, null]);
    assert.ok(replay.progress.batches >= 20 && replay.selected.records > 0, JSON.stringify(replay));
    assert.deepEqual(scene.got(KEY), sorted(wanted));
    context.diagnostic(`${scene.batches.length} batches, ${replay.progress.batches} of them by the backfill`);
    const stats = await scene.stats();
    assert.equal(stats.jobs[0].selected.records, wanted.length);
    assert.equal((await worker.api("PUT", `${scene.scope}/logpush/jobs/${made.id}`, { backfill_from: at(from + 1_000) })).status, 400);

    // An upload that took minutes, and whose isolate had never heard of the job.
    const slow = linesOf(10, 10);
    const object = `${scene.scope}/${DATASET}/20260602/slow.log.gz`;
    await worker.put(object, batch(slow));
    const commit = {
      batch_id: "5".repeat(64), scope: scene.scope, dataset: DATASET, day: "20260602", object, object_bytes: 1,
      received_at_millis: Date.now() - 120_000, event_millis: [DAY + 600_000, DAY + 609_000], records: 10, bytes_raw: 1, bytes_compressed: 1,
      invalid_lines: 0, invalid: {}, quarantine: null, selections: [],
    };
    assert.equal(await worker.callObject("LEDGER", `${scene.scope}/${DATASET}/20260602`, "commit", commit), "committed");
    const late = slow.filter((line) => code(line) <= 3 && Date.parse(JSON.parse(line).Timestamp) >= from);
    assert.ok(late.length > 0 && late.length < 8);
    await scene.siem.waitFor(() => scene.siem.intake(KEY).records >= wanted.length + late.length, 30_000, "what came late");
    assert.deepEqual(scene.got(KEY), sorted([...wanted, ...late]));
    await scene.stats();
  });
});

describe("a replay whose Worker is killed", () => {
  test("in its middle, and paused for longer than its outbox remembers, sends every record once", async (context) => {
    const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-replay-"));
    context.after(() => rmSync(persistDir, { recursive: true, force: true }));
    // An outbox that has no room for all of it, so that reading takes as long as pushing.
    const vars = { ...SECRETS, ...VARS, OUTBOX_MAX_BYTES: "100000" };
    const start = async () => await WorkerProcess.start({ persistDir, vars });
    let worker = await start();
    context.after(async () => await worker.kill9());
    const siem = await Siem.start({ intakeKeys: [KEY, OTHER] });
    context.after(async () => await siem.close());
    let scene = new Scene(new Client(worker.url), siem, "zones/replay-crash");
    const { batches } = scene;
    await scene.archive(120, 10, 400);
    const again = async (between: () => void = () => {}) => {
      await worker.kill9();
      between();
      worker = await start();
      scene = new Scene(new Client(worker.url), siem, scene.scope);
    };
    const { queue_job_id } = await scene.replay({ id: "killed", max_bytes_per_second: 200_000 });
    await scene.until("killed", "some batches", ({ progress }) => progress.batches >= 10);
    await again();
    const first = await scene.get("killed");
    assert.ok(first.progress.batches < 100, `${first.progress.batches} batches are no middle`);
    // An outbox that died in a push waits for its deadline, unless its job changes; the replay goes on by itself.
    await scene.client.changeJob(scene.scope, queue_job_id, { name: "touched" });
    await scene.until("killed", "more batches", ({ progress }) => progress.batches > first.progress.batches + 10);
    assert.equal((await scene.call("POST", "/killed/pause")).json.result.state, "paused");
    await again(() => forget(persistDir));
    const half = await scene.get("killed");
    assert.equal(half.state, "paused");
    await scene.call("POST", "/killed/resume");
    await siem.waitFor(() => siem.intake(OTHER).records >= batches.flat().length * 0.6, 30_000, "more than half");
    await again();
    await scene.call("POST", "/killed/resume");
    const done = await scene.untilCompleted("killed", 60_000);
    assert.equal(done.selected.records, batches.flat().length);
    const intake = siem.intake(OTHER);
    assert.equal(intake.tallyOnce.records, batches.flat().length);
    assert.deepEqual(new Set(intake.lines), new Set(batches.flat()));
    context.diagnostic(`${intake.pushes} pushes, ${intake.repeats} of them again; killed at ${first.progress.batches}, paused at ${half.progress.batches} of 120 batches`);
    await scene.stats();
  });
});

/** Every outbox forgets which batches it had, as after days. */
function forget(persistDir: string): void {
  const folder = join(persistDir, "v3", "do", "logpush-edge-Outbox");
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".sqlite"))) {
    const database = new DatabaseSync(join(folder, name));
    try {
      if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'batches'").get()) database.exec("DELETE FROM batches");
    } finally {
      database.close();
    }
  }
}
