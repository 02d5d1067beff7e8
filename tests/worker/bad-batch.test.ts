// Batches that are not what they should be, and uploads that do not go as they should: what is archived, what goes on,
// what is counted, and that nothing is lost, stored or counted twice.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { randomBytes } from "node:crypto";
import { constants, gunzipSync, gzipSync } from "node:zlib";
import { ndjson, tallyOf } from "../support/lines.ts";
import { openUpload, type OpenUpload } from "../support/logpush.ts";
import { Siem } from "../support/siem.ts";
import { eventually, freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const LINE_MAX_BYTES = 2 * MIB;
const ODD = { where: { key: "QueryType", operator: "eq", value: 1 } };

const intakeKeys = Array.from({ length: 100 }, (_, n) => `key-${n}`);
let nextKey = 0;
let siem: Siem;
let worker: TestWorker;
before(async () => {
  siem = await Siem.start({ intakeKeys });
  worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" });
});
after(async () => {
  await worker.close();
  await siem.close();
});

/** A job to an intake of its own. */
async function createJob(scope: string, filter?: object): Promise<{ id: number; key: string }> {
  const key = intakeKeys[(nextKey += 1)] as string;
  const { id } = await worker.createJob(scope, { dataset: "dns_logs", destination_conf: siem.plain(key), filter });
  return { id, key };
}

let sequence = 0;
/** Lines that no other test has; every second one is odd. */
function goodLines(count: number): string[] {
  return Array.from({ length: count }, (_, n) => {
    const record = { QueryName: `q${(sequence += 1)}.example.`, QueryType: n % 2, Timestamp: 1_782_900_000 + n };
    return JSON.stringify(record);
  });
}

interface Bad {
  what: string;
  body: Buffer;
  good: string[];
  /** By reason, as `/stats` counts them: lines and faults of the stream. */
  invalid: Record<string, number>;
  /** Number, reason and text of the bad lines. */
  quarantine?: { line: number; reason: string; text: string }[];
}

function cases(): Bad[] {
  const bad: Bad[] = [];
  const add = (what: string, good: string[], body: Buffer, invalid: Bad["invalid"], quarantine?: Bad["quarantine"]) =>
    void bad.push({ what, good, body, invalid, ...(quarantine ? { quarantine } : {}) });

  let good = goodLines(300);
  const whole = gzipSync(ndjson(good));
  const truncated = whole.subarray(0, whole.length / 2);
  const readable = gunzipSync(truncated, { finishFlush: constants.Z_SYNC_FLUSH }).toString().split("\n");
  const cut = readable.pop() as string;
  assert.ok(readable.length > 50 && cut !== "", "cut inside of a line");
  add("a gzip that is cut off", readable, truncated, { gzip_truncated: 1, not_json: 1 }, [
    { line: readable.length + 1, reason: "not_json", text: cut },
  ]);

  good = goodLines(100);
  add("a gzip without its last byte", good, gzipSync(ndjson(good)).subarray(0, -1), { gzip_truncated: 1 });

  good = goodLines(100);
  const wrongSum = gzipSync(ndjson(good));
  wrongSum.writeUInt32LE((wrongSum.readUInt32LE(wrongSum.length - 8) ^ 1) >>> 0, wrongSum.length - 8);
  add("a gzip with a wrong checksum", good, wrongSum, { gzip_corrupt: 1 });

  add("gzip in its first bytes only", [], Buffer.from([0x1f, 0x8b, 0xff, 0xff, 1, 2, 3, 4]), { gzip_corrupt: 1 });

  good = goodLines(20);
  add("a gzip whose second member is broken", good, Buffer.concat([gzipSync(ndjson(good)), Buffer.from([0x1f, 0x8b, 0x08, 0xff, 0xff])]), {
    gzip_corrupt: 1,
  });

  good = goodLines(20);
  add("bytes after the gzip", good, Buffer.concat([gzipSync(ndjson(good)), Buffer.from('{"QueryType":1}\n')]), { gzip_trailing_bytes: 1 });

  good = goodLines(20);
  add("one byte after the gzip that could begin another member", good, Buffer.concat([gzipSync(ndjson(good)), Buffer.from([0x1f])]), {
    gzip_trailing_bytes: 1,
  });

  add("neither gzip nor text", [], Buffer.from([0xff, 0xfe, 0x0a, 0x80, 0x0a, 0x00, 0x01]), { not_utf8: 2, not_json: 1 }, [
    { line: 1, reason: "not_utf8", text: "\ufffd\ufffd" },
    { line: 2, reason: "not_utf8", text: "\ufffd" },
    { line: 3, reason: "not_json", text: "\u0000\u0001" },
  ]);

  add("an HTML page", [], Buffer.from("<html>\n<body>Bad gateway</body>\n</html>"), { not_json: 3 }, [
    { line: 1, reason: "not_json", text: "<html>" },
    { line: 2, reason: "not_json", text: "<body>Bad gateway</body>" },
    { line: 3, reason: "not_json", text: "</html>" },
  ]);

  const [before, behind] = [goodLines(11), goodLines(11)];
  const badLines: [Buffer, string][] = [
    [Buffer.from("not json"), "not_json"],
    [Buffer.from('{"QueryType":1'), "not_json"],
    [Buffer.from('{"QueryType":1}{"QueryType":1}'), "not_json"],
    [Buffer.from('{"QueryType":01}'), "not_json"],
    [Buffer.from('{"QueryType":1,}'), "not_json"],
    [Buffer.from("{'QueryType':1}"), "not_json"],
    [Buffer.from('{"a":"tab\there"}'), "not_json"],
    [Buffer.from('[{"QueryType":1}]'), "not_an_object"],
    [Buffer.from("1234"), "not_an_object"],
    [Buffer.from('"text"'), "not_an_object"],
    [Buffer.from("null"), "not_an_object"],
    [Buffer.from('{"QueryType":1,"a":"\xff"}', "latin1"), "not_utf8"],
    [Buffer.from(`{"QueryType":1,"a":${"[".repeat(200)}${"]".repeat(200)}}`), "too_deep"],
    [Buffer.from(`{"a":`.repeat(100_000)), "too_deep"],
  ];
  good = [...before, ...behind];
  const middle = Buffer.concat([ndjson(before), ...badLines.flatMap(([line]) => [line, Buffer.from("\n")]), ndjson(behind)]);
  const reasons = { not_json: 7, not_an_object: 4, not_utf8: 1, too_deep: 2 };
  const quarantined = badLines.map(([line, reason], n) => ({
    line: before.length + 1 + n,
    reason,
    text: line.subarray(0, 4 * KIB).toString(),
  }));
  add("bad lines in the middle", good, gzipSync(middle), reasons, quarantined);
  add("bad lines in the middle of a plain body", good, middle, reasons, quarantined);

  const allowed = `{"QueryType":1,"a":"${"x".repeat(LINE_MAX_BYTES - 22)}"}`;
  assert.equal(allowed.length, LINE_MAX_BYTES);
  const tooLong = `{"QueryType":1,"a":"${"x".repeat(LINE_MAX_BYTES - 21)}"}`;
  const last = goodLines(2);
  good = [...goodLines(2), allowed];
  const longBody = ndjson([...good, tooLong, ...last, `{"QueryType":1,"a":"${"y".repeat(3 * LINE_MAX_BYTES)}`]);
  add("lines over two mebibytes", [...good, ...last], gzipSync(longBody.subarray(0, -1)), { line_too_long: 2 }, [
    { line: 4, reason: "line_too_long", text: tooLong.slice(0, 4 * KIB) },
    { line: 7, reason: "line_too_long", text: `{"QueryType":1,"a":"${"y".repeat(4 * KIB)}`.slice(0, 4 * KIB) },
  ]);

  good = goodLines(10);
  const blown = gzipSync(Buffer.concat([ndjson(good), Buffer.alloc(64 * MIB, "a"), ndjson(['\n{"QueryType":1}'])]));
  assert.ok((64 * MIB) / blown.length > 800);
  add("a bomb by its ratio", good, blown, { bomb: 1, line_too_long: 1 }, [
    { line: 11, reason: "line_too_long", text: "a".repeat(4 * KIB) },
  ]);
  return bad;
}

describe("a bad batch is archived all the same, its good records go on, and each bad line is counted", { concurrency: true }, () => {
  for (const { what, body, good, invalid, quarantine } of cases()) {
    test(what, async () => {
      const scope = freshScope();
      const [all, odd] = [await createJob(scope), await createJob(scope, ODD)];
      const answer = await worker.push(`${scope}/dns_logs`, body);
      assert.equal(answer.status, 200, answer.text);
      const badLines = quarantine?.length ?? 0;
      const { result, records, invalid_lines } = answer.json;
      assert.deepEqual([result, records, invalid_lines], ["accepted", good.length, badLines]);
      assert.ok((await worker.object(answer.json.object)).bytes.equals(body));

      const selected = good.filter((line) => JSON.parse(line).QueryType === 1);
      for (const [job, lines] of [[all, good], [odd, selected]] as const) {
        const counted = await worker.settled(scope, job.id);
        assert.deepEqual([counted.selected.records, counted.delivered.records], [lines.length, lines.length]);
        assert.deepEqual(siem.intake(job.key).tally, tallyOf(lines));
      }
      const { datasets, reconciliation } = await worker.stats(`scope=${scope}`);
      const [{ batches, archived, ...dataset }] = datasets;
      assert.deepEqual([batches, archived], [1, { batches: 1, bytes: body.length }]);
      assert.deepEqual([dataset.records, dataset.invalid_lines, dataset.invalid], [good.length, badLines, invalid]);
      assert.equal(reconciliation.holds, true);

      const keys = await worker.keys(`quarantine/${scope}/`);
      assert.equal(keys.length, quarantine ? 1 : 0);
      if (keys[0]) {
        assert.match(keys[0], /\/dns_logs\/\d{8}\/[0-9a-f]{64}\.ndjson$/);
        const kept = (await worker.object(keys[0])).bytes.toString().trimEnd().split("\n");
        assert.deepEqual(kept.map((line) => JSON.parse(line)), quarantine);
      }
    });
  }
});

test("a bomb by its size is read up to four gigabytes and no further, and archived whole", async () => {
  const scope = freshScope();
  // 40 MB each at a ratio of about 600, as one member that is repeated: made in no time.
  const block = () => Buffer.concat([Buffer.alloc(MIB - 700, "a"), randomBytes(700)]);
  const member = gzipSync(Buffer.concat([ndjson(['{"QueryType":1}', ""]), ...Array.from({ length: 40 }, block)]), { level: 1 });
  const body = Buffer.concat(Array.from({ length: 110 }, () => member));
  const answer = await worker.push(`${scope}/dns_logs`, body);
  assert.equal(answer.status, 200);
  const stats = await worker.datasetStats(scope);
  assert.equal(stats.invalid.bomb, 1);
  assert.ok(stats.bytes_raw > 4e9 && stats.bytes_raw < 4.1e9);
  assert.deepEqual([stats.bytes_compressed, stats.archived.bytes], [body.length, body.length]);
  assert.ok((await worker.object(answer.json.object)).bytes.equals(body));
});

test("quarantine keeps no more than a sample of a batch of nothing but bad lines", async () => {
  const scope = freshScope();
  const answer = await worker.push(`${scope}/dns_logs`, gzipSync("x".repeat(1_000).concat("\n").repeat(5_000)));
  assert.deepEqual([answer.json.records, answer.json.invalid_lines], [0, 5_000]);
  const [key] = await worker.keys(`quarantine/${scope}/`);
  const { bytes } = await worker.object(key as string);
  assert.ok(bytes.length > 256 * KIB && bytes.length < 260 * KIB, String(bytes.length));
  assert.deepEqual((await worker.datasetStats(scope)).invalid, { not_json: 5_000 });
});

const inFlight = async (of: TestWorker = worker): Promise<number> => (await of.get("/healthz")).json.batches_in_flight;

function begin(scope: string, bytes?: number, of: TestWorker = worker): OpenUpload {
  return openUpload(`${of.url}/ingest/${scope}/dns_logs`, { Authorization: `Bearer ${SECRETS.INGEST_SECRET}` }, bytes);
}

/** Hardly compressible lines, so that a body has the wanted size. */
function largeBody(bytes: number): { lines: string[]; body: Buffer } {
  const lines = goodLines(Math.ceil(bytes / 75_000)).map((line) => line.replace("}", `,"a":"${randomBytes(75_000).toString("base64")}"}`));
  return { lines, body: gzipSync(ndjson(lines), { level: 1 }) };
}

describe("an upload that breaks off leaves nothing behind, and is taken when it comes again", () => {
  const table: [string, number, boolean][] = [
    ["a small one", 100 * KIB, false],
    ["a small one without a length", 100 * KIB, true],
    ["one of which the archive has begun", 2 * MIB, false],
    ["one of which a part is uploaded", 10 * MIB, true],
  ];
  for (const [what, bytes, chunked] of table) {
    test(what, async () => {
      const scope = freshScope();
      const job = await createJob(scope, ODD);
      const { lines, body } = largeBody(bytes);
      const upload = begin(scope, chunked ? undefined : body.length);
      await upload.write(body.subarray(0, (body.length * 3) / 4));
      await eventually("the upload to be in flight", async () => (await inFlight()) === 1);
      upload.abort();
      await assert.rejects(upload.answer);
      await eventually("the upload to be given up", async () => (await inFlight()) === 0, 5_000);
      assert.deepEqual(await worker.keys(scope), []);
      assert.deepEqual((await worker.stats(`scope=${scope}`)).datasets, []);

      const answer = await worker.push(`${scope}/dns_logs`, body, { chunked });
      assert.deepEqual([answer.status, answer.json.result], [200, "accepted"]);
      const odd = lines.filter((_, n) => n % 2 === 1);
      assert.equal((await worker.settled(scope, job.id)).delivered.records, odd.length);
      assert.deepEqual(siem.intake(job.key).tally, tallyOf(odd));
      assert.deepEqual(await worker.keys(scope), [answer.json.object]);
      assert.deepEqual(await worker.keys("spool/"), []);
    });
  }
});

describe("a batch that comes again counts once", () => {
  const [small, large] = [100 * KIB, 2 * MIB];
  const together = (times: number, of: (n: number) => boolean) => (send: (chunked: boolean) => Promise<string>) =>
    Promise.all(Array.from({ length: times }, (_, n) => send(of(n))));
  const inTurn = (...chunked: boolean[]) => async (send: (chunked: boolean) => Promise<string>) => {
    const results: string[] = [];
    for (const one of chunked) results.push(await send(one));
    return results;
  };
  const table: [string, number, (send: (chunked: boolean) => Promise<string>) => Promise<string[]>][] = [
    ["one after the other", small, inTurn(false, false, false)],
    ["a large one, one after the other", large, inTurn(false, false)],
    ["a large one without a length, one after the other", large, inTurn(true, true)],
    ["first with a length, then without", small, inTurn(false, true)],
    ["a large one, first with a length, then without", large, inTurn(false, true, false)],
    ["a large one, first without a length, then with", large, inTurn(true, false, true)],
    ["eight at once", small, together(8, () => false)],
    ["eight large ones at once", large, together(8, () => false)],
    ["eight large ones without a length at once", large, together(8, () => true)],
    ["eight at once, every second one without a length", small, together(8, (n) => n % 2 === 1)],
  ];
  for (const [what, bytes, sendAll] of table) {
    test(what, async () => {
      const scope = freshScope();
      const [all, odd] = [await createJob(scope), await createJob(scope, ODD)];
      const { lines, body } = largeBody(bytes);
      const results = await sendAll(async (chunked) => {
        const answer = await worker.push(`${scope}/dns_logs`, body, { chunked });
        assert.equal(answer.status, 200, answer.text);
        return answer.json.result;
      });
      assert.deepEqual([...results].sort(), ["accepted", ...results.slice(1).map(() => "duplicate")]);
      for (const [job, expected] of [[all, lines], [odd, lines.filter((_, n) => n % 2 === 1)]] as const) {
        const counted = await worker.settled(scope, job.id);
        const { selected, delivered } = counted;
        assert.deepEqual([selected.batches, selected.records, delivered.records], [1, expected.length, expected.length]);
        assert.deepEqual(siem.intake(job.key).tally, tallyOf(expected));
      }
      const { datasets, reconciliation } = await worker.stats(`scope=${scope}`);
      assert.equal(datasets.length, 1);
      const [{ batches, records, bytes_compressed, archived, duplicates }] = datasets;
      assert.deepEqual([batches, records, bytes_compressed], [1, lines.length, body.length]);
      assert.deepEqual([archived.batches, archived.bytes, duplicates], [1, body.length, results.length - 1]);
      assert.equal(reconciliation.holds, true);
      assert.equal((await worker.keys(scope)).length, 1, "one object");
      assert.deepEqual(await worker.keys("spool/"), []);
    });
  }
});

describe("batches that begin alike are told apart, as when Logpush cuts a batch anew after a lost answer", () => {
  for (const chunked of [false, true]) {
    test(`${chunked ? "without" : "with"} Content-Length`, async () => {
      const scope = freshScope();
      const job = await createJob(scope);
      const { lines, body } = largeBody(1 * MIB);
      const more = [goodLines(3), goodLines(4)] as const;
      const [first, second] = more.map((some) => gzipSync(ndjson(some))) as [Buffer, Buffer];
      const batches = [body, Buffer.concat([body, first]), Buffer.concat([body, second])];
      const objects: string[] = [];
      for (const batch of batches) {
        const answer = await worker.push(`${scope}/dns_logs`, batch, { chunked });
        assert.deepEqual([answer.status, answer.json.result], [200, "accepted"], answer.text);
        objects.push(answer.json.object);
      }
      for (const [n, batch] of batches.entries()) {
        const again = await worker.push(`${scope}/dns_logs`, batch, { chunked });
        assert.deepEqual([again.status, again.json.result, again.json.object], [200, "duplicate", objects[n]], again.text);
        assert.ok((await worker.object(objects[n] as string)).bytes.equals(batch));
      }
      assert.deepEqual((await worker.keys(scope)).sort(), [...objects].sort());
      const expected = [...lines, ...lines, ...more[0], ...lines, ...more[1]];
      assert.equal((await worker.settled(scope, job.id)).delivered.records, expected.length);
      assert.deepEqual(siem.intake(job.key).tally, tallyOf(expected));
      assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
    });
  }
});

test("two batches that begin alike and are of the same length are both kept", async () => {
  const scope = freshScope();
  const { body } = largeBody(1 * MIB);
  // Nothing but the last bytes tells the two apart.
  const [first, second] = [goodLines(3), goodLines(3)].map((some) => Buffer.concat([body, gzipSync(ndjson(some), { level: 0 })])) as [Buffer, Buffer];
  assert.equal(first.length, second.length);
  for (const bytes of [first, second]) {
    const { json } = await worker.push(`${scope}/dns_logs`, bytes);
    assert.equal(json.result, "accepted");
    assert.ok((await worker.object(json.object)).bytes.equals(bytes));
  }
  for (const bytes of [first, second]) {
    assert.equal((await worker.push(`${scope}/dns_logs`, bytes)).json.result, "duplicate");
  }
  const { batches, archived } = await worker.datasetStats(scope);
  assert.deepEqual([batches, archived.bytes], [2, first.length + second.length]);
  assert.equal((await worker.keys(`${scope}/`)).length, 2);
});

describe("overload", () => {
  let narrow: TestWorker;
  before(async () => {
    narrow = await TestWorker.start({ BATCHES_IN_FLIGHT_MAX: "1" });
  });
  after(() => narrow.close());

  test("of many uploads at once, only as many get in as may; the others get 503 with Retry-After", async () => {
    const body = gzipSync(ndjson(goodLines(10)));
    // The Worker is cold: nothing is cached yet, so all of them meet before the first one is under way.
    const uploads = Array.from({ length: 5 }, (_, n) => begin(`zones/herd${n}`, body.length, narrow));
    await Promise.all(uploads.map((upload) => upload.write(body.subarray(0, 20))));
    const refused: number[] = [];
    const answers = uploads.map(async (upload, n) => {
      const answer = await upload.answer;
      if (answer.status === 503) refused.push(n);
      return answer;
    });
    await eventually("four refusals", () => refused.length === 4, 5_000);
    const admitted = uploads.findIndex((_, n) => !refused.includes(n));
    await uploads[admitted]?.write(body.subarray(20));
    uploads[admitted]?.finish();
    for (const [n, answer] of (await Promise.all(answers)).entries()) {
      assert.equal(answer.status, n === admitted ? 200 : 503);
      if (n !== admitted) {
        assert.equal(answer.json.error.code, "overloaded");
        assert.ok(Number(answer.headers["retry-after"]) > 0);
      }
    }
    for (const upload of uploads) upload.abort();
    assert.equal((await narrow.keys()).length, 1);
  });

  test("ends as soon as there is room again, and what was refused is taken then", async () => {
    await eventually("room", async () => (await inFlight(narrow)) === 0);
    const body = gzipSync(ndjson(goodLines(10)));
    const slow = begin("zones/slow", body.length, narrow);
    await slow.write(body.subarray(0, 20));
    await eventually("the slow upload to be in flight", async () => (await inFlight(narrow)) === 1);
    const other = gzipSync(ndjson(goodLines(10)));
    const refused = await narrow.push("zones/fast/dns_logs", other);
    assert.deepEqual([refused.status, refused.json.error.code], [503, "overloaded"]);
    assert.deepEqual(await narrow.keys("zones/fast"), []);
    await slow.write(body.subarray(20));
    slow.finish();
    assert.equal((await slow.answer).status, 200);
    assert.equal((await narrow.push("zones/fast/dns_logs", other)).json.result, "accepted");
  });
});

describe("overload by bytes", () => {
  const body = gzipSync(ndjson(goodLines(10)));
  let narrow: TestWorker;
  before(async () => {
    // Room for two of them.
    narrow = await TestWorker.start({ BYTES_IN_FLIGHT_MAX: String(2 * body.length) });
  });
  after(() => narrow.close());

  const bytesInFlight = async (): Promise<number> => (await narrow.get("/healthz")).json.bytes_in_flight;

  test("announced bytes count from the first one, and what would be too much gets 503 with Retry-After", async () => {
    const slow = begin("zones/slow", 2 * body.length - 10, narrow);
    await slow.write(body);
    await eventually("the slow upload to be in flight", async () => (await bytesInFlight()) === 2 * body.length - 10);
    const refused = await narrow.push("zones/fast/dns_logs", body);
    assert.deepEqual([refused.status, refused.json.error.code], [503, "overloaded"]);
    assert.ok(Number(refused.headers["retry-after"]) > 0);
    assert.deepEqual(await narrow.keys("zones/fast"), []);
    slow.abort();
    await slow.answer.catch(() => {});
    await eventually("room", async () => (await bytesInFlight()) === 0);
    assert.equal((await narrow.push("zones/fast/dns_logs", body)).json.result, "accepted");
  });

  test("a batch that is too large for the limit is taken when it is alone", async () => {
    const large = gzipSync(ndjson(goodLines(10)), { level: 0 });
    assert.ok(large.length > 2 * body.length);
    assert.equal((await narrow.push("zones/large/dns_logs", large)).json.result, "accepted");
  });
});
