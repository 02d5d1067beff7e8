// The archive can be read without the Worker: what docs/archive.md shows, run over the objects of a bucket, counts what
// `/stats` counts.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { generateBatch, type Batch } from "../support/generate.ts";
import { TestWorker, freshScope } from "../support/worker.ts";

const script = fileURLToPath(new URL("../sdk/run_sql.py", import.meta.url));
const page = readFileSync(new URL("../../docs/archive.md", import.meta.url), "utf8");
const python = process.env["LOGPUSH_EDGE_PYTHON"];
const missing = process.env["LOGPUSH_EDGE_PYTHON_MISSING"] ?? "the npm scripts look for it: npm run test:worker";
const START = new Date("2026-05-04T12:00:00Z");

let worker: TestWorker;
let scope: string;
let folder: string;
const batches: Batch[] = [];
before(async () => {
  worker = await TestWorker.start();
  scope = freshScope();
  folder = mkdtempSync(join(tmpdir(), "logpush-edge-archive-"));
  for (let n = 0; n < 4; n += 1) {
    const batch = generateBatch({ dataset: "http_requests", records: 700, seed: n + 1, startTime: new Date(START.getTime() + n * 60_000) });
    batches.push(batch);
    assert.equal((await worker.push(`${scope}/http_requests`, batch.gzip)).status, 200);
  }
  for (const key of await worker.keys(`${scope}/`)) {
    const path = join(folder, "archive", key);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, (await worker.object(key)).bytes);
  }
});
after(async () => {
  await worker.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The page's blocks of a language, over the objects of this test. */
function shown(language: string, ray = ""): string[] {
  const blocks = [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(([, text]) => text ?? "");
  const over = blocks.filter((text) => text.includes("archive/"));
  return over.map((text) => text.replaceAll("zones/YOUR-ZONE-ID", scope).replaceAll("49ddb3e70e665831", ray)).filter((text) => !text.includes("CREATE SECRET"));
}

async function run(command: string, args: string[], input = ""): Promise<string> {
  const child = spawn(command, args, { cwd: folder, stdio: ["pipe", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (stderr += text));
  child.stdin.end(input);
  const code = await new Promise<number | null>((done, failed) => child.once("error", failed).once("close", done));
  assert.equal(code, 0, `${command} ended with ${code}:\n${stderr}`);
  return stdout;
}

const sum = (of: (batch: Batch) => number) => batches.reduce((total, batch) => total + of(batch), 0);

test("DuckDB counts the objects as /stats does", { skip: python === undefined && `no DuckDB: ${missing}` }, async () => {
  const lines = batches.flatMap(({ ndjson }) => ndjson.toString().trimEnd().split("\n"));
  const record = lines[1_000] ?? "";
  const { RayID } = JSON.parse(record);
  const answers = JSON.parse(await run(python ?? "", [script], JSON.stringify(shown("sql", RayID))));
  assert.equal(answers.length, 6);
  const [[all], statuses, minutes, found, , [parquet]] = answers;

  const stats = await worker.datasetStats(scope);
  assert.equal(stats.records, lines.length);
  assert.deepEqual([all.records, parquet.records], [lines.length, lines.length]);
  const total = (rows: any[], of: (row: any) => number) => rows.reduce((total, row) => total + of(row), 0);
  assert.equal(total(statuses, ({ records }) => records), lines.length);
  const errors = statuses.filter(({ EdgeResponseStatus }: any) => EdgeResponseStatus >= 400);
  assert.equal(total(errors, ({ records }) => records), sum(({ facts }) => facts.errors.records));
  assert.deepEqual([total(minutes, (row) => row.records), total(minutes, (row) => row.errors)], [lines.length, sum(({ facts }) => facts.errors.records)]);
  assert.equal(minutes[0].minute, "2026-05-04 12:00:00");
  assert.equal(found.length, 1);
  assert.equal(JSON.parse(found[0].json).RayID, RayID);
  assert.ok(found[0].filename.startsWith(`archive/${scope}/http_requests/20260504/`), found[0].filename);
});

test("zcat and jq read the objects", { skip: !(await isThere("jq")) && "there is no jq on the path" }, async () => {
  const [command = ""] = shown("sh");
  const records = (await run("sh", ["-c", command])).trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.equal(records.length, sum(({ facts }) => facts.errors.records));
  assert.deepEqual(Object.keys(records[0]), ["RayID", "EdgeResponseStatus"]);
});

async function isThere(command: string): Promise<boolean> {
  return await new Promise((done) => {
    spawn(command, ["--version"], { stdio: "ignore" }).once("error", () => done(false)).once("close", (code) => done(code === 0));
  });
}
