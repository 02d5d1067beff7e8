// Jobs whose destination is a WebSocket, against a real server of the most used library.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { WebSocketServer } from "ws";
import { COPIED, DATASET, Delivery, KEY, placesOf, recordLines } from "../support/delivery.ts";
import { WorkerProcess } from "../support/process.ts";
import { SocketReceiver, type SocketFailure } from "../support/socket.ts";
import { Client, eventually, freshScope, SECRETS } from "../support/worker.ts";

const DEADLINE_SECONDS = 3;
const NOTHING = { waiting: 0, parked: 0, dead: 0, delivered: 0 };

const persistDir = mkdtempSync(join(tmpdir(), "logpush-edge-socket-"));
let running: WorkerProcess;
let worker: Client;
before(async () => {
  const vars = { ...SECRETS, ALLOW_PRIVATE_DESTINATIONS: "true", RETRY_MAX_SECONDS: "1", PUSH_DEADLINE_SECONDS: String(DEADLINE_SECONDS), SOCKET_TOKEN: KEY };
  running = await WorkerProcess.start({ persistDir, vars });
  worker = new Client(running.url);
});
after(async () => {
  await running?.kill9();
  rmSync(persistDir, { recursive: true, force: true });
});

class Socketed extends Delivery {
  readonly receiver: SocketReceiver;

  constructor(receiver: SocketReceiver, scope: string, id: number) {
    // A SIEM is what the base class speaks of; its records are not looked at here.
    super(worker, undefined as never, scope, id);
    this.receiver = receiver;
  }

  static async open(context: TestContext, settings = "", job: Record<string, unknown> = {}, maxPayload?: number): Promise<Socketed> {
    const receiver = await SocketReceiver.start(KEY, maxPayload);
    context.after(async () => await receiver.close());
    const scope = freshScope();
    const { id } = await worker.createJob(scope, { name: "socket", dataset: DATASET, destination_conf: receiver.destination(settings), filter: COPIED, ...job });
    return new Socketed(receiver, scope, id);
  }
}

describe("a job with a WebSocket", { concurrency: 4 }, () => {
  test("is tried out when it is stored, with a frame like every other record", async (context) => {
    const { receiver } = await Socketed.open(context, "&ack=true");
    const [one] = receiver.tests;
    assert.equal(receiver.tests.length, 1);
    assert.deepEqual(one?.frames.slice(0, 1), ['{"content":"tests"}']);
    assert.deepEqual(JSON.parse(String(one?.frames[1])), { push: one?.pushId, frames: 1 });
  });

  test("gets one text frame a record, byte for byte, behind a handshake with its headers and the id", async (context) => {
    const delivery = await Socketed.open(context);
    const lines = [...recordLines(0, 3), '{"RayID":"ü€😀","EdgeStartTimestamp":1782900009007199254740993,"EdgeResponseStatus":500}'];
    await delivery.push(lines);
    const done = await delivery.untilDone();
    const { conversations } = delivery.receiver;
    assert.deepEqual(conversations.map(({ frames }) => frames), [lines]);
    assert.deepEqual(placesOf(done), { ...NOTHING, delivered: 4 });
    const [{ path, headers, closeCode }] = conversations as [(typeof conversations)[0]];
    assert.deepEqual([path, closeCode], ["/logs?source=edge", 1000]);
    assert.equal(headers.authorization, `Bearer ${KEY}`);
    assert.match(String(headers["x-logpush-push-id"]), /^[0-9a-f]{32}$/);
    assert.match(String(headers["user-agent"]), /^logpush-edge\//);
    assert.equal(headers["content-encoding"], undefined);
  });

  test("gets an archived batch inflated, in pushes that fit into memory", async (context) => {
    const delivery = await Socketed.open(context, "&ack=true", { filter: undefined });
    const lines = recordLines(0, 12_000, (number) => 500 + (number % 7));
    await delivery.push(lines);
    const done = await delivery.untilDone(60_000);
    assert.deepEqual(delivery.receiver.records, lines);
    assert.deepEqual(placesOf(done), { ...NOTHING, delivered: lines.length });
    const largest = Math.max(...delivery.receiver.conversations.map(({ frames }) => Buffer.byteLength(frames.join("\n"))));
    assert.ok(largest <= 4_000_000, `${largest} bytes in one push`);
  });

  test("frame=push: gets a frame a push, as it would be the body of a request", async (context) => {
    const options = { batch_prefix: "[", batch_suffix: "]", record_delimiter: ",", field_names: ["RayID"] };
    const delivery = await Socketed.open(context, "&frame=push", { output_options: options });
    await delivery.push(recordLines(0, 3));
    await delivery.untilDone();
    const { records } = delivery.receiver;
    assert.equal(records.length, 1);
    assert.deepEqual(JSON.parse(String(records[0])), [{ RayID: "r0" }, { RayID: "r1" }, { RayID: "r2" }]);
  });

  test("frame=record: what an operator writes between records is not in the frames", async (context) => {
    const options = { batch_prefix: "[", batch_suffix: "]", record_delimiter: ",", field_names: ["RayID"] };
    const delivery = await Socketed.open(context, "", { output_options: options });
    await delivery.push(recordLines(0, 3));
    await delivery.untilDone();
    const rays = delivery.receiver.records.map((frame) => JSON.parse(String(frame)));
    assert.deepEqual(rays, [{ RayID: "r0" }, { RayID: "r1" }, { RayID: "r2" }]);
  });

  test("sends each push on a connection of its own, in order", async (context) => {
    const delivery = await Socketed.open(context, "&ack=true", { max_upload_records: 1_000 });
    const lines = recordLines(0, 2_500);
    await delivery.push(lines.slice(0, 1_250));
    await delivery.push(lines.slice(1_250));
    await delivery.untilDone();
    assert.deepEqual(delivery.receiver.records, lines);
    const ids = delivery.receiver.conversations.map(({ pushId }) => pushId);
    assert.equal(new Set(ids).size, ids.length);
    for (const { frames, pushId } of delivery.receiver.conversations) {
      assert.deepEqual(JSON.parse(String(frames.at(-1))), { push: pushId, frames: frames.length - 1 });
    }
    await eventually("every connection to end", () => delivery.receiver.conversations.every(({ closeCode }) => closeCode === 1000));
  });
});

type Fate = "waits" | "parks" | "dies";
const WAYS: readonly [string, Fate, string, SocketFailure][] = [
  ["a handshake that is answered with 401", "parks", "error 401: error pushing: error uploading to wss: 401 refused", { status: 401 }],
  ["403", "parks", "error 403: ", { status: 403 }],
  ["404", "parks", "error 404: ", { status: 404 }],
  ["a redirect", "parks", "error 302: error pushing: error uploading to wss: 302 a redirect, which is not followed", { status: 302, headers: { Location: `http://127.0.0.1:1/?token=${KEY}` } }],
  ["200 without an upgrade", "parks", "error 200: error pushing: error uploading to wss: 200 the endpoint answered without becoming a WebSocket", { status: 200 }],
  ["429", "waits", "error 429: ", { status: 429, headers: { "Retry-After": "1" } }],
  ["500", "waits", "error 500: ", { status: 500 }],
  ["503", "waits", "error 503: ", { status: 503 }],
  ["a close with 1000 in the middle", "waits", "error 1104: ", { code: 1000 }],
  ["1001", "waits", "error 1001: ", { code: 1001 }],
  ["1003", "parks", "error 1003: ", { code: 1003 }],
  ["1007", "dies", "error 1007: ", { code: 1007, reason: "no such field" }],
  ["1008", "parks", "error 1008: error pushing: error uploading to wss: 1008 who are you", { code: 1008, reason: "who are you" }],
  ["1011", "waits", "error 1011: ", { code: 1011 }],
  ["1012", "waits", "error 1012: ", { code: 1012 }],
  ["1013", "waits", "error 1013: ", { code: 1013 }],
  ["4401", "parks", "error 4401: ", { code: 4401 }],
  ["4429", "waits", "error 4429: ", { code: 4429 }],
  ["4422", "dies", "error 4422: ", { code: 4422 }],
  ["a reply to our Close frame with 1011", "waits", "error 1011: ", { reply: 1011 }],
  ["a connection that breaks", "waits", "error 1104: ", { reset: "frame" }],
];

describe("what the receiver does", { concurrency: 6 }, () => {
  for (const ack of ["", "&ack=true"]) {
    for (const [what, fate, reason, failure] of WAYS) {
      // With an acknowledgement the reply to a Close frame comes too late to matter.
      if (ack && failure.reply) continue;
      // Without one, a close with 1000 by itself can not be told from the reply, as docs/destinations.md says.
      if (!ack && failure.code === 1000) continue;
      test(`${what}${ack && ", while we wait for an acknowledgement"}: what was pushed ${fate}`, async (context) => {
        const delivery = await Socketed.open(context, ack);
        const { receiver } = delivery;
        receiver.fail({ times: Infinity, afterFrames: fate === "waits" ? 3 : 1, ...failure });
        const lines = recordLines(0, 3);
        await delivery.push(lines);
        const held = {
          waits: ({ consecutive_failures, delivered }: any) => consecutive_failures >= 1 || delivered.records > 0,
          parks: ({ parked }: any) => parked.records === 3,
          dies: ({ dead }: any) => dead.records === 3,
        };
        const failed = await delivery.untilJob(what, held[fate]);
        assert.ok(failed.error_message.startsWith(reason), failed.error_message);
        assert.ok(!failed.error_message.includes(KEY), failed.error_message);
        assert.deepEqual(placesOf(failed), { ...NOTHING, [{ waits: "waiting", parks: "parked", dies: "dead" }[fate]]: 3 });
        if (fate === "dies") return assert.deepEqual(await delivery.deadLines(), lines);
        receiver.mend();
        await delivery.touch();
        const done = await delivery.untilDone();
        assert.deepEqual(placesOf(done), { ...NOTHING, delivered: 3 });
        assert.deepEqual(receiver.conversations.at(-1)?.frames.slice(0, 3), lines);
        assert.equal(new Set(receiver.conversations.map(({ pushId }) => pushId)).size, 1, "the same push under the same id");
      });
    }
  }

  test("a frame that is too large for the receiver: the push is halved, and a record that is too large alone is dead", async (context) => {
    const delivery = await Socketed.open(context, "&frame=push", {}, 10_000);
    const lines = recordLines(0, 200, (number) => (number === 77 ? 20_000 : 100));
    await delivery.push(lines);
    const done = await delivery.untilDone();
    assert.deepEqual(placesOf(done), { ...NOTHING, delivered: 199, dead: 1 });
    assert.deepEqual(await delivery.deadLines(), [lines[77]]);
    const received = delivery.receiver.records.flatMap((frame) => String(frame).trimEnd().split("\n"));
    assert.deepEqual(received, lines.filter((_, number) => number !== 77));
  });

  for (const [what, ack, failure] of [
    ["no acknowledgement", "&ack=true", { hang: "silent" }],
    ["the acknowledgement of another push", "&ack=true", { wrongAck: true }],
    ["no reply to our Close frame", "", { hang: "silent" }],
  ] as [string, string, SocketFailure][]) {
    test(`${what} within the deadline: pushed again under the same id`, async (context) => {
      const delivery = await Socketed.open(context, ack);
      delivery.receiver.fail(failure);
      const lines = recordLines(0, 3);
      await delivery.push(lines);
      const failed = await delivery.untilJob("the deadline", (job) => job.consecutive_failures === 1);
      assert.equal(failed.error_message, `error 1106: error pushing: no answer within ${DEADLINE_SECONDS} s`);
      await delivery.untilDone();
      const ids = delivery.receiver.conversations.map(({ pushId }) => pushId);
      assert.deepEqual([ids.length, new Set(ids).size], [2, 1]);
      await eventually("the first connection to be cut", () => delivery.receiver.conversations[0]?.isOver);
    });
  }

  test("a receiver that reads nothing holds up its own job only, and gets everything once it reads", async (context) => {
    const [slow, other] = [await Socketed.open(context, "&ack=true"), await Socketed.open(context, "&ack=true")];
    slow.receiver.fail({ hang: "unread" });
    const lines = recordLines(0, 2_000, () => 1_500);
    await slow.push(lines);
    await other.push(recordLines(0, 3));
    await other.untilDone();
    assert.equal(other.receiver.records.length, 3);
    const done = await slow.untilDone();
    assert.deepEqual(slow.receiver.conversations.at(-1)?.frames.slice(0, -1), lines);
    assert.deepEqual(placesOf(done), { ...NOTHING, delivered: lines.length });
  });

  test("a connection that breaks behind the acknowledgement is no failure", async (context) => {
    const delivery = await Socketed.open(context, "&ack=true");
    delivery.receiver.fail({ reset: "acknowledged" });
    await delivery.push(recordLines(0, 3));
    const done = await delivery.untilDone();
    assert.deepEqual(placesOf(done), { ...NOTHING, delivered: 3 });
    assert.equal(delivery.receiver.conversations.length, 1);
  });
});

test("the receiver of docs/destinations.md stores every record before it acknowledges", async (context) => {
  const text = readFileSync(new URL("../../docs/destinations.md", import.meta.url), "utf8");
  const code = /```js\n(const server = new WebSocketServer.*?)```/s.exec(text)?.[1];
  assert.ok(code !== undefined && code.includes("port: 8080"), "docs/destinations.md has an example of a receiver");
  const pushes = new Map<string, unknown[]>();
  const store = async (push: string, records: unknown[]) => void pushes.set(push, [...records]);
  const run = new Function("WebSocketServer", "store", `${code.replace("port: 8080", 'port: 0, host: "127.0.0.1"')}\nreturn server;`);
  const server = run(WebSocketServer, store) as WebSocketServer;
  context.after(() => server.close());
  await eventually("the receiver to listen", () => server.address());
  const scope = freshScope();
  const { port } = server.address() as AddressInfo;
  const { id } = await worker.createJob(scope, { name: "example", dataset: DATASET, destination_conf: `ws://127.0.0.1:${port}/?ack=true`, filter: COPIED });
  const lines = recordLines(0, 5);
  await new Delivery(worker, undefined as never, scope, id).push(lines);
  await worker.settled(scope, id);
  const [[tested = "", test] = [], ...pushed] = [...pushes];
  assert.match(tested, /^test-/);
  assert.deepEqual([test, pushed.flatMap(([, records]) => records)], [[{ content: "tests" }], lines.map((line) => JSON.parse(line))]);
});

test("a job is refused whose receiver does not let us in, and the answer does not hold the token", async (context) => {
  const receiver = await SocketReceiver.start("another");
  context.after(async () => await receiver.close());
  const scope = freshScope();
  const body = { name: "x", dataset: DATASET, enabled: true, destination_conf: receiver.destination("", "${secret:SOCKET_TOKEN}") };
  const { status, json } = await worker.api("POST", `${scope}/logpush/jobs`, body);
  assert.deepEqual([status, receiver.refusals], [400, [401]]);
  assert.match(json.errors[0].message, /error 401: error pushing: error uploading to wss: 401 refused/);
  assert.ok(!JSON.stringify(json).includes(KEY));
});
