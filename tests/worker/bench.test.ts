// The bench, run once on little, so that it can not rot: its figures say nothing then, but everything it measures has to
// work, and all have to select the same records.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const RECORDS = 500;

async function bench(...flags: string[]): Promise<string> {
  const child = spawn(process.execPath, ["scripts/bench.ts", ...flags], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let [out, told] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (told += text));
  const code = await new Promise((done) => child.once("close", done));
  assert.equal(code, 0, told);
  return out;
}

test("the bench measures all that its ratios need, and everybody selects the same records", { timeout: 300_000 }, async () => {
  const out = await bench("--quick", "--json", "--records", String(RECORDS));
  const { ratios, cases, machine } = JSON.parse(out.trim().split("\n").at(-1) ?? "");
  for (const name of ["cpu_js_common_over_ours", "cpu_js_best_over_ours", "ours_over_native_inflate", "jobs_50_over_1", "events_mb_per_cpu_s"]) {
    // Of so few records a tick of ten milliseconds may be all or nothing, so only that there is a place for it.
    assert.ok(name in ratios, name);
    assert.match(out, new RegExp(`^${name} `, "m"));
  }
  const selected = new Map<string, number | undefined>(cases.map((one: any) => [one.name, one.selected]));
  const one = selected.get("ours, 1 job");
  assert.ok(typeof one === "number" && one > 0, `ours selected ${one}`);
  for (const name of [
    "ours, 50 jobs", "JavaScript, stream", "JavaScript, text", "JavaScript, best",
    "native: batch and route, 1 job", "native: batch and route, 50 jobs",
  ]) {
    assert.equal(selected.get(name), one, name);
  }
  assert.equal(selected.get("ours, 1 job, events"), RECORDS, "every record becomes an event");
  for (const { name, records, raw_bytes, cpu_ms_median, mb_per_cpu_s } of cases) {
    assert.equal(records, RECORDS, name);
    assert.ok(raw_bytes > 0 && cpu_ms_median >= 0 && (mb_per_cpu_s === null || mb_per_cpu_s > 0), name);
  }
  assert.ok(machine.cores > 0 && machine.cpu !== "");
});
