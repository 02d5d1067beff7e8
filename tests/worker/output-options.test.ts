// How records are written out and pushes put together, as a destination sees it.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test, type TestContext } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { generateBatch } from "../support/generate.ts";
import { eventually, freshScope, TestWorker } from "../support/worker.ts";

interface Push {
  type: string | undefined;
  text: string;
}

/** A destination that keeps what it takes, whole. */
async function destination(context: TestContext) {
  const taken: Push[] = [];
  const state = { taken, refused: 0, isDown: false, conf: "" };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const text = gunzipSync(Buffer.concat(chunks)).toString();
      // What comes when the job is made or changed, whether or not the destination is to be down for pushes.
      if (text === '{"content":"tests"}') return void response.writeHead(200).end();
      if (state.isDown) state.refused += 1;
      else taken.push({ type: request.headers["content-type"], text });
      response.writeHead(state.isDown ? 503 : 200).end();
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  context.after(() => server.close());
  state.conf = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return state;
}

const lines = (bytes: Buffer) => bytes.toString().trimEnd().split("\n");
const batchOf = (texts: string[]) => gzipSync(`${texts.join("\n")}\n`);
const records = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `{"Z":"é\\u0026","RayID":"r${from + index}","EdgeResponseStatus":${from + index}}`);

describe("output options", () => {
  let worker: TestWorker;
  before(async () => void (worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" })));
  after(async () => await worker.close());

  test("a push is one document across batches, and records of a changed job are in a push of their own", async (context) => {
    const siem = await destination(context);
    const scope = freshScope();
    const array = {
      field_names: ["RayID", "EdgeResponseStatus"], batch_prefix: '{"events":[', batch_suffix: "\n]}\n", record_prefix: "\n {",
      record_suffix: "}", record_delimiter: ",",
    };
    const { id } = await worker.createJob(scope, { dataset: "http_requests", destination_conf: siem.conf, output_options: array });
    siem.isDown = true;
    const push = async (from: number, to: number) => {
      const answer = await worker.push(`${scope}/http_requests`, batchOf(records(from, to)));
      assert.equal(answer.json.result, "accepted");
    };
    await push(0, 3);
    // The first push is written down by now, and takes no more.
    await eventually("a refused push", () => siem.refused > 0);
    await push(3, 5);
    await push(5, 6);
    await worker.changeJob(scope, id, { output_options: { output_type: "csv", field_names: ["EdgeResponseStatus", "RayID"], batch_prefix: "status,ray\n" } });
    await push(6, 8);
    await worker.evict("REGISTRY", "OUTBOX");
    siem.isDown = false;
    await worker.changeJob(scope, id, { name: "wakes the outbox" });
    const job = await worker.settled(scope, id);
    const document = (from: number, to: number) => {
      const events = Array.from({ length: to - from }, (_, index) => `\n {"RayID":"r${from + index}","EdgeResponseStatus":${from + index}}`);
      return { type: "application/json", text: `{"events":[${events.join(",")}\n]}\n` };
    };
    assert.deepEqual(siem.taken, [
      document(0, 3),
      document(3, 6),
      { type: "text/csv", text: 'status,ray\n6,"r6"\n7,"r7"\n' },
    ]);
    assert.equal(JSON.parse(siem.taken[1]?.text ?? "").events.length, 3);
    assert.equal(job.delivered.records, 8);
    // Each record of the documents with its delimiter, nothing of what stands around them.
    assert.equal(job.delivered.bytes, 6 * ',\n {"RayID":"r0","EdgeResponseStatus":0}'.length + 2 * '6,"r6"\n'.length);
    assert.equal(job.selected.bytes, job.delivered.bytes);
    assert.equal((await worker.stats(`scope=${scope}`)).reconciliation.holds, true);
  });

  test("spooled records are put together like any others, over several pushes", async (context) => {
    const siem = await destination(context);
    const scope = freshScope();
    const output_options = { record_delimiter: "--", record_suffix: "}" };
    const { id } = await worker.createJob(scope, { dataset: "http_requests", destination_conf: siem.conf, output_options });
    const batch = generateBatch({ dataset: "http_requests", records: 8_000 });
    assert.equal((await worker.push(`${scope}/http_requests`, batch.gzip)).json.result, "accepted");
    const job = await worker.settled(scope, id);
    assert.ok(siem.taken.length > 1, "several pushes");
    assert.ok(siem.taken.every(({ type }) => type === "text/plain; charset=utf-8"));
    assert.ok(siem.taken.map(({ text }) => text).join("--") === lines(batch.ndjson).join("--"), "the records");
    assert.equal(job.delivered.records, batch.records);
    assert.equal((await worker.keys("spool/")).length, 0);
  });

  test("times are written in the format of the job, and everything else as it came", async (context) => {
    const siem = await destination(context);
    const scope = freshScope();
    const made = { dataset: "firewall_events", records: 300, seed: 5 } as const;
    const wanted = lines(generateBatch({ ...made, timestampFormat: "rfc3339" }).ndjson);
    const { id } = await worker.createJob(scope, {
      dataset: made.dataset, destination_conf: siem.conf, logpull_options: "start=1&timestamps=rfc3339",
    });
    await worker.push(`${scope}/${made.dataset}`, generateBatch({ ...made, timestampFormat: "unixnano" }).gzip);
    await worker.settled(scope, id);
    assert.deepEqual(siem.taken.flatMap(({ text }) => lines(Buffer.from(text))), wanted);
    assert.equal(siem.taken[0]?.type, "application/x-ndjson");
  });

  test("two jobs with one rate get the same sample", async (context) => {
    const [first, second] = [await destination(context), await destination(context)];
    const scope = freshScope();
    const job = { dataset: "http_requests", output_options: { sample_rate: 0.25 } };
    const { id } = await worker.createJob(scope, { ...job, destination_conf: first.conf });
    const other = await worker.createJob(scope, { ...job, destination_conf: second.conf });
    await worker.push(`${scope}/http_requests`, batchOf(records(0, 2_000)));
    const stats = await worker.settled(scope, id);
    await worker.settled(scope, other.id);
    assert.ok(stats.selected.records > 400 && stats.selected.records < 600, `${stats.selected.records} of 2000`);
    assert.deepEqual(first.taken, second.taken);
    assert.equal((await worker.datasetStats(scope)).records, 2_000);
  });
});
