// What every script here needs of the outside world: running a command, saying what is going on, and one lock.
// Plain JavaScript for Node 20 without dependencies, because it runs before there is a node_modules.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** A failure whose text tells the reader what to do; it is shown without a stack trace. */
export class Advice extends Error {}

/** Progress goes to stderr, so that a command's own stdout stays clean. */
export function say(text) {
  process.stderr.write(`${text}\n`);
}

export function seconds(sinceMillis) {
  return `${((performance.now() - sinceMillis) / 1000).toFixed(1)} s`;
}

const running = new Set();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  // While a command runs, the signal is the command's to answer: it gets it, and we leave with its exit code.
  // A terminal has sent Ctrl-C to the whole group already.
  process.on(signal, () => {
    if (running.size === 0) process.exit(128 + constants.signals[signal]);
    if (signal === "SIGINT" && process.stdin.isTTY) return;
    for (const child of running) child.kill(signal);
  });
}

// npm passes a signal on to the shell that runs a script, and many shells die of it without a word to us.
if (process.env.npm_lifecycle_event !== undefined) {
  const shell = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(watch);
    process.kill(process.pid, "SIGTERM");
  }, 500);
  watch.unref();
}

/** Runs a command with the user's own terminal and returns its exit code, 128 + n after signal n. */
export async function run(command, args, { env = process.env, cwd = root } = {}) {
  const child = spawn(command, args, { cwd, env, stdio: "inherit" });
  return await exitCode(child, command);
}

/** Runs a command quietly: its output comes back as text. `onOutput` sees that there is life; `signal` ends it. */
export async function capture(command, args, { env = process.env, cwd = root, onOutput = () => {}, signal } = {}) {
  const child = spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], signal });
  let stdout = "";
  let all = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
    all += text;
    onOutput(text);
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    all += text;
    onOutput(text);
  });
  const code = await exitCode(child, command);
  return { code, stdout, all };
}

function exitCode(child, command) {
  running.add(child);
  return new Promise((resolve, reject) => {
    child.on("error", (error) => {
      running.delete(child);
      if (error.code === "ENOENT") resolve(127);
      else reject(new Error(`${command}: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      running.delete(child);
      resolve(code ?? 128 + constants.signals[signal]);
    });
  });
}

/** The first executable of that name on PATH, or undefined. */
export function onPath(name, path = process.env.PATH ?? "") {
  return path
    .split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file) && statSync(file).isFile());
}

/**
 * Runs `work` while no other of our scripts does the same. A directory is the lock, because making one is atomic;
 * the process id inside tells a live owner from one that was killed.
 */
export async function alone(name, work) {
  const folder = join(root, "target", "script-locks");
  const lock = join(folder, name);
  mkdirSync(folder, { recursive: true });
  let told = false;
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (abandoned(lock)) {
      rmSync(lock, { recursive: true, force: true });
      continue;
    }
    if (!told) say(`· ${name}: another run is at it, waiting`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  writeFileSync(join(lock, "pid"), String(process.pid));
  const release = () => rmSync(lock, { recursive: true, force: true });
  process.on("exit", release);
  try {
    return await work();
  } finally {
    process.off("exit", release);
    release();
  }
}

function abandoned(lock) {
  try {
    const pid = Number(readFileSync(join(lock, "pid"), "utf8"));
    if (pid === 0) return false; // just made, its owner is about to write
    process.kill(pid, 0);
    return false;
  } catch (error) {
    if (error.code === "EPERM") return false;
    if (error.code === "ESRCH") return true;
    // No pid file: the owner is between its two steps, unless that was long ago.
    try {
      return Date.now() - statSync(lock).mtimeMs > 10_000;
    } catch {
      return false;
    }
  }
}
