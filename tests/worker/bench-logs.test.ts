// `npm run bench:logs`, run once on little, so that it can not rot; and what it says about memory holds on any machine.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

test("a retrieval's wasm memory is bounded, and a RayID is found by reading few of many batches", { timeout: 120_000 }, async (context) => {
  const child = spawn(process.execPath, ["scripts/bench-logs.ts", "--json", "--quick", "--mb", "20", "--batches", "60"], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let [out, told] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (told += text));
  const code = await new Promise((done) => child.once("close", done));
  assert.equal(code, 0, told);
  const { retrievals, lookups } = JSON.parse(out);
  assert.deepEqual([retrievals.length, lookups.length], [5, 3]);
  for (const { what, wasm_mib, seconds } of retrievals) {
    context.diagnostic(`${what}: ${wasm_mib} MiB of wasm memory, ${seconds} s`);
    assert.ok(wasm_mib <= 8, `${what}: ${wasm_mib} MiB`);
  }
  const [growing, any] = lookups;
  // Thirty seconds of batches that come every two seconds, and those of machines whose clocks are apart.
  assert.ok(growing.objects_read_max <= 25 && growing.objects_read_median > 0, JSON.stringify(growing));
  assert.ok(any.objects_read_median > growing.objects_read_max, JSON.stringify(any));
});
