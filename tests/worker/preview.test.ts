// A preview of the newest archived batch: what it counts is what a job then gets.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { Siem } from "../support/siem.ts";
import { freshScope, SECRETS, TestWorker } from "../support/worker.ts";

const KEY = "5a0e8a5e-1d0a-4d51-9f0a-1f2f4d0c7d11";

let worker: TestWorker;
before(async () => {
  worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" });
});
after(async () => await worker?.close());

const filter = (where: object) => JSON.stringify({ where });
const lines = (records: readonly object[]) => gzipSync(records.map((record) => `${JSON.stringify(record)}\n`).join(""));

async function preview(scope: string, members: object, token: string = SECRETS.READ_TOKEN): Promise<any> {
  const body = { dataset: "http_requests", source: "newest_batch", ...members };
  const { status, json } = await worker.api("POST", `${scope}/logpush/preview`, body, token);
  assert.equal(status, 200, JSON.stringify(json));
  return json.result;
}

const requests = (count: number, status: (n: number) => number, at = Date.now()) =>
  Array.from({ length: count }, (_, n) => ({ EdgeStartTimestamp: new Date(at + n).toISOString(), RayID: `r${n}`, EdgeResponseStatus: status(n) }));

test("a preview's counts, bytes and first records are those that a job with the same members delivers", async (context) => {
  const siem = await Siem.start({ intakeKeys: [KEY] });
  context.after(async () => await siem.close());
  const scope = freshScope();
  const members = {
    filter: filter({ key: "EdgeResponseStatus", operator: "geq", value: 400 }),
    output_options: { field_names: ["RayID", "EdgeResponseStatus"], sample_rate: 0.5 },
  };
  const job = await worker.createJob(scope, { dataset: "http_requests", destination_conf: siem.plain(KEY), ...members });
  await worker.push(`${scope}/http_requests`, lines(requests(400, (n) => (n % 4 === 0 ? 503 : 200))));
  const { selected } = await worker.settled(scope, job.id);

  const answer = await preview(scope, { ...members, first: 100 });
  assert.equal(answer.selected.records, selected.records);
  assert.equal(answer.selected.bytes, selected.bytes);
  assert.deepEqual(answer.selected.first, siem.intake(KEY).lines.slice(0, 100).map((line) => `${line}\n`));
  assert.equal(answer.selected.records + answer.not_selected.records, 400);
  const reasons = answer.not_selected.first.map(({ reason }: { reason: string }) => reason);
  assert.ok(reasons.includes("the filter wants EdgeResponseStatus geq 400, and it is 200"));
  assert.ok(reasons.some((reason: string) => reason.startsWith("not in the sample")));
  assert.deepEqual(answer.per_day.of_records, 400);
  assert.equal(answer.per_day.records, selected.records);
  assert.ok(answer.per_day.window_seconds >= 86_400 && answer.per_day.window_seconds < 86_460);
});

test("it is the batch that was received last, whatever the time of its records", async () => {
  const scope = freshScope();
  await worker.push(`${scope}/http_requests`, lines(requests(3, () => 200)));
  const old = await worker.push(`${scope}/http_requests`, lines(requests(2, () => 500, Date.UTC(2026, 0, 3))));
  const answer = await preview(scope, { values: ["EdgeResponseStatus"] });
  assert.equal(answer.batch.object, old.json.object);
  assert.deepEqual([answer.batch.records, answer.read.records, answer.read.stopped_by], [2, 2, null]);
  assert.deepEqual(answer.values, { EdgeResponseStatus: [{ value: "500", records: 2 }] });
  assert.equal(answer.per_day.records, 5);
});

test("a batch that came as CSV is read as records", async () => {
  const scope = freshScope();
  const body = gzipSync('"192.0.2.1",200\n"192.0.2.2",500\n');
  await worker.push(`${scope}/http_requests?output_type=csv&fields=ClientIP,EdgeResponseStatus`, body);
  const answer = await preview(scope, { filter: filter({ key: "EdgeResponseStatus", operator: "eq", value: 500 }) });
  assert.deepEqual(answer.selected.first, ['{"ClientIP":"192.0.2.2","EdgeResponseStatus":500}\n']);
  assert.equal(answer.not_selected.records, 1);
});

test("of a huge batch no more than 100,000 records are looked at, and the answer says so", async () => {
  const scope = freshScope();
  // Records of few bytes: what is bounded is their number, and the answer's size.
  const body = gzipSync('{"RayID":"r","EdgeResponseStatus":500}\n'.repeat(250_000));
  await worker.push(`${scope}/http_requests`, body);
  const answer = await preview(scope, { first: 1 });
  assert.deepEqual([answer.read.records, answer.read.stopped_by, answer.batch.records], [100_000, "records", 250_000]);
  assert.equal(answer.per_day.records, 250_000);

  const long = JSON.stringify({ RayID: "r", UserAgent: "x".repeat(1_000_000) });
  const wide = freshScope();
  // Plain: so much of the same would be a bomb in gzip.
  await worker.push(`${wide}/http_requests`, Buffer.from(`${long}\n`.repeat(70)));
  const cut = await preview(wide, { first: 100 });
  assert.deepEqual([cut.read.records, cut.read.stopped_by], [68, "bytes"]);
  assert.ok(JSON.stringify(cut).length < 2_000_000 && cut.selected.first[0].endsWith("…"));
});

test("without an archived batch, or when its object is gone, there is nothing to look at, and that is no error", async () => {
  const scope = freshScope();
  for (const dataset of ["http_requests", "a_dataset_of_next_week"]) {
    const answer = await preview(scope, { dataset });
    assert.deepEqual([answer.batch, answer.per_day, answer.read.records], [null, null, 0]);
  }
  const { json } = await worker.push(`${scope}/http_requests`, lines(requests(1, () => 200)));
  await worker.remove(json.object);
  assert.equal((await preview(scope, {})).batch, null);
  const refused = await worker.api("POST", `${scope}/logpush/preview`, { dataset: "http_requests", source: "newest_batch", first: 101 });
  assert.deepEqual([refused.status, refused.json.errors[0].message], [400, "first: must be a number from 0 to 100"]);
});

test("a dataset that the catalogue lacks is previewed with an open schema, and listed once it has come in", async () => {
  const scope = freshScope();
  await worker.push(`${scope}/a_dataset_of_next_week`, lines([{ A: 1 }, { A: 2 }]));
  const answer = await preview(scope, { dataset: "a_dataset_of_next_week", filter: filter({ key: "A", operator: "gt", value: 1 }) });
  assert.deepEqual(answer.selected.first, ['{"A":2}\n']);
  const { json } = await worker.api("GET", `${scope}/logpush/datasets`, undefined, SECRETS.READ_TOKEN);
  const arrived = json.result.filter((one: { arrived: boolean }) => one.arrived);
  assert.deepEqual(arrived.map(({ dataset, known }: any) => [dataset, known]), [["a_dataset_of_next_week", false]]);
  assert.ok(Math.abs(Date.parse(arrived[0].last_seen) - Date.now()) < 3_600_000);
  assert.ok(json.result.some((one: any) => one.dataset === "http_requests" && one.known && !one.arrived));
});
