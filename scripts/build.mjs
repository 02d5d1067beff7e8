// Builds the page, which takes no time, and the Worker, unless the build that is there was made from exactly these inputs.
// `wrangler dev` and `wrangler deploy` run this through wrangler.toml, so the answer "up to date" has to come fast.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildPage } from "./page.mjs";
import { Advice, alone, capture, root, run, say, seconds } from "./shell.mjs";

/** A build whose feature `bench` gives it the stages of a batch alone. */
export const BENCH_BUILD = join("target", "bench-build");

const INPUTS = ["src", "Cargo.toml", "Cargo.lock", ".cargo/config.toml", "package-lock.json", "build.rs"];

/** With LOGPUSH_EDGE_QUICK, somebody who works on the Worker waits 6 s for a change instead of 100. */
const profile = (env) => (env.LOGPUSH_EDGE_QUICK ? ["--profile", "quick", "--no-opt"] : ["--release"]);

/** With a `signal` it goes on beside something else: quietly, and until it is told to end. */
export async function build(env, { flags = profile(env), folder = "build", features = [], signal } = {}) {
  const stampFile = join(root, folder, ".built-from");
  const args = [...flags, "--out-dir", folder, ...(features.length > 0 ? [".", "--features", features.join(",")] : [])];
  /** The outputs are part of it, so that a build made by hand with other flags does not pass for ours. */
  const stamp = (inputs) => `${inputs} ${hashOf([folder], (path) => path !== stampFile)}\n`;
  return await alone("build", async () => {
    const start = performance.now();
    const written = await buildPage();
    if (written > 0) say(`✓ the page, ${written} files, ${seconds(start)}`);
    const inputs = await inputHash(env, args);
    if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp(inputs)) {
      say(`✓ ${folder} is up to date, ${seconds(start)}`);
      return;
    }
    rmSync(stampFile, { force: true });
    say(`· worker-build ${args.join(" ")} …`);
    const { code, all } = signal ? await capture("worker-build", args, { env, signal }) : { code: await run("worker-build", args, { env }) };
    if (code !== 0 && all) say(all);
    if (code !== 0) throw new Advice(`✗ The build failed (worker-build ended with ${code}).`);
    if (!existsSync(join(root, folder, "index.js"))) throw new Advice(`✗ worker-build left no ${folder}/index.js.`);
    // Somebody may have saved a file meanwhile; such a build is used once, and the next run builds again.
    if ((await inputHash(env, args)) === inputs) writeFileSync(stampFile, stamp(inputs));
    else say("· sources changed during the build; the next run will build again");
    say(`✓ ${folder}, ${seconds(start)}`);
  });
}

async function inputHash(env, args) {
  const { stdout } = await capture("rustc", ["-vV"], { env });
  const hash = createHash("sha256");
  hash.update(hashOf(INPUTS)).update(stdout).update(args.join(" ")).update(env.RUSTFLAGS ?? "");
  hash.update(env.WASM_BINDGEN_BIN ?? "");
  return hash.digest("hex");
}

function hashOf(paths, keep = () => true) {
  const hash = createHash("sha256");
  for (const path of paths) {
    for (const file of filesUnder(join(root, path))) {
      if (keep(file)) hash.update(`${file.slice(root.length)}\0`).update(readFileSync(file)).update("\0");
    }
  }
  return hash.digest("hex");
}

function filesUnder(path) {
  if (!existsSync(path)) return [];
  try {
    return readdirSync(path, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      .filter((file) => !file.includes("/node_modules/"))
      .sort();
  } catch (error) {
    if (error.code === "ENOTDIR") return [path];
    throw error;
  }
}
