// What the network does to a push: the Worker speaks to its destinations by itself here, in a process of its own.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { CERTIFICATE_FILE, changeJobOnDisk, COPIED, Delivery, KEY, placesOf, recordLines, untrusted } from "../support/delivery.ts";
import { WorkerProcess } from "../support/process.ts";
import { Siem } from "../support/siem.ts";
import { Client, SECRETS } from "../support/worker.ts";

/** No longer than the three seconds that the body of an answer is waited for. */
const DEADLINE_SECONDS = 3;

const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-network-"));
let running: WorkerProcess;
let worker: Client;

async function start(env: Record<string, string> = {}): Promise<void> {
  const vars = { ...SECRETS, ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1", PUSH_DEADLINE_SECONDS: String(DEADLINE_SECONDS) };
  running = await WorkerProcess.start({ persistDir, vars, env });
  worker = new Client(running.url);
}

const trusting = { NODE_EXTRA_CA_CERTS: CERTIFICATE_FILE };
before(async () => await start(trusting));
after(async () => {
  await running?.kill9();
  rmSync(persistDir, { recursive: true, force: true });
});

describe("an answer that does not end well", { concurrency: 4 }, () => {
  for (const [what, failure] of [["never ends", { endless: true }], ["breaks off in the middle", { cut: true }]] as const) {
    for (const kind of ["https", "splunk"] as const) {
      test(`${kind}: a 200 whose body ${what} is a 200: nothing is pushed again, and nothing is held up`, async (context) => {
        const delivery = await Delivery.setUp(context, worker, kind, { filter: COPIED });
        delivery.siem.fail(failure);
        const [first, second] = [recordLines(0, 3), recordLines(3, 3)];
        await delivery.push(first);
        await delivery.untilJob("the first push", (job) => job.delivered.records === 3);
        await delivery.push(second);
        const done = await delivery.untilDone();
        assert.deepEqual(delivery.intake.lines, [...first, ...second]);
        assert.deepEqual([delivery.siem.attempts.length, delivery.intake.repeats, done.error_message], [2, 0, null]);
      });
    }

    test(`a 503 whose body ${what} is a 503: tried again under the same id`, async (context) => {
      const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
      delivery.siem.fail({ ...failure, status: 503, body: "not now" });
      const lines = recordLines(0, 3);
      await delivery.push(lines);
      const failed = await delivery.untilJob("the failure", (job) => job.consecutive_failures === 1 || job.delivered.records === 3);
      if (failed.error_message !== null) assert.match(failed.error_message, /^error 503: /);
      await delivery.untilDone();
      const [first, second] = delivery.siem.attempts;
      assert.deepEqual(delivery.intake.lines, lines);
      assert.equal(delivery.siem.attempts.length, 2);
      assert.equal(first?.pushId, second?.pushId);
    });
  }

  test("a status that comes in time counts, however long its body takes beyond the deadline", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    delivery.siem.fail({ delayMillis: (DEADLINE_SECONDS * 1_000) / 2, endless: true });
    const lines = recordLines(0, 3);
    await delivery.push(lines);
    await delivery.untilDone();
    assert.deepEqual(delivery.intake.lines, lines);
    assert.equal(delivery.siem.attempts.length, 1);
  });

  test("that asks a proxy for credentials parks the queue like other refusals", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    delivery.siem.fail({ status: 407, times: Infinity });
    await delivery.push(recordLines(0, 3));
    const parked = await delivery.untilJob("the queue to park", (job) => job.parked.records === 3);
    assert.match(parked.error_message, /^error 407: /);
  });

  test("none within the deadline: pushed again under the same id", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    delivery.siem.fail({ hang: true, times: 2 });
    const lines = recordLines(0, 3);
    await delivery.push(lines);
    const failed = await delivery.untilJob("the deadline", (job) => job.consecutive_failures === 1);
    assert.equal(failed.error_message, `error 1106: error pushing: no answer within ${DEADLINE_SECONDS} s`);
    assert.deepEqual(placesOf(failed), { waiting: 3, parked: 0, dead: 0, delivered: 0 });
    await delivery.untilDone();
    const [first, second, third] = delivery.siem.attempts;
    assert.deepEqual(new Set([first?.pushId, second?.pushId, third?.pushId]).size, 1);
    const waited = (second?.atMillis ?? 0) - (first?.atMillis ?? 0);
    assert.ok(waited >= DEADLINE_SECONDS * 1_000 - 100, `${waited} ms`);
    assert.deepEqual(delivery.intake.lines, lines);
  });

  test("a connection that breaks before the answer: pushed again under the same id, and the reason shown", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "splunk", { filter: COPIED });
    delivery.siem.fail({ reset: "before", times: 3 });
    const lines = recordLines(0, 3);
    await delivery.push(lines);
    const failed = await delivery.untilJob("a failure", (job) => job.consecutive_failures >= 1);
    assert.match(failed.error_message, /^error 1104: error pushing: error uploading to splunk: /);
    await delivery.untilDone();
    assert.equal(new Set(delivery.siem.attempts.map(({ pushId }) => pushId)).size, 1);
    assert.deepEqual(delivery.intake.lines, lines);
  });

  for (const [what, failure] of [["never comes", { hang: "after" }], ["is lost", { reset: "after" }]] as const) {
    test(`for a push that was taken ${what}: it comes again under the same id, so that the receiver can tell`, async (context) => {
      const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
      delivery.siem.fail(failure);
      const lines = recordLines(0, 3);
      await delivery.push(lines);
      const done = await delivery.untilDone();
      assert.deepEqual(delivery.intake.lines, [...lines, ...lines]);
      assert.deepEqual([delivery.intake.pushes, delivery.intake.repeats, delivery.intake.tallyOnce.records], [2, 1, 3]);
      assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 0, delivered: 3 });
    });
  }
});

describe("a destination that can not be reached", () => {
  /** What is wrong with it, where the job leads then, and the reason that `/stats` must show. */
  const CASES: readonly [string, (delivery: Delivery, secure: Siem) => string, RegExp][] = [
    ["nobody vouches for its certificate", (_, secure) => secure.plain(KEY), /^error 11\d\d: error pushing: error uploading to https: ./],
    ["it speaks no TLS", ({ siem }) => siem.plain(KEY).replace("http://", "https://"), /^error 11\d\d: error pushing: error uploading to https: ./],
    ["its name does not exist", () => `https://nosuch.invalid/in?header_X-SEKOIAIO-INTAKE-KEY=${KEY}`, /^error 11\d\d: error pushing: ./],
    ["nobody listens", () => `http://127.0.0.1:9/in?header_X-SEKOIAIO-INTAKE-KEY=${KEY}`, /^error 110[34]: error pushing: error uploading to https: ./],
  ];

  test("is tried again and again while the queue is kept, and a job that leads elsewhere delivers everything", async (context: TestContext) => {
    const secure = await Siem.start({ intakeKeys: [KEY], tls: untrusted() });
    context.after(async () => await secure.close());
    const overTls = await Delivery.setUp(context, worker, "https", { filter: COPIED, destination_conf: secure.plain(KEY) });
    const first = recordLines(0, 3);
    await overTls.push(first);
    await overTls.untilDone();
    assert.deepEqual(secure.intake(KEY).lines, first, "while the certificate is trusted, TLS works");
    const deliveries: Delivery[] = [];
    for (const _ of CASES) deliveries.push(await Delivery.setUp(context, worker, "https", { filter: COPIED }));
    await running.stop();
    for (const [index, [, destination]] of CASES.entries()) {
      const delivery = deliveries[index] as Delivery;
      changeJobOnDisk(persistDir, delivery.id, { destination_conf: destination(delivery, secure) });
    }
    await start();
    const lines = recordLines(10, 6);
    for (const [index, [what, , reason]] of CASES.entries()) {
      const before = deliveries[index] as Delivery;
      const delivery = new Delivery(worker, before.siem, before.scope, before.id);
      deliveries[index] = delivery;
      await delivery.push(lines.slice(0, 3));
      const failed = await delivery.untilJob(`a second failure because ${what}`, (job) => job.consecutive_failures >= 2);
      context.diagnostic(`${what}: ${failed.error_message}`);
      assert.deepEqual(placesOf(failed), { waiting: 3, parked: 0, dead: 0, delivered: 0 }, what);
      assert.match(failed.error_message, reason, what);
      assert.ok(!failed.error_message.includes(KEY), what);
      assert.ok(failed.failing_since && failed.enabled, what);
      await delivery.push(lines.slice(3));
      assert.deepEqual(await delivery.places(), { waiting: 6, parked: 0, dead: 0, delivered: 0 }, what);
      assert.equal(delivery.siem.attempts.length, 0, what);
    }
    assert.deepEqual(secure.intake(KEY).lines, first, "nothing was sent to whom nobody vouches for");
    for (const delivery of deliveries) {
      await worker.changeJob(delivery.scope, delivery.id, { destination_conf: delivery.siem.plain(KEY) });
      const done = await delivery.untilDone();
      assert.deepEqual(delivery.intake.lines, lines);
      assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 0, delivered: 6 });
    }
  });
});
