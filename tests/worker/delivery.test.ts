// What becomes of records for every answer that a destination can give, from the batch to `/stats`. What the network does
// is in network.test.ts: here the harness stands between the Worker and the destination.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { changeStoredJob, COPIED, Delivery, KEY, placesOf, recordLines } from "../support/delivery.ts";
import { HEC_CODES, type Failure } from "../support/siem.ts";
import { TestWorker } from "../support/worker.ts";

let worker: TestWorker;
before(async () => {
  worker = await TestWorker.start({
    ALLOW_PRIVATE_DESTINATIONS: "true",
    RETRY_MAX_SECONDS: "1",
  });
});
after(async () => await worker.close());

type Kind = "https" | "splunk";
type Fate = "waits" | "parks" | "dies";

const status = (status: number, body?: string): Failure => ({ status, body });
const hec = (code: number): Failure => ({ hec: code });

const ANSWERS: readonly [Kind, Fate, readonly Failure[]][] = [
  ["https", "waits", [408, 425, 429, 500, 502, 503, 504].map((code) => status(code))],
  ["https", "parks", [301, 307, 401, 402, 403, 404, 405, 410, 415].map((code) => status(code))],
  ["https", "dies", [status(413), status(400, "Request body exceeds the maximum size"), status(400, "line 7 is no event"), status(409), status(422)]],
  ["splunk", "waits", [hec(8), hec(9), hec(18), hec(19), hec(20), hec(23), hec(26), hec(27), status(503), { status: 200, body: '{"text":"Server is busy","code":9}' }, status(204)]],
  ["splunk", "parks", [1, 2, 3, 4, 7, 10, 11, 14, 16, 21, 22].map(hec).concat(status(403), status(404))],
  ["splunk", "dies", [5, 6, 12, 13, 15].map(hec).concat(status(413), status(400, "no"))],
];

describe("an answer", { concurrency: 6 }, () => {
  for (const [kind, fate, failures] of ANSWERS) {
    for (const failure of failures) {
      const code = failure.hec === undefined ? failure.status : HEC_CODES[failure.hec]?.[0];
      const name = failure.hec === undefined ? `${failure.status} ${failure.body ?? ""}` : `code ${failure.hec}`;
      test(`of ${kind}: ${name.trim()}: what was pushed ${fate}`, async (context) => {
        const delivery = await Delivery.setUp(context, worker, kind, { filter: COPIED });
        const { siem } = delivery;
        siem.fail({ times: Infinity, ...failure });
        const [first, second] = [recordLines(0, 3), recordLines(3, 2)];
        await delivery.push(first);
        const held = {
          waits: ({ consecutive_failures }: any) => consecutive_failures >= 2,
          parks: ({ parked }: any) => parked.records === 3,
          dies: ({ dead }: any) => dead.records === 3,
        };
        const failed = await delivery.untilJob("the failure", held[fate]);
        const nothing = { waiting: 0, parked: 0, dead: 0, delivered: 0 };
        const where = { waits: "waiting", parks: "parked", dies: "dead" } as const;
        assert.deepEqual(placesOf(failed), { ...nothing, [where[fate]]: 3 });
        assert.match(failed.error_message, new RegExp(`^error ${code}: error pushing: error uploading to ${kind}: `));
        assert.equal(failed.selected.bytes, failed.waiting.bytes + failed.parked.bytes + failed.dead.bytes);
        if (fate === "dies") {
          // Each of them alone, so there is nothing left that could fail.
          assert.deepEqual([failed.failing_since, failed.consecutive_failures], [null, 0]);
          assert.deepEqual(await delivery.deadLines(), first);
        } else {
          assert.ok(failed.failing_since && failed.last_error);
          assert.ok(failed.consecutive_failures >= 1);
          assert.equal(failed.parked.since !== null, fate === "parks");
          // What comes meanwhile waits behind it.
          await delivery.push(second);
          assert.deepEqual(await delivery.places(), { ...nothing, [where[fate]]: 5 });
        }
        siem.mend();
        if (fate === "parks") {
          const mended = Date.now();
          await delivery.touch();
          await siem.waitFor(() => delivery.intake.pushes > 0, 10_000, "the push after the change");
          assert.ok(Date.now() - mended < 10_000, "a probe would come after 15 s at the earliest");
        }
        if (fate === "dies") await delivery.push(second);
        const job = await delivery.untilDone();
        const arrived = fate === "dies" ? second : [...first, ...second];
        assert.deepEqual(delivery.intake.lines, arrived);
        assert.deepEqual(placesOf(job), { ...nothing, delivered: arrived.length, dead: fate === "dies" ? 3 : 0 });
        assert.deepEqual([job.failing_since, job.consecutive_failures, job.last_error, job.error_message], [null, 0, null, null]);
        assert.equal(delivery.intake.repeats, 0);
        if (fate !== "dies") {
          const [pushed] = delivery.intake.pushIds.keys();
          assert.equal(siem.attempts[0]?.pushId, pushed, "the same push under the same id");
        }
      });
    }
  }
});

describe("a push that is too large", { concurrency: 3 }, () => {
  const whole = recordLines(0, 1_000);
  const bytes = Buffer.byteLength(`${whole.join("\n")}\n`);

  for (const [what, job] of [["copied", { filter: COPIED }], ["taken by reference", {}]] as const) {
    for (const kind of ["https", "splunk"] as const) {
      test(`${kind}, ${what}: is halved until it is taken, and the next one does not begin too large`, async (context) => {
        const delivery = await Delivery.setUp(context, worker, kind, job);
        delivery.siem.limits = { rawBytes: Math.floor(bytes / 10) };
        await delivery.push(whole);
        const done = await delivery.untilDone();
        assert.deepEqual(delivery.intake.lines, whole);
        assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 0, delivered: 1_000 });
        assert.equal(done.delivered.bytes, bytes);
        assert.equal(delivery.siem.attempts[0]?.rawBytes, bytes, "the first try was the whole");
        assert.equal(delivery.siem.refusals.length, 4, "a half, a quarter, an eighth is still too large");
        const more = recordLines(1_000, 1_000);
        await delivery.push(more);
        await delivery.untilDone();
        assert.deepEqual(delivery.intake.lines, [...whole, ...more]);
        assert.equal(delivery.siem.refusals.length, 4, "the size that works was remembered");
        assert.equal(delivery.intake.repeats, 0);
      });
    }

    test(`${what}: down to the one record that is too large alone, which is dead`, async (context) => {
      const delivery = await Delivery.setUp(context, worker, "https", job);
      delivery.siem.limits = { rawBytes: 10_000 };
      const lines = recordLines(0, 200, (number) => (number === 77 ? 20_000 : 100));
      await delivery.push(lines);
      const done = await delivery.untilDone();
      assert.deepEqual(delivery.intake.lines, lines.filter((_, index) => index !== 77));
      assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 1, delivered: 199 });
      assert.equal(done.dead.bytes, Buffer.byteLength(`${lines[77]}\n`));
      assert.deepEqual(await delivery.deadLines(), [lines[77]]);
      assert.equal(done.failing_since, null);
    });
  }

  test("by its number of records is cut by halves as well", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "splunk");
    delivery.siem.limits = { records: 100 };
    await delivery.push(whole);
    await delivery.untilDone();
    assert.deepEqual(delivery.intake.lines, whole);
    assert.ok(delivery.intake.pushRecords.every((records) => records <= 100));
  });

  for (const [name, failure] of [["413", status(413)], ["400", status(400)], ["422", status(422)]] as const) {
    test(`and is a batch of exactly one record by reference is dead after one ${name}, as its line and not as gzip`, async (context) => {
      const delivery = await Delivery.setUp(context, worker, "https");
      delivery.siem.fail({ ...failure, times: 1 });
      const [one, other] = [recordLines(0, 1), recordLines(1, 1)];
      await delivery.push(one);
      await delivery.untilJob("a dead letter", ({ dead }) => dead.records === 1);
      await delivery.push(other);
      const done = await delivery.untilDone();
      assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 1, delivered: 1 });
      assert.deepEqual(delivery.intake.lines, other);
      assert.deepEqual(await delivery.deadLines(), one);
    });
  }
});

describe("a record that the destination refuses", { concurrency: 3 }, () => {
  for (const [what, job] of [["copied", { filter: COPIED }], ["taken by reference", {}]] as const) {
    for (const kind of ["https", "splunk"] as const) {
      test(`${kind}, ${what}: is found among thousands, and all others are delivered in order`, async (context) => {
        const delivery = await Delivery.setUp(context, worker, kind, job);
        const lines = recordLines(0, 4_000);
        delivery.siem.limits = { refuses: (line) => line.includes('"r2718"') };
        await delivery.push(lines);
        const done = await delivery.untilDone();
        assert.deepEqual(delivery.intake.lines, lines.filter((_, index) => index !== 2_718));
        assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 1, delivered: 3_999 });
        assert.deepEqual(await delivery.deadLines(), [lines[2_718]]);
        const { attempts } = delivery.siem;
        assert.ok(attempts.length <= 60, `${attempts.length} requests: halving, and doubling again`);
        context.diagnostic(`${attempts.length} requests, ${delivery.siem.refusals.length} of them refused`);
      });
    }
  }

  test("several of them die alone, and a destination that refuses one after the other has something against the job", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    const lines = recordLines(0, 64);
    const isBad = (line: string) => Number(/"r(\d+)"/.exec(line)?.[1]) % 16 === 5;
    delivery.siem.limits = { refuses: isBad };
    await delivery.push(lines);
    await delivery.untilDone();
    assert.deepEqual(delivery.intake.lines, lines.filter((line) => !isBad(line)));
    assert.deepEqual(await delivery.deadLines(), lines.filter(isBad));
    delivery.siem.limits = { refuses: () => true };
    const refused = recordLines(100, 40);
    await delivery.push(refused);
    const parked = await delivery.untilJob("the queue to park", (job) => job.parked.records > 0);
    assert.deepEqual(placesOf(parked), { waiting: 0, parked: 20, dead: 24, delivered: 60 });
    delivery.siem.limits = {};
    await delivery.touch();
    const done = await delivery.untilDone();
    assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 24, delivered: 80 });
    assert.deepEqual(delivery.intake.lines.slice(60), refused.slice(20));
  });
});

describe("a destination that somebody has to mend", { concurrency: 4 }, () => {
  for (const kind of ["https", "splunk"] as const) {
    test(`${kind}: a rotated token parks the queue, and the job with the new one resumes at once`, async (context) => {
      const delivery = await Delivery.setUp(context, worker, kind, { filter: COPIED });
      const [first, second, third] = [recordLines(0, 5), recordLines(5, 5), recordLines(10, 5)];
      await delivery.push(first);
      await delivery.untilDone();
      const token = "5f0f0f9e-27b2-4c4c-8a6a-3a1c6e5b7d11";
      delivery.siem.rotate(token);
      await delivery.push(second);
      const parked = await delivery.untilJob("the queue to park", (job) => job.parked.records === 5);
      assert.ok(parked.parked.since);
      assert.match(parked.error_message, /^error 403: /);
      assert.ok(!parked.error_message.includes(KEY));
      await delivery.push(third);
      assert.deepEqual(await delivery.places(), { waiting: 0, parked: 10, dead: 0, delivered: 5 });
      const attempts = delivery.siem.attempts.length;
      const destination_conf = kind === "https" ? delivery.siem.plain(token) : delivery.siem.splunk(token);
      const mended = Date.now();
      await worker.changeJob(delivery.scope, delivery.id, { destination_conf });
      const done = await delivery.untilDone();
      const next = delivery.siem.attempts[attempts];
      assert.ok(next && next.atMillis - mended < 5_000, "at once, and not with the next probe");
      assert.deepEqual(placesOf(done), { waiting: 0, parked: 0, dead: 0, delivered: 15 });
      assert.equal(done.parked.since, null);
      assert.deepEqual(delivery.siem.intake(token).lines, [...second, ...third]);
    });
  }

  test("a secret that is not set parks with that reason, and sends nothing", async (context) => {
    const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
    await changeStoredJob(worker, delivery.id, { destination_conf: delivery.siem.plain("${secret:NOBODY_SET_THIS}") });
    const lines = recordLines(0, 4);
    await delivery.push(lines);
    const parked = await delivery.untilJob("the queue to park", (job) => job.parked.records === 4);
    assert.match(parked.error_message, /^error 1108: error pushing: destination_conf: .*NOBODY_SET_THIS/);
    assert.equal(delivery.siem.attempts.length, 0);
    await worker.changeJob(delivery.scope, delivery.id, { destination_conf: delivery.siem.plain(KEY) });
    await delivery.untilDone();
    assert.deepEqual(delivery.intake.lines, lines);
  });
});

describe("Retry-After", { concurrency: 3 }, () => {
  const asked = 4;
  for (const [form, header] of [
    ["in seconds", () => String(asked)],
    // A date has whole seconds only, so it may ask for up to one second less.
    ["as a date", () => new Date(Date.now() + (asked + 1) * 1_000).toUTCString()],
  ] as const) {
    for (const code of [429, 503]) {
      test(`of a ${code} ${form} is kept`, async (context) => {
        const delivery = await Delivery.setUp(context, worker, "https", { filter: COPIED });
        delivery.siem.fail({ status: code, headers: { "Retry-After": header() } });
        const lines = recordLines(0, 2);
        await delivery.push(lines);
        await delivery.untilDone();
        const [first, second] = delivery.siem.attempts;
        const waited = (second?.atMillis ?? 0) - (first?.atMillis ?? 0);
        assert.ok(waited >= asked * 1_000 - 300, `${waited} ms`);
        assert.ok(waited < asked * 1_000 + 5_000, `${waited} ms`);
        assert.equal(delivery.siem.attempts.length, 2);
        assert.deepEqual(delivery.intake.lines, lines);
      });
    }
  }
});
