// Jobs whose destination is a Cloudflare Queue, with the consumer of docs/destinations.md behind it, word for word.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { changeStoredJob, COPIED, DATASET, Delivery, placesOf, recordLines } from "../support/delivery.ts";
import { configWith, eventually, freshScope, TestWorker } from "../support/worker.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const NOTHING = { waiting: 0, parked: 0, dead: 0, delivered: 0 };
/** What Cloudflare says of a message: 128 KB of 1,000 bytes, with some 100 of its own. */
const MESSAGE_MAX_BYTES = 128_000 - 100;

/** Beside the example: a queue whose `sendBatch` fails at times, and a note of all messages that came to it. */
const FLAKY = `
import { WorkerEntrypoint } from "cloudflare:workers";
export { default } from "./example.mjs";
let calls = 0;
export class Flaky extends WorkerEntrypoint {
  async sendBatch(messages) {
    calls += 1;
    // The first one is the test message. Twice a push breaks off in its middle.
    if (calls === 4 || calls === 6) throw new Error("Queue is overloaded (10250)");
    await this.env.QUEUE.sendBatch(messages);
    await this.env.STORE.put("calls/" + String(calls).padStart(3, "0"), messages.map(({ body }) => body.split("\\n")[0]).join("\\n"));
  }
}
`;

/** The consumer that the documentation shows. */
function example(): string {
  const text = readFileSync(join(root, "docs/destinations.md"), "utf8");
  const section = text.slice(text.indexOf("## Cloudflare Queue"));
  const code = /```js\n(.*?)```/s.exec(section)?.[1];
  assert.ok(code, "docs/destinations.md has an example of a consumer");
  return code;
}

const dir = mkdtempSync(join(tmpdir(), "logpush-edge-queue-"));
let worker: TestWorker;
before(async () => {
  const consumer = join(dir, "consumer");
  mkdirSync(consumer);
  writeFileSync(join(consumer, "example.mjs"), example());
  writeFileSync(join(consumer, "index.mjs"), FLAKY);
  const consumerConfig = join(consumer, "wrangler.toml");
  writeFileSync(consumerConfig, `
name = "consumer"
main = "index.mjs"
compatibility_date = "2026-07-01"
[[r2_buckets]]
binding = "STORE"
bucket_name = "store"
[[queues.producers]]
binding = "QUEUE"
queue = "logs"
[[queues.consumers]]
queue = "logs"
max_batch_size = 10
max_batch_timeout = 0
`);
  const config = configWith(dir, `
[[queues.producers]]
binding = "LOGS"
queue = "logs"
[[services]]
binding = "FLAKY"
service = "consumer"
entrypoint = "Flaky"
`);
  worker = await TestWorker.start({ RETRY_MAX_SECONDS: "1", PROBE_MAX_SECONDS: "1" }, config, [consumerConfig]);
});
after(async () => {
  await worker?.close();
  rmSync(dir, { recursive: true, force: true });
});

async function setUp(binding: string, job: Record<string, unknown> = {}): Promise<Delivery> {
  const scope = freshScope();
  const { id } = await worker.createJob(scope, { name: "queue", dataset: DATASET, destination_conf: `queue://${binding}`, filter: COPIED, ...job });
  // A SIEM is what the class speaks of; there is none here.
  return new Delivery(worker, undefined as never, scope, id);
}

/** What the example has stored: for each push its records, in the order of its messages. */
async function stored(): Promise<Map<string, string[]>> {
  const { STORE } = await worker.bindingsOf("consumer");
  const pushes = new Map<string, [number, string[]][]>();
  for (const { key } of (await STORE.list()).objects) {
    const [push = "", rest = ""] = key.split("/");
    if (push === "calls") continue;
    const text = await (await STORE.get(key)).text();
    const messages = pushes.get(push) ?? [];
    pushes.set(push, [...messages, [Number.parseInt(rest), text.split("\n")]]);
  }
  return new Map([...pushes].map(([push, messages]) => [push, messages.toSorted(([a], [b]) => a - b).flatMap(([, lines]) => lines)]));
}

/** Records of which one begins so, as far as they have come. */
async function until(count: number, first: string): Promise<string[]> {
  const pick = async () => [...(await stored()).values()].filter((lines) => lines.some((line) => line.includes(first))).flat();
  return await eventually(`${count} records in the consumer's store`, async () => {
    const lines = await pick();
    return lines.length >= count ? lines : undefined;
  });
}

describe("a job with a queue", () => {
  test("brings every record to the consumer once, byte for byte", async () => {
    const delivery = await setUp("LOGS");
    const lines = [...recordLines(100_000, 3), '{"RayID":"r100003 ü€😀","EdgeStartTimestamp":1782900009007199254740993,"EdgeResponseStatus":500}'];
    await delivery.push(lines);
    const done = await delivery.untilDone();
    assert.deepEqual(placesOf(done), { ...NOTHING, delivered: 4 });
    assert.deepEqual(await until(4, '"r100000"'), lines);
    assert.ok(![...(await stored()).values()].flat().some((line) => line.includes('"content"')), "the test message is left out");
  });

  test("sends an archived batch as messages that the platform takes", async () => {
    const delivery = await setUp("LOGS", { filter: undefined });
    const lines = recordLines(200_000, 6_000, (number) => 300 + (number % 97));
    await delivery.push(lines);
    const done = await delivery.untilDone();
    assert.deepEqual(placesOf(done), { ...NOTHING, delivered: lines.length });
    assert.deepEqual((await until(lines.length, "")).filter((line) => line.includes('"r20')), lines);
  });

  test("sends a push again that broke off in its middle: the same messages under the same numbers", async () => {
    const delivery = await setUp("FLAKY");
    const lines = recordLines(300_000, 3_000, (number) => 300 + (number % 97));
    await delivery.push(lines);
    const failed = await delivery.untilJob("the failure", (job) => job.consecutive_failures >= 1);
    assert.equal(failed.error_message, "error 10250: error pushing: error uploading to queue: 10250 Queue is overloaded (10250)");
    assert.deepEqual(placesOf(failed), { ...NOTHING, waiting: lines.length });
    const done = await delivery.untilDone();
    assert.deepEqual(placesOf(done), { ...NOTHING, delivered: lines.length });
    assert.deepEqual(await until(lines.length, '"r300000"'), lines, "once, for a consumer that goes by push and sequence");
    const { STORE } = await worker.bindingsOf("consumer");
    const heads: any[] = [];
    for (const { key } of (await STORE.list({ prefix: "calls/" })).objects) {
      for (const line of (await (await STORE.get(key)).text()).split("\n")) heads.push(JSON.parse(line));
    }
    const [first, ...pushed] = heads;
    assert.deepEqual([first.test, first.messages, first.records], [true, 1, 1]);
    const total = pushed[0].messages;
    assert.equal(new Set(pushed.map(({ push }) => push)).size, 1);
    assert.ok(pushed.length > total, "some came again");
    for (let sequence = 0; sequence < total; sequence += 1) {
      const same = new Set(pushed.filter((head) => head.sequence === sequence).map((head) => JSON.stringify(head)));
      assert.equal(same.size, 1, `message ${sequence}`);
    }
    const last = pushed.slice(-total);
    assert.deepEqual(last.map(({ sequence }) => sequence), Array.from({ length: total }, (_, n) => n));
    assert.equal(last.reduce((sum, { records }) => sum + records, 0), lines.length);
    assert.deepEqual([last[0].job, last[0].dataset, last[0].test], [delivery.id, DATASET, undefined]);
  });

  test("makes a dead letter of a record that fits into no message, and of nothing else", async () => {
    const delivery = await setUp("LOGS");
    const lines = recordLines(400_000, 50, (number) => (number === 400_033 ? MESSAGE_MAX_BYTES : 100));
    await delivery.push(lines);
    const done = await delivery.untilDone();
    assert.deepEqual(placesOf(done), { ...NOTHING, delivered: 49, dead: 1 });
    const { json } = await worker.api("GET", `${delivery.scope}/logpush/jobs/${delivery.id}/dead-letters`);
    assert.match(json.result[0].reason, /^error 413: error pushing: error uploading to queue: a record of \d+ bytes fits into no message/);
    const arrived = (await until(49, '"r4000')).toSorted();
    assert.deepEqual(arrived, lines.filter((_, number) => number !== 33));
  });

  test("is refused when there is no such queue, with what to do", async () => {
    for (const [binding, advice] of [
      ["NOBODY", /this Worker has no binding NOBODY: add \[\[queues\.producers\]\] with binding = "NOBODY" to wrangler\.toml and deploy/],
      ["ARCHIVE", /the binding ARCHIVE is no queue/],
      ["API_TOKEN", /the binding API_TOKEN is no queue/],
    ] as const) {
      const body = { name: "x", dataset: DATASET, enabled: true, destination_conf: `queue://${binding}` };
      const { status, json } = await worker.api("POST", `${freshScope()}/logpush/jobs`, body);
      assert.equal(status, 400);
      assert.match(json.errors[0].message, advice);
    }
  });

  test("parks its queue when the binding goes, and goes on when it is there again", async () => {
    const delivery = await setUp("LOGS");
    await changeStoredJob(worker, delivery.id, { destination_conf: "queue://GONE" });
    const lines = recordLines(500_000, 3);
    await delivery.push(lines);
    const parked = await delivery.untilJob("the queue to park", (job) => job.parked.records === 3);
    assert.match(parked.error_message, /^error 1108: error pushing: this Worker has no binding GONE/);
    await worker.changeJob(delivery.scope, delivery.id, { destination_conf: "queue://LOGS" });
    await delivery.untilDone();
    assert.deepEqual(await until(3, '"r500000"'), lines);
  });
});
