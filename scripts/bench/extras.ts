// What CPU time does not say: memory, latency, and the start of an isolate.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { generateBatch } from "../../tests/support/generate.ts";
import { Batches } from "./batches.ts";
import { quantile, rounded } from "./figures.ts";
import { filters } from "./jobs.ts";
import { Target, createJobs, refusingSiem } from "./targets.ts";

/** The types of Node lack it. */
const { WebAssembly: Wasm } = globalThis as any;

const root = fileURLToPath(new URL("../..", import.meta.url));
const MIB = 1024 * 1024;
const DEFAULT_BATCH_RECORDS = 100_000;
const SCOPE = "zones/extras";
const PATH = `${SCOPE}/http_requests`;

type Say = (text: string) => void;

/** Runs `work` against a Worker of its own that has one job. */
async function withOneJob<T>(work: (target: Target) => Promise<T>): Promise<T> {
  const siem = await refusingSiem();
  const target = await Target.start("local R2: ours");
  try {
    await createJobs(target, siem, SCOPE, "http_requests", filters(1));
    return await work(target);
  } finally {
    await target.stop();
    await siem.close();
  }
}

async function wasmMib(target: Target): Promise<number> {
  return rounded((await target.client.get("/healthz")).json.wasm_memory_bytes / MIB, 1);
}

/** WebAssembly memory, which never shrinks, after the largest of what it has to bear. */
export async function memory(say: Say): Promise<Record<string, number>> {
  const batches = new Batches("http_requests", DEFAULT_BATCH_RECORDS, 11);
  const found: Record<string, number> = {};
  const measure = async (name: string, send: (target: Target) => Promise<unknown>) => {
    found[name] = await withOneJob(async (target) => {
      await send(target);
      return await wasmMib(target);
    });
    say(`· memory: ${name} ${found[name]} MiB`);
  };
  await measure("one_default_batch_mib", (target) => target.push(PATH, batches.next()));
  await measure("twenty_in_flight_mib", (target) => Promise.all(Array.from({ length: 20 }, () => target.push(PATH, batches.next()))));
  await measure("one_gigabyte_mib", async (target) => {
    const copies = Math.ceil(1e9 / batches.batch.rawBytes);
    const answer = await target.client.push(PATH, Readable.from(Array.from({ length: copies }, () => batches.batch.gzip)));
    if (answer.status !== 200) throw new Error(`a gigabyte: ${answer.status} ${answer.text}`);
  });
  return found;
}

/** From the last byte sent to the whole answer, one upload after the other. */
export async function latency(say: Say): Promise<Record<string, { p50_ms: number; p99_ms: number; uploads: number }>> {
  return await withOneJob(async (target) => {
    const measure = async (bodies: number, body: (n: number) => Buffer) => {
      const millis: number[] = [];
      for (let n = 0; n < bodies + 3; n += 1) {
        const answer = await target.push(PATH, body(n));
        if (n >= 3) millis.push(answer.millis);
      }
      millis.sort((a, b) => a - b);
      return { p50_ms: rounded(quantile(millis, 0.5), 1), p99_ms: rounded(quantile(millis, 0.99), 1), uploads: bodies };
    };
    const batches = new Batches("http_requests", DEFAULT_BATCH_RECORDS, 11);
    const record = generateBatch({ dataset: "http_requests", records: 1, seed: 5 }).ndjson.toString();
    const default_batch = await measure(30, () => batches.next());
    const one_record = await measure(200, (n) => gzipSync(record.replace(/"RayID":"[^"]*"/, `"RayID":"${n}"`)));
    say(`· latency: default batch ${default_batch.p50_ms} ms, one record ${one_record.p50_ms} ms (p50)`);
    return { default_batch, one_record };
  });
}

/** What V8 needs for the module, in this Node as in the runtime; and the first batch of a fresh process against a later one. */
export async function startUp(say: Say): Promise<Record<string, number>> {
  const bytes = readFileSync(join(root, "build", "index_bg.wasm"));
  const imports = (module: unknown) => {
    const found: Record<string, Record<string, unknown>> = {};
    for (const { module: from, name, kind } of Wasm.Module.imports(module)) {
      // Instantiating calls none of them. The one tag is that of JavaScript's own exceptions.
      (found[from] ??= {})[name] = kind === "tag" ? Wasm.JSTag : () => undefined;
    }
    return found;
  };
  const compile: number[] = [];
  const instantiate: number[] = [];
  for (let n = 0; n < 9; n += 1) {
    // Another custom section every time: V8 keeps compiled modules by their bytes.
    const variant = Buffer.concat([bytes, Buffer.from([0, 3, 1, 0x78, n])]);
    const start = performance.now();
    const module = new Wasm.Module(variant);
    const compiled = performance.now();
    new Wasm.Instance(module, imports(module));
    compile.push(compiled - start);
    instantiate.push(performance.now() - compiled);
  }
  const median = (values: number[]) => rounded(quantile(values.sort((a, b) => a - b), 0.5));
  const record = generateBatch({ dataset: "http_requests", records: 1, seed: 6 }).gzip;
  const other = generateBatch({ dataset: "http_requests", records: 1, seed: 8 }).gzip;
  const [first, second] = await withOneJob(async (target) => [
    (await target.push(PATH, record)).millis as number,
    (await target.push(PATH, other)).millis as number,
  ]);
  say(`· start-up: compile ${median(compile)} ms, instantiate ${median(instantiate)} ms`);
  return {
    wasm_bytes: bytes.length,
    wasm_gzip_bytes: gzipSync(bytes, { level: 9 }).length,
    compile_ms: median(compile),
    instantiate_ms: median(instantiate),
    first_batch_ms: rounded(first ?? NaN, 1),
    second_batch_ms: rounded(second ?? NaN, 1),
  };
}
