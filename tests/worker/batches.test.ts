// Batches found by the time of their records: what replay and retrieval ask the registry and the ledgers.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { TestWorker, freshScope } from "../support/worker.ts";

let worker: TestWorker;
before(async () => {
  worker = await TestWorker.start();
});
after(async () => await worker.close());

const DAY = Date.UTC(2026, 4, 4);
const HOUR = 3_600_000;

/** A batch of dns_logs with a record at each of these times. */
async function push(scope: string, ...times: number[]): Promise<string> {
  const lines = times.map((at) => `${JSON.stringify({ Timestamp: new Date(at).toISOString(), QueryName: "a.example" })}\n`);
  const { status, json } = await worker.push(`${scope}/dns_logs`, gzipSync(lines.join("")));
  assert.equal(status, 200);
  return json.batch_id;
}

const batches = async (ledger: string, question: object): Promise<any[]> => await worker.callObject("LEDGER", ledger, "batches", question);
const ids = (rows: { batch_id: string }[]) => rows.map((row) => row.batch_id);

test("batches of a span come by the time of their first record, page by page, each once", async () => {
  const scope = freshScope();
  const late = await push(scope, DAY + 20 * HOUR);
  const wide = await push(scope, DAY + 2 * HOUR, DAY + 9 * HOUR);
  const same = [await push(scope, DAY + 5 * HOUR, DAY + 5 * HOUR + 1), await push(scope, DAY + 5 * HOUR)].sort();
  const ledger = `${scope}/dns_logs/20260504`;
  const span = { from_millis: DAY + 4 * HOUR, until_millis: DAY + 20 * HOUR };

  assert.deepEqual(ids(await batches(ledger, { span, after: null, limit: 10 })), [wide, ...same]);
  const found = [];
  let after: object | null = null;
  for (;;) {
    const rows = await batches(ledger, { span, after, limit: 1 });
    if (rows.length === 0) break;
    const [row] = rows;
    found.push(row.batch_id);
    after = { first_millis: row.event_millis[0], batch_id: row.batch_id };
  }
  assert.deepEqual(found, [wide, ...same]);

  const [row] = await batches(ledger, { span: { from_millis: DAY + 20 * HOUR, until_millis: DAY + 20 * HOUR + 1 }, after: null, limit: 10 });
  assert.equal(row.batch_id, late);
  assert.deepEqual(row.event_millis, [DAY + 20 * HOUR, DAY + 20 * HOUR]);
  assert.deepEqual([row.records, row.invalid_lines, row.object.startsWith(`${scope}/dns_logs/20260504/`)], [1, 0, true]);
  assert.equal((await worker.callObject("LEDGER", ledger, "newest", {})).batch_id.length, 64);
});

test("a batch without times is found where a span begins at 0", async () => {
  const scope = freshScope();
  const { json } = await worker.push(`${scope}/dns_logs`, gzipSync('{"QueryName":"a.example"}\n'));
  const rows = await batches(`${scope}/dns_logs/19700101`, { span: { from_millis: 0, until_millis: DAY }, after: null, limit: 10 });
  assert.deepEqual(ids(rows), [json.batch_id]);
  assert.equal(rows[0].event_millis, null);
});

test("the registry leaves out a closed ledger whose records lie elsewhere, and never an open one", async () => {
  const scope = freshScope();
  for (const day of [0, 1, 2]) await push(scope, DAY + day * 24 * HOUR, DAY + (day * 24 + 1) * HOUR);
  const span = { from_millis: DAY + 24 * HOUR, until_millis: DAY + 25 * HOUR };
  const ledgers = async () => {
    const rows = await worker.callObject("REGISTRY", "registry", "ledgers-with-events", { scope, dataset: "dns_logs", span });
    return rows.map((row: { day: string }) => row.day);
  };
  assert.deepEqual(await ledgers(), ["20260504", "20260505", "20260506"]);
  for (const day of ["20260504", "20260505"]) {
    const name = `${scope}/dns_logs/${day}`;
    const totals = await worker.callObject("LEDGER", name, "totals", {});
    const [first, last] = day === "20260504" ? [DAY, DAY + HOUR] : [DAY + 24 * HOUR, DAY + 25 * HOUR];
    const closing = { name, last_seen: Date.now(), totals, event_millis: [first, last] };
    assert.equal(await worker.callObject("REGISTRY", "registry", "close-ledger", closing), true);
  }
  assert.deepEqual(await ledgers(), ["20260505", "20260506"]);
  assert.deepEqual(await worker.callObject("REGISTRY", "registry", "ledgers-with-events", { scope, dataset: "http_requests", span }), []);
});
