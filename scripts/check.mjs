// `npm test`: everything that has to hold before a change goes in, in the order in which mistakes show soonest.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { benchInstructions, instructionsInput } from "./bench-instructions.mjs";
import { build } from "./build.mjs";
import { capture, root, run, say, seconds } from "./shell.mjs";

export async function check(env, flags) {
  const strict = { ...env, RUSTDOCFLAGS: "-D warnings" };
  const cargo = (...args) => run("cargo", args, { env });
  // Optimising the Worker keeps one core busy for minutes, so it goes on beside the steps that do not need it.
  const cancel = new AbortController();
  const building = build(env, { signal: cancel.signal });
  building.catch(() => {}); // its own step says it
  const steps = [
    ["Rust formatting", () => cargo("fmt", "--check")],
    ["clippy, native", () => cargo("clippy", "--all-targets", "--", "-D", "warnings")],
    ["clippy, wasm", () => cargo("clippy", "--target", "wasm32-unknown-unknown", "--lib", "--features", "bench", "--", "-D", "warnings")],
    ["Rust tests", () => rustTests(env, flags)],
    ["Instructions counted", () => benchInstructions(env, [])],
    ["Rust documentation", () => run("cargo", ["doc", "--no-deps"], { env: strict })],
    ["TypeScript types", async () => (await run("tsc", ["--noEmit"], { env })) || (await run("tsc", ["--noEmit", "-p", "dashboard"], { env }))],
    ["Worker build", async () => void (await building)],
    ["Worker tests", () => runWorkerTests(env, [])],
    ["Deployment, dry run", () => dryRun(env)],
  ];
  const done = [];
  try {
    for (const [title, work] of steps) {
      const start = performance.now();
      say(`\n━━ ${title}`);
      const code = (await work()) ?? 0;
      done.push(`  ${code === 0 ? "✓" : "✗"} ${title.padEnd(22)} ${seconds(start).padStart(9)}`);
      if (code !== 0) {
        say(`\n━━ Summary\n${done.join("\n")}\n  stopped at the first failure`);
        return code;
      }
    }
  } finally {
    cancel.abort();
  }
  say(`\n━━ Summary\n${done.join("\n")}`);
  return 0;
}

/** With records of the generator at hand, which some tests read. */
async function rustTests(env, flags) {
  const folder = await instructionsInput(env);
  return await run("cargo", ["test", ...flags], { env: { ...env, LOGPUSH_EDGE_RECORDS: folder } });
}

/** Files at once. Most of a test is waiting for a Worker, so three fit even on two cores, where Node would take one. */
const FILES_AT_ONCE = "--test-concurrency=3";

/** `node --test` over every worker test, unless the flags name some. */
export async function runWorkerTests(env, flags) {
  const named = flags.some((flag) => flag.endsWith(".ts"));
  const files = readdirSync(join(root, "tests", "worker"))
    .filter((name) => name.endsWith(".test.ts"))
    .sort()
    .map((name) => join("tests", "worker", name));
  return await run("node", ["--test", FILES_AT_ONCE, ...flags, ...(named ? [] : files)], { env });
}

/** The tests that look at the page in a browser, and make its pictures when asked. */
export function pageTests() {
  const names = readdirSync(join(root, "tests", "worker")).filter((name) => /^dashboard-.*\.test\.ts$/.test(name));
  return names.sort().map((name) => join("tests", "worker", name));
}

/** wrangler bundles as for a real deployment, without an account; its upload size is the figure of interest. */
async function dryRun(env) {
  const out = mkdtempSync(join(tmpdir(), "logpush-edge-deploy-"));
  try {
    const { code, all } = await capture("wrangler", ["deploy", "--dry-run", "--outdir", out], { env });
    const size = all.split("\n").filter((line) => line.includes("Total Upload"));
    say(code === 0 ? size.join("\n") : all);
    return code;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
