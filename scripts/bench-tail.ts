// `npm run bench:tail`: what ingest costs while somebody watches.
//
//     npm run bench:tail -- [--seconds N] [--records N] [--batches N] [--only without|watched] [--json]
//
// Sends `--records` a second in `--batches` batches, first with nobody watching, then with two viewers: one reads, one does not
// until all is over. Ends with 1 when the first one lost a record, or the second one was told another number than it lost.

import { parseArgs } from "node:util";
import { tailLoad, type Phase } from "../tests/support/tail-load.ts";
import { table } from "./bench/figures.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    records: { type: "string", default: "1000" },
    batches: { type: "string", default: "10" },
    only: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const number = (name: "seconds" | "records" | "batches", most: number) => {
  const value = Number(values[name]);
  if (!Number.isInteger(value) || value < 1 || value > most) throw new Error(`--${name} must be a whole number from 1 to ${most}`);
  return value;
};
if (![undefined, "without", "watched"].includes(values.only)) throw new Error("--only takes without or watched");

const load = { seconds: number("seconds", 600), recordsPerSecond: number("records", 5_000), batchesPerSecond: number("batches", 100) };
console.error(`· ${load.recordsPerSecond} records a second in ${load.batchesPerSecond} batches, for ${load.seconds} s each`);
const { without, watched } = await tailLoad(load, { without: values.only !== "watched", watched: values.only !== "without" });

const mib = (bytes: number | undefined) => (bytes === undefined ? "" : (bytes / 1024 / 1024).toFixed(0));
const row = (name: string, { latency, cpuMillis, peakRssBytes, wasmBytes }: Phase) => [
  name, String(latency.batches), String(latency.p50), String(latency.p99), String(latency.max), cpuMillis === undefined ? "" : (cpuMillis / latency.batches).toFixed(1), mib(peakRssBytes), mib(wasmBytes),
];
const rows = [...(without ? [row("nobody", without)] : []), ...(watched ? [row("two", watched)] : [])];
console.log(table(["watching", "batches", "p50 ms", "p99 ms", "max ms", "CPU ms/batch", "peak RSS MiB", "wasm MiB"], rows));
let isRight = true;
if (watched) {
  const { sent, good, stalled, rawBytes } = watched;
  console.log(`records sent ${sent} (${(rawBytes / 1e6).toFixed(1)} MB); good viewer: ${good.shown} shown, ${good.lost} lost; stalled viewer: ${stalled.shown} shown, told of ${stalled.lost} lost`);
  isRight = good.shown === sent && good.lost === 0 && stalled.shown + stalled.lost === sent;
}
if (values.json) console.log(JSON.stringify({ load, without, watched }));
process.exit(isRight ? 0 : 1);
