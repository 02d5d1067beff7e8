// Splunk's collector beyond a POST: events in envelopes, indexer acknowledgement, and a collector near its capacity.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { Collector, hec } from "../support/collector.ts";
import { COPIED, DATASET, Delivery, placesOf, recordLines } from "../support/delivery.ts";
import { WorkerProcess } from "../support/process.ts";
import { Siem } from "../support/siem.ts";
import { Client, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const TOKEN = "0b5ecf3a-6d3f-4d7c-9a53-8a1f5c1de2a7";
const CHANNEL = "channel=6b1f5f4c-6a0f-4a2f-9a54-0e6a4d1f7c11";
const EVENT = "/services/collector/event";
const VARS = { ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1", ACK_POLL_SECONDS: "1", ACK_DEADLINE_SECONDS: "2" };

let worker: TestWorker;
let siem: Siem;
before(async () => {
  worker = await TestWorker.start(VARS);
  siem = await Siem.start();
});
after(async () => {
  await worker?.close();
  await siem?.close();
});

async function collector(context: TestContext, acknowledges = false): Promise<Collector> {
  const started = await new Collector({ token: TOKEN, acknowledges }).listen();
  context.after(async () => await started.close());
  return started;
}

async function job(client: Client, destination_conf: string, more: Record<string, unknown> = {}): Promise<Delivery> {
  const scope = freshScope();
  const { id } = await client.createJob(scope, { name: "job", dataset: DATASET, destination_conf, ...more });
  return new Delivery(client, siem, scope, id);
}

const all = (records: number) => ({ waiting: 0, parked: 0, dead: 0, delivered: records });

describe("events in envelopes", { concurrency: 4 }, () => {
  for (const [what, more] of [["copied", { filter: COPIED }], ["of a job that takes everything", {}]] as const) {
    test(`${what}: each record verbatim, with its own time and what the string says of it`, async (context) => {
      const splunk = await collector(context);
      const delivery = await job(worker, splunk.conf(`${CHANNEL}&sourcetype=cloudflare:json&source=logpush&host=edge&index=main`, EVENT), more);
      assert.equal(splunk.tests, 1);
      const lines = recordLines(0, 2_000);
      await delivery.push(lines);
      assert.deepEqual(placesOf(await delivery.untilDone()), all(2_000));
      const expected = lines.map((line) => {
        const event = JSON.parse(line);
        return { time: event.EdgeStartTimestamp, host: "edge", source: "logpush", sourcetype: "cloudflare:json", index: "main", event };
      });
      assert.deepEqual(splunk.events, expected);
      const [pushed] = splunk.pushes;
      assert.ok(pushed?.body?.toString().includes(`"event":${lines[0]}}\n`), "not a byte of it was changed");
      assert.deepEqual([...(pushed?.query ?? [])], [CHANNEL.split("=")]);
    });
  }

  test("what a job writes out as CSV is a string", async (context) => {
    const splunk = await collector(context);
    const output_options = { output_type: "csv", field_names: ["RayID", "EdgeResponseStatus"] };
    const delivery = await job(worker, splunk.conf("sourcetype=csv", EVENT), { output_options });
    await delivery.push(recordLines(0, 2));
    await delivery.untilDone();
    assert.deepEqual(splunk.events, [0, 1].map((n) => ({ sourcetype: "csv", event: `"r${n}",500` })));
  });

  test("an index that the token may not write to is refused when the job is made", async (context) => {
    const splunk = await collector(context);
    const { status, json } = await worker.api("POST", `${freshScope()}/logpush/jobs`, { dataset: DATASET, destination_conf: splunk.conf("index=secret", EVENT) });
    assert.equal(status, 400);
    assert.match(JSON.stringify(json), /error 400: error pushing: error uploading to splunk: 400 .*Incorrect index/);
  });
});

test("a collector near its capacity has what it took, once, and gets the next push a little later", async (context) => {
  const splunk = await collector(context);
  splunk.successCode = 24;
  const delivery = await job(worker, splunk.conf(CHANNEL), { filter: COPIED });
  const [first, second] = [recordLines(0, 3), recordLines(3, 3)];
  await delivery.push(first);
  await delivery.untilDone();
  await delivery.push(second);
  assert.deepEqual(placesOf(await delivery.untilDone()), all(6));
  assert.deepEqual(splunk.lines, [...first, ...second]);
  const [one, two] = splunk.pushes;
  assert.ok((two?.atMillis ?? 0) - (one?.atMillis ?? 0) >= 900, "RETRY_MAX_SECONDS bounds the wait");
});

describe("with ack=true", { concurrency: 6 }, () => {
  test("what was taken waits until it is indexed, is sent once, and what comes behind keeps its place", async (context) => {
    const splunk = await collector(context, true);
    splunk.fate = "held";
    const delivery = await job(worker, splunk.conf(`${CHANNEL}&ack=true`), { filter: COPIED });
    const [first, second] = [recordLines(0, 3), recordLines(3, 2)];
    await delivery.push(first);
    await splunk.waitFor(() => splunk.questions.length > 0, 10_000, "a question");
    await delivery.push(second);
    const held = await delivery.job();
    assert.deepEqual(placesOf(held), { waiting: 5, parked: 0, dead: 0, delivered: 0 });
    assert.equal(held.waiting.unacknowledged, 3);
    assert.ok(held.waiting.taken_at);
    assert.equal(splunk.pushes.length, 1);
    splunk.release();
    const done = await delivery.untilDone();
    assert.deepEqual(placesOf(done), all(5));
    assert.deepEqual([done.waiting.unacknowledged, done.waiting.taken_at, done.consecutive_failures], [0, null, 0]);
    assert.deepEqual(splunk.lines, [...first, ...second]);
    assert.equal(splunk.pushes.length, 2);
    assert.equal(splunk.questions[0]?.channel, CHANNEL.split("=")[1]);
    assert.equal(splunk.pushes[0]?.query.has("ack"), false, "ack is not the collector's");
  });

  test("what is never acknowledged counts as failed and is sent again under its id", async (context) => {
    const splunk = await collector(context, true);
    splunk.fate = "dropped";
    const delivery = await job(worker, splunk.conf(`${CHANNEL}&ack=true`, EVENT), { filter: COPIED });
    const lines = recordLines(0, 4);
    await delivery.push(lines);
    const failed = await delivery.untilJob("the failure", ({ consecutive_failures }) => consecutive_failures > 0);
    assert.match(failed.error_message, /^error 1109: error pushing: taken, but not acknowledged within 2 s: sent again/);
    assert.ok(failed.failing_since);
    assert.equal(failed.delivered.records, 0);
    splunk.fate = "indexed";
    assert.deepEqual(placesOf(await delivery.untilDone()), all(4));
    assert.deepEqual(splunk.events.map(({ event }) => JSON.stringify(event)), lines);
    assert.ok(splunk.pushes.length >= 2);
    assert.equal(new Set(splunk.pushes.map(({ pushId }) => pushId)).size, 1);
  });

  test("questions that fail are asked again, and nothing is sent meanwhile", async (context) => {
    const splunk = await collector(context, true);
    splunk.ackFault = { status: 503, body: "restarting" };
    const delivery = await job(worker, splunk.conf(`${CHANNEL}&ack=true`), { filter: COPIED });
    const lines = recordLines(0, 2);
    await delivery.push(lines);
    const failed = await delivery.untilJob("a failed question", ({ consecutive_failures }) => consecutive_failures > 0);
    assert.match(failed.error_message, /^error (503|1109): /);
    splunk.ackFault = undefined;
    assert.deepEqual(placesOf(await delivery.untilDone()), all(2));
    assert.deepEqual(new Set(splunk.lines), new Set(lines));
  });

  test("a token without acknowledgement is refused when the job is made, and parks the queue when it comes later", async (context) => {
    const splunk = await collector(context);
    const destination_conf = splunk.conf(`${CHANNEL}&ack=true`);
    const refused = await worker.api("POST", `${freshScope()}/logpush/jobs`, { dataset: DATASET, destination_conf });
    assert.equal(refused.status, 400);
    assert.match(JSON.stringify(refused.json), /ack=true, but the answer has no ackId; enable indexer acknowledgement for the token, or set ack=false/);
    splunk.acknowledges = true;
    const delivery = await job(worker, destination_conf, { filter: COPIED });
    splunk.ackFault = hec(14);
    const lines = recordLines(0, 3);
    await delivery.push(lines);
    const parked = await delivery.untilJob("the queue to park", (one) => one.parked.records === 3);
    assert.match(parked.error_message, /ACK is disabled/);
    splunk.ackFault = undefined;
    await delivery.touch();
    assert.deepEqual(placesOf(await delivery.untilDone()), all(3));
  });

  test("a token that wants a channel is refused without one", async (context) => {
    const splunk = await collector(context, true);
    const { json } = await worker.api("POST", `${freshScope()}/logpush/jobs`, { dataset: DATASET, destination_conf: splunk.conf("sourcetype=a") });
    assert.match(JSON.stringify(json), /Data channel is missing/);
  });

  test("a job that is deleted meanwhile owes nothing: what waited is discarded, and nobody asks any more", async (context) => {
    const splunk = await collector(context, true);
    splunk.fate = "held";
    const delivery = await job(worker, splunk.conf(`${CHANNEL}&ack=true`), { filter: COPIED });
    await delivery.push(recordLines(0, 3));
    await splunk.waitFor(() => splunk.questions.length > 0, 10_000, "a question");
    await worker.deleteJob(delivery.scope, delivery.id);
    const gone = await delivery.untilJob("the end", ({ discarded }) => discarded.records === 3);
    assert.equal(gone.waiting.unacknowledged, 0);
    assert.equal(splunk.pushes.length, 1);
  });

  test("a job that got another destination meanwhile is sent there", async (context) => {
    const [old, splunk] = [await collector(context, true), await collector(context, true)];
    old.fate = "held";
    const delivery = await job(worker, old.conf(`${CHANNEL}&ack=true`), { filter: COPIED });
    const lines = recordLines(0, 3);
    await delivery.push(lines);
    await old.waitFor(() => old.questions.length > 0, 10_000, "a question");
    await worker.changeJob(delivery.scope, delivery.id, { destination_conf: splunk.conf(`${CHANNEL}&ack=true`) });
    assert.deepEqual(placesOf(await delivery.untilDone()), all(3));
    assert.deepEqual(splunk.lines, lines);
    assert.equal(splunk.pushes[0]?.pushId, old.pushes[0]?.pushId, "the same push under the same id");
  });
});

test("a Worker that dies while an acknowledgement is owed asks for it when it is back, and sends nothing again", async (context) => {
  const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-ack-"));
  context.after(() => rmSync(persistDir, { recursive: true, force: true }));
  const splunk = await collector(context, true);
  splunk.fate = "held";
  const vars = { ...SECRETS, ...VARS, ACK_DEADLINE_SECONDS: "300", PUSH_DEADLINE_SECONDS: "1" };
  let running = await WorkerProcess.start({ persistDir, vars });
  context.after(async () => await running.kill9());
  const before = await job(new Client(running.url), splunk.conf(`${CHANNEL}&ack=true`), { filter: COPIED });
  const lines = recordLines(0, 3);
  await before.push(lines);
  await splunk.waitFor(() => splunk.questions.length > 0, 20_000, "a question");
  await before.untilJob("the acknowledgement that is owed", ({ waiting }) => waiting.unacknowledged === 3);
  await running.kill9();
  splunk.release();
  running = await WorkerProcess.start({ persistDir, vars });
  const delivery = new Delivery(new Client(running.url), siem, before.scope, before.id);
  assert.deepEqual(placesOf(await delivery.untilDone()), all(3));
  assert.deepEqual(splunk.lines, lines);
  assert.equal(splunk.pushes.length, 1);
});
