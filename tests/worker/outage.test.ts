// Destinations that are away for long, in shortened time: what is kept, what is disabled, and what comes when they are back.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { COPIED, DATASET, Delivery, placesOf, recordLines } from "../support/delivery.ts";
import { eventually, TestWorker } from "../support/worker.ts";

const PRIVATE = { ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1", PUSH_DEADLINE_SECONDS: "1" };
/** The token of a second job with the same SIEM. */
const OTHER = "9a4c8c0f-1f55-4b7e-9f9f-0d9d5f0b6c33";
const HOLDING_ALL = (records: number) => ({ waiting: records, parked: 0, dead: 0, delivered: 0 });

// At once, because most of it is waiting.
describe("a destination that is away for long", { concurrency: 5 }, () => {
  let worker: TestWorker;
  let impatient: TestWorker;
  let small: TestWorker;
  before(async () => {
    worker = await TestWorker.start(PRIVATE);
    impatient = await TestWorker.start({ ...PRIVATE, PROBE_MAX_SECONDS: "1", DISABLE_AFTER_SECONDS: "3" });
    small = await TestWorker.start({ ...PRIVATE, OUTBOX_MAX_BYTES: "20000" });
  });
  after(async () => {
    for (const one of [worker, impatient, small]) await one?.close();
  });

  test("for three hours, in which a wait of five minutes takes a second, ends with each of 500 batches delivered once and in order", async (context) => {
    const copied = await Delivery.setUp(context, worker, "https", { filter: COPIED }, { splunkTokens: [OTHER] });
    const { scope } = copied;
    // A second job of the same dataset, which takes the archived objects as they are.
    const { id } = await worker.createJob(scope, { dataset: DATASET, destination_conf: copied.siem.splunk(OTHER) });
    const whole = new Delivery(worker, copied.siem, scope, id);
    // Nothing is taken meanwhile, whatever it looks like from the other side.
    copied.siem.failAtRandom({ seed: 3, share: 1, kinds: ["500", "503", "429", "reset before"] });
    const expected: string[] = [];
    for (let batch = 0; batch < 500; batch += 1) {
      const lines = recordLines(batch * 10, 10);
      expected.push(...lines);
      await copied.push(lines);
    }
    // Three hours of waits of up to five minutes are 36 of them, and more when they are drawn.
    const attempts = (path: string) => copied.siem.attempts.filter((attempt) => attempt.path === path).length;
    const paths = [...new Set(copied.siem.attempts.map(({ path }) => path))];
    assert.equal(paths.length, 2);
    await copied.siem.waitFor(() => paths.every((path) => attempts(path) >= 36), 60_000, "36 attempts of each job");
    for (const delivery of [copied, whole]) {
      const job = await delivery.job();
      assert.deepEqual(placesOf(job), HOLDING_ALL(5_000));
      assert.ok(job.consecutive_failures >= 30 && job.failing_since && job.enabled, JSON.stringify(job));
    }
    const tried = new Set(copied.siem.attempts.map(({ path, pushId }) => `${path} ${pushId}`));
    assert.equal(tried.size, 2, "one push a job, again and again under its id");
    copied.siem.mend();
    const back = Date.now();
    for (const delivery of [copied, whole]) {
      const job = await delivery.untilDone(60_000);
      assert.deepEqual(placesOf(job), { waiting: 0, parked: 0, dead: 0, delivered: 5_000 });
      assert.deepEqual([job.failing_since, job.consecutive_failures, job.error_message], [null, 0, null]);
    }
    context.diagnostic(`${copied.siem.attempts.length} requests; all delivered ${Date.now() - back} ms after the recovery`);
    const taken = [copied.intake, copied.siem.intake(OTHER)];
    for (const intake of taken) {
      assert.ok(intake.lines.join("\n") === expected.join("\n"), "every record once, in order");
      assert.equal(intake.repeats, 0);
    }
    assert.equal(taken[1]?.pushes, 500, "by reference: a batch is a push");
    assert.ok((taken[0]?.pushes ?? 500) < 10, "copies are gathered");
  });

  for (const [what, failure] of [["is down", { status: 503 }], ["refuses the job", { status: 403 }]] as const) {
    test(`because it ${what}: its job is disabled after the day, selects on, and delivers everything when it is enabled again`, async (context) => {
      const delivery = await Delivery.setUp(context, impatient, "https", { filter: COPIED });
      delivery.siem.fail({ times: Infinity, ...failure });
      const lines = recordLines(0, 30);
      await delivery.push(lines.slice(0, 10));
      const disabled = await delivery.untilJob("the job to be disabled", (job) => !job.enabled);
      assert.equal(disabled.waiting.records + disabled.parked.records, 10);
      assert.equal(disabled.dead.records, 0);
      assert.match(disabled.error_message, new RegExp(`^error ${failure.status}: `));
      const seen = delivery.siem.attempts;
      const lasted = (seen.at(-1)?.atMillis ?? 0) - (seen[0]?.atMillis ?? 0);
      assert.ok(lasted >= 1_500 && lasted < 20_000, `tried for ${lasted} ms of 3 s`);
      // The jobs of a dataset are remembered for three seconds, so some of these come before the isolate knows.
      for (const from of [10, 20]) await delivery.push(lines.slice(from, from + 10));
      const more = await delivery.job();
      assert.equal(more.selected.records, 30, "selected all the same");
      assert.equal(more.waiting.records + more.parked.records, 30);
      const attempts = seen.length;
      const row = await impatient.api("GET", `${delivery.scope}/logpush/jobs/${delivery.id}`);
      assert.equal(row.json.result.enabled, false);
      assert.match(row.json.result.error_message ?? "", new RegExp(`${failure.status}`));
      delivery.siem.mend();
      // What comes for long after the day, too.
      await eventually("the isolate to look at the jobs anew", async () => Date.now() - (seen.at(-1)?.atMillis ?? 0) > 3_500);
      const late = recordLines(30, 10);
      await delivery.push(late);
      assert.equal((await delivery.job()).selected.records, 40);
      assert.equal(delivery.siem.attempts.length, attempts, "a disabled job is not pushed");
      await impatient.changeJob(delivery.scope, delivery.id, { enabled: true });
      const done = await delivery.untilDone();
      assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 0, delivered: 40 });
      assert.deepEqual(delivery.intake.lines, [...lines, ...late]);
      assert.deepEqual([done.failing_since, done.error_message, done.enabled], [null, null, true]);
    });
  }

  test("and was mended outside before the day is over is found by a probe", async (context) => {
    const delivery = await Delivery.setUp(context, impatient, "splunk", { filter: COPIED });
    delivery.siem.fail({ times: 2, hec: 1 });
    const lines = recordLines(0, 10);
    await delivery.push(lines);
    await delivery.untilJob("the queue to park", (job) => job.parked.records === 10);
    const done = await delivery.untilDone();
    assert.deepEqual(delivery.intake.lines, lines);
    assert.equal(done.parked.since, null);
    assert.equal(delivery.siem.attempts.length, 3);
  });

  test("and whose outbox is full: what comes is owed, and the ledger makes it when the job is mended", async (context) => {
    const delivery = await Delivery.setUp(context, small, "https", { filter: COPIED });
    delivery.siem.fail({ times: Infinity, status: 401 });
    const batches = Array.from({ length: 12 }, (_, batch) => recordLines(batch * 20, 20));
    for (const lines of batches) await delivery.push(lines);
    const full = await delivery.untilJob("the queue to park", (job) => job.parked.records > 0);
    assert.ok(full.owed.batches >= 1, JSON.stringify(full));
    assert.ok(full.parked.bytes <= 20_000);
    assert.equal(full.parked.records + 20 * full.owed.batches, 240);
    delivery.siem.mend();
    await delivery.touch();
    const done = await delivery.untilDone(60_000);
    assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 0, delivered: 240 });
    assert.deepEqual([...delivery.intake.lines].sort(), batches.flat().sort());
  });
});
