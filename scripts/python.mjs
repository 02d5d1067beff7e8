// Cloudflare's Python SDK and DuckDB in a virtual environment of their own, for tests/sdk. Python is not needed for anything else, so
// where it is missing those tests are skipped with the reason, unless LOGPUSH_EDGE_REQUIRE_PYTHON is set.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { step, toolsCache } from "./setup.mjs";
import { Advice, capture, onPath, root, say } from "./shell.mjs";

const REQUIREMENTS = join(root, "tests", "sdk", "requirements.txt");
/** The oldest one that the pinned packages work with as they stand. */
const OLDEST = [3, 11];

/** `env` with LOGPUSH_EDGE_PYTHON, the interpreter that has both, or with LOGPUSH_EDGE_PYTHON_MISSING, why there is none. */
export async function withPythonSdk(env) {
  try {
    return { ...env, LOGPUSH_EDGE_PYTHON: await python(env) };
  } catch (error) {
    if (!(error instanceof Advice) || env.LOGPUSH_EDGE_REQUIRE_PYTHON) throw error;
    say(`· tests of Cloudflare's Python SDK and of DuckDB will be skipped: ${error.message}`);
    return { ...env, LOGPUSH_EDGE_PYTHON_MISSING: error.message.split("\n").at(-1) };
  }
}

async function python(env) {
  const base = onPath("python3", env.PATH);
  if (!base) throw new Advice("there is no python3 on PATH");
  // The version in full: an environment does not outlive an upgrade of the Python that it was made with.
  const probe = await capture(base, ["-c", "import ensurepip, sys, venv; print(sys.version.replace('\\n', ' '))"], { env });
  if (probe.code !== 0) throw new Advice("python3 is there without venv (Debian and Ubuntu: apt-get install python3-venv)");
  const [major, minor] = probe.stdout.split(".").map(Number);
  if (major !== OLDEST[0] || minor < OLDEST[1]) throw new Advice(`python3 is ${major}.${minor}, and ${OLDEST.join(".")} is needed`);

  const inputs = createHash("sha256").update(readFileSync(REQUIREMENTS)).update(`${base} ${probe.stdout}`).digest("hex");
  const cache = toolsCache();
  const home = join(cache, `python-sdk-${inputs.slice(0, 16)}`);
  const cached = join(home, "bin", "python");
  if (existsSync(cached)) return cached;
  mkdirSync(cache, { recursive: true });
  // Made beside and renamed whole, so a half-finished one is never found. Only the scripts in bin/ know where they were
  // made, and nothing runs those.
  const staging = mkdtempSync(join(cache, ".python-sdk-"));
  try {
    await step("Python environment", env, base, ["-m", "venv", staging]);
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--requirement", REQUIREMENTS];
    await step("Cloudflare's Python SDK and DuckDB (once per machine)", env, join(staging, "bin", "python"), pip);
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
