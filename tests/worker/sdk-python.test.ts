// Cloudflare's official Python SDK against the Worker. The tests are in tests/sdk; this starts what they need, runs them
// in Python, and reports each one.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Siem } from "../support/siem.ts";
import { SECRETS, TestWorker } from "../support/worker.ts";

const script = fileURLToPath(new URL("../sdk/test_logpush.py", import.meta.url));
const python = process.env["LOGPUSH_EDGE_PYTHON"];
const missing = process.env["LOGPUSH_EDGE_PYTHON_MISSING"] ?? "the npm scripts look for it: npm run test:worker";
const DEADLINE_MILLIS = 120_000;

test("Cloudflare's Python SDK drives the Worker", { skip: python === undefined && `no Python SDK: ${missing}` }, async (t) => {
  const siem = await Siem.start({ intakeKeys: ["python-intake-key"] });
  const results = join(mkdtempSync(join(tmpdir(), "logpush-edge-python-")), "results");
  let worker: TestWorker | undefined;
  try {
    worker = await TestWorker.start({ ALLOW_PRIVATE_DESTINATIONS: "true" });
    const { code, output } = await runPython({
      LOGPUSH_EDGE_URL: worker.url,
      LOGPUSH_EDGE_TOKEN: SECRETS.API_TOKEN,
      LOGPUSH_EDGE_READ_TOKEN: SECRETS.READ_TOKEN,
      LOGPUSH_EDGE_DESTINATION: siem.plain("python-intake-key"),
      LOGPUSH_EDGE_BAD_DESTINATION: siem.plain("unknown-key"),
      LOGPUSH_EDGE_RESULTS: results,
    });
    const outcomes = linesOf(results).map((line) => JSON.parse(line) as { name: string; fault: string });
    assert.ok(outcomes.length > 0, `no test ran, python ended with ${code}:\n${output}`);
    for (const { name, fault } of outcomes) {
      await t.test(name, () => {
        if (fault !== "") assert.fail(fault);
      });
    }
    const faults = outcomes.filter(({ fault }) => fault !== "").length;
    assert.equal(code === 0, faults === 0, `${faults} tests failed, and python ended with ${code}:\n${output}`);
  } finally {
    await worker?.close();
    await siem.close();
    rmSync(join(results, ".."), { recursive: true, force: true });
  }
});

test("where Python can not be used, the scripts say why, and it is a failure only where it is required", async () => {
  const { withPythonSdk } = await import(new URL("../../scripts/python.mjs", import.meta.url).href);
  const folder = mkdtempSync(join(tmpdir(), "logpush-edge-python-"));
  try {
    const table: [string | undefined, RegExp][] = [
      [undefined, /^there is no python3 on PATH$/],
      ["exit 1", /^python3 is there without venv \(.*apt-get install python3-venv\)$/],
      ["echo 3.9.2 of long ago", /^python3 is 3\.9, and 3\.11 is needed$/],
    ];
    for (const [script, reason] of table) {
      if (script !== undefined) writeFileSync(join(folder, "python3"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      const env = await withPythonSdk({ PATH: folder });
      assert.match(env.LOGPUSH_EDGE_PYTHON_MISSING, reason);
      assert.equal(env.LOGPUSH_EDGE_PYTHON, undefined);
      await assert.rejects(withPythonSdk({ PATH: folder, LOGPUSH_EDGE_REQUIRE_PYTHON: "1" }), { message: reason });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

async function runPython(variables: Record<string, string>): Promise<{ code: number | null; output: string }> {
  // A proxy of the developer's is not for loopback.
  const env = { ...process.env, NO_PROXY: "127.0.0.1,localhost", no_proxy: "127.0.0.1,localhost", PYTHONDONTWRITEBYTECODE: "1", ...variables };
  const child = spawn(python as string, [script], { env, stdio: ["ignore", "pipe", "pipe"], timeout: DEADLINE_MILLIS });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => void (output += text));
  const code = await new Promise<number | null>((resolve, reject) => void child.once("error", reject).once("close", resolve));
  return { code, output };
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter((line) => line !== "");
  } catch {
    return [];
  }
}
