// `npm run logs`: ranges of any width, connections that break, exit codes.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { generateBatch, type Batch } from "../support/generate.ts";
import { SECRETS, TestWorker, freshScope } from "../support/worker.ts";

const script = fileURLToPath(new URL("../../scripts/logs.ts", import.meta.url));
const START = new Date("2026-05-04T12:00:00Z");
const BATCHES = 6;

let worker: TestWorker;
let scope: string;
const batches: Batch[] = [];
before(async () => {
  worker = await TestWorker.start();
  scope = freshScope();
  for (let n = 0; n < BATCHES; n += 1) {
    const batch = generateBatch({ dataset: "http_requests", records: 400, seed: n + 1, startTime: new Date(START.getTime() + n * 60_000) });
    batches.push(batch);
    assert.equal((await worker.push(`${scope}/http_requests`, batch.gzip)).status, 200);
  }
});
after(async () => await worker.close());

interface Ran {
  code: number | null;
  stdout: string;
  stderr: string;
}

async function run(args: string[], { url = worker.url, token = SECRETS.READ_TOKEN as string } = {}): Promise<Ran> {
  const child = spawn(process.execPath, [script, ...args], { env: { ...process.env, LOGPUSH_EDGE_URL: url, LOGPUSH_EDGE_TOKEN: token } });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (stderr += text));
  const code = await new Promise<number | null>((done) => child.once("close", done));
  return { code, stdout, stderr };
}

const asked = () => ["--scope", scope, "--dataset", "http_requests", "--start", "2026-05-04T12:00:00Z", "--end", "2026-05-05T12:00:00Z"];
const everything = () => batches.map(({ ndjson }) => ndjson.toString()).join("");

/** Passes requests on, and breaks a connection after so many bytes of its answer, as often as it is told. */
async function flaky(cuts: number[]): Promise<{ url: string; server: Server; asked: () => number }> {
  let count = 0;
  const server = createServer((incoming, answer) => {
    count += 1;
    let left = cuts.shift() ?? Infinity;
    // Without gzip, so that what is cut is lines.
    const headers = { ...incoming.headers, "accept-encoding": "identity" };
    const outgoing = request(`${worker.url}${incoming.url}`, { headers, agent: false }, (from) => {
      answer.writeHead(from.statusCode ?? 502, from.headers);
      from.on("data", (chunk: Buffer) => {
        if (left === -1) return;
        if (chunk.length < left) {
          answer.write(chunk);
          left -= chunk.length;
          return;
        }
        answer.write(chunk.subarray(0, left), () => answer.destroy());
        left = -1;
        outgoing.destroy();
      });
      from.on("end", () => void (left === -1 || answer.end()));
      from.on("error", () => answer.destroy());
    });
    outgoing.on("error", () => answer.destroy());
    outgoing.end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, asked: () => count };
}

test("a range is printed as it was received, and what was read is said beside it", async () => {
  const { code, stdout, stderr } = await run(asked());
  assert.equal(code, 0, stderr);
  assert.equal(stdout, everything());
  assert.match(stderr, /^✓ 2400 records, from 6 objects with \d+\.\d MB\n$/);
});

test("connections that break in the middle of a line, of an object and before the first byte cost no record and double none", async () => {
  const size = everything().length;
  const proxy = await flaky([Math.floor(size / 7), 1, Math.floor(size / 3), 0, Math.floor(size / 5)]);
  try {
    const { code, stdout, stderr } = await run(asked(), { url: proxy.url });
    assert.equal(code, 0, stderr);
    assert.equal(stdout, everything());
    assert.match(stderr, /made anew 5 times/);
    assert.equal(proxy.asked(), 6);
  } finally {
    proxy.server.close();
  }
});

test("filter, fields and a count are those of the call, also over a connection that breaks", async () => {
  const where = '{"key":"EdgeResponseStatus","operator":"geq","value":400}';
  const errors = batches.reduce((sum, { facts }) => sum + facts.errors.records, 0);
  const filtered = await run([...asked(), "--where", where, "--fields", "RayID,EdgeResponseStatus"]);
  assert.equal(filtered.stdout.trimEnd().split("\n").length, errors);
  const proxy = await flaky([300_000]);
  try {
    const { code, stdout } = await run([...asked(), "--count", "1000"], { url: proxy.url });
    assert.equal(code, 0);
    assert.equal(stdout, everything().split("\n").slice(0, 1_000).map((line) => `${line}\n`).join(""));
  } finally {
    proxy.server.close();
  }
});

test("a range that is too wide for one request is read in parts", async () => {
  const scope = freshScope();
  const at = START.getTime();
  // Rows of which each is as large as a request may read.
  for (const n of [1, 2, 3]) {
    const object = `${scope}/http_requests/20260504/${n}.log.gz`;
    const bytes = gzipSync(`{"EdgeStartTimestamp":"${new Date(at + n * 1_000).toISOString()}","n":${n}}\n`);
    await worker.put(object, bytes);
    await worker.callObject("LEDGER", `${scope}/http_requests/20260504`, "commit", {
      batch_id: `${n}`.padStart(64, "0"), scope, dataset: "http_requests", day: "20260504", object, object_bytes: bytes.length, received_at_millis: at,
      event_millis: [at + n * 1_000, at + n * 1_000], records: 1, bytes_raw: 1_999_999_999, bytes_compressed: 1, invalid_lines: 0, invalid: {},
      quarantine: null, selections: [],
    });
  }
  const { code, stdout } = await run(["--scope", scope, ...asked().slice(2)]);
  assert.deepEqual([code, stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line).n)], [0, [1, 2, 3]]);
});

test("what is missing, what is not found and what is wrong have exit codes", async () => {
  const gone = freshScope();
  const { json } = await worker.push(`${gone}/http_requests`, gzipSync(`{"EdgeStartTimestamp":"${START.toISOString()}"}\n`));
  await worker.remove(json.object);
  const missing = await run(["--scope", gone, ...asked().slice(2)]);
  assert.equal(missing.code, 2);
  assert.ok(missing.stderr.includes(json.object), missing.stderr);

  const { RayID } = JSON.parse(everything().split("\n")[5] ?? "");
  const range = ["--scope", scope, "--start", "2026-05-04T12:00:00Z", "--end", "2026-05-05T12:00:00Z"];
  const found = await run([...range, "--ray", `${RayID}-DFW`]);
  assert.deepEqual([found.code, JSON.parse(found.stdout).RayID], [0, RayID]);
  assert.equal((await run([...range, "--ray", "0123456789abcdef"])).code, 3);

  for (const [args, says] of [
    [["--scope", scope], /--dataset/],
    [["--scope", "somewhere", "--dataset", "x", "--start", "1h"], /zones\/<id>/],
    [[...asked(), "--where", "{"], /^400: where: not JSON.*\(1002\)/],
    [[...asked(), "--strange", "x"], /npm run --silent logs/],
    [["--scope", scope, "--dataset", "http_requests", "--start", "yesterday"], /--start is a time/],
  ] as const) {
    const { code, stderr } = await run([...args]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, says);
  }
  const refused = await run(asked(), { token: "wrong" });
  assert.deepEqual([refused.code, refused.stderr.startsWith("401: ")], [1, true], refused.stderr);
});
