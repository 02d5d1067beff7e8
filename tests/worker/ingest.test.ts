// What comes in: test messages, secrets, targets, encodings, and that the archive holds exactly what was sent.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { generateBatch } from "../support/generate.ts";
import { ndjson } from "../support/lines.ts";
import { pushTest, TEST_FORMS, type Answer, type TestForm } from "../support/logpush.ts";
import { freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const SECOND_SECRET = "second-secret";
const MIB = 1024 * 1024;
type Headers = Record<string, string>;
const KEY = /^(zones|accounts)\/t\d+\/[a-z_]+\/\d{8}\/\d{8}T\d{6}Z_\d{8}T\d{6}Z_[0-9a-f]{16}\.log(\.gz)?$/;

let worker: TestWorker;
before(async () => {
  worker = await TestWorker.start({ INGEST_SECRET: `${SECRETS.INGEST_SECRET}, ${SECOND_SECRET}` });
});
after(() => worker.close());

let sequence = 0;
/** A small batch that no other test has. */
function smallBatch(records = 3): Buffer {
  const first = (sequence += records);
  return ndjson(
    Array.from({ length: records }, (_, n) => ({ QueryName: `q${first + n}.example.`, Timestamp: `2026-07-01T10:00:0${n % 10}Z` })),
  );
}

/** Records that hardly compress, so that a body of many megabytes is made in no time. */
function noise(bytes: number): Buffer {
  const records: object[] = [];
  for (let made = 0; made < bytes; made += 75_000) {
    records.push({ Timestamp: "2026-07-01T10:00:00Z", QueryName: randomBytes(75_000).toString("base64") });
  }
  return ndjson(records);
}

function accepted(answer: Answer, records: number): string {
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual([answer.json.result, answer.json.records], ["accepted", records], answer.text);
  return answer.json.object;
}

describe("a test message", () => {
  for (const form of Object.keys(TEST_FORMS) as TestForm[]) {
    test(`of the form "${form}" is answered 200, stored nowhere and counted as a test`, async () => {
      const scope = freshScope();
      const headers = { Authorization: `Bearer ${SECRETS.INGEST_SECRET}` };
      const answer = await pushTest(`${worker.url}/ingest/${scope}/http_requests`, form, headers);
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.json.result, "test");
      assert.deepEqual(await worker.keys(scope), []);
      const { tests, batches, records, duplicates } = await worker.datasetStats(scope);
      assert.deepEqual([tests, batches, records, duplicates], [1, 0, 0, 0]);
    });
  }

  test("may be a body without a byte", async () => {
    const scope = freshScope();
    const answer = await worker.push(`${scope}/dns_logs`, Buffer.alloc(0), { undeclared: true });
    assert.deepEqual([answer.status, answer.json.result], [200, "test"]);
    assert.equal((await worker.datasetStats(scope)).tests, 1);
  });

  test("with a wrong secret is refused like any upload", async () => {
    const answer = await pushTest(`${worker.url}/ingest/${freshScope()}/dns_logs`, "tests", { Authorization: "Bearer no" });
    assert.equal(answer.status, 401);
  });
});

describe("a target", () => {
  for (const kind of ["zones", "accounts"] as const) {
    for (const method of ["POST", "PUT"]) {
      test(`of ${kind} takes batches by ${method}, whatever follows in the query`, async () => {
        const scope = freshScope(kind);
        const object = accepted(await worker.push(`${scope}/dns_logs?tags=a:b`, gzipSync(smallBatch()), { method }), 3);
        assert.ok(object.startsWith(`${scope}/dns_logs/20260701/`), object);
      });
    }
  }

  test("that does not exist is answered 404, and nothing is stored", async () => {
    const before = await worker.keys();
    for (const path of [
      "zones/t0", "zones/t0/", "zones/t0/dns_logs/", "zones/t0/dns_logs/x", "zone/t0/dns_logs", "Zones/t0/dns_logs",
      "zones//dns_logs", "zones/a%2Fb/dns_logs", "zones/%2e%2e/dns_logs", "zones/a.b/dns_logs", "zones/t0/a%2Fb",
      "zones/t0/..%2f..%2fdns_logs", "zones/t0/dns.logs", `zones/${"x".repeat(65)}/dns_logs`,
      `zones/t0/${"x".repeat(257)}`, "",
    ]) {
      const answer = await worker.push(path, gzipSync(smallBatch()));
      assert.equal(answer.status, 404, path);
      assert.equal(answer.json.ok, false, path);
    }
    assert.deepEqual(await worker.keys(), before);
  });

  test("asked by another method is answered 405 with the methods that it takes", async () => {
    for (const method of ["GET", "DELETE", "PATCH"]) {
      const { status, headers } = await worker.call(method, `/ingest/${freshScope()}/dns_logs`);
      assert.deepEqual([status, headers.get("Allow")], [405, "POST, PUT"], method);
    }
  });

  test("of an unknown dataset is taken by default", async () => {
    const scope = freshScope();
    accepted(await worker.push(`${scope}/brand_new-dataset_2`, gzipSync(smallBatch())), 3);
    const { dataset, records } = await worker.datasetStats(scope);
    assert.deepEqual([dataset, records], ["brand_new-dataset_2", 3]);
  });

  test("of an unknown dataset is answered 404 when UNKNOWN_DATASETS is refuse", async () => {
    const strict = await TestWorker.start({ UNKNOWN_DATASETS: "refuse" });
    try {
      const scope = freshScope();
      const answer = await strict.push(`${scope}/brand_new`, gzipSync(smallBatch()));
      assert.deepEqual([answer.status, answer.json.error.code], [404, "unknown_dataset"]);
      assert.deepEqual(await strict.keys(), []);
      assert.equal((await strict.push(`${scope}/dns_logs`, gzipSync(smallBatch()))).status, 200);
      assert.equal((await strict.push(`${freshScope("accounts")}/audit_logs`, gzipSync(smallBatch()))).status, 200);
    } finally {
      await strict.close();
    }
  });
});

describe("a secret", () => {
  const sendWith = async (headers: Headers) =>
    await worker.push(`${freshScope()}/dns_logs`, gzipSync(smallBatch()), { headers: { Authorization: "", ...headers } });

  test("may come in each of three headers, and each of two secrets counts", async () => {
    for (const secret of [SECRETS.INGEST_SECRET, SECOND_SECRET]) {
      const ways: Headers[] = [
        { Authorization: `Bearer ${secret}` }, { Authorization: `bearer ${secret}` }, { "X-Logpush-Secret": secret },
        { "X-CF-Secret": secret }, { Authorization: "Bearer wrong", "X-CF-Secret": secret },
      ];
      for (const headers of ways) accepted(await sendWith(headers), 3);
    }
  });

  test("that is wrong or missing is answered 401, and nothing is stored", async () => {
    const before = await worker.keys();
    const both = `${SECRETS.INGEST_SECRET}, ${SECOND_SECRET}`;
    const ways: Headers[] = [
      {}, { Authorization: "Bearer wrong" }, { Authorization: "Bearer " }, { Authorization: SECRETS.INGEST_SECRET },
      { Authorization: `Basic ${SECRETS.INGEST_SECRET}` }, { Authorization: `Bearer ${both}` }, { "X-Logpush-Secret": "wrong" },
      { "X-CF-Secret": `${SECRETS.INGEST_SECRET}x` }, { "X-CF-Secret": SECRETS.INGEST_SECRET.slice(1) },
      { Authorization: `Bearer ${SECRETS.API_TOKEN}` }, { "X-Logpush-Secret": "," },
    ];
    for (const headers of ways) {
      const answer = await sendWith(headers);
      assert.deepEqual([answer.status, answer.json.error.code], [401, "unauthorized"], JSON.stringify(headers));
    }
    assert.deepEqual(await worker.keys(), before);
  });

  test("that was never configured is answered 503 with what to do, so that Logpush keeps its copy", async () => {
    const open = await TestWorker.start({ INGEST_SECRET: "" });
    try {
      const ways: Headers[] = [{}, { Authorization: "Bearer " }, { "X-CF-Secret": "undefined" }];
      for (const headers of ways) {
        const answer = await open.push("zones/z/dns_logs", gzipSync(smallBatch()), { headers });
        assert.equal(answer.status, 503);
        assert.match(answer.json.error.message, /INGEST_SECRET/);
        assert.ok(Number(answer.headers["retry-after"]) > 0);
      }
      assert.deepEqual(await open.keys(), []);
    } finally {
      await open.close();
    }
  });
});

describe("the archive", () => {
  test("holds the bytes as received, under a name made of the first record's time, with what is known of them", async () => {
    const scope = freshScope();
    const { gzip, records, rawBytes, facts } = generateBatch({ dataset: "dns_logs", records: 500, startTime: new Date("2026-02-28T23:59:59.7Z") });
    const answer = await worker.push(`${scope}/dns_logs`, gzip);
    const key = accepted(answer, 500);
    const id = createHash("sha256").update(gzip).digest("hex");
    assert.equal(answer.json.batch_id, id);
    assert.equal(key, `${scope}/dns_logs/20260228/20260228T235959Z_20260301T000000Z_${id.slice(0, 16)}.log.gz`);
    assert.deepEqual(await worker.keys(scope), [key]);
    const object = await worker.object(key);
    assert.ok(object.bytes.equals(gzip));
    assert.deepEqual([object.contentType, object.contentEncoding], ["application/x-ndjson", "gzip"]);
    assert.equal(Date.parse(object.metadata["first-record-time"] as string), facts.firstMillis);
    assert.equal(Date.parse(object.metadata["earliest-time"] as string), facts.firstMillis);
    assert.equal(Date.parse(object.metadata["latest-time"] as string), facts.lastMillis);
    assert.deepEqual([object.metadata["batch-id"], object.metadata["records"], object.metadata["dataset"]], [id, "500", "dns_logs"]);
    const stats = await worker.datasetStats(scope);
    assert.deepEqual(
      [stats.batches, stats.records, stats.bytes_raw, stats.bytes_compressed, stats.archived, stats.invalid_lines],
      [1, records, rawBytes, gzip.length, { batches: 1, bytes: gzip.length }, 0],
    );
  });

  test("names the day of the first record, also when a later one is older", async () => {
    const records = ["2026-07-02T00:00:01Z", "2026-07-01T23:59:59Z", "2026-07-02T00:00:09Z"].map((Timestamp) => ({ Timestamp }));
    const key = accepted(await worker.push(`${freshScope()}/dns_logs`, gzipSync(ndjson(records))), 3);
    assert.match(key, /\/20260702\/20260702T000001Z_20260702T000009Z_/);
    const { metadata } = await worker.object(key);
    assert.equal(metadata["earliest-time"], "2026-07-01T23:59:59Z");
  });

  test("can not be led astray by what a record says", async () => {
    const before = await worker.keys();
    const scope = freshScope();
    const hostile = [
      '"../../x"', '"/etc/passwd"', '"2026-07-01T10:00:00Z/../../../x"', '"2026-07-01T10:00:00Z\\u0000"', '"\\u002e\\u002e/x"', '""', "0",
      "1e400", "1e9", "-1", "-62135596799", "-99999999999999999999", "99999999999999999999999999999999999999999", "0.1",
      '"9999-12-31T23:59:59Z"', '"-000001-01-01T00:00:00Z"', '"0001-01-01T00:00:00Z"', '"+275760-09-13T00:00:00Z"',
      "null", "true", '{"a":"../../x"}', '["../../x"]', '"%2e%2e%2f"', '"zones/other/dns_logs/20260701/x.log.gz"',
    ];
    for (const value of hostile) {
      const line = `{"Timestamp":${value},"QueryName":${JSON.stringify(value)},"../../x":"../../y"}`;
      const key = accepted(await worker.push(`${scope}/dns_logs`, gzipSync(ndjson([line]))), 1);
      assert.match(key, KEY, value);
      assert.ok(key.startsWith(`${scope}/dns_logs/`), value);
    }
    const added = (await worker.keys()).filter((key) => !before.includes(key));
    assert.equal(added.length, hostile.length);
    assert.ok(added.every((key) => KEY.test(key) && key.startsWith(`${scope}/dns_logs/`)));
    assert.equal((await worker.datasetStats(scope)).records, hostile.length);
  });
});

describe("a body", () => {
  test("may be plain NDJSON, and is archived as that", async () => {
    const body = smallBatch();
    const key = accepted(await worker.push(`${freshScope()}/dns_logs`, body, { undeclared: true }), 3);
    assert.match(key, /\.log$/);
    const object = await worker.object(key);
    assert.ok(object.bytes.equals(body));
    assert.equal(object.contentEncoding, undefined);
  });

  test("is known by its first bytes and not by its headers", async () => {
    const types = ["application/json", "application/x-ndjson", "text/plain", "application/x-www-form-urlencoded", "nonsense"];
    for (const type of types) {
      const raw = smallBatch();
      const headers = { "Content-Type": type };
      const gzip = await worker.push(`${freshScope()}/dns_logs`, gzipSync(raw), { undeclared: true, headers });
      assert.match(accepted(gzip, 3), /\.log\.gz$/, type);
      const plain = await worker.push(`${freshScope()}/dns_logs`, raw, { headers });
      assert.match(accepted(plain, 3), /\.log$/, type);
    }
  });

  test("may have several gzip members, cut anywhere, and empty ones among them", async () => {
    const raw = smallBatch(400);
    const cuts = [0, 1, 777, 12_345, raw.length];
    const members = cuts.slice(1).map((end, n) => gzipSync(raw.subarray(cuts[n], end)));
    const body = Buffer.concat([gzipSync(""), ...members, gzipSync("")]);
    const scope = freshScope();
    const key = accepted(await worker.push(`${scope}/dns_logs`, body), 400);
    assert.ok((await worker.object(key)).bytes.equals(body));
    const { bytes_raw, invalid_lines, invalid } = await worker.datasetStats(scope);
    assert.deepEqual([bytes_raw, invalid_lines, invalid], [raw.length, 0, {}]);
  });

  test("need not end in a newline, and blank lines and carriage returns do no harm", async () => {
    const raw = Buffer.from('{"Timestamp":1751364000}\r\n\r\n  \n{"Timestamp":1751364001}');
    accepted(await worker.push(`${freshScope()}/dns_logs`, gzipSync(raw)), 2);
  });

  // Below and above what is read before the key is made, and in one, two or three parts of a multipart upload.
  for (const [size, bytes] of [["0.2 MiB", 0.2 * MIB], ["0.8 MiB", 0.8 * MIB], ["6 MiB", 6 * MIB], ["11 MiB", 11 * MIB]] as const) {
    for (const chunked of [false, true]) {
      test(`of ${size} ${chunked ? "without" : "with"} Content-Length is archived byte for byte`, async () => {
        const scope = freshScope();
        const raw = noise(bytes);
        const body = gzipSync(raw, { level: 1 });
        const records = Math.ceil(bytes / 75_000);
        const key = accepted(await worker.push(`${scope}/dns_logs`, body, { chunked }), records);
        assert.match(key, KEY);
        assert.ok((await worker.object(key)).bytes.equals(body));
        assert.deepEqual(await worker.keys(scope), [key]);
        const stats = await worker.datasetStats(scope);
        assert.deepEqual(
          [stats.records, stats.bytes_raw, stats.bytes_compressed, stats.archived.bytes],
          [records, raw.length, body.length, body.length],
        );
      });
    }
  }
});
