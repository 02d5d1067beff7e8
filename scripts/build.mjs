// Builds the Worker, unless the build that is there was made from exactly these inputs.
// `wrangler dev` and `wrangler deploy` run this through wrangler.toml, so the answer "up to date" has to come fast.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Advice, alone, capture, root, run, say, seconds } from "./shell.mjs";

const INPUTS = ["src", "dashboard", "Cargo.toml", "Cargo.lock", ".cargo/config.toml", "package-lock.json", "build.rs"];
const OUTPUTS = ["build"];
const STAMP = join(root, "build", ".built-from");

export async function build(env, { flags = ["--release"] } = {}) {
  return await alone("build", async () => {
    const start = performance.now();
    const inputs = await inputHash(env, flags);
    if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === stamp(inputs)) {
      say(`✓ build is up to date, ${seconds(start)}`);
      return;
    }
    rmSync(STAMP, { force: true });
    say(`· worker-build ${flags.join(" ")} …`);
    const code = await run("worker-build", flags, { env });
    if (code !== 0) throw new Advice(`✗ The build failed (worker-build ended with ${code}).`);
    if (!existsSync(join(root, "build", "index.js"))) throw new Advice("✗ worker-build left no build/index.js.");
    // Somebody may have saved a file meanwhile; such a build is used once, and the next run builds again.
    if ((await inputHash(env, flags)) === inputs) writeFileSync(STAMP, stamp(inputs));
    else say("· sources changed during the build; the next run will build again");
    say(`✓ build, ${seconds(start)}`);
  });
}

/** The outputs are part of it, so that a build made by hand with other flags does not pass for ours. */
function stamp(inputs) {
  return `${inputs} ${hashOf(OUTPUTS, (path) => path !== STAMP)}\n`;
}

async function inputHash(env, flags) {
  const { stdout } = await capture("rustc", ["-vV"], { env });
  const hash = createHash("sha256");
  hash.update(hashOf(INPUTS)).update(stdout).update(flags.join(" ")).update(env.RUSTFLAGS ?? "");
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
