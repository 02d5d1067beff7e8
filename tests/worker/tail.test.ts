// Live tail against the built Worker: sessions over the API, viewers over real WebSockets.

import assert from "node:assert/strict";
import { after, before, describe, test, type TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { Viewer } from "../support/viewer.ts";
import { Client, eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";
import { startWrapped } from "../support/wrapped.ts";

/** The Worker with sessions' objects that fail, or do not answer, while they are told to. */
const FAULTY = `
import * as built from "./index.js";
export * from "./index.js";
let fault = "";
export class Tail extends built.Tail {
  async fetch(request) {
    if (new URL(request.url).pathname === "/lines") {
      if (fault === "fails") throw new Error("broken on purpose");
      if (fault === "hangs") return await new Promise(() => {});
    }
    return await super.fetch(request);
  }
}
export default class extends built.default {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname !== "/fault") return await super.fetch(request);
    fault = url.search.slice(1);
    return new Response();
  }
}
`;

let worker: TestWorker;
let brief: TestWorker;
let faulty: Client;
let closeFaulty: () => Promise<void>;
before(async () => {
  worker = await TestWorker.start();
  brief = await TestWorker.start({ TAIL_SESSION_SECONDS: "3", TAIL_UNATTENDED_SECONDS: "2" });
  const { url, close } = await startWrapped(FAULTY);
  [faulty, closeFaulty] = [new Client(url), close];
});
after(async () => {
  await worker?.close();
  await brief?.close();
  await closeFaulty?.();
});

async function watch(context: TestContext, url: string, query = "?ack=true"): Promise<Viewer> {
  const viewer = await Viewer.connect(url + query);
  context.after(() => viewer.close());
  return viewer;
}

async function open(scope: string, body: object = {}, of: Client = worker): Promise<any> {
  const { status, json } = await of.api("POST", `${scope}/logpush/edge/jobs`, body, SECRETS.READ_TOKEN);
  assert.equal(status, 200, JSON.stringify(json));
  return json.result;
}

const sessions = async (scope: string, of: TestWorker = worker): Promise<any[]> =>
  (await of.api("GET", `${scope}/logpush/edge/jobs`, undefined, SECRETS.READ_TOKEN)).json.result;

let batches = 0;
/** `count` records that know who they are; `pad` bytes more in each. */
function batch(count: number, pad = 10): { lines: string[]; gzip: Buffer } {
  batches += 1;
  const lines = Array.from({ length: count }, (_, n) =>
    JSON.stringify({ RayID: `r${batches}-${n}`, EdgeResponseStatus: n % 2 === 0 ? 200 : 503, EdgeStartTimestamp: 1_782_900_000 + n, UserAgent: "x".repeat(pad) }),
  );
  return { lines, gzip: gzipSync(`${lines.join("\n")}\n`) };
}

async function push(scope: string, gzip: Buffer, dataset = "http_requests", of: Client = worker): Promise<string> {
  const answer = await of.push(`${scope}/${dataset}`, gzip);
  assert.equal(answer.status, 200, answer.text);
  return answer.json.result;
}

describe("a live tail", { concurrency: 5 }, () => {
  test("shows every record of a batch once, to all of its viewers, with how many it stands for", async (context) => {
    const scope = freshScope();
    const session = await open(scope);
    assert.match(session.session_id, /^[0-9a-f]{32}$/);
    assert.equal(session.destination_conf, `${worker.url.replace("http", "ws")}/instant-logs/ws/sessions/${session.session_id}`);
    const [first, second, plain] = await Promise.all([watch(context, session.destination_conf), watch(context, session.destination_conf), watch(context, session.destination_conf, "")]);
    const { lines, gzip } = batch(50);
    assert.equal(await push(scope, gzip), "accepted");
    const shown = lines.map((line) => `${line.slice(0, -1)},"sampleInterval":1}`);
    for (const viewer of [first, second, plain]) {
      await viewer.until(50);
      assert.deepEqual(viewer.lines, shown);
      assert.equal(viewer.lost, 0);
    }
    assert.ok(plain.messages.every((message) => !message.includes("[")));
    assert.equal(await push(scope, gzip), "duplicate");
    const later = batch(1);
    await push(scope, later.gzip);
    await first.until(51);
    assert.equal(first.records.at(-1).RayID, JSON.parse(later.lines[0] ?? "").RayID);
  });

  test("of any dataset shows the fields that were asked for of what its filter selects, and nothing of another one", async (context) => {
    const scope = freshScope("accounts");
    const filter = JSON.stringify({ where: { key: "ResponseCode", operator: "!eq", value: 0 } });
    const dns = await open(scope, { dataset: "dns_logs", fields: "ResponseCode,QueryName", filter });
    const access = await open(scope, { dataset: "access_requests" });
    const mine = await open(scope, { dataset: "a_new_dataset", fields: "Whatever" });
    const [one, two, three] = await Promise.all([watch(context, dns.destination_conf), watch(context, access.destination_conf), watch(context, mine.destination_conf)]);
    const records = [
      { QueryName: "a.example.", ResponseCode: 0, Timestamp: 1_657_233_726 },
      { QueryName: "b.example.", ResponseCode: 3, Timestamp: 1_657_233_727 },
    ];
    await push(scope, gzipSync(records.map((record) => `${JSON.stringify(record)}\n`).join("")), "dns_logs");
    await push(scope, gzipSync('{"Email":"a@example.com","RayID":"1"}\n{}\n'), "access_requests");
    await push(scope, gzipSync('{"Whatever":{"nested":[1,2]}}\n{"Other":1}\n'), "a_new_dataset");
    await Promise.all([one.until(1), two.until(2), three.until(2)]);
    assert.deepEqual(one.lines, ['{"ResponseCode":3,"QueryName":"b.example.","sampleInterval":1}']);
    assert.deepEqual(two.lines, ['{"Email":"a@example.com","RayID":"1","sampleInterval":1}', '{"sampleInterval":1}']);
    assert.deepEqual(three.lines, ['{"Whatever":{"nested":[1,2]},"sampleInterval":1}', '{"Whatever":null,"sampleInterval":1}']);
  });

  test("shows a sample whose intervals add up to about what there was", async (context) => {
    const scope = freshScope();
    const whole = await open(scope, { fields: "RayID" });
    const tenth = await open(scope, { fields: "RayID", sample: 10 });
    const [everything, sample] = await Promise.all([watch(context, whole.destination_conf), watch(context, tenth.destination_conf)]);
    const { gzip } = batch(2_000);
    await push(scope, gzip);
    await everything.until(2_000);
    await eventually("a sample", () => sample.lines.length > 0);
    const sum = sample.records.reduce((total, record) => total + record.sampleInterval, 0);
    // Five standard deviations.
    assert.ok(Math.abs(sum - 2_000) < 5 * 10 * Math.sqrt(2_000 * 0.1 * 0.9), `${sum}`);
    const rays = new Set(everything.records.map((record) => record.RayID));
    assert.ok(sample.records.every((record) => record.sampleInterval === 10 && rays.has(record.RayID)));
  });

  test("says how many lines of a batch did not fit", async (context) => {
    const scope = freshScope();
    const { destination_conf } = await open(scope);
    const viewer = await watch(context, destination_conf);
    const { lines, gzip } = batch(1_000, 1_000);
    await push(scope, gzip);
    await viewer.until(1_000);
    assert.deepEqual(viewer.notices, [{ records: 1_000 - viewer.lines.length, batch_limit: 1_000 - viewer.lines.length }]);
    const bytes = viewer.lines.reduce((sum, line) => sum + line.length + 1, 0);
    assert.ok(bytes <= 256 * 1024 && bytes > 250 * 1024, `${bytes}`);
    assert.deepEqual(viewer.records.map(({ RayID }) => RayID), lines.slice(0, viewer.lines.length).map((line) => JSON.parse(line).RayID));
  });

  test("does not change what jobs select, nor any sum", async (context) => {
    const scope = freshScope();
    const session = await open(scope, { fields: "RayID" });
    const viewer = await watch(context, session.destination_conf);
    const { gzip } = batch(30);
    await push(scope, gzip);
    await viewer.until(30);
    const stats = await worker.datasetStats(scope);
    assert.deepEqual([stats.batches, stats.records], [1, 30]);
    const { reconciliation } = await worker.stats(`scope=${scope}`);
    assert.equal(reconciliation.holds, true, JSON.stringify(reconciliation));
  });

  test("tells a viewer that stalls the exact number of records that it lost, and the others lose none", async (context) => {
    const scope = freshScope();
    const { destination_conf } = await open(scope);
    const [good, stalled] = await Promise.all([watch(context, destination_conf), watch(context, destination_conf)]);
    stalled.acknowledges = false;
    let sent = 0;
    for (let round = 0; round < 14; round += 1) {
      const { gzip } = batch(200, 1_000);
      await push(scope, gzip);
      sent += 200;
      await good.until(sent);
    }
    assert.deepEqual([good.lines.length, good.lost], [sent, 0]);
    await eventually("the window to be full", () => stalled.lines.length > 1_500);
    assert.equal(stalled.lost, 0);
    const before = stalled.lines.length;
    assert.ok(before < sent);
    stalled.acknowledges = true;
    stalled.acknowledge();
    await stalled.until(sent);
    assert.deepEqual([stalled.lines.length, stalled.notices], [before, [{ records: sent - before, slow_viewer: sent - before }]]);
    const { gzip } = batch(3);
    await push(scope, gzip);
    await stalled.until(sent + 3);
    assert.equal(stalled.lines.length, before + 3);
  });

  test("keeps its viewers, and what they are to be told, when its object is out of memory", async (context) => {
    const scope = freshScope();
    const { destination_conf } = await open(scope);
    const [viewer, stalled] = await Promise.all([watch(context, destination_conf), watch(context, destination_conf)]);
    stalled.acknowledges = false;
    let sent = 0;
    while (sent < 2_400) {
      await push(scope, batch(200, 1_000).gzip);
      sent += 200;
      await viewer.until(sent);
    }
    assert.ok((await worker.evict("Tail")) > 0);
    await push(scope, batch(10).gzip);
    await viewer.until(sent + 10);
    assert.deepEqual([viewer.lines.length, viewer.closed], [sent + 10, undefined]);
    assert.ok((await worker.evict("Tail")) > 0);
    stalled.acknowledge();
    await stalled.until(sent + 10);
    assert.equal(stalled.notices.length, 1);
    viewer.send("ping");
    await eventually("a pong", () => viewer.messages.includes("pong"));
  });

  test("is ended by whoever opened it, and nobody gets in any more", async (context) => {
    const scope = freshScope();
    const session = await open(scope);
    const viewer = await watch(context, session.destination_conf);
    assert.deepEqual((await sessions(scope)).map(({ id }) => id), [session.id]);
    const ended = await worker.api("DELETE", `${scope}/logpush/edge/jobs/${session.id}`, undefined, SECRETS.READ_TOKEN);
    assert.deepEqual([ended.status, ended.json.result], [200, { id: session.id }]);
    assert.deepEqual(await viewer.untilClosed(), { code: 1000, reason: "the session was ended" });
    assert.deepEqual(await sessions(scope), []);
    await assert.rejects(watch(context, session.destination_conf), /^Error: 404 session_not_found$/);
    const again = await worker.api("DELETE", `${scope}/logpush/edge/jobs/${session.id}`);
    assert.deepEqual([again.status, again.json.errors[0].code], [404, 1006]);
    await push(scope, batch(1).gzip);
  });

  test("lets nobody in who does not know it, and no more than eight who do", async (context) => {
    const scope = freshScope();
    const { destination_conf, session_id } = await open(scope);
    const wrong = `${session_id[0] === "0" ? "1" : "0"}${session_id.slice(1)}`;
    for (const other of [wrong, session_id.toUpperCase(), `${session_id}0`, "", "../../../stats"]) {
      await assert.rejects(watch(context, destination_conf.replace(session_id, encodeURIComponent(other))), /^Error: 404 session_not_found$/, other);
    }
    const http = destination_conf.replace("ws", "http");
    const [get, post] = await Promise.all([fetch(http), fetch(http, { method: "POST" })]);
    assert.deepEqual([get.status, ((await get.json()) as any).error.code], [426, "upgrade_required"]);
    assert.deepEqual([post.status, ((await post.json()) as any).error.code], [405, "method_not_allowed"]);
    const eight = await Promise.all(Array.from({ length: 8 }, async () => await watch(context, destination_conf)));
    await assert.rejects(watch(context, destination_conf), /^Error: 429 too_many_viewers$/);
    eight[0]?.leave();
    await eight[0]?.untilClosed();
    await eventually("a place", async () => await watch(context, destination_conf).then(() => true, () => false));
  });

  test("closes a viewer that acknowledges nothing before it holds too much for it, and lets it in again", { timeout: 60_000 }, async (context) => {
    const scope = freshScope();
    const { destination_conf } = await open(scope);
    const plain = await watch(context, destination_conf, "");
    let sent = 0;
    while (plain.lost === 0) {
      assert.ok(sent < 10_000);
      await push(scope, batch(60, 4_000).gzip);
      sent += 60;
      await plain.until(sent);
    }
    assert.equal((await plain.untilClosed()).code, 4008);
    assert.equal(plain.lines.length + plain.lost, sent);
    const bytes = plain.messages.reduce((sum, message) => sum + message.length, 0);
    assert.ok(bytes <= 8 * 1024 * 1024 + 200 && bytes > 7.9 * 1024 * 1024, `${bytes}`);
    const again = await watch(context, destination_conf, "");
    await push(scope, batch(1).gzip);
    await again.until(1);
  });

  test("is one of five of its dataset, and asks for what there is", async () => {
    const scope = freshScope();
    for (let count = 0; count < 5; count += 1) await open(scope);
    const refuse = async (body: object, path = `${scope}/logpush/edge`) => {
      const { status, json } = await worker.api("POST", path, body, SECRETS.READ_TOKEN);
      return [status, json.errors[0].code, json.errors[0].message];
    };
    const [status, code, text] = await refuse({});
    assert.deepEqual([status, code], [400, 1010]);
    assert.match(text, /^this dataset has 5 sessions/);
    const other = await open(scope, { dataset: "dns_logs" });
    assert.equal((await sessions(scope)).length, 6);
    for (const id of [...(await sessions(scope))].map((session) => session.id)) await worker.api("DELETE", `${scope}/logpush/edge/${id}`);
    assert.deepEqual(await sessions(scope), []);
    assert.equal(other.dataset, "dns_logs");
    for (const [body, wanted] of [
      [{ fields: "RayId" }, /^fields: http_requests has no field `RayId`; did you mean `RayID`\?$/],
      [{ filter: '{"where":{"key":"RayId","operator":"eq","value":"x"}}' }, /^filter: /],
      [{ filter: "{" }, /^filter: /],
      [{ sample: 0 }, /^sample: /],
      [{ kind: "edge" }, /^kind: /],
      [{ speed: 1 }, /^body: /],
    ] as const) {
      const [status, code, text] = await refuse(body);
      assert.deepEqual([status, code], [400, 1002], JSON.stringify(body));
      assert.match(text, wanted);
    }
    assert.equal((await worker.api("POST", `${scope}/logpush/edge/jobs`, {}, "wrong")).status, 401);
    assert.equal((await worker.api("PUT", `${scope}/logpush/edge/jobs`, {})).headers.get("Allow"), "GET, POST");
  });

  test("whose object is in trouble costs its viewers lines, of which they are told, and ingest nothing", { timeout: 60_000 }, async (context) => {
    const scope = freshScope();
    const viewer = await watch(context, (await open(scope, {}, faulty)).destination_conf);
    await push(scope, batch(5).gzip, "http_requests", faulty);
    await viewer.until(5);
    let sent = 5;
    for (const [fault, count] of [["fails", 7], ["hangs", 11]] as const) {
      await fetch(`${faulty.url}/fault?${fault}`);
      const begun = performance.now();
      assert.equal(await push(scope, batch(count).gzip, "http_requests", faulty), "accepted");
      assert.ok(performance.now() - begun < 4_000);
      await fetch(`${faulty.url}/fault`);
      sent += count;
      // Told with the next lines, once it is given up.
      await eventually("it to be told", async () => {
        await push(scope, batch(1).gzip, "http_requests", faulty);
        sent += 1;
        await viewer.until(sent - (fault === "hangs" ? count : 0));
        return viewer.lines.length + viewer.lost === sent;
      });
      assert.equal(viewer.notices.at(-1)?.["hand_over"], count, fault);
    }
    assert.equal(viewer.lost, 18);
    const stats = await faulty.datasetStats(scope);
    assert.equal(stats.records, sent);
  });

  test("whose time is over ends for all of its viewers at once", async (context) => {
    const scope = freshScope();
    const { destination_conf } = await open(scope, {}, brief);
    const [one, two] = await Promise.all([watch(context, destination_conf), watch(context, destination_conf, "")]);
    for (const viewer of [one, two]) {
      assert.deepEqual(await viewer.untilClosed(), { code: 4001, reason: "the session's time is over: create another one" });
    }
    assert.deepEqual(await sessions(scope, brief), []);
    await assert.rejects(watch(context, destination_conf), /^Error: 404 session_not_found$/);
  });

  test("is over when nobody came, and some time after the last one left", async (context) => {
    const scope = freshScope();
    const [unused, left] = await Promise.all([open(scope, {}, brief), open(scope, {}, brief)]);
    const viewer = await watch(context, left.destination_conf);
    viewer.leave();
    await viewer.untilClosed();
    await eventually("both to be over", async () => (await sessions(scope, brief)).length === 0);
    for (const { destination_conf } of [unused, left]) {
      await assert.rejects(watch(context, destination_conf), /^Error: 404 session_not_found$/);
    }
  });
});
