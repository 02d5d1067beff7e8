// `npm run bench:micro`: every stage of the hot path in MB/s of raw bytes, natively and in wasm. Flags: `--native` or
// `--wasm` for one of them; the rest goes to the native benchmark (divan), such as `--min-time 2` or the name of a stage.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { benchInput, DATASETS } from "./bench-input.mjs";
import { Advice, run, root, say } from "./shell.mjs";

/** Some tens of megabytes each: more than any cache, and a second or two for each stage. */
const RECORDS = { http_requests: 20_000, dns_logs: 100_000, firewall_events: 20_000 };
const STAGES = ["inflate", "framing", "projection", "filter", "shaping", "one_job", "fifty_jobs", "events"];
/** Each stage runs so often in wasm, and the median counts. */
const TIMES = 15;

export async function benchMicro(env, flags) {
  const only = flags.filter((flag) => flag === "--native" || flag === "--wasm");
  const rest = flags.filter((flag) => !only.includes(flag));
  const folder = await benchInput(env, "bench-input", RECORDS);
  if (!only.includes("--wasm")) {
    const code = await run("cargo", ["bench", "--bench", "micro", "--", ...rest], { env });
    if (code !== 0) return code;
  }
  return only.includes("--native") ? 0 : await inWasm(env, folder, rest);
}

async function inWasm(env, folder, words) {
  const target = "wasm32-unknown-unknown";
  const code = await run("cargo", ["build", "--release", "--target", target, "--example", "stages"], { env });
  if (code !== 0) return code;
  const built = join(root, "target", target, "release", "examples", "stages.wasm");
  const optimised = join(root, "target", "bench-stages.wasm");
  // What worker-build does, with its flags.
  const manifest = readFileSync(join(root, "Cargo.toml"), "utf8");
  const wasmOpt = /^wasm-opt = (\[.*\])$/m.exec(manifest)?.[1];
  if (!wasmOpt) throw new Advice("✗ Cargo.toml names no flags for wasm-opt.");
  const optCode = await run("wasm-opt", [...JSON.parse(wasmOpt), built, "-o", optimised], { env });
  if (optCode !== 0) return optCode;
  say(`\nwasm32 with simd128 in V8 ${process.versions.v8}, MB/s of raw bytes, median of ${TIMES}`);
  say(["".padEnd(12), ...DATASETS.map((dataset) => dataset.padStart(16))].join(""));
  const module = new WebAssembly.Module(readFileSync(optimised));
  const columns = DATASETS.map((dataset, number) => {
    const { memory, bench_room, bench_load, bench_run } = instance(module);
    const gzip = readFileSync(join(folder, `${dataset}.ndjson.gz`));
    const room = bench_room(gzip.length);
    new Uint8Array(memory.buffer, room, gzip.length).set(gzip);
    return { raw: bench_load(number), bench_run };
  });
  for (const [number, stage] of STAGES.entries()) {
    if (words.length > 0 && !words.some((word) => stage.includes(word))) continue;
    const figures = columns.map(({ raw, bench_run }) => (raw / median(() => bench_run(number)) / 1_000).toFixed(0));
    say([stage.padEnd(12), ...figures.map((figure) => figure.padStart(16))].join(""));
  }
  return 0;
}

/** The SDK's imports are never called by a stage. */
function instance(module) {
  const imports = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== "function") throw new Error(`the library wants ${kind} ${name}`);
    const absent = () => {
      throw new Error(`${name} was called`);
    };
    imports[from] = { ...imports[from], [name]: absent };
  }
  return new WebAssembly.Instance(module, imports).exports;
}

/** Milliseconds; the first runs, in which V8 still optimises, do not count. */
function median(work) {
  for (let n = 0; n < 4; n += 1) work();
  const times = Array.from({ length: TIMES }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return times.sort((a, b) => a - b)[TIMES >> 1];
}
