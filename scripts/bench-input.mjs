// The batches that the microbenchmarks read, made by the generator of the tests, so that there is one idea of what a
// record looks like.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Advice, capture, root } from "./shell.mjs";

export const DATASETS = ["http_requests", "dns_logs", "firewall_events"];
const MAKES = join(root, "tests", "support");

/** Makes `target/<folder>/<dataset>.ndjson.gz` unless they are there as this generator makes them; returns the folder. */
export async function benchInput(env, folder, records) {
  const place = join(root, "target", folder);
  const stamp = join(place, "made-by");
  const made = createHash("sha256").update(JSON.stringify(records));
  for (const name of ["generate.ts", "lines.ts", "random.ts", ...readdirSync(join(MAKES, "records")).map((file) => join("records", file))]) {
    made.update(readFileSync(join(MAKES, name)));
  }
  const wanted = made.digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return place;
  mkdirSync(place, { recursive: true });
  for (const dataset of DATASETS) {
    const out = join(place, `${dataset}.ndjson.gz`);
    const args = ["tests/support/generate.ts", "--dataset", dataset, "--records", String(records[dataset]), "--seed", "7", "--out", out];
    const { code, all } = await capture("node", args, { env });
    if (code !== 0) throw new Advice(`${all}\n✗ The input of the benchmark could not be made.`);
  }
  writeFileSync(stamp, wanted);
  return place;
}
