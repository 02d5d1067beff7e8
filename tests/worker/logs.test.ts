// Records out of the archive: by time, by filter, by RayID, through Cloudflare's Logs Engine and Logpull calls.

import assert from "node:assert/strict";
import Cloudflare from "cloudflare";
import { after, before, describe, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { generateBatch } from "../support/generate.ts";
import { open, retrieve, type RetrieveOptions } from "../support/retrieve.ts";
import { SECRETS, TestWorker, eventually, freshScope } from "../support/worker.ts";

let worker: TestWorker;
before(async () => {
  worker = await TestWorker.start();
});
after(async () => await worker.close());

const NOON = Date.UTC(2026, 4, 4, 12);
const SECOND = 1_000;
const iso = (millis: number) => new Date(millis).toISOString();

/** A batch of dns_logs; `at` in seconds after noon, a text to be taken as it is, or none. */
type Draft = { at?: number | string; name?: string; code?: number };
const recordOf = ({ at, name = "a.example.", code = 0 }: Draft) => ({
  QueryName: name,
  ResponseCode: code,
  ...(at === undefined ? {} : { Timestamp: typeof at === "number" ? iso(NOON + at * SECOND) : at }),
});

async function push(scope: string, drafts: Draft[], dataset = "dns_logs"): Promise<{ object: string; batch_id: string }> {
  return await pushBody(`${scope}/${dataset}`, `${drafts.map((draft) => JSON.stringify(recordOf(draft))).join("\n")}\n`);
}

async function pushBody(path: string, body: string): Promise<{ object: string; batch_id: string }> {
  const { status, json, text } = await worker.push(path, gzipSync(body));
  assert.equal(status, 200, text);
  return json;
}

/** Seconds after noon. */
const range = (from: number, until: number, dataset = "dns_logs") =>
  `start=${iso(NOON + from * SECOND)}&end=${iso(NOON + until * SECOND)}&dataset=${dataset}`;

const ask = async (scope: string, call: string, options: RetrieveOptions = {}) => await retrieve(worker.url, `${scope}/logs/${call}`, options);

/** The names in the records that a retrieval gives. */
async function names(scope: string, query: string): Promise<string[]> {
  const { status, lines, isCut } = await ask(scope, `retrieve?${query}`);
  assert.deepEqual([status, isCut], [200, false], lines.join("\n"));
  return lines.map((line) => JSON.parse(line).QueryName);
}

const list = async (scope: string, query: string) => await worker.api("GET", `${scope}/logs/list?${query}`, undefined, SECRETS.READ_TOKEN);
const errorOf = (answer: { status: number; lines: string[]; bytes: Buffer }) => {
  const { errors } = JSON.parse(answer.bytes.toString());
  return [answer.status, errors[0].code, errors[0].message];
};
const inFlight = async () => (await worker.get("/healthz")).json.retrievals_in_flight;

/** A row in the ledger as an older version would have written it, of an object that nobody has put there. */
async function commit(scope: string, dataset: string, atMillis: number, facts: { object_bytes?: number; bytes_raw?: number } = {}): Promise<string> {
  const day = iso(atMillis).slice(0, 10).replaceAll("-", "");
  const object = `${scope}/${dataset}/${day}/${atMillis}.log.gz`;
  await worker.callObject("LEDGER", `${scope}/${dataset}/${day}`, "commit", {
    batch_id: `${atMillis}`.padStart(64, "0"), scope, dataset, day, object, object_bytes: 1, received_at_millis: Date.now(),
    event_millis: [atMillis, atMillis], records: 1, bytes_raw: 100, bytes_compressed: 1, invalid_lines: 0, invalid: {},
    quarantine: null, selections: [], ...facts,
  });
  return object;
}

describe("a range of event time", () => {
  test("has its first instant and not its last, record by record, wherever the batches begin and end", async () => {
    const scope = freshScope();
    await push(scope, [{ at: -1, name: "before" }, { at: 0, name: "first" }, { at: 59, name: "last" }, { at: 60, name: "after" }]);
    await push(scope, [{ at: 30, name: "inside" }]);
    await push(scope, [{ at: 60, name: "next" }]);
    await push(scope, [{ at: iso(NOON + 60 * SECOND - 1), name: "just" }, { at: "2026-05-04T12:00:59.999999999Z", name: "nano" }]);
    assert.deepEqual((await names(scope, range(0, 60))).sort(), ["first", "inside", "just", "last", "nano"]);
    assert.deepEqual((await names(scope, range(60, 61))).sort(), ["after", "next"]);
    assert.deepEqual(await names(scope, range(-1, 0)), ["before"]);
    assert.deepEqual(await names(scope, `start=${iso(NOON + 60 * SECOND - 1)}&end=2026-05-04T12:00:59.999999999Z&dataset=dns_logs`), ["just"]);
    assert.deepEqual(await names(scope, range(100, 200)), []);
    const unix = (at: number) => (NOON / 1_000 + at).toString();
    assert.deepEqual(await names(scope, `start=${unix(30)}&end=${unix(31)}&dataset=dns_logs`), ["inside"]);
  });

  test("over midnight and over batches that came late reads every ledger that it concerns", async () => {
    const scope = freshScope();
    const midnight = 12 * 3600;
    await push(scope, [{ at: midnight + 5, name: "tomorrow" }, { at: midnight - 5, name: "today, in tomorrow's ledger" }]);
    await push(scope, [{ at: midnight - 6, name: "today" }]);
    assert.deepEqual(await names(scope, range(midnight - 10, midnight)), ["today", "today, in tomorrow's ledger"]);
    assert.deepEqual(await names(scope, range(midnight, midnight + 10)), ["tomorrow"]);
  });

  test("of a record without a time is that of the one before it, so that nothing can be asked for in vain", async () => {
    const scope = freshScope();
    await push(scope, [{ name: "timeless, first" }, { at: 20, name: "20" }, { name: "timeless, after 20" }, { at: 10, name: "10" }]);
    await push(scope, [{ name: "timeless batch" }]);
    assert.deepEqual(await names(scope, range(10, 20)), ["timeless, first", "10"]);
    assert.deepEqual(await names(scope, range(20, 21)), ["20", "timeless, after 20"]);
    assert.deepEqual(await names(scope, "start=1970-01-01T00:00:00Z&end=1970-01-02T00:00:00Z&dataset=dns_logs"), ["timeless batch"]);
  });

  test("of arrays, CSV and batches with bad lines gives their records", async () => {
    const scope = freshScope();
    const of = (name: string) => recordOf({ at: 1, name });
    await pushBody(`${scope}/dns_logs`, JSON.stringify([of("array 1"), of("array 2")], null, 2));
    await pushBody(`${scope}/dns_logs?output_type=csv&fields=QueryName,Timestamp`, `"csv",${iso(NOON + SECOND)}\n`);
    await pushBody(`${scope}/dns_logs`, `no record\n${JSON.stringify(of("good"))}\n`);
    const two = Buffer.concat([gzipSync(`${JSON.stringify(of("member 1"))}\n`), gzipSync(`${JSON.stringify(of("member 2"))}\n`)]);
    assert.equal((await worker.push(`${scope}/dns_logs`, two)).status, 200);
    assert.equal((await worker.push(`${scope}/dns_logs`, Buffer.from(`${JSON.stringify(of("plain"))}\n`), { undeclared: true })).status, 200);
    assert.deepEqual((await names(scope, range(0, 2))).sort(), ["array 1", "array 2", "csv", "good", "member 1", "member 2", "plain"]);
    const { json } = await list(scope, range(0, 2));
    assert.equal(json.result.reduce((sum: number, { invalid_lines }: any) => sum + invalid_lines, 0), 1);
  });
});

describe("what is retrieved", () => {
  const scope = freshScope();
  const batch = generateBatch({ dataset: "http_requests", records: 3_000, seed: 5, startTime: new Date(NOON) });
  const all = `${range(0, 86_400, "http_requests")}`;
  before(async () => assert.equal((await worker.push(`${scope}/http_requests`, batch.gzip)).status, 200));

  test("is every record as it came, and gzip only for a client that takes it", async () => {
    const plain = await ask(scope, `retrieve?${all}`);
    assert.equal(plain.bytes.toString(), batch.ndjson.toString());
    assert.equal(plain.headers["content-type"], "application/x-ndjson");
    assert.equal(plain.headers["content-encoding"], undefined);
    assert.deepEqual([plain.headers["x-logs-objects"], plain.headers["x-logs-bytes"]], ["1", `${batch.rawBytes}`]);
    const gzip = await ask(scope, `retrieve?${all}`, { gzip: true });
    assert.equal(gzip.headers["content-encoding"], "gzip");
    assert.ok(gzip.bytes.length < batch.rawBytes / 3, `${gzip.bytes.length}`);
    assert.equal(gunzipSync(gzip.bytes).toString(), batch.ndjson.toString());
  });

  test("is what a job with this filter and these options would get", async () => {
    const where = encodeURIComponent('{"key":"EdgeResponseStatus","operator":"geq","value":400}');
    const errors = await ask(scope, `retrieve?${all}&where=${where}`);
    assert.equal(errors.lines.length, batch.facts.errors.records);
    assert.equal(errors.bytes.length, batch.facts.errors.bytes);
    const shaped = await ask(scope, `retrieve?${all}&where=${where}&fields=RayID,EdgeStartTimestamp&timestamps=rfc3339ms`);
    assert.equal(shaped.lines.length, batch.facts.errors.records);
    assert.match(shaped.lines[0] ?? "", /^\{"RayID":"[0-9a-f]{16}","EdgeStartTimestamp":"2026-05-04T12:\d\d:\d\d\.\d{3}Z"\}$/);
    const sampled = await ask(scope, `retrieve?${all}&sample=0.1`);
    assert.ok(sampled.lines.length > 200 && sampled.lines.length < 400, `${sampled.lines.length}`);
    const counted = await ask(scope, `retrieve?${all}&count=7`);
    assert.deepEqual(counted.lines, batch.ndjson.toString().split("\n").slice(0, 7));
  });

  test("says in marks what was read, and each mark is a place to go on from", async () => {
    const scope = freshScope();
    for (const at of [1, 2, 3]) await push(scope, [{ at, name: `${at}` }, { at: at + 0.5, name: `${at}.5` }]);
    const { lines } = await ask(scope, `retrieve?${range(0, 9)}&marks=true`);
    assert.deepEqual(lines.map((line) => line[0]), ["{", "{", "#", "{", "{", "#", "{", "{", "#", "#"]);
    const marks = lines.filter((line) => line.startsWith("#")).map((line) => JSON.parse(line.slice(1)));
    assert.deepEqual(marks.at(-1), { end: true, records: 6, next: null });
    assert.deepEqual(marks.map(({ records }) => records), [2, 2, 2, 6]);
    assert.deepEqual(await names(scope, `${range(0, 9)}&cursor=${marks[1].cursor}`), ["3", "3.5"]);
  });

  test("is refused to who may not read, and named when it can not be followed", async () => {
    assert.deepEqual(errorOf(await ask(scope, `retrieve?${all}`, { token: "wrong" })).slice(0, 2), [401, 10000]);
    assert.equal((await ask(scope, `retrieve?${all}&count=1`, { token: SECRETS.API_TOKEN })).status, 200);
    assert.deepEqual(errorOf(await ask(scope, "retrieve?start=1&end=2")).slice(0, 2), [400, 1002]);
    assert.deepEqual(errorOf(await ask(scope, "retrieve?start=1&end=2&dataset=http_request")), [
      404, 1008, "dataset: http_request is not in the catalogue; did you mean http_requests?",
    ]);
    const wrong = await worker.api("POST", `${scope}/logs/retrieve`);
    assert.deepEqual([wrong.status, wrong.headers.get("allow")], [405, "GET"]);
    const fromCloudflare = await fetch(`${worker.url}/client/v4/${scope}/logs/retrieve?${all}&bucket=any&count=1`, {
      headers: { "X-Auth-Email": "a@b.example", "X-Auth-Key": SECRETS.READ_TOKEN, "R2-Access-Key-Id": "x", "R2-Secret-Access-Key": "y" },
    });
    assert.equal((await fromCloudflare.text()).split("\n").length, 2);
  });
});

describe("a list", () => {
  test("has the objects that overlap the range, page by page", async () => {
    const scope = freshScope();
    const pushed = [];
    for (const at of [10, 20, 30]) pushed.push((await push(scope, [{ at }, { at: at + 15 }])).object);
    const { json } = await list(scope, range(22, 30));
    assert.deepEqual(json.result.map(({ name }: any) => name), pushed.slice(0, 2));
    const [{ start, end, records, bytes, size, received, batch_id }] = json.result;
    assert.deepEqual([start, end, records], ["2026-05-04T12:00:10Z", "2026-05-04T12:00:25Z", 2]);
    assert.ok(bytes > 100 && size > 50 && received.startsWith("20") && batch_id.length === 64);
    const found = [];
    let cursor = "";
    do {
      const page = (await list(scope, `${range(0, 99)}&limit=1&cursor=${cursor}`)).json;
      found.push(...page.result.map(({ name }: any) => name));
      cursor = page.result_info.cursor;
    } while (cursor !== null && found.length < 9);
    assert.deepEqual(found, pushed);
    const prefix = async (text: string) => (await list(scope, `${range(0, 99).replace("&dataset=dns_logs", "")}&prefix=${text}`)).json.result.length;
    assert.equal(await prefix("dns_logs/{DATE}/20260504T120010Z"), 1);
    assert.equal(await prefix(`${scope}/dns_logs/`), 3);
    assert.equal(await prefix("dns_logs/20260505/"), 0);
  });
});

describe("what can not be given whole", () => {
  test("is 422 in Cloudflare's words, unless the caller takes it in parts", async () => {
    const scope = freshScope();
    await push(scope, [{ at: 10, name: "10" }]);
    for (const at of [20, 30]) await commit(scope, "dns_logs", NOON + at * SECOND, { bytes_raw: 1_999_999_000 });
    await push(scope, [{ at: 40, name: "40" }]);
    const text = "Time range returned too many results. Try reducing the time range and try again.";
    assert.deepEqual(errorOf(await ask(scope, `retrieve?${range(0, 60)}`)), [422, 10422, text]);
    assert.deepEqual(await names(scope, range(35, 60)), ["40"]);
    const found = [];
    let cursor: string | undefined = "";
    let parts = 0;
    do {
      const part: Awaited<ReturnType<typeof ask>> = await ask(scope, `retrieve?${range(0, 60)}&cursor=${cursor}`);
      found.push(...part.lines.map((line) => JSON.parse(line).QueryName));
      cursor = part.headers["x-logs-next-cursor"] as string | undefined;
      parts += 1;
    } while (cursor !== undefined && parts < 9);
    assert.deepEqual([found, parts], [["10", "40"], 2]);
  });

  test("says beforehand how many objects are missing, and in marks which", async () => {
    const scope = freshScope();
    const { object } = await push(scope, [{ at: 1, name: "1" }]);
    await push(scope, [{ at: 2, name: "2" }]);
    await worker.remove(object);
    const answer = await ask(scope, `retrieve?${range(0, 9)}&marks=true`);
    assert.deepEqual([answer.headers["x-logs-objects"], answer.headers["x-logs-missing-objects"]], ["1", "1"]);
    assert.deepEqual(answer.lines.filter((line) => line.includes("missing")), [`#${JSON.stringify({ missing: object })}`]);
    assert.deepEqual(await names(scope, range(0, 9)), ["2"]);
  });

  test("names an object that something else was put over, and breaks the connection, plain or gzip, when it is seen late", async () => {
    const scope = freshScope();
    await push(scope, [{ at: 1, name: "1" }]);
    const { object } = await push(scope, [{ at: 2, name: "2" }]);
    const { bytes } = await worker.object(object);
    await worker.put(object, gzipSync(`${JSON.stringify(recordOf({ at: 2 }))}\n`.repeat(20)));
    const other = await ask(scope, `retrieve?${range(0, 9)}`);
    assert.deepEqual([other.headers["x-logs-missing-objects"], other.lines.length], ["1", 1]);
    await worker.put(object, Buffer.alloc(bytes.length, "x"));
    for (const gzip of [false, true]) {
      const answer = await ask(scope, `retrieve?${range(0, 9)}`, { gzip });
      // Before the first byte has left the compressor, the runtime can still answer that it failed.
      assert.ok(answer.isCut || answer.status === 500, `gzip ${gzip}: ${answer.status}, ${answer.lines.length} lines`);
    }
    await eventually("retrievals to end", async () => (await inFlight()) === 0);
  });
});

describe("a client", () => {
  const scope = freshScope();
  const batch = generateBatch({ dataset: "http_requests", records: 8_000, seed: 6, startTime: new Date(NOON) });
  const path = `${scope}/logs/retrieve?${range(0, 86_400, "http_requests")}`;
  before(async () => {
    for (let n = 0; n < 6; n += 1) {
      const one = Buffer.concat([gzipSync(`{"RayID":"${n}","EdgeStartTimestamp":"${iso(NOON)}"}\n`), batch.gzip]);
      assert.equal((await worker.push(`${scope}/http_requests`, one)).status, 200);
    }
  });

  for (const gzip of [false, true]) {
    test(`that goes away ends the retrieval, ${gzip ? "gzip" : "plain"}`, async () => {
      const answer = await open(worker.url, path, { gzip });
      assert.equal(await inFlight(), 1);
      await new Promise((got) => answer.once("data", got));
      answer.destroy();
      await eventually("the retrieval to end", async () => (await inFlight()) === 0);
    });
  }

  test("that reads slowly holds the retrieval back, and gets everything", async () => {
    const answer = await open(worker.url, path);
    let bytes = 0;
    let held = 0;
    for await (const chunk of answer) {
      bytes += (chunk as Buffer).length;
      // While this waits nothing is read, and the rest stays where it is.
      if (bytes < 5_000_000) held += await inFlight();
    }
    assert.ok(held > 1, "it was at work all the time");
    assert.equal(bytes, 6 * (batch.rawBytes + `{"RayID":"0","EdgeStartTimestamp":"${iso(NOON)}"}\n`.length));
    const { wasm_memory_bytes } = (await worker.get("/healthz")).json;
    assert.ok(wasm_memory_bytes < 16 * 1024 * 1024, `${wasm_memory_bytes}`);
  });
});

describe("a RayID", () => {
  const ray = (n: number) => (0x9a5b_0000_0000_0000n + BigInt(n)).toString(16);
  const record = (n: number, at = Date.now()) => ({ RayID: ray(n), ClientIP: "192.0.2.1", EdgeStartTimestamp: iso(at) });
  const lines = (...records: object[]) => `${records.map((one) => JSON.stringify(one)).join("\n")}\n`;

  test("is found with and without its data centre, in the last week, and only objects that may hold it are read", async () => {
    const scope = freshScope();
    for (let n = 0; n < 5; n += 1) await pushBody(`${scope}/http_requests`, lines(record(10 * n), record(10 * n + 5)));
    for (const text of [ray(25), `${ray(25)}-DFW`, ray(25).toUpperCase()]) {
      const { status, lines, headers } = await ask(scope, `rayids/${text}`);
      assert.deepEqual([status, lines.map((line) => JSON.parse(line).RayID)], [200, [ray(25)]], text);
      assert.deepEqual([headers["x-logs-objects"], headers["x-logs-complete"]], ["1", "true"]);
    }
    const shaped = await ask(scope, `rayids/${ray(25)}?fields=RayID,ClientIP`);
    assert.deepEqual(shaped.lines, [`{"RayID":"${ray(25)}","ClientIP":"192.0.2.1"}`]);
    // Between the bounds of no batch, between those of one, and outside the range.
    for (const [query, objects] of [[ray(27), "0"], [ray(22), "1"], [`${ray(25)}?end=${iso(Date.now() - 3_600_000)}`, "0"]] as const) {
      const none = await ask(scope, `rayids/${query}`);
      assert.deepEqual([none.status, none.lines, none.headers["x-logs-objects"]], [200, [], objects], query);
    }
  });

  test("is found whatever order RayIDs have, and every record that has it", async () => {
    const scope = freshScope();
    await pushBody(`${scope}/http_requests`, lines({ ...record(1), RayID: "00000000000000ff" }, record(1), { ...record(1), RayID: "ffffffffffffff00" }));
    await pushBody(`${scope}/http_requests`, lines(record(9), record(1)));
    await pushBody(`${scope}/http_requests`, `${JSON.stringify(record(1)).replace('"9', '"\\u0039')}\n`);
    const { lines: found } = await ask(scope, `rayids/${ray(1)}`);
    assert.equal(found.length, 3);
  });

  test("is found in every dataset that has one", async () => {
    const scope = freshScope();
    const at = iso(Date.now());
    await pushBody(`${scope}/firewall_events`, lines({ RayID: ray(1), Datetime: at, Action: "block" }));
    assert.equal((await ask(scope, `rayids/${ray(1)}?dataset=firewall_events`)).lines.length, 1);
    assert.deepEqual((await ask(scope, `rayids/${ray(1)}`)).lines, []);
    const account = freshScope("accounts");
    await pushBody(`${account}/workers_trace_events`, lines({ Event: { RayID: ray(1), Request: {} }, EventTimestampMs: Date.now() }, { Event: { RayID: ray(2) }, EventTimestampMs: Date.now() }));
    assert.equal((await ask(account, `rayids/${ray(2)}?dataset=workers_trace_events`)).lines.length, 1);
    assert.deepEqual(errorOf(await ask(scope, `rayids/${ray(1)}?dataset=dns_logs`)), [400, 1002, "dataset: has no RayID"]);
    assert.equal(errorOf(await ask(scope, "rayids/xyz"))[0], 400);
  });

  test("that may be in an object which is gone is no RayID that was not found", async () => {
    const scope = freshScope();
    const { object } = await pushBody(`${scope}/http_requests`, lines(record(1), record(3)));
    await worker.remove(object);
    assert.deepEqual(errorOf(await ask(scope, `rayids/${ray(2)}`)).slice(0, 2), [410, 10410]);
    assert.deepEqual((await ask(scope, `rayids/${ray(9)}`)).status, 200);
  });

  test("of batches that came before bounds were noted is found by reading them, or after they were indexed", async () => {
    const scope = freshScope();
    const now = Date.now();
    for (const n of [1, 5]) await pushBody(`${scope}/http_requests`, lines(record(n, now), record(n + 2, now)));
    const bytes = gzipSync(lines(record(100, now)));
    await worker.put(await commit(scope, "http_requests", now, { object_bytes: bytes.length }), bytes);
    assert.equal((await ask(scope, `rayids/${ray(5)}`)).headers["x-logs-objects"], "2");
    assert.equal((await ask(scope, `rayids/${ray(100)}`)).lines.length, 1);
    const range = { start: iso(now - 60_000), end: iso(now + 60_000), dataset: "http_requests", bucket: "any" };
    assert.equal((await worker.api("POST", `${scope}/logs/rayids/index`, range, SECRETS.READ_TOKEN)).status, 403);
    const { json } = await worker.api("POST", `${scope}/logs/rayids/index`, range);
    assert.deepEqual(json.result, { indexed: 1, missing: 0, complete: true, cursor: null });
    assert.equal((await ask(scope, `rayids/${ray(5)}`)).headers["x-logs-objects"], "1");
    assert.equal((await ask(scope, `rayids/${ray(100)}`)).lines.length, 1);
  });
});

describe("Logpull", () => {
  const zone = freshScope();
  const at = Math.floor(Date.now() / 60_000) * 60_000 - 600_000;
  const client = () => new Cloudflare({ apiToken: SECRETS.READ_TOKEN, baseURL: `${worker.url}/client/v4`, maxRetries: 0 });
  before(async () => {
    const records = [0, 30, 60].map((seconds) => ({ RayID: `${seconds}`.padStart(16, "0"), EdgeStartTimestamp: iso(at + seconds * SECOND) }));
    await pushBody(`${zone}/http_requests`, `${records.map((one) => JSON.stringify(one)).join("\n")}\n`);
  });

  test("answers Cloudflare's SDK: a minute's records, their fields, and a RayID", async () => {
    const zone_id = zone.slice("zones/".length);
    const received = (await client().logs.received.get({ zone_id, start: iso(at), end: iso(at + 60_000) }).asResponse());
    const lines = [0, 30].map((seconds) => `{"RayID":"${String(seconds).padStart(16, "0")}","EdgeStartTimestamp":${at + seconds * SECOND}000000}\n`);
    assert.equal(await received.text(), lines.join(""));
    const fields: any = await client().logs.received.fields.get({ zone_id });
    assert.match(fields.RayID, /^string/);
    const found = await client().logs.RayID.get("0000000000000030", { zone_id, timestamps: "rfc3339" }).asResponse();
    assert.equal(await found.text(), `{"RayID":"0000000000000030","EdgeStartTimestamp":"${iso(at + 30_000).replace(".000", "")}"}\n`);
  });

  test("keeps its bounds, and answers an empty minute with an empty body", async () => {
    const query = (from: number, until: number) => `received?start=${iso(from)}&end=${iso(until)}`;
    assert.equal(errorOf(await ask(zone, query(at - 3_600_001, at)))[0], 400);
    assert.equal(errorOf(await ask(zone, query(at, Date.now())))[0], 400);
    assert.equal(errorOf(await ask(zone, query(at - 8 * 86_400_000, at - 8 * 86_400_000 + 1)))[0], 400);
    const empty = await ask(zone, query(at - 60_000, at));
    assert.deepEqual([empty.status, empty.bytes.length], [200, 0]);
    assert.deepEqual(errorOf(await ask("accounts/a", "received?start=1&end=2")).slice(0, 2), [404, 7003]);
  });
});
