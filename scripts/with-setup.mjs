// node scripts/with-setup.mjs <command> [flags]: what every npm script goes through.
// On a machine with nothing but rustup and Node it installs the rest first; with everything there it costs a blink.

import { randomBytes } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { benchInstructions } from "./bench-instructions.mjs";
import { benchMicro } from "./bench-micro.mjs";
import { BENCH_BUILD, build } from "./build.mjs";
import { check, pageTests, runWorkerTests } from "./check.mjs";
import { withChromium } from "./chromium.mjs";
import { withPrometheus } from "./prometheus.mjs";
import { withPythonSdk } from "./python.mjs";
import { setUp } from "./setup.mjs";
import { Advice, root, run, say } from "./shell.mjs";

const everything = ["rust", "npm", "wasm"];

/** What is deployed or measured is never built the quick way. */
const RELEASE_ONLY = ["deploy", "demo", "test", "test:conservation", "bench", "bench:health", "bench:logs", "bench:tail", "cost:count"];

/** What each command needs installed, and what it does; the result is the exit code. */
const commands = {
  build: { needs: everything, go: async (env) => void (await build(env)) },
  dev: {
    needs: everything,
    go: async (env, flags) => {
      await build(env);
      writeDevVars();
      return await run("wrangler", ["dev", ...flags], { env });
    },
  },
  deploy: {
    needs: everything,
    go: async (env, flags) => {
      const where = sameConfig(flags);
      const checked = await run("node", ["scripts/lifecycle.ts", "--check", ...where], { env });
      if (checked !== 0) return checked;
      await build(env);
      const deployed = await run("wrangler", ["deploy", ...flags], { env });
      if (deployed !== 0 || flags.includes("--dry-run")) return deployed;
      return await run("node", ["scripts/lifecycle.ts", "--when-configured", ...where], { env });
    },
  },
  demo: {
    needs: everything,
    go: async (env, flags) => {
      await build(env);
      return await run("node", ["scripts/demo.ts", ...flags], { env });
    },
  },
  test: { needs: [...everything, "lint", "s3"], go: async (env, flags) => await check(withChromium(withPrometheus(await withPythonSdk(env))), flags) },
  "test:conservation": {
    needs: everything,
    go: async (env, flags) => {
      await build(env);
      return await run("node", ["scripts/conservation.ts", ...flags], { env });
    },
  },
  "test:native": { needs: ["rust"], go: (env, flags) => run("cargo", ["test", ...flags], { env }) },
  lifecycle: { needs: ["npm"], go: (env, flags) => run("node", ["scripts/lifecycle.ts", ...flags], { env }) },
  jobs: { needs: ["npm"], go: (env, flags) => run("node", ["scripts/jobs.ts", ...flags], { env }) },
  logs: { needs: ["npm"], go: (env, flags) => run("node", ["scripts/logs.ts", ...flags], { env }) },
  tail: { needs: ["npm"], go: (env, flags) => run("node", ["scripts/tail.ts", ...flags], { env }) },
  "bench:tail": {
    needs: everything,
    go: async (env, flags) => {
      await build(env);
      return await run("node", ["scripts/bench-tail.ts", ...flags], { env });
    },
  },
  cost: { needs: ["npm"], go: (env, flags) => run("node", ["scripts/cost.ts", ...flags], { env }) },
  "cost:count": {
    needs: everything,
    go: async (env) => {
      await build(env);
      return await run("node", ["scripts/cost/pieces.ts"], { env });
    },
  },
  bench: {
    needs: everything,
    go: async (env, flags) => {
      await build(env);
      if (!flags.includes("--no-stages") && !flags.includes("--quick")) await build(env, { folder: BENCH_BUILD, features: ["bench"] });
      return await run("node", ["scripts/bench.ts", ...flags], { env });
    },
  },
  "bench:health": {
    needs: everything,
    go: async (env, flags) => {
      await build(env, { folder: BENCH_BUILD, features: ["bench"] });
      return await run("node", ["scripts/bench-health.ts", ...flags], { env });
    },
  },
  "bench:logs": {
    needs: everything,
    go: async (env, flags) => {
      await build(env);
      return await run("node", ["scripts/bench-logs.ts", ...flags], { env });
    },
  },
  "bench:instructions": { needs: ["rust", "npm"], go: (env, flags) => benchInstructions(env, flags) },
  "bench:micro": { needs: everything, go: (env, flags) => benchMicro(env, flags) },
  screenshots: {
    needs: everything,
    go: async (env, flags) => {
      await build(env);
      const browser = { ...env, LOGPUSH_EDGE_REQUIRE_CHROMIUM: "1", LOGPUSH_EDGE_SCREENSHOTS: "1" };
      return await runWorkerTests(withChromium(browser), [...flags, ...pageTests()]);
    },
  },
  "test:worker": {
    needs: [...everything, "s3"],
    go: async (env, flags) => {
      await build(env);
      // Named files are run by somebody who waits: the SDK is installed only for the file that wants it.
      const files = flags.filter((flag) => flag.endsWith(".ts"));
      const wanted = files.length === 0 || files.some((file) => file.includes("python"));
      return await runWorkerTests(withChromium(withPrometheus(wanted ? await withPythonSdk(env) : env)), flags);
    },
  },
};

/** Which configuration wrangler was told to take. */
function sameConfig(flags) {
  const long = { "-c": "--config", "-e": "--env" };
  return flags.flatMap((flag, i) => {
    const [name, value] = flag.split("=", 2);
    const known = long[name] ?? name;
    if (known !== "--config" && known !== "--env") return [];
    return [`${known}=${value ?? flags[i + 1] ?? ""}`];
  });
}

function writeDevVars() {
  const file = join(root, ".dev.vars");
  if (existsSync(file)) return;
  const secret = () => randomBytes(32).toString("hex");
  const lines = [
    `INGEST_SECRET="${secret()}"`,
    `API_TOKEN="${secret()}"`,
    `READ_TOKEN="${secret()}"`,
    'ALLOW_PRIVATE_DESTINATIONS="true"',
  ];
  writeFileSync(file, `${lines.join("\n")}\n`, { mode: 0o600, flag: "wx" });
  say("✓ wrote .dev.vars with random secrets");
}

async function main([name, ...flags]) {
  const command = commands[name];
  if (RELEASE_ONLY.includes(name)) delete process.env.LOGPUSH_EDGE_QUICK;
  if (!command) throw new Advice(`Unknown command ${name ?? ""}: one of ${Object.keys(commands).join(", ")}.`);
  return (await command.go(await setUp(command.needs), flags)) ?? 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  say(error instanceof Advice ? error.message : (error.stack ?? String(error)));
  process.exitCode = 1;
}
