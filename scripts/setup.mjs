// Makes sure that everything a command needs is installed, and says so only where something had to be done.
// Each check looks at what is there (versions, the lock file's content), never at when it was put there.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { Advice, alone, capture, onPath, root, say, seconds } from "./shell.mjs";

const WASM_TARGET = "wasm32-unknown-unknown";
const WORKER_BUILD = "0.8.7";
const S3_SERVER = "0.14.1";
const HEARTBEAT_MILLIS = 10_000;
const bin = join(root, "node_modules", ".bin");

/**
 * Installs what is missing and returns the environment that commands run in.
 * `parts` names what this command needs: "rust", "lint" (rustfmt and clippy), "npm", "wasm" (everything to build with),
 * "s3" (a server that tests of storage speak to).
 */
export async function setUp(parts) {
  // wrangler calls `npm run build` from inside `npm run dev`: the outer run has looked at everything already.
  if (process.env.LOGPUSH_EDGE_SET_UP === root) return process.env;
  checkNode();
  const env = { ...process.env, PATH: withCargoHome(withoutOurBin(process.env.PATH ?? "")) };
  const wants = new Set(parts);
  await Promise.all([
    (async () => {
      if (wants.has("rust") || wants.has("wasm")) await checkRust(env);
      if (wants.has("wasm")) await addWasmTarget(env);
      if (wants.has("lint")) await addLinters(env);
    })(),
    wants.has("npm") ? installNodeModules(env) : undefined,
  ]);
  if (wants.has("wasm")) {
    const bindgen = await tool(env, "wasm-bindgen-cli", "wasm-bindgen", lockedVersion("wasm-bindgen"), [
      "--bin",
      "wasm-bindgen",
    ]);
    const build = await tool(env, "worker-build", "worker-build", WORKER_BUILD, ["--locked"]);
    env.WASM_BINDGEN_BIN = bindgen;
    env.PATH = [dirname(build), env.PATH].join(delimiter);
  }
  if (wants.has("s3")) {
    env.S3_SERVER = await tool(env, "s3s-fs", "s3s-fs", S3_SERVER, ["--locked", "--features", "binary"]);
  }
  env.PATH = [bin, env.PATH].join(delimiter); // Node 24, wrangler, wasm-opt and esbuild live there
  env.WASM_OPT_BIN = "wasm-opt";
  env.ESBUILD_BIN = "esbuild";
  env.WRANGLER_SEND_METRICS = "false";
  env.CLOUDFLARE_CF_FETCH_ENABLED = "false"; // wrangler would ask the internet for a sample request.cf
  if (["npm", "wasm"].every((part) => wants.has(part))) env.LOGPUSH_EDGE_SET_UP = root;
  return env;
}

function checkNode() {
  const major = Number(process.versions.node.split(".")[0]);
  if (major < 20) throw new Advice(`Node ${process.versions.node} is too old: install Node 20 or newer from nodejs.org.`);
}

/** A shell that was open while rustup was installed does not have cargo on PATH yet. */
function withCargoHome(path) {
  const cargo = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "bin");
  if (onPath("cargo", path) || !existsSync(join(cargo, "cargo"))) return path;
  return [path, cargo].join(delimiter);
}

/** npm puts node_modules/.bin on PATH, but `npm ci` must not run on the Node that it is about to delete. */
function withoutOurBin(path) {
  return path
    .split(delimiter)
    .filter((folder) => folder !== bin)
    .join(delimiter);
}

async function checkRust(env) {
  if (!onPath("cargo", env.PATH) || !onPath("rustc", env.PATH)) {
    throw new Advice("Rust is missing: install it with rustup from https://rustup.rs (stable toolchain), then run this again.");
  }
  if (!onPath("cc", env.PATH) && !onPath("gcc", env.PATH) && !onPath("clang", env.PATH) && process.platform !== "win32") {
    throw new Advice("A C compiler is missing: Rust links with `cc` (Debian and Ubuntu: apt-get install build-essential).");
  }
  const { code, stdout, all } = await capture("rustc", ["--version"], { env });
  if (code !== 0) throw new Advice(`rustc does not run:\n${all}`);
  const wanted = /^rust-version\s*=\s*"([\d.]+)"/m.exec(readFileSync(join(root, "Cargo.toml"), "utf8"))?.[1];
  const found = /rustc ([\d.]+)/.exec(stdout)?.[1];
  if (wanted && found && older(found, wanted)) {
    throw new Advice(`rustc ${found} is too old, ${wanted} is needed: run \`rustup update stable\`.`);
  }
}

function older(found, wanted) {
  const [a, b] = [found, wanted].map((version) => version.split(".").map(Number));
  for (let i = 0; i < 3; i += 1) {
    if ((a[i] ?? 0) !== (b[i] ?? 0)) return (a[i] ?? 0) < (b[i] ?? 0);
  }
  return false;
}

async function addWasmTarget(env) {
  // Asked of rustc, not of rustup: a distribution's Rust may have the target without rustup.
  const { stdout } = await capture("rustc", ["--print", "target-libdir", "--target", WASM_TARGET], { env });
  if (stdout.trim() !== "" && existsSync(stdout.trim())) return;
  if (!onPath("rustup", env.PATH)) {
    throw new Advice(`This Rust has no ${WASM_TARGET} target and there is no rustup to add it: install rustup from https://rustup.rs.`);
  }
  await step(`rust target ${WASM_TARGET}`, env, "rustup", ["target", "add", WASM_TARGET]);
}

async function addLinters(env) {
  for (const [component, command] of [
    ["rustfmt", "fmt"],
    ["clippy", "clippy"],
  ]) {
    const { code } = await capture("cargo", [command, "--version"], { env });
    if (code !== 0) await step(`rust component ${component}`, env, "rustup", ["component", "add", component]);
  }
}

async function installNodeModules(env) {
  if (nodeModulesMatch()) return;
  await alone("npm", async () => {
    if (nodeModulesMatch()) return;
    // npm tells which npm and which Node it runs on; a bare `npm` serves when this file was started by hand.
    const { npm_execpath: npm, npm_node_execpath: node } = process.env;
    const args = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    if (npm && node && !node.startsWith(bin) && existsSync(node)) await step("npm ci", env, node, [npm, ...args]);
    else await step("npm ci", env, "npm", args);
  });
}

/** Compares what npm says it installed with what the lock file says to install; packages of other platforms may lack. */
export function nodeModulesMatch() {
  const installedFile = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installedFile) || !existsSync(join(bin, "node"))) return false;
  const installed = JSON.parse(readFileSync(installedFile, "utf8")).packages;
  const locked = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const wanted = Object.entries(locked).filter(([path]) => path !== "");
  const same = (a, b) => a.version === b.version && (!a.integrity || !b.integrity || a.integrity === b.integrity);
  return (
    wanted.every(([path, entry]) => (installed[path] ? same(installed[path], entry) : entry.optional === true)) &&
    Object.keys(installed).every((path) => locked[path])
  );
}

function lockedVersion(crate) {
  const lock = readFileSync(join(root, "Cargo.lock"), "utf8");
  const found = new RegExp(`name = "${crate}"\\nversion = "([^"]+)"`).exec(lock);
  if (!found) throw new Error(`Cargo.lock has no ${crate}`);
  return found[1];
}

/** Where tools are kept that several checkouts share. */
export function toolsCache() {
  return (
    process.env.LOGPUSH_EDGE_TOOLS ?? join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "logpush-edge", "tools")
  );
}

/** The path of a cargo-installed tool of exactly this version: the cache, an override, PATH, or a fresh install. */
async function tool(env, crate, name, version, flags) {
  const cache = toolsCache();
  const home = join(cache, `${crate}-${version}`);
  const cached = join(home, "bin", name);
  if (existsSync(cached)) return cached;
  const override = process.env[`${name.toUpperCase().replaceAll("-", "_")}_BIN`];
  for (const candidate of [override, onPath(name, env.PATH)]) {
    const path = candidate && (candidate.includes("/") ? candidate : onPath(candidate, env.PATH));
    if (path && (await versionOf(path, env)) === version) return path;
  }
  mkdirSync(cache, { recursive: true });
  // Installed beside and renamed whole, so a half-finished install is never found and two at once do no harm.
  const staging = mkdtempSync(join(cache, `.${crate}-`));
  try {
    // Unoptimised: the tools run for seconds, an optimised install takes minutes longer.
    const args = ["install", crate, "--version", version, "--debug", "--root", staging, ...flags];
    await step(`${crate} ${version} (once per machine, a few minutes)`, { ...env, CARGO_TARGET_DIR: join(staging, "target") }, "cargo", args);
    rmSync(join(staging, "target"), { recursive: true, force: true });
    try {
      renameSync(staging, home);
    } catch (error) {
      if (!existsSync(cached)) throw error; // otherwise somebody else was quicker, and theirs is as good
    }
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  return cached;
}

async function versionOf(path, env) {
  const { code, stdout } = await capture(path, ["--version"], { env });
  return code === 0 ? /(\d+\.\d+\.\d+\S*)/.exec(stdout)?.[1] : undefined;
}

/** One line when it starts, a sign of life while it lasts, one line with the time when it is done. */
export async function step(title, env, command, args) {
  const start = performance.now();
  let last = "";
  say(`· ${title} …`);
  const heartbeat = setInterval(() => say(`  still at it, ${seconds(start)}${last ? ` (${last})` : ""}`), HEARTBEAT_MILLIS);
  try {
    const { code, all } = await capture(command, args, {
      // The repository's .cargo/config.toml is not meant for tools, so they are built from outside it.
      cwd: command === "cargo" ? homedir() : root,
      env,
      onOutput: (text) => {
        last = text.trim().split("\n").at(-1)?.trim().slice(0, 60) || last;
      },
    });
    if (code !== 0) throw new Advice(`${all}\n✗ ${title} failed: \`${[command, ...args].join(" ")}\` ended with ${code}.`);
    say(`✓ ${title}, ${seconds(start)}`);
  } finally {
    clearInterval(heartbeat);
  }
}
